/** Gives transactions of the application their place among the commits. One is open at a time. */
import type { Knex } from 'knex';
import { NotRunningError } from '../errors.ts';
import type { Commit } from '../store/rows.ts';
import { generalError, type Store } from '../store/store.ts';
import type { Committer } from './committer.ts';
import type { Outbox } from './outbox.ts';
import type { Phase } from './phase.ts';
import { type TransactionParts, TransactionTurns } from './transaction.ts';

export interface TransactionsOptions extends TransactionParts {
  store: Store;
  phase: Phase;
  outbox: Outbox;
  committer: Committer;
}

export class Transactions {
  readonly #options: TransactionsOptions;
  /** The one that is open. */
  #open: TransactionTurns | undefined;

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** What the open one has written, and nobody has been told. */
  get commits(): readonly Commit[] {
    return this.#open?.commits ?? [];
  }

  /**
   * Runs `body` while nothing else is written, in a transaction on a connection of its own; see transaction.ts. It commits
   * when `body` has resolved, and is rolled back when it rejects.
   * @throws {StoreError} it could not be begun or committed
   */
  run<T>(body: (turns: TransactionTurns, trx: Knex.Transaction) => Promise<T>): Promise<T> {
    const { commits, committer, outbox, phase, store } = this.#options;
    if (!phase.running) {
      return Promise.reject(new NotRunningError('The runtime is not running: it was not started yet, or is stopping.'));
    }
    return committer.alone(async () => {
      const assertAlive = () => {
        if (phase.stopped) throw new NotRunningError('The runtime stopped; nothing was committed.');
      };
      assertAlive();
      const trx = await store.knex.transaction();
      const { rollback } = trx;
      const turns = new TransactionTurns(this.#options, store, trx);
      this.#open = turns;
      try {
        await turns.store.lock().catch((error) => {
          commits.failed(error);
          throw error;
        });
        const result = await body(turns, trx).catch((cause) => {
          const error = generalError(cause);
          if (error) commits.failed(error);
          throw error ?? cause;
        });
        await turns.close();
        assertAlive();
        await turns.store.seal().catch((error) => {
          // It may have been written all the same: once it is over, the outbox asks.
          const over = turns.over.then(() => false);
          for (const commit of turns.commits) if (commit.outbox) outbox.doubt(commit.outbox, over);
          commits.failed(error);
          throw error;
        });
        if (!phase.stopped) turns.carryOut();
        return result;
      } finally {
        // After the commit, a rollback of nothing.
        await turns.release(rollback).finally(() => {
          this.#open = undefined;
        });
      }
    });
  }
}
