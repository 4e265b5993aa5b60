/**
 * The one source of time of a runtime. Deadlines are instants of this clock; `setTimeout` only wakes the runtime up, so
 * it may fire early or late without harm.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` once, after about `ms` of this clock's milliseconds; of a long wait, it may be long before. */
  setTimeout(fn: () => void, ms: number): unknown;
  /** Has a timeout not called. */
  clearTimeout(handle: unknown): void;
}

/**
 * Calls `fn` once, when the clock shows `at` or later.
 * @returns call it to have `fn` not called
 */
export function wakeAt(clock: Clock, at: number, fn: () => void): () => void {
  let handle: unknown;
  const look = () => {
    const left = at - clock.now();
    if (left <= 0) fn();
    else handle = clock.setTimeout(look, left);
  };
  handle = clock.setTimeout(look, at - clock.now());
  return () => clock.clearTimeout(handle);
}

/** In real ms. Node's `setTimeout` fires at once beyond 24.8 days, and a wall clock may be adjusted while one waits. */
const LONGEST_WAIT = 30_000;
const setRealTimeout = (fn: () => void, ms: number) => setTimeout(fn, Math.min(ms, LONGEST_WAIT));

/** The wall clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: setRealTimeout,
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Where a scaled clock starts: at the real instant `real` it shows `virtual`, and runs `scale` times as fast from there. */
export interface ClockAnchor {
  real: number;
  virtual: number;
  scale: number;
}

/** A clock that runs `anchor.scale` times as fast as the wall clock, for demonstrations. */
export function scaledClock(anchor: ClockAnchor): Clock {
  return {
    now: () => Math.floor(anchor.virtual + (Date.now() - anchor.real) * anchor.scale),
    setTimeout: (fn, ms) => setRealTimeout(fn, Math.ceil(ms / anchor.scale)),
    clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
  };
}

/** A clock that moves only when told to. What is due fires in order of deadline, at its own instant. */
export class SimulatedClock implements Clock {
  #now: number;
  #sequence = 0;
  #pending: { at: number; sequence: number; fn: () => void }[] = [];

  /** @param start first instant, in ms since the epoch. Default: 2026-01-01T00:00:00Z. */
  constructor(start: number = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(fn: () => void, ms: number): unknown {
    const entry = { at: this.#now + Math.max(0, ms), sequence: this.#sequence++, fn };
    this.#pending.push(entry);
    return entry;
  }

  /** Has a timeout not called. */
  clearTimeout(handle: unknown): void {
    const index = this.#pending.indexOf(handle as never);
    if (index >= 0) this.#pending.splice(index, 1);
  }

  /** The instant of the next timer, or `undefined` when none is armed. */
  nextTimer(): number | undefined {
    return this.#pending.reduce<number | undefined>(
      (min, { at }) => (min === undefined || at < min ? at : min),
      undefined,
    );
  }

  /** Moves to `instant` (which may lie before now: clocks do jump) and fires what is due by then. */
  moveTo(instant: number): void {
    this.#now = instant;
    for (;;) {
      const due = this.#pending
        .filter(({ at }) => at <= instant)
        .sort((a, b) => a.at - b.at || a.sequence - b.sequence)[0];
      if (!due) return;
      this.clearTimeout(due);
      due.fn();
    }
  }
}
