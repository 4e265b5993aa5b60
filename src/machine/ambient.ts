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

/** The current instant in milliseconds since the epoch: the turn's own inside a turn, the wall clock outside. */
export function now(): number {
  return ambient ? ambient.now() : Date.now();
}

/** A number in [0, 1): from the turn's seeded generator inside a turn, `Math.random()` outside. */
export function random(): number {
  return ambient ? ambient.random() : Math.random();
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
