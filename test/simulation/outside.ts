/**
 * What machines reach beyond themselves: promises, custom actions, and a guard that may fail. The very same machine runs
 * on the runtime, where this is the simulated world, and as the reference, where it only notes what should happen.
 */
export interface Outside {
  /** An invoked promise. `key` names what is asked, `signal` tells that nobody waits for it any more. */
  call(actor: string, key: string, signal: AbortSignal): Promise<unknown>;
  /** A custom action, which may throw; `key` names the turn that it belongs to. */
  act(actor: string, key: string): void;
  /** Whether the actor's guards throw, as they would in code with a bug. */
  poisoned(actor: string): boolean;
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
