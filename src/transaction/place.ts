/**
 * Gives transactions of the application their place among the commits. One that the runtime opens is alone; see
 * turns.ts for those that it joins.
 */
import type { Knex } from 'knex';
import type { EngineParts } from '../engine/engine.ts';
import { NotRunningError, TransactionError } from '../errors.ts';
import { TransactionTurns } from './turns.ts';

export class TransactionPlace {
  readonly #options: EngineParts;

  constructor(parts: EngineParts) {
    this.#options = parts;
  }

  /**
   * Runs `body` while nothing else is written, in a transaction on a connection of its own; see turns.ts. It commits
   * when `body` has resolved, and is rolled back when it rejects.
   * @throws {StoreError} it could not be begun or committed
   */
  async run<T>(body: (turns: TransactionTurns, trx: Knex.Transaction) => Promise<T>): Promise<T> {
    const { answerWithin, commits, committer, store } = this.#options;
    this.#assertRunning();
    return committer.alone(async (opened) => {
      this.#assertAlive();
      const trx = await store.begin();
      const { rollback } = trx;
      const turns = this.#share(trx);
      const failed = (cause: Error): never => {
        const error = store.general(cause);
        if (error) commits.failed(error);
        throw error ?? cause;
      };
      try {
        if (trx.isCompleted()) await trx.executionPromise.catch(failed); // Knex gives one also where its BEGIN failed
        await turns.store.lock(answerWithin).catch((error) => {
          commits.failed(error);
          throw error;
        });
        opened();
        const result = await body(turns, trx).catch(failed);
        await this.#seal(turns);
        return result;
      } finally {
        // After the commit, a rollback of nothing.
        await turns.release(rollback);
      }
    });
  }

  /**
   * Lets actors take turns in a transaction that the application has opened. It must end as it is told to by the result:
   * `seal` makes it durable and lets happen what its turns asked for; then, or without it, the turns are released.
   * @throws {StoreError} it cannot have the lock for writing
   */
  async join(trx: Knex.Transaction): Promise<{ turns: TransactionTurns; seal(): Promise<void> }> {
    const { committer, loop } = this.#options;
    this.#assertRunning();
    const free = committer.hold();
    const turns = this.#share(trx);
    loop.track(turns.over.then(free)); // a stop waits for it
    try {
      await turns.store.lock(this.#options.answerWithin);
      this.#assertAlive();
    } catch (error) {
      await turns.release(async () => {});
      throw error;
    }
    return { turns, seal: () => this.#seal(turns) };
  }

  /** A joined transaction has ended in a way that nobody heard of: what it wrote may be there, or not. */
  lostSight(turns: TransactionTurns, error: Error): void {
    const { events, sweeper } = this.#options;
    this.#doubt(turns, Promise.resolve());
    events.emit('fault', { during: 'a transaction that the application had opened', error });
    sweeper.suspect();
  }

  #share(trx: Knex.Transaction): TransactionTurns {
    const turns = new TransactionTurns(this.#options, this.#options.store, trx);
    const { shared } = this.#options;
    shared.add(turns);
    void turns.over.then(() => shared.delete(turns));
    return turns;
  }

  /** Commits what the transaction's callers have asked for so far, and lets happen what that brings. */
  async #seal(turns: TransactionTurns): Promise<void> {
    const { commits, loop, phase } = this.#options;
    await turns.close();
    this.#assertAlive();
    await turns.store.seal().catch((error) => {
      if (error instanceof TransactionError) throw error;
      this.#doubt(turns, turns.over);
      commits.failed(error);
      throw error;
    });
    if (phase.stopped) return;
    this.#letFormerGoFirst();
    loop.still(turns.cells, () => turns.carryOut());
  }

  /**
   * Puts the messages of a group that is being written before those of a joined transaction: it may be in the database
   * already, and only its answer missing. The outbox asks once it has ended.
   */
  #letFormerGoFirst(): void {
    const { committer, outbox } = this.#options;
    const unknown = committer.ended.then(() => false);
    for (const commit of committer.begun) if (commit.outbox) outbox.doubt(commit.outbox, unknown);
  }

  /** It may have been written all the same: its actors are read again, and once it is over, the outbox asks. */
  #doubt(turns: TransactionTurns, over: Promise<void>): void {
    turns.forget();
    this.#letFormerGoFirst();
    const unknown = over.then(() => false);
    for (const { outbox } of turns.commits) if (outbox) this.#options.outbox.doubt(outbox, unknown);
  }

  #assertRunning(): void {
    if (!this.#options.phase.running)
      throw new NotRunningError('The runtime is not running: it was not started yet, or is stopping.');
  }

  #assertAlive(): void {
    if (this.#options.phase.stopped) throw new NotRunningError('The runtime stopped; nothing was committed.');
  }
}
