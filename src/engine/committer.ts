/**
 * Group commit. While one transaction is under way, finished turns gather; the next transaction takes them all. A lone
 * turn waits for nothing but the end of the current event-loop iteration, in which turns that finish together gather.
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
    while (this.#waiting.length > 0) {
      const group = this.#take();
      const outcomes = await this.#store.commit(group.map(({ commit }) => commit));
      for (const [i, { done }] of group.entries()) done(outcomes[i]!);
      // Let the turns that this commit unblocked join the next group.
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
