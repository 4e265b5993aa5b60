/**
 * Group commit. While one transaction is under way, finished turns gather; the next transaction takes them all. A lone
 * turn waits for nothing but the end of the current event-loop iteration, in which turns that finish together gather.
 *
 * The main thread and the driver's work side by side only if there are turns to make while others are written. Those whose
 * turns were committed together would all be back together; so where fewer wait than were just written, some are told
 * first, until the two are even. In the steady state the next group is written at once, and the last one told meanwhile.
 *
 * A transaction of the application takes its place in the queue as a whole: while it is open, nothing else is written. One
 * that the application has opened itself may have SQLite's lock before it is known of: then no group is begun until it has
 * ended, and one that was under way and waits for that lock is written after it.
 *
 * Nobody waits for ever for a database that does not answer: four times in each `limit` of real time it is looked at what waits.
 * What was there at the three looks before is taken out and told as failed, and is never written; of a group that is being
 * written so long, it is told that its outcome is not known. A transaction of the application that is open is nobody's failure.
 */
import { formatDuration } from '../duration.ts';
import { StoreError } from '../errors.ts';
import { immediate } from '../immediate.ts';
import type { Commit, Outcome } from '../store/rows.ts';
import { isGeneral, type Store } from '../store/store.ts';

/** Node's timers end there, in ms. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;
/** How often it is looked at what waits, in each limit. */
const LOOKS = 4;
/** Above this size a group gains nothing, and the turns in it wait longer. */
const LARGEST_GROUP = 1_000;

interface Waiting {
  commit: Commit;
  done: (outcome: Outcome) => void;
  /** At how many looks it was there. */
  looks?: number;
}

/** Writes by itself, for as long as it takes. */
interface Alone {
  /** Never rejects. */
  run(): Promise<void>;
  refuse(error: Error): void;
  looks?: number;
}

/** Told how the writing goes. */
export interface CommitterListener {
  /** Of each group: its size, and how long it took, in ms. */
  written(turns: number, ms: number): void;
  /** The database takes writes. */
  working(): void;
  /** The database has not answered for a while. */
  slow(error: Error): void;
  /** A group has ended of which nobody knew how it would. */
  late(): void;
}

export class Committer {
  readonly #store: Store;
  readonly #listener: CommitterListener;
  /** How long anything waits at the most, in ms of real time. */
  readonly #limit: number;
  #waiting: (Waiting | Alone)[] = [];
  /** Those whose outcome nobody has been told. */
  readonly #open = new Set<Commit>();
  #busy = false;
  /** The group that is being written, and whether it has been told that nobody knows how that ends. */
  #writing: { group: Waiting[]; ended: Promise<unknown>; looks?: number; told?: true } | undefined;
  /** The last two groups that were begun: of the first of them, some may still have to be told. */
  #begun: Waiting[][] = [];
  /** A transaction of the application is open. */
  #occupied = false;
  #watch: NodeJS.Timeout | undefined;
  /** How often it was held, and how often it was let go. */
  #held = 0;
  #freed = 0;
  #onFree = () => {};
  #running: Promise<void> = Promise.resolve();
  #abandoned: Error | undefined;

  /** @param limit how long anything waits at the most, in ms of real time */
  constructor(store: Store, limit: number, listener: CommitterListener) {
    this.#store = store;
    this.#limit = limit;
    this.#listener = listener;
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
      this.#enqueue({ commit, done });
    });
  }

  /**
   * Runs `body` while nothing else is written, and everybody has been told of what was written before.
   * @param body calls `opened` once it has the database to itself: from then on, it is what the others wait for
   */
  alone<T>(body: (opened: () => void) => Promise<T>): Promise<T> {
    if (this.#abandoned) return Promise.reject(this.#abandoned);
    const opened = () => {
      this.#occupied = true;
    };
    return new Promise((resolve, refuse) => this.#enqueue({ run: () => body(opened).then(resolve, refuse), refuse }));
  }

  #enqueue(waiting: Waiting | Alone): void {
    this.#waiting.push(waiting);
    if (this.#busy) return;
    this.#busy = true;
    this.#watch ??= this.#watching();
    this.#running = immediate().then(() => this.#run());
  }

  /** Resolves once nothing is left to write. */
  async rest(): Promise<void> {
    while (this.#busy) await this.#running;
    clearTimeout(this.#watch);
    this.#watch = undefined;
  }

  /** Commits that may be in the database already, while nobody knows. */
  get open(): ReadonlySet<Commit> {
    return this.#open;
  }

  /** Those of them that are being written, or were. */
  get begun(): Commit[] {
    return this.#begun.flat().flatMap(({ commit }) => (this.#open.has(commit) ? [commit] : []));
  }

  /** Resolves once the group that is being written has ended, in whichever way. Never rejects. */
  get ended(): Promise<unknown> {
    return this.#writing?.ended ?? Promise.resolve();
  }

  get idle(): boolean {
    return !this.#busy;
  }

  /** From now on no group is begun, until the result is called. */
  hold(): () => void {
    this.#held++;
    return () => {
      if (++this.#freed === this.#held) this.#onFree();
    };
  }

  /**
   * From now on nothing is written, and nobody hears of what was. Resolves once the transaction under way has ended: as in
   * a crash, it may have been committed.
   */
  async abandon(error: Error): Promise<void> {
    this.#abandoned = error;
    for (const each of this.#waiting.splice(0)) refuse(each, error);
    await this.rest();
  }

  #watching(): NodeJS.Timeout {
    return setTimeout(() => this.#look(), Math.min(this.#limit / LOOKS, LONGEST_TIMEOUT));
  }

  /** Tells those who wait too long. */
  #look(): void {
    this.#watch = this.#busy ? this.#watching() : undefined;
    if (!this.#busy || this.#occupied || this.#held > this.#freed) return;
    const writing = this.#writing;
    const all = writing ? [writing, ...this.#waiting] : this.#waiting;
    if (all.some(({ looks }) => looks)) this.#listener.slow(new StoreError('timeout', 'The database does not answer.'));
    const isLate = (each: { looks?: number }) => {
      each.looks = (each.looks ?? 0) + 1;
      return each.looks >= LOOKS;
    };
    const within = formatDuration(this.#limit);
    const late = this.#waiting.filter(isLate);
    this.#waiting = this.#waiting.filter((each) => !late.includes(each));
    for (const each of late)
      refuse(
        each,
        new StoreError(
          'timeout',
          `The database did not take it within ${within}. Nothing of it was written, and nothing will be: try again later.`,
        ),
      );
    if (!writing || writing.told || !isLate(writing)) return;
    writing.told = true;
    const error = new StoreError(
      'timeout',
      `The database did not answer within ${within}. Whether it was written is not known: look before it is done again.`,
    );
    for (const each of writing.group) refuse(each, error);
  }

  async #run(): Promise<void> {
    let rest = () => {};
    for (;;) {
      if (this.#held > this.#freed) {
        rest();
        rest = () => {};
        await new Promise<void>((resolve) => (this.#onFree = resolve));
        continue;
      }
      const held = this.#held;
      const group = this.#take();
      if ('run' in group) {
        rest();
        rest = () => {};
        await immediate();
        const began = performance.now();
        await group.run();
        this.#occupied = false;
        this.#listener.written(1, performance.now() - began);
        continue;
      }
      const began = performance.now();
      const writing = group.length > 0 ? this.#store.commit(group.map(({ commit }) => commit)) : undefined;
      this.#writing = writing && { group, ended: writing };
      this.#begun = [this.#begun.at(-1) ?? [], group];
      // Until the driver has the script: taking a connection goes through the same queue of microtasks as the turns.
      if (writing) await immediate();
      rest();
      rest = () => {};
      if (writing) {
        const outcomes = await writing;
        const { told } = this.#writing!;
        this.#writing = undefined;
        if (told) {
          this.#listener.late();
          continue;
        }
        if (this.#held > held && !this.#abandoned && outcomes.every(isLockedOut)) {
          this.#waiting.unshift(...group);
          continue;
        }
        this.#listener.written(group.length, performance.now() - began);
        // A database that fails as a whole fails all of a group.
        const first = outcomes[0]!;
        if (!(first.result === 'failed' && isGeneral(first.error))) this.#listener.working();
        const tell = (from: number, to: number) => {
          const lost: Outcome | undefined = this.#abandoned && { result: 'failed', error: this.#abandoned };
          for (let i = from; i < to; i++) group[i]!.done(lost ?? outcomes[i]!);
        };
        const soon = Math.max(0, Math.ceil((group.length - this.#waiting.length) / 2));
        tell(0, soon);
        rest = () => tell(soon, group.length);
        if (soon === 0) continue;
      }
      await immediate();
      if (!writing && this.#waiting.length === 0) break;
    }
    this.#begun = [];
    this.#busy = false;
  }

  /** The next group. Commits with writes of their own go alone, so that only they fail if those do. */
  #take(): Waiting[] | Alone {
    const first = this.#waiting[0];
    if (first && 'run' in first) return this.#waiting.shift() as Alone;
    if (first?.commit.also) return [this.#waiting.shift() as Waiting];
    const alone = this.#waiting.findIndex((each) => 'run' in each || each.commit.also);
    const size = Math.min(alone < 0 ? LARGEST_GROUP : alone, LARGEST_GROUP);
    return this.#waiting.splice(0, size) as Waiting[];
  }
}

function refuse(each: Waiting | Alone, error: Error): void {
  if ('run' in each) each.refuse(error);
  else each.done({ result: 'failed', error });
}

/** The lock for writing was not to be had, so that nothing was written. */
const isLockedOut = (outcome: Outcome) =>
  outcome.result === 'failed' && outcome.error instanceof StoreError && outcome.error.reason === 'busy';
