/** What operators do with single actors: take them up again, end them, delete them, give them a deadline. */
import { inspect } from 'node:util';
import { isStoredTimer, type StoredTimer } from '../actor/live-actor.ts';
import { type Clock, LAST_INSTANT } from '../clock.ts';
import {
  ActorEndedError,
  ActorNotFoundError,
  type Address,
  formatAddress,
  InvalidArgumentError,
  NotRunningError,
  StoreError,
} from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Observers } from '../inspection/observers.ts';
import type { Change } from '../store/rows.ts';
import { type ActorRow, type ActorStatus, addressOf, type Commit } from '../store/rows.ts';
import { isGeneral } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import type { Commits } from './after-commit.ts';
import type { Row, Work } from './cell.ts';
import type { Cells } from './cells.ts';
import { type Composer, LEASE } from './composer.ts';
import type { Alarms } from './deadlines.ts';
import type { TurnLoop } from './loop.ts';
import type { Outbox } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import type { Restorer } from './restore.ts';
import { keptResults } from './results.ts';
import type { Rewriter } from './rewrite.ts';
import type { TurnMaker } from './turn-maker.ts';

export interface OperatorOptions {
  clock: Clock;
  events: EventChannel;
  cells: Cells;
  alarms: Alarms;
  outbox: Outbox;
  pacer: Pacer;
  observers: Observers;
  composer: Composer;
  maker: TurnMaker;
  commits: Commits;
  rewriter: Rewriter;
  restorer: Restorer;
  loop: TurnLoop;
}

export class Operator {
  readonly #options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /**
   * Lets a quarantined actor take events again, from its last good state; its deadlines and processes go on. A result that it
   * was put aside with is applied, and its promise is not started again.
   * @returns the status that it was found with; only a quarantined actor is changed
   * @throws {SnapshotIncompatibleError} its row still cannot be restored; it stays quarantined
   */
  async retry(address: Address): Promise<ActorStatus> {
    const { cells, clock, events, loop, restorer, rewriter } = this.#options;
    const row = await restorer.row(address);
    if (row.status !== 'quarantined') return row.status;
    const live = restorer.restore(row);
    const results = keptResults(row.state_data);
    const { status } = live.snapshot;
    const active = status === 'active';
    const taken = await rewriter.change(row, 'perdure.retried', null, {
      status,
      last_error: null,
      next_due_at: active ? (live.nextDueAt ?? null) : null,
      lease_until: active && live.hasProcesses ? clock.now() + LEASE : null,
    });
    if (!taken) return this.retry(address); // somebody else was faster
    await cells.using(address, (cell) => {
      cell.forget();
      cell.failures.forget();
      for (const { sessionId, event } of results) {
        cell.processes.settle(sessionId);
        loop.push(address, { kind: 'relay', sessionId, event });
      }
    });
    events.emit('retried', { address });
    this.#options.outbox.wake(formatAddress(address));
    void loop.revive(address);
    return 'quarantined';
  }

  /**
   * Ends a quarantined actor. Its row and history are kept: as a turn that stops it where the row can be restored, so that
   * the application's tables follow as far as they can, and else as it is.
   * @param also more to write in the same transaction
   * @returns the row as it was found; only a quarantined actor is changed
   */
  async discard(address: Address, reason: string | undefined, also: readonly Change[]): Promise<Row> {
    const { cells, events, restorer, rewriter } = this.#options;
    const row = await restorer.row(address);
    if (row.status !== 'quarantined') return row;
    const note = `discarded${reason ? `: ${reason}` : ''}`;
    const error = `${note[0]!.toUpperCase()}${note.slice(1)}. It was quarantined: ${row.last_error}`;
    // A row whose flow nobody knows can be ended as it is.
    let done = cells.has(address) ? await this.#end(row, note, error, also) : undefined;
    if (done === undefined) {
      const changes = { status: 'stopped', last_error: error, next_due_at: null, lease_until: null } as const;
      done = (await rewriter.change(row, 'xstate.stop', note, changes, also)) !== undefined;
    }
    if (!done) return this.discard(address, reason, also); // somebody else was faster
    this.#leave(address);
    this.#options.outbox.wake(formatAddress(address)); // what waits for it becomes dead letters
    events.emit('discarded', { address, reason });
    return row;
  }

  /**
   * Ends an actor and lets `also` delete its rows in the same transaction; then nothing of it is in memory either.
   * @throws {ActorNotFoundError} it has no row; what else is kept under its address is deleted
   */
  async remove(address: Address, also: readonly Change[]): Promise<void> {
    const { restorer, rewriter } = this.#options;
    for (let removed = false; !removed; ) {
      const row = await restorer.row(address).catch(async (error) => {
        if (error instanceof ActorNotFoundError) await this.#eraseLeft(address);
        throw error;
      });
      if (row.status === 'active' && (await this.#stops(address, also))) return;
      if (row.status === 'quarantined')
        removed = (await this.discard(address, 'deleted', also)).status === 'quarantined';
      else removed = (await rewriter.change(row, 'perdure.deleted', null, {}, also)) !== undefined;
    }
    this.gone(address);
  }

  /** Deletes what is left of an actor that has no row. */
  async #eraseLeft(address: Address): Promise<void> {
    const outcome = await this.#options.commits.write({ also: [{ kind: 'erase', actor: address, left: true }] });
    if (outcome.result === 'failed') throw outcome.error;
    this.lookAgain(address);
  }

  /** Reads the actor anew: where its row is gone, what it had under way ends. It may have been removed without an answer. */
  lookAgain(address: Address): void {
    const { cells, loop } = this.#options;
    if (!cells.includes(address)) return;
    cells.forget(address);
    void loop.revive(address);
  }

  /** Nothing of the actor is kept any more. */
  gone(address: Address): void {
    const { observers, outbox, pacer } = this.#options;
    this.#leave(address);
    pacer.rest(address);
    observers.gone(
      address,
      new ActorEndedError(`The actor ${formatAddress(address)} was removed while it was waited for.`, { address }),
    );
    outbox.forget(address);
  }

  /** Nothing of the actor goes on in memory. */
  #leave(address: Address): void {
    const { alarms, cells } = this.#options;
    if (!cells.has(address)) return;
    const cell = cells.hold(address);
    cell.forget();
    cell.failures.forget();
    cell.processes.stopAll();
    alarms.set(address, undefined, cell.key);
    cells.release(cell);
  }

  /**
   * Puts a deadline into an actor, in a turn of its own; false: it has it already, or is not in the state.
   * @throws {InvalidArgumentError} it is no event, or no instant
   * @throws {ActorNotFoundError | ActorQuarantinedError | SnapshotIncompatibleError}
   */
  async schedule(
    address: Address,
    timer: Pick<StoredTimer, 'id' | 'event' | 'dueAt'>,
    state: string,
  ): Promise<boolean> {
    const { loop, restorer } = this.#options;
    // What is stored must be what can be restored.
    if (!isStoredTimer(timer) || Math.abs(timer.dueAt) > LAST_INSTANT)
      throw new InvalidArgumentError(
        `The deadline for ${formatAddress(address)} needs an event with a type, and an instant in ms since the epoch; it has ${inspect(timer.event)} and ${inspect(timer.dueAt)}.`,
        { address },
      );
    const { row } = await restorer.peek(address);
    const there = row.current_state === state || row.current_state.startsWith(`${state}.`);
    if (row.status !== 'active' || !there) return false;
    return (await loop.post(address, { stimulus: { kind: 'schedule', timer } })).handled;
  }

  /** Deletes an actor in a turn that ends it; false where it cannot be restored, or throws at that too. */
  async #stops(address: Address, also: readonly Change[]): Promise<boolean> {
    const { loop } = this.#options;
    try {
      await loop.post(address, {
        stimulus: { kind: 'stop' },
        also,
        // Before the next in its mailbox has its turn, which may create the actor anew.
        committed: () => this.gone(address),
      });
      return true;
    } catch (error) {
      if (error instanceof NotRunningError || error instanceof StoreError) throw error;
      return false;
    }
  }

  /**
   * Ends an actor that is put aside, in a turn; without the rows of `project` and `record` where these fail at that too.
   * @returns false: somebody else was faster; `undefined`: it cannot be restored, or throws at its end
   * @throws {StoreError} the database as a whole fails
   */
  async #end(row: ActorRow, note: string, error: string, also: readonly Change[]) {
    let unrecorded: Error | undefined;
    for (const isRecorded of [true, false]) {
      const stop: Work = { stimulus: { kind: 'stop' }, also, note, ...(!isRecorded && unrecorded && { unrecorded }) };
      try {
        const outcome = await this.#options.commits.write(this.#ending(row, stop, error));
        if (outcome.result !== 'failed') return outcome.result === 'committed';
        throw outcome.error;
      } catch (cause) {
        if (isGeneral(cause)) {
          this.#options.cells.forget(addressOf(row)); // it may have ended all the same
          throw cause;
        }
        unrecorded = errorOf(cause);
      }
    }
    return undefined;
  }

  /** The turn that stops an actor which is put aside. @throws it cannot be restored, or throws at that too */
  #ending(row: ActorRow, stop: Work, error: string): Commit {
    const { cells, composer, maker, restorer } = this.#options;
    const copy = cells.copy(addressOf(row));
    restorer.copy(copy, copy, row);
    const live = copy.live!;
    const before = live.snapshot;
    const ambient = maker.ambient(copy.address, row.version + 1);
    const turn = live.perform(stop.stimulus, ambient);
    const commit = composer.turn(copy, stop, turn, before, ambient.now())!;
    commit.update!.last_error = error;
    return commit;
  }
}
