/**
 * Turns of actors in a transaction of the application.
 *
 *   queue of commits → BEGIN, and the lock for writing → the application's statements and turns → COMMIT → effects
 *
 * The transaction has a place in the queue of the group commit, and while it is open nothing else is written. It takes the
 * lock for writing first, and reads through its own connection, so that what it has read stays true until it commits:
 * none of its turns can lose a swap, and the callback runs once. A turn is made on a copy of the actor of its own, and
 * written at once, so that the transaction's later statements see it.
 *
 * The actors in memory know nothing of it until it has committed. A turn that one of them makes meanwhile waits for its own
 * commit, loses its swap there, and is made again: turns stay serial. After the commit the copies take the places of the
 * actors in memory, and what the turns asked for happens, in order.
 *
 * A transaction that the application has opened itself may have the lock already, and a group of turns that is being written
 * then waits for it. So nothing is waited for but the lock: SQLite gives it only where all that was read is still true, and
 * no group is begun until the transaction has ended. It commits through here too, so that what its turns asked for happens
 * before anybody hears that it has committed.
 *
 * Crash points: before the COMMIT nothing of it exists; after it, all of it does, and the next start takes up the messages,
 * deadlines and invocations as after any turn. A turn that throws has written nothing, and the transaction may go on; where
 * a turn cannot be written, part of it may be, and the transaction can only be rolled back.
 */
import type { Knex } from 'knex';
import type { Cell, Done, Row, SpawnOptions, Work } from '../engine/cell.ts';
import type { Composer } from '../engine/composer.ts';
import type { EngineParts, Turns } from '../engine/engine.ts';
import type { Made } from '../engine/turn-maker.ts';
import { ActorExistsError, ActorNotFoundError, type Address, formatAddress, TransactionError } from '../errors.ts';
import type { ActorRow, Change, Commit, Outcome } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

/** An actor that a transaction has in hand. */
interface InHand {
  /** The actor in memory, which knows nothing of the transaction. */
  cell: Cell;
  /** The transaction's own copy. */
  copy: Cell;
  /** The row as the transaction found it. */
  found: Row;
  /** It has made a turn. */
  changed?: true;
}

export class TransactionTurns implements Turns {
  readonly composer: Composer;
  readonly store: Store;
  /** What it writes, in order. */
  readonly commits: Commit[] = [];
  /** Resolves once it has ended, in whichever way. */
  readonly over: Promise<void>;
  #ended = () => {};
  readonly #parts: EngineParts;
  readonly #inHand = new Map<string, InHand>();
  /** Its actors in memory, held. */
  readonly cells = new Set<Cell>();
  readonly #effects: (() => void)[] = [];
  /** One thing at a time, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();
  /** Statements that Knex has under way. */
  readonly #statements = new Set<Promise<unknown>>();
  #open = true;
  /** It is being ended. */
  #ending = false;
  /** How many inner transactions are open. */
  #inner = 0;
  /** Why it can only be rolled back. */
  #doom: Error | undefined;

  constructor(parts: EngineParts, store: Store, knex: Knex.Transaction) {
    this.#parts = parts;
    this.composer = parts.composer;
    this.store = store.within(knex);
    this.over = new Promise((resolve) => {
      this.#ended = resolve;
    });
    this.#follow(knex);
  }

  /** Lets `effect` happen after the commit. */
  readonly after = (effect: () => void): void => void this.#effects.push(effect);

  post(address: Address, work: Work): Promise<Done> {
    const origin = this.#parts.events.tracing?.origin(true);
    return this.#next(address, async () => {
      const actor = await this.#take(address);
      const { copy } = actor;
      if (work.inbound && (await this.store.isApplied({ ...work.inbound, message_id: work.inbound.messageId })))
        return { snapshot: copy.live?.snapshot, handled: false, duplicate: true };
      return this.#make(actor, work, origin);
    });
  }

  /**
   * The turn of `work`, after those of deadlines that were due when it came. Where such a deadline throws, a stop goes on
   * without it; where the flow throws at the stop itself, without what it records.
   */
  async #make(actor: InHand, work: Work, origin?: unknown): Promise<Done> {
    const { copy } = actor;
    for (;;) {
      const next = this.#parts.maker.next(copy, work);
      if ('error' in next) {
        const failed = this.#failed(actor, next.overdue ? undefined : work.onFailure && work, next.error);
        if (work.stimulus.kind !== 'stop' || (!next.overdue && work.unrecorded)) return failed;
        await failed.catch(() => {}); // the copy is as it was
        if (this.#doom) throw this.#doom;
        if (next.overdue) work.awaits = 0;
        else work.unrecorded = next.error;
        continue;
      }
      await this.#write(actor, next.made, next.overdue ? undefined : origin);
      if (!next.overdue) return { snapshot: copy.live!.snapshot, handled: next.made.turn.handled, duplicate: false };
    }
  }

  spawn(address: Address, create: SpawnOptions): Promise<Done> {
    const origin = this.#parts.events.tracing?.origin(true);
    return this.#next(address, async () => {
      if (await this.#exists(address)) throw new ActorExistsError(address);
      return this.#create(address, create, origin);
    });
  }

  ensure(address: Address, create: SpawnOptions): Promise<boolean> {
    const origin = this.#parts.events.tracing?.origin(true);
    return this.#next(address, async () => {
      if (await this.#exists(address)) return false;
      await this.#create(address, create, origin);
      return true;
    });
  }

  remove(address: Address, also: readonly Change[]): Promise<void> {
    return this.#next(address, async () => {
      const actor = await this.#take(address).catch(async (error) => {
        if (!(error instanceof ActorNotFoundError)) return undefined;
        await this.#put({ also });
        this.after(() => this.#parts.operator.lookAgain(address));
        throw error;
      });
      if (actor?.copy.row?.status === 'active') {
        await this.#make(actor, { stimulus: { kind: 'stop' } }).catch((error) => {
          if (this.#doom) throw error; // otherwise its logic throws at that too, and it is deleted as it is
        });
      }
      await this.#put({ also });
      this.#inHand.delete(formatAddress(address));
      this.after(() => this.#parts.operator.gone(address));
    });
  }

  write(commit: Commit): Promise<Outcome> {
    const origin = this.#parts.events.tracing?.origin(true);
    return this.#next(undefined, async () => {
      const { inbound } = commit;
      if (inbound && (await this.store.isApplied(inbound))) return { result: 'duplicate' };
      await this.#put(commit);
      this.after(() => this.#parts.commits.written(commit, origin));
      return { result: 'committed' };
    });
  }

  read(address: Address): ReturnType<Turns['read']> {
    return this.#next(address, async () => {
      const { copy } = await this.#take(address);
      const { snapshot, timers } = copy.live!;
      return { row: copy.row!, snapshot, timers };
    });
  }

  row(address: Address): Promise<ActorRow> {
    return this.#next(address, () => this.#row(address));
  }

  retry(address: Address): never {
    throw new TransactionError('retry() is not for transactions: call it on the actor of the runtime.', { address });
  }

  observe(address: Address): never {
    const message = 'A transaction cannot be waited in: subscribe, and wait, on the actor of the runtime.';
    throw new TransactionError(message, { address });
  }

  /** An inner transaction of the application: a savepoint, in which there are no turns. */
  async inner<T>(body: () => Promise<T>, end: (result: T) => Promise<unknown> | undefined): Promise<T> {
    this.#inner++;
    const ended = () => void this.#inner--;
    try {
      await this.#last;
      const result = await body();
      const ending = end(result);
      if (ending) ending.then(ended, ended);
      else ended();
      return result;
    } catch (error) {
      ended();
      throw error;
    }
  }

  /** Takes nothing more; resolves when what was asked for is done. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#rest();
    if (this.#doom) throw this.#doom;
    if (this.#inner > 0)
      throw new TransactionError('An inner transaction is still open: await it in the callback. All was rolled back.');
  }

  /** What is in memory of its actors is not to be trusted. */
  forget(): void {
    for (const cell of this.cells) cell.forget();
  }

  /** It has committed: lets happen what it asked for. */
  carryOut(): void {
    for (const effect of this.#effects) effect();
  }

  /** Lets go of the actors and, once nothing of it uses the connection any more, of that. */
  async release(rollback: () => Promise<unknown>): Promise<void> {
    this.#open = false;
    this.#doom ??= new TransactionError('The transaction has ended.');
    await this.#rest();
    for (const cell of this.cells) this.#parts.cells.release(cell);
    try {
      await rollback();
    } finally {
      this.#ending = false;
      this.#ended();
    }
  }

  /** Resolves once nothing uses the connection; from then on nothing may, but to end the transaction. */
  async #rest(): Promise<void> {
    await this.#last;
    this.#ending = true;
    await Promise.all(this.#statements);
  }

  /** The driver runs side by side what is asked of it: a ROLLBACK could overtake a statement, which would then be on its own. */
  #follow({ client }: Knex.Transaction): void {
    const { query } = client;
    client.query = (connection: unknown, statement: unknown): Promise<unknown> => {
      // A text is what begins or ends it.
      if (typeof statement === 'string') return query(connection, statement);
      if (this.#ending) return Promise.reject(hasEnded({}));
      const running: Promise<unknown> = query(connection, statement);
      const done: Promise<unknown> = running.catch(() => {}).then(() => this.#statements.delete(done));
      this.#statements.add(done);
      return running;
    };
  }

  #next<T>(address: Address | undefined, body: () => Promise<T>): Promise<T> {
    const about = address ? { address } : {};
    if (!this.#open) throw hasEnded(about);
    if (this.#inner > 0) {
      throw new TransactionError(
        'An inner transaction (trx.transaction) is open, which could undo a turn of an actor and leave the rest. Let it end first.',
        about,
      );
    }
    const result = this.#last.then(() => {
      if (this.#doom) throw this.#doom;
      return body();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #take(address: Address): Promise<InHand> {
    const known = this.#inHand.get(formatAddress(address));
    if (known) return known;
    const row = await this.#row(address);
    const cell = this.#hold(address);
    const copy = this.#parts.cells.copy(address);
    this.#parts.restorer.copy(copy, cell, row);
    const actor = { cell, copy, found: { ...copy.row! } };
    this.#inHand.set(cell.key, actor);
    return actor;
  }

  #hold(address: Address): Cell {
    const { cells } = this.#parts;
    const cell = cells.hold(address);
    // Once, however often it is taken in hand: it is let go of once.
    if (this.cells.has(cell)) cells.release(cell);
    this.cells.add(cell);
    return cell;
  }

  async #exists(address: Address): Promise<boolean> {
    return (await this.store.load([address]))[0] !== undefined;
  }

  async #create(address: Address, create: SpawnOptions, origin: unknown): Promise<Done> {
    const cell = this.#hold(address);
    const copy = this.#parts.cells.copy(address);
    const made = this.#parts.maker.first(copy, cell, create);
    const actor = { cell, copy, found: { ...copy.row! } };
    this.#inHand.set(cell.key, actor);
    await this.#write(actor, made, origin);
    return { snapshot: copy.live!.snapshot, handled: true, duplicate: false };
  }

  async #row(address: Address): Promise<ActorRow> {
    const [row] = await this.store.load([address]);
    if (!row) throw new ActorNotFoundError(address);
    return row;
  }

  async #write(actor: InHand, { turn, commit }: Made, origin?: unknown): Promise<void> {
    const { cell, copy } = actor;
    if (!commit) return;
    await this.#put(commit);
    const { state_data, ...columns } = (commit.update ?? commit.insert)!;
    Object.assign(copy.row!, columns);
    if (!actor.changed) this.after(() => cell.adopt(copy, actor.found));
    actor.changed = true;
    const { snapshot } = copy.live!;
    this.after(() => this.#parts.commits.carryOut(cell, commit, turn, snapshot, origin));
  }

  /** The turn threw: the copy is read again, and for a message the failure is written in its place. */
  async #failed(actor: InHand, work: Work | undefined, error: Error): Promise<Done> {
    const { cell, copy } = actor;
    this.#parts.restorer.copy(copy, cell, await this.#row(cell.address));
    if (!work) throw error;
    await this.#write(actor, this.#parts.maker.failure(copy, work, error));
    return { snapshot: undefined, handled: false, duplicate: false, failed: error };
  }

  /** What fails in here may have written a part. */
  async #put(commit: Commit): Promise<void> {
    this.commits.push(commit);
    try {
      await this.store.write(commit);
    } catch (error) {
      this.#doom = error as Error;
      this.#parts.commits.failed(this.#doom);
      throw error;
    }
  }
}

const hasEnded = (about: { address?: Address }) =>
  new TransactionError('The transaction has ended. Await in its callback what belongs to it.', about);
