/**
 * Works off what was left while nobody was there (deadlines that passed, invocations that were under way): in order, page
 * by page, and no more than so many a second, so that a night's outage does not become a storm of messages in the morning.
 * What comes in meanwhile does not wait behind it.
 */
import type { Clock } from '../clock.ts';

/** How fast a backlog is worked off. */
export interface Pace {
  /** Actors a second. Infinity: as fast as they can be. */
  rate: number;
  /** From 0 to 1: each wait is longer or shorter by up to this part of it, so that several nodes do not beat in time. */
  jitter: number;
  /** Gives numbers in [0, 1). */
  chance: () => number;
}

/** Between two slices, in ms, at rates that have more than one actor in it. */
const BEAT = 100;
/** More would go no faster, and a message from a person would wait behind all of them. */
const LARGEST_SLICE = 200;
/** After a page that could not be read, in ms. */
const RETRY = 5_000;

export interface BacklogOptions<T> {
  clock: Clock;
  pace: Pace;
  /** The next items behind `after`, or the first ones. */
  page(after: T | undefined, limit: number): Promise<T[]>;
  /** Takes up one item. Never rejects. */
  take(item: T): Promise<void>;
  failed(error: unknown): void;
}

export class Backlog<T> {
  readonly #options: BacklogOptions<T>;
  readonly #slice: number;
  readonly #interval: number;
  #after: T | undefined;
  /** The slice that is being taken up while the next one is read. */
  #taking: Promise<unknown> = Promise.resolve();
  #timer: unknown;
  #busy = false;
  #stepping: Promise<void> = Promise.resolve();
  #again = false;
  #stopped = true;

  constructor(options: BacklogOptions<T>) {
    this.#options = options;
    const { rate } = options.pace;
    this.#slice = Math.min(Math.max(1, Math.round((rate * BEAT) / 1_000)), LARGEST_SLICE);
    this.#interval = (this.#slice / rate) * 1_000;
  }

  /** Nothing is being read or taken up at this moment. */
  get idle(): boolean {
    return !this.#busy;
  }

  /** Begins from the first item, at once; if it is under way, once more when it is through. */
  start(): void {
    this.#stopped = false;
    if (this.#busy || this.#timer !== undefined) this.#again = true;
    else this.#stepping = this.#step();
  }

  /** Begins nothing more; resolves once what is being taken up has been. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#after = undefined;
    this.#again = false;
    await this.#stepping;
    await this.#taking.catch(() => {}); // told by the step that took it up
  }

  async #step(): Promise<void> {
    const { clock, page, take, failed, pace } = this.#options;
    const began = clock.now();
    let wait = this.#interval * (1 + pace.jitter * (2 * pace.chance() - 1));
    let more = true;
    this.#busy = true;
    try {
      const items = await page(this.#after, this.#slice);
      if (this.#stopped) return;
      more = items.length === this.#slice;
      const before = this.#taking;
      this.#taking = Promise.all(items.map(take));
      await Promise.all([before, !more && this.#taking]);
      this.#after = more ? items.at(-1) : undefined;
    } catch (error) {
      failed(error);
      wait = RETRY;
    } finally {
      this.#busy = false;
    }
    if (this.#stopped) return;
    if (!more) {
      if (!this.#again) return;
      this.#again = false;
    }
    this.#timer = clock.setTimeout(() => this.#wake(began + wait), Math.max(0, began + wait - clock.now()));
  }

  #wake(at: number): void {
    const { clock } = this.#options;
    this.#timer = undefined;
    // Of a long wait, the clock may call long before.
    if (clock.now() < at - 1) this.#timer = clock.setTimeout(() => this.#wake(at), at - clock.now());
    else this.#stepping = this.#step();
  }
}
