/**
 * What may be wrong with a flow for a while. `guard`, `record` and `project` throw; `null` and `twin` write rows that the
 * table refuses, for want of a value or for a key that is taken; `table`: there is no such table.
 */
export const FLAWS = ['guard', 'record', 'project', 'null', 'twin', 'table'] as const;
export type Flaw = (typeof FLAWS)[number];

/**
 * What machines reach beyond themselves: promises, custom actions, and a guard that may fail. The very same machine runs
 * on the runtime, where this is the simulated world, and as the reference, where it only notes what should happen.
 */
export interface Outside {
  /** An invoked promise. `key` names what is asked, `signal` tells that nobody waits for it any more. */
  call(actor: string, key: string, signal: AbortSignal): Promise<unknown>;
  /** A custom action, which may throw; `key` names the turn that it belongs to. */
  act(actor: string, key: string): void;
  /** Whether this part of the actor's flow fails now, as code with a bug does. */
  fails(actor: string, part: Flaw): boolean;
  /** Whether events that are poison make guards throw: that bug may have been mended. */
  poisons(): boolean;
}

let outside: Outside;

export const theOutside = (): Outside => outside;

/** From now on machines reach this. */
export function setOutside(next: Outside): void {
  outside = next;
}

/** Runs `body` with another outside. */
export function withOutside<T>(next: Outside, body: () => T): T {
  const before = outside;
  outside = next;
  try {
    return body();
  } finally {
    outside = before;
  }
}
