import TinyQueue from 'tinyqueue';

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

/** For waits that are real whatever a runtime's clock shows, and that no adjustment of the wall clock changes. */
export const steadyClock: Clock = { ...systemClock, now: () => performance.now() };

/** The last instant that a Date can hold. */
export const LAST_INSTANT = 8.64e15;

/** An instant for people; a number of ms where a Date cannot hold it. */
export const formatInstant = (at: number) => (Math.abs(at) <= LAST_INSTANT ? new Date(at).toISOString() : String(at));

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

interface Armed {
  at: number;
  sequence: number;
  /** `undefined`: it was cleared, or has fired. */
  fn: (() => void) | undefined;
}

/** So many cleared timers may be left in the heap before it is looked at whether they are most of it. */
const FEW = 64;

/** A clock that moves only when told to. What is due fires in order of deadline, at its own instant. */
export class SimulatedClock implements Clock {
  #now: number;
  #sequence = 0;
  #armed = new TinyQueue<Armed>([], inOrder);
  #cleared = 0;

  /** @param start first instant, in ms since the epoch. Default: 2026-01-01T00:00:00Z. */
  constructor(start: number = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(fn: () => void, ms: number): unknown {
    const timer: Armed = { at: this.#now + Math.max(0, ms), sequence: this.#sequence++, fn };
    this.#armed.push(timer);
    return timer;
  }

  /** Has a timeout not called. */
  clearTimeout(handle: unknown): void {
    const timer = handle as Armed | undefined;
    if (!timer?.fn) return;
    timer.fn = undefined;
    this.#cleared++;
    if (this.#cleared > FEW && this.#cleared * 2 > this.#armed.length) {
      this.#armed = new TinyQueue(
        this.#armed.data.filter(({ fn }) => fn),
        inOrder,
      );
      this.#cleared = 0;
    }
  }

  /** The instant of the next timer, or `undefined` when none is armed. */
  nextTimer(): number | undefined {
    return this.#next()?.at;
  }

  /** Moves to `instant` (which may lie before now: clocks do jump) and fires what is due by then. */
  moveTo(instant: number): void {
    this.#now = instant;
    for (let next = this.#next(); next && next.at <= instant; next = this.#next()) {
      this.#armed.pop();
      const { fn } = next;
      next.fn = undefined;
      fn!();
    }
  }

  #next(): Armed | undefined {
    for (let next = this.#armed.peek(); next; next = this.#armed.peek()) {
      if (next.fn) return next;
      this.#armed.pop();
      this.#cleared--;
    }
    return undefined;
  }
}

const inOrder = (a: Armed, b: Armed) => a.at - b.at || a.sequence - b.sequence;
