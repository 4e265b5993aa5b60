/** Waits on a clock, which can all be ended at once. */
import { type Clock, wakeAt } from '../clock.ts';

export class Waits {
  readonly #clock: Clock;
  readonly #ends = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many are under way. */
  get size(): number {
    return this.#ends.size;
  }

  /** Resolves after so many ms, or when all are ended. */
  wait(ms: number): Promise<void> {
    return this.begin(ms).over;
  }

  /** A wait that can be ended on its own. */
  begin(ms: number): { over: Promise<void>; end: () => void } {
    if (ms <= 0) return { over: Promise.resolve(), end: () => {} };
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = () => {
        cancel();
        this.#ends.delete(end);
        resolve();
      };
      const cancel = wakeAt(this.#clock, this.#clock.now() + ms, end);
      this.#ends.add(end);
    });
    return { over, end };
  }

  endAll(): void {
    for (const end of this.#ends) end();
  }
}
