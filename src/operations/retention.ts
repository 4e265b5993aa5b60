/**
 * Deletes by age what nothing needs any more: marks of inbound messages, messages that were sent, dead letters that were decided on,
 * lines of the journal. Messages that were not sent, or failed and may be sent again, and open dead letters stay, however old.
 *
 * A round begins with the oldest rows and ends at the first ones that are too young. It goes in short steps with pauses between
 * them, so that turns do not wait for it; one that was cut off is taken up by the next.
 */
import type { Clock } from '../clock.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { Ages, Kind } from '../flow/retention-periods.ts';
import type { Cutoffs, Store } from '../store/store.ts';

export interface RetentionOptions {
  store: Store;
  clock: Clock;
  events: EventChannel;
  flows: ReadonlyMap<string, AnyFlow>;
  ages: Ages;
}

/** In ms. What is kept for months needs no look every hour. */
const AT_LEAST_EVERY = 86_400_000;
const AT_MOST_EVERY = 3_600_000;
/** Between two steps, in ms. */
const PAUSE = 50;

export class RetentionRounds {
  readonly #options: RetentionOptions;
  readonly #kinds: { kind: Kind; own: ReadonlyMap<string, number>; others: number }[];
  #timer: unknown;
  #step: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const kinds: Kind[] = ['inbox', 'messages', 'events', 'journal', 'deadLetters'];
    this.#kinds = kinds
      .map((kind) => {
        const own = [...options.flows.values()].flatMap(({ type, retention }) => {
          const age = retention[kind];
          return age === undefined ? [] : ([[type, age]] as const);
        });
        return { kind, own: new Map(own), others: options.ages[kind] };
      })
      .filter(({ own, others }) => Math.min(others, ...own.values()) < Number.POSITIVE_INFINITY);
  }

  /** The first round is an hour from now, when what was left at a start has been taken up. */
  start(): void {
    if (this.#kinds.length > 0) this.#in(AT_MOST_EVERY, 0, 0);
  }

  /** No step is under way. */
  get idle(): boolean {
    return this.#step === undefined;
  }

  /** Resolves once the step that is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#step;
  }

  #in(ms: number, index: number, after: number): void {
    if (this.#isStopped) return;
    const take = () => {
      this.#step = this.#take(index, after).finally(() => {
        this.#step = undefined;
      });
    };
    this.#timer = this.#options.clock.setTimeout(take, ms);
  }

  /** One step, and when the next one is to come. */
  async #take(index: number, after: number): Promise<void> {
    const { store, clock, events } = this.#options;
    const { kind, own, others } = this.#kinds[index]!;
    const now = clock.now();
    const cutoffs: Cutoffs = { flows: new Map([...own].map(([type, age]) => [type, now - age])), others: now - others };
    const last = await store.prune(kind, after, cutoffs).then(
      (step) => step.last,
      (error) => {
        events.emit('fault', { during: `deleting old rows (${kind})`, error });
        return undefined;
      },
    );
    if (last !== undefined) this.#in(PAUSE, index, last);
    else if (index + 1 < this.#kinds.length) this.#in(PAUSE, index + 1, 0);
    else this.#in(this.#every, 0, 0);
  }

  get #every(): number {
    const shortest = Math.min(...this.#kinds.flatMap(({ own, others }) => [others, ...own.values()]));
    return Math.min(Math.max(shortest / 24, AT_MOST_EVERY), AT_LEAST_EVERY);
  }
}
