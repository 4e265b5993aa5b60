/**
 * Group commit. While one transaction is under way, finished turns gather; the next transaction takes them all. A lone
 * turn waits for nothing but the end of the current event-loop iteration, in which turns that finish together gather.
 *
 * Those whose turns were committed together would all be back with their next turns together, and the main thread and the
 * database's would work in turns instead of side by side. So a group is told in two halves: the first before the next
 * transaction starts, the other while it is being written.
 */
import type { Commit, Outcome } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

/** Above this size a group gains nothing, and the turns in it wait longer. */
const LARGEST_GROUP = 500;

interface Waiting {
  commit: Commit;
  done: (outcome: Outcome) => void;
}

export class Committer {
  readonly #store: Store;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves once the commit has been written, or not. Never rejects. */
  add(commit: Commit): Promise<Outcome> {
    return new Promise((done) => {
      this.#waiting.push({ commit, done });
      if (this.#busy) return;
      this.#busy = true;
      setImmediate(() => this.#run());
    });
  }

  get idle(): boolean {
    return !this.#busy;
  }

  async #run(): Promise<void> {
    let others: () => void = () => {};
    for (;;) {
      const group = this.#take();
      const writing = group.length > 0 ? this.#store.commit(group.map(({ commit }) => commit)) : undefined;
      // While this group is written, those of the last one that were left go on and make their next turns. They wait until
      // the driver has the script: taking a connection goes through the same queue of microtasks as their turns.
      await new Promise(setImmediate);
      others();
      if (!writing) {
        await new Promise(setImmediate);
        if (this.#waiting.length === 0) break;
        others = () => {};
        continue;
      }
      const outcomes = await writing;
      const half = Math.ceil(group.length / 2);
      const tell = (from: number, to: number) => {
        for (let i = from; i < to; i++) group[i]!.done(outcomes[i]!);
      };
      tell(0, half);
      others = () => tell(half, group.length);
      await new Promise(setImmediate);
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
