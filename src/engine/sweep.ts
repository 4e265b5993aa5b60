/** Looks, now and then, for what a failed step left behind; soon, where one is known to have failed. */
import type { Clock } from '../clock.ts';
import type { Phase } from './phase.ts';

export interface SweeperOptions {
  clock: Clock;
  phase: Phase;
  /** In ms. */
  every: number;
  /** Whether the database takes writes again, though nobody has anything to write. */
  probe(): Promise<void>;
  look(): Promise<void>;
  failed(error: unknown): void;
}

/** After a failure it is looked so many times, so far apart in ms. */
const SUSPICIOUS = 2;
const SOON = 5_000;

export class Sweeper {
  readonly #options: SweeperOptions;
  #timer: unknown;
  #at = Number.POSITIVE_INFINITY;
  #sweeping: Promise<void> | undefined;
  /** So many more sweeps come soon, since something failed. */
  #suspicion = 0;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  get idle(): boolean {
    return !this.#sweeping;
  }

  start(): void {
    this.#sweepIn(this.#options.every);
  }

  /** Resolves once the sweep under way has ended. */
  async stop(): Promise<void> {
    this.#options.clock.clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /** Something failed, and may have left something behind. */
  suspect(): void {
    this.#suspicion = SUSPICIOUS;
    if (!this.#sweeping && this.#at > this.#options.clock.now() + SOON) this.#sweepIn(SOON);
  }

  #sweepIn(ms: number): void {
    const { clock, phase } = this.#options;
    if (!phase.running || phase.quiet) return;
    clock.clearTimeout(this.#timer);
    this.#at = clock.now() + ms;
    const wake = () => {
      if (clock.now() >= this.#at) this.#sweep();
      else this.#sweepIn(this.#at - clock.now()); // of a long wait, the clock may call long before
    };
    this.#timer = clock.setTimeout(wake, ms);
  }

  #sweep(): void {
    this.#sweeping = this.#lookAround().finally(() => {
      this.#sweeping = undefined;
      this.#sweepIn(this.#suspicion > 0 ? SOON : this.#options.every);
    });
  }

  async #lookAround(): Promise<void> {
    const { probe, look, failed } = this.#options;
    try {
      if (this.#suspicion > 0) {
        this.#suspicion--;
        await probe();
      }
      await look();
    } catch (error) {
      failed(error);
      this.#suspicion = SUSPICIOUS;
    }
  }
}
