/**
 * Group commit. While one transaction is under way, finished turns gather; the next transaction takes them all. A lone
 * turn waits for nothing but the end of the current event-loop iteration, in which turns that finish together gather.
 *
 * The main thread and the driver's work side by side only if there are turns to make while others are written. Those whose
 * turns were committed together would all be back together; so where fewer wait than were just written, some are told
 * first, until the two are even. In the steady state the next group is written at once, and the last one told meanwhile.
 */
import type { Commit, Outcome } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

/** Above this size a group gains nothing, and the turns in it wait longer. */
const LARGEST_GROUP = 1_000;

interface Waiting {
  commit: Commit;
  done: (outcome: Outcome) => void;
}

export class Committer {
  readonly #store: Store;
  #waiting: Waiting[] = [];
  /** Those whose outcome nobody has been told. */
  readonly #open = new Set<Commit>();
  #busy = false;
  #running: Promise<void> = Promise.resolve();
  #abandoned: Error | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves once the commit has been written, or not. Never rejects. */
  add(commit: Commit): Promise<Outcome> {
    if (this.#abandoned) return Promise.resolve({ result: 'failed', error: this.#abandoned });
    return new Promise((resolve) => {
      const done = (outcome: Outcome) => {
        this.#open.delete(commit);
        resolve(outcome);
      };
      this.#open.add(commit);
      this.#waiting.push({ commit, done });
      if (this.#busy) return;
      this.#busy = true;
      this.#running = new Promise(setImmediate).then(() => this.#run());
    });
  }

  /** Resolves once nothing is left to write. */
  async rest(): Promise<void> {
    while (this.#busy) await this.#running;
  }

  /** Commits that may be in the database already, while nobody knows. */
  get open(): ReadonlySet<Commit> {
    return this.#open;
  }

  get idle(): boolean {
    return !this.#busy;
  }

  /**
   * From now on nothing is written, and nobody hears of what was. Resolves once the transaction under way has ended: as in
   * a crash, it may have been committed.
   */
  async abandon(error: Error): Promise<void> {
    this.#abandoned = error;
    for (const { done } of this.#waiting.splice(0)) done({ result: 'failed', error });
    await this.rest();
  }

  async #run(): Promise<void> {
    let rest = () => {};
    for (;;) {
      const group = this.#take();
      const writing = group.length > 0 ? this.#store.commit(group.map(({ commit }) => commit)) : undefined;
      // Until the driver has the script: taking a connection goes through the same queue of microtasks as the turns.
      await new Promise(setImmediate);
      rest();
      rest = () => {};
      if (writing) {
        const outcomes = await writing;
        const tell = (from: number, to: number) => {
          const lost: Outcome | undefined = this.#abandoned && { result: 'failed', error: this.#abandoned };
          for (let i = from; i < to; i++) group[i]!.done(lost ?? outcomes[i]!);
        };
        const first = Math.max(0, Math.ceil((group.length - this.#waiting.length) / 2));
        tell(0, first);
        rest = () => tell(first, group.length);
        if (first === 0) continue;
      }
      await new Promise(setImmediate);
      if (!writing && this.#waiting.length === 0) break;
    }
    this.#busy = false;
  }

  /** The next group. Commits with the application's own writes go alone, so that only they fail if those do. */
  #take(): Waiting[] {
    if (this.#waiting[0]?.commit.also) return [this.#waiting.shift()!];
    const alone = this.#waiting.findIndex(({ commit }) => commit.also);
    return this.#waiting.splice(0, Math.min(alone < 0 ? LARGEST_GROUP : alone, LARGEST_GROUP));
  }
}
