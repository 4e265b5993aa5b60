/** Transactions that an application shares with its actors. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { steadyClock, wakeAt } from '../clock.ts';
import { type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError, NotRunningError, TimeoutError, TransactionError } from '../errors.ts';
import type { AnyFlow, InboundMessage } from '../flow/flow.ts';
import type { DirectMessage, Receipt } from '../messaging/inbound.ts';
import type { ActorHandle, SpawnArguments, SpawnedActor } from '../runtime/handle.ts';
import type { TransactionPlace } from './place.ts';
import type { TransactionTurns } from './turns.ts';

/**
 * A transaction on the database, as Knex has it, in which actors take turns too: pass it on as a `Knex.Transaction`. What
 * it resolves with is durable only once the whole transaction has committed.
 */
export interface Transaction extends Knex.Transaction {
  /** As `runtime.spawn`. */
  spawn<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...options: SpawnArguments<F>
  ): Promise<SpawnedInTransaction<F>>;
  /** As `runtime.ensure`. */
  ensure<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...options: SpawnArguments<F>
  ): Promise<SpawnedInTransaction<F>>;
  /** As `runtime.actor`. */
  actor<F extends AnyFlow>(flow: F, participantId: string): ActorInTransaction<F>;
  /** As `runtime.actor`. */
  actor(flow: string, participantId: string): ActorInTransaction;
  /** As `runtime.actor`. */
  actor<F extends AnyFlow>(flow: F | string, participantId: string): ActorInTransaction<F>;
  /** As `runtime.receive`. */
  receive(message: InboundMessage): Promise<Receipt>;
  /** As `runtime.receiveFor`. */
  receiveFor(flow: AnyFlow | string, participantId: string, message: InboundMessage): Promise<Receipt>;
  /** As `runtime.sendTo`. */
  sendTo(message: DirectMessage): Promise<{ status: 'accepted' | 'duplicate'; to: string }>;
  /** As `runtime.remove`. */
  remove(flow: AnyFlow | string, participantId: string): Promise<void>;
}

/** An actor in a transaction: it sees the transaction's own turns, and cannot be waited for. */
export type ActorInTransaction<F extends AnyFlow = AnyFlow> = Pick<
  ActorHandle<F>,
  'address' | 'send' | 'getSnapshot' | 'timers' | 'cancelTimer' | 'describe' | 'stop'
>;

/** What a transaction has spawned or ensured. */
export type SpawnedInTransaction<F extends AnyFlow> = ActorInTransaction<F> &
  Pick<SpawnedActor<F>, 'created' | 'tookNumberFrom'>;

/** How a transaction runs. */
export interface TransactionOptions {
  /** How long it may be open, in real time: nothing else is written meanwhile. Default: `'5s'`. */
  timeout?: Duration;
}

/** What a transaction can do with actors. */
export type TransactionCommands = Omit<Transaction, keyof Knex.Transaction>;

export class Transactions {
  /** Who runs in the callback of a transaction, or goes on after having joined one. */
  readonly #context = new AsyncLocalStorage<{ open: boolean; joined: boolean }>();
  /** End those that are open. */
  readonly #aborts = new Set<(error: Error) => void>();
  readonly #joined = new WeakMap<Knex.Transaction, Promise<Transaction>>();
  #waiting = 0;

  /** @throws {TransactionError} the caller runs in the callback of a transaction, and would wait for its own end */
  assertOutside(): void {
    if (this.#context.getStore()?.open) this.#refuse();
  }

  #refuse(): never {
    throw new TransactionError(
      'Within a transaction, ask trx and not the runtime: trx.actor(flow, id).send(event). ' +
        'What the runtime writes would wait for the end of the transaction, and the transaction for it.',
    );
  }

  /** Rolls back what is open, as if the process had died. */
  abandon(): void {
    const error = new NotRunningError('The runtime was abandoned; the transaction was rolled back.');
    for (const abort of this.#aborts) abort(error);
    this.#context.disable(); // nobody comes to their end, who would do it
  }

  async run<T>(
    place: TransactionPlace,
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
      return await place.run(async (turns, trx) => {
        const context = { open: true, joined: false };
        const shared = Object.assign(share(trx, turns, commands(turns)), { commit: refuse, rollback: refuse });
        let cutOff = () => {};
        const cut = new Promise<never>((_, reject) => {
          cutOff = this.#limit(limit, reject);
        });
        try {
          const work = inCallersContext(() => this.#context.run(context, async () => body(shared)));
          return await Promise.race([work, cut]);
        } finally {
          context.open = false;
          cutOff();
        }
      });
    } finally {
      this.#leave();
    }
  }

  /** Adds the commands to a transaction that the application has opened on `knex`. */
  join(
    place: TransactionPlace,
    knex: Knex,
    commands: (turns: TransactionTurns) => TransactionCommands,
    trx: Knex.Transaction,
    { timeout = '5s' }: TransactionOptions,
  ): Promise<Transaction> {
    let joined = this.#joined.get(trx);
    const context = this.#context.getStore();
    // Two that are joined side by side may have one context, and wait for each other's end.
    if (!joined && context?.open && !context.joined) this.#refuse();
    assertJoinable(trx, knex);
    if (!joined) {
      const context = { open: true, joined: true };
      // From here on in the caller's own context: there is no callback that would tell who runs in the transaction.
      this.#context.enterWith(context);
      joined = this.#join(place, commands, trx, milliseconds(timeout), context);
      this.#joined.set(trx, joined);
      joined.catch(() => this.#joined.delete(trx));
    }
    return joined;
  }

  async #join(
    place: TransactionPlace,
    commands: (turns: TransactionTurns) => TransactionCommands,
    trx: Knex.Transaction,
    limit: number,
    context: { open: boolean },
  ): Promise<Transaction> {
    this.#waiting++;
    const leave = () => {
      context.open = false;
      this.#leave();
    };
    const { turns, seal } = await place.join(trx).catch((error) => {
      leave();
      throw error;
    });
    const shared = share(trx, turns, commands(turns));
    const { commit, rollback } = trx;
    let ended = false;
    /** Why it was rolled back without having been asked. */
    let reason: Error | undefined;
    const end = async (how: () => PromiseLike<unknown>) => {
      ended = true;
      await turns.release(async () => void (await how()));
    };
    const rollBack = async (error?: unknown) => (ended ? rollback(error) : end(() => rollback(error)));
    const cutOff = this.#limit(limit, (error) => {
      if (ended) return;
      reason = error;
      rollBack(error).catch(() => {});
    });
    const over = (error?: Error) => {
      cutOff();
      leave();
      if (ended) return;
      place.lostSight(
        turns,
        error ?? new TransactionError('It ended past the trx.commit() and trx.rollback() of its own.'),
      );
      void end(async () => {});
    };
    trx.executionPromise.then(() => over(), over);
    return Object.assign(shared, {
      commit: async (value: unknown) => {
        if (reason) throw reason;
        if (ended) return commit(value);
        cutOff(); // from here on it may have committed
        context.open = false; // listeners that hear of its turns may ask the runtime
        try {
          await seal();
        } catch (error) {
          await rollBack(error);
          throw error;
        }
        return end(() => commit(value));
      },
      rollback: rollBack,
    }) as never;
  }

  /** @returns call it when the transaction has ended in time */
  #limit(ms: number, abort: (error: Error) => void): () => void {
    this.#aborts.add(abort);
    const stopWaiting = wakeAt(steadyClock, steadyClock.now() + ms, () => abort(tooLong(ms)));
    return () => {
      this.#aborts.delete(abort);
      stopWaiting();
    };
  }

  #leave(): void {
    // While none is open, nobody pays for knowing who runs in one.
    if (--this.#waiting === 0) this.#context.disable();
  }
}

/** @throws {InvalidArgumentError | TransactionError} */
function assertJoinable(trx: Knex.Transaction, knex: Knex): void {
  if (!trx?.isTransaction) {
    throw new InvalidArgumentError(
      'runtime.join(trx) is given a transaction of Knex that is open: const trx = await knex.transaction().',
    );
  }
  const settings = ({ client }: Knex) => (client as { connectionSettings: unknown }).connectionSettings;
  if (settings(trx) !== settings(knex)) {
    throw new InvalidArgumentError(
      'The transaction belongs to another Knex instance than the runtime, which cannot tell whether it writes to the same ' +
        'database, and how safely. Give that instance to createRuntime({ database: knex }), or begin the transaction with runtime.knex.',
    );
  }
  if (trx.parentTransaction) {
    throw new TransactionError(
      'The transaction is a savepoint in another one, which could undo a turn of an actor and leave the rest. Join the outermost.',
    );
  }
  if (trx.isCompleted()) throw new TransactionError('The transaction has ended already. Join it while it is open.');
}

const tooLong = (limit: number) =>
  new TimeoutError(
    `The transaction was open for ${limit} ms and was rolled back. Nothing else is written while one is open: do what takes long ` +
      'before it, wait in it for nothing outside of it (nor for the runtime), or give it more time: { timeout }.',
  );

/** Knex's transaction with the commands for actors. */
function share(trx: Knex.Transaction, turns: TransactionTurns, commands: TransactionCommands): Transaction {
  // Where `trx.transaction` and `trx.savepoint` turn to.
  const { context } = trx as unknown as { context: { transaction(...args: unknown[]): Promise<unknown> } };
  const inner = context.transaction;
  context.transaction = (...args) =>
    turns.inner(
      () => inner.apply(context, args),
      (result) => (typeof args[0] === 'function' ? undefined : (result as Knex.Transaction).executionPromise),
    );
  return Object.assign(trx, commands) as never;
}

const refuse = () => {
  throw new TransactionError('The transaction commits when its callback resolves, and is rolled back when it throws.');
};
