/** Transactions that an application shares with its actors. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import type { ActorHandle } from './actor-handle.ts';
import { type Duration, milliseconds } from './duration.ts';
import type { Engine } from './engine/engine.ts';
import type { TransactionTurns } from './engine/transaction.ts';
import { InvalidArgumentError, NotRunningError, TimeoutError, TransactionError } from './errors.ts';
import type { AnyFlow } from './flow.ts';
import type { Runtime, SpawnArguments } from './runtime.ts';

/**
 * A transaction on the database, as Knex has it, in which actors take turns too: pass it on as a `Knex.Transaction`. What
 * it resolves with is durable only once the whole transaction has committed.
 */
export interface Transaction extends Knex.Transaction {
  /** As {@link Runtime.spawn}. */
  spawn<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...options: SpawnArguments<F>
  ): Promise<ActorInTransaction<F>>;
  /** As {@link Runtime.actor}. */
  actor<F extends AnyFlow>(flow: F, participantId: string): ActorInTransaction<F>;
  /** As {@link Runtime.actor}. */
  actor(flow: string, participantId: string): ActorInTransaction;
  /** As {@link Runtime.actor}. */
  actor<F extends AnyFlow>(flow: F | string, participantId: string): ActorInTransaction<F>;
  /** As {@link Runtime.receive}. */
  receive: Runtime['receive'];
  /** As {@link Runtime.receiveFor}. */
  receiveFor: Runtime['receiveFor'];
  /** As {@link Runtime.sendTo}. */
  sendTo: Runtime['sendTo'];
  /** As {@link Runtime.remove}. */
  remove(flow: AnyFlow | string, participantId: string): Promise<void>;
}

/** An actor in a transaction: it sees the transaction's own turns, and cannot be waited for. */
export type ActorInTransaction<F extends AnyFlow = AnyFlow> = Pick<
  ActorHandle<F>,
  'address' | 'send' | 'getSnapshot' | 'timers' | 'cancelTimer' | 'describe' | 'stop'
>;

/** How a transaction runs. */
export interface TransactionOptions {
  /** How long it may be open, in real time: nothing else is written meanwhile. Default: `'5s'`. */
  timeout?: Duration;
}

/** What a transaction can do with actors. */
export type TransactionCommands = Omit<Transaction, keyof Knex.Transaction>;

export class Transactions {
  /** Who runs in the callback of a transaction. */
  readonly #context = new AsyncLocalStorage<{ open: boolean }>();
  /** Ends the one that is open. */
  #abort: ((error: Error) => void) | undefined;
  #waiting = 0;

  /** @throws {TransactionError} the caller runs in the callback of a transaction, and would wait for its own end */
  assertOutside(): void {
    if (!this.#context.getStore()?.open) return;
    throw new TransactionError(
      'Within runtime.transaction(async (trx) => …), ask trx and not the runtime: trx.actor(flow, id).send(event). ' +
        'What the runtime writes would wait for the end of the transaction, and the transaction for it.',
    );
  }

  /** Rolls back what is open, as if the process had died. */
  abandon(): void {
    this.#abort?.(new NotRunningError('The runtime was abandoned; the transaction was rolled back.'));
  }

  async run<T>(
    engine: Engine,
    commands: (turns: TransactionTurns) => TransactionCommands,
    body: (trx: Transaction) => Promise<T>,
    { timeout = '5s' }: TransactionOptions,
  ): Promise<T> {
    if (typeof body !== 'function') {
      throw new InvalidArgumentError(
        'A transaction is given its work as a function: runtime.transaction(async (trx) => …).',
      );
    }
    const limit = milliseconds(timeout);
    // The callback sees the caller's own AsyncLocalStorage: its request, its trace.
    const inCallersContext = AsyncLocalStorage.snapshot();
    this.#waiting++;
    try {
      return await engine.transaction(async (turns, trx) => {
        const context = { open: true };
        const shared = share(trx, turns, commands(turns));
        let timer: NodeJS.Timeout | undefined;
        const cut = new Promise<never>((_, reject) => {
          this.#abort = reject;
          timer = setTimeout(() => reject(tooLong(limit)), limit);
        });
        try {
          const work = inCallersContext(() => this.#context.run(context, async () => body(shared)));
          return await Promise.race([work, cut]);
        } finally {
          context.open = false;
          this.#abort = undefined;
          clearTimeout(timer);
        }
      });
    } finally {
      // While none is open, nobody pays for knowing who runs in one.
      if (--this.#waiting === 0) this.#context.disable();
    }
  }
}

const tooLong = (limit: number) =>
  new TimeoutError(
    `The transaction was open for ${limit} ms and was rolled back. Nothing else is written while one is open: do what takes long ` +
      'before it, wait in it for nothing outside of it, or give it more time: runtime.transaction(…, { timeout }).',
  );

/** Knex's transaction with the commands for actors, which ends with its callback and in no other way. */
function share(trx: Knex.Transaction, turns: TransactionTurns, commands: TransactionCommands): Transaction {
  // Where `trx.transaction` and `trx.savepoint` turn to.
  const { context } = trx as unknown as { context: { transaction(...args: unknown[]): Promise<unknown> } };
  const inner = context.transaction;
  context.transaction = (...args) =>
    turns.inner(
      () => inner.apply(context, args),
      (result) => (typeof args[0] === 'function' ? undefined : (result as Knex.Transaction).executionPromise),
    );
  const refuse = () => {
    throw new TransactionError(
      'The transaction commits when its callback resolves, and is rolled back when it throws.',
    );
  };
  return Object.assign(trx, commands, { commit: refuse, rollback: refuse }) as never;
}
