/**
 * Time and chance, as machines see them.
 *
 * Inside a turn `now()` is the turn's own instant and `random()` a generator seeded from the actor and its version, so a
 * turn that is done again (after a lost swap, in a replay, in a test) sees the same values. Outside a turn they are the
 * wall clock and `Math.random`.
 */
export interface Ambient {
  now(): number;
  random(): number;
}

let ambient: Ambient | undefined;
let turning = false;

/** The current instant in milliseconds since the epoch: the turn's own inside a turn, the wall clock outside. */
export function now(): number {
  return ambient ? ambient.now() : Date.now();
}

/** A number in [0, 1): from the turn's seeded generator inside a turn, `Math.random()` outside. */
export function random(): number {
  return ambient ? ambient.random() : Math.random();
}

/**
 * Whether a turn is being computed at this moment. What it reads from anywhere else than the event, the context, `now()` and
 * `random()`, it would not read again if it were done again.
 */
export const isInTurn = (): boolean => turning;

/** Computes a turn: runs `body` with `next` as the source of `now()` and `random()`. */
export function inTurn<T>(next: Ambient, body: () => T): T {
  const before = turning;
  turning = true;
  try {
    return withAmbient(next, body);
  } finally {
    turning = before;
  }
}

/** Runs `body` with `next` as the source of `now()` and `random()`; restores the former one afterwards. */
export function withAmbient<T>(next: Ambient, body: () => T): T {
  const previous = ambient;
  ambient = next;
  try {
    return body();
  } finally {
    ambient = previous;
  }
}
