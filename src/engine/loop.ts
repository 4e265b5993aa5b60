/**
 * The turn loop. Each actor has a mailbox, worked off strictly one turn after another; different actors go side by side.
 *
 *   mailbox → load the row if it is not in memory → turn (in memory) → commit (grouped) → effects → next
 *
 * Crash points, and why each is harmless:
 * - before the commit: nothing of the turn exists; deadlines are still in the row, a sender that got no answer repeats.
 * - in the commit: the transaction holds all of the turn or none of it.
 * - after the commit, before effects: messages are in the outbox and deadlines in the row; processes follow from the
 *   snapshot. Only custom actions are lost, as documented (at most once).
 *
 * A turn whose commit did not succeed leaves the in-memory actor ahead of its row, so the actor is dropped and read again.
 */
import type { AnyEventObject } from 'xstate';
import { stringify } from '../actor/codec.ts';
import type { Stimulus } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import {
  ActorEndedError,
  ActorExistsError,
  ActorNotFoundError,
  ActorQuarantinedError,
  type Address,
  formatAddress,
  NotRunningError,
  StoreError,
} from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Inspection } from '../inspection/inspection.ts';
import { isEnded } from '../store/rows.ts';
import { isGeneral } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import { type Commits, RETRY } from './after-commit.ts';
import type { Cell, Done, Item, Read, SpawnOptions, Work } from './cell.ts';
import type { Cells } from './cells.ts';
import type { Alarms } from './deadlines.ts';
import { type FailedTurns, isEnding } from './failure.ts';
import type { Committer } from './group-commit.ts';
import type { Pacer } from './pacer.ts';
import type { Pauses } from './pauses.ts';
import type { Phase } from './phase.ts';
import type { Restorer } from './restore.ts';
import { activeDueAt, assertTakesEvents, isDue, isOvertaking, type Made, type TurnMaker } from './turn-maker.ts';

export interface TurnLoopOptions {
  clock: Clock;
  events: EventChannel;
  inspection: Inspection;
  phase: Phase;
  pacer: Pacer;
  pauses: Pauses;
  cells: Cells;
  alarms: Alarms;
  maker: TurnMaker;
  committer: Committer;
  commits: Commits;
  restorer: Restorer;
  failedTurns: FailedTurns;
}

export class TurnLoop {
  readonly #options: TurnLoopOptions;
  readonly #working = new Set<Promise<unknown>>();

  constructor(options: TurnLoopOptions) {
    this.#options = options;
  }

  /** Nothing is under way but pauses before another attempt. */
  get idle(): boolean {
    return this.#working.size === this.#options.pauses.actors.size;
  }

  /** Resolves once nothing is under way. */
  async rest(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  /** Remembers work under way until it ends; it never rejects. */
  track(work: Promise<unknown>): void {
    this.#working.add(work);
    void work.then(() => this.#working.delete(work));
  }

  /** Puts work into an actor's mailbox; resolves once its turn has committed. */
  post(address: Address, work: Work): Promise<Done> {
    const { cells, phase } = this.#options;
    if (!phase.running) {
      const why = phase.now === 'new' ? 'not started yet: await runtime.start()' : 'stopping';
      return Promise.reject(new NotRunningError(`The runtime is ${why}.`, { address }));
    }
    return new Promise((resolve, reject) => {
      const cell = cells.hold(address);
      this.#enqueue(cell, { ...work, resolve, reject });
      cells.release(cell);
    });
  }

  /**
   * Creates an actor; resolves once its first turn has committed.
   * @throws {ActorExistsError}
   */
  async spawn(address: Address, create: SpawnOptions): Promise<Done> {
    // Before its turn: it would wait for the pauses of one that there is.
    if (await this.#options.cells.using(address, (cell) => cell.busy && this.#exists(cell)))
      throw new ActorExistsError(address);
    return this.post(address, { stimulus: { kind: 'event', event: { type: 'xstate.init' } }, create });
  }

  /**
   * Creates an actor, unless there is one at the address; resolves once its first turn has committed.
   * @returns whether it was created
   */
  async ensure(address: Address, create: SpawnOptions): Promise<boolean> {
    if (await this.#options.cells.using(address, (cell) => this.#exists(cell))) return false;
    try {
      await this.spawn(address, create);
      return true;
    } catch (error) {
      if (error instanceof ActorExistsError) return false; // somebody else was faster
      throw error;
    }
  }

  async #exists({ row, address }: Cell): Promise<boolean> {
    return row !== undefined || (await this.#options.restorer.exists(address));
  }

  /** The committed state, behind all that the actor was asked before: from memory, or read from the row. */
  read(address: Address): Promise<Read> {
    const { cells, restorer } = this.#options;
    return cells.using(address, async (cell) => {
      while (!cell.pausing) {
        if (cell.live && !cell.busy) return readOf(cell);
        const read = await this.#look(cell);
        if (read === 'aside') break;
        if (read) return read;
      }
      return restorer.peek(address);
    });
  }

  /**
   * Reads the state as soon as the mailbox gets there: later, it may be in the midst of another turn. `undefined`: it was
   * forgotten meanwhile; `aside`: it was put aside, or waits for another attempt at a turn, and its row says what is committed.
   */
  #look(cell: Cell): Promise<Read | 'aside' | undefined> {
    return new Promise((resolve, reject) => {
      cell.onPause.push(() => resolve('aside'));
      this.#enqueue(cell, {
        stimulus: { kind: 'timer' },
        resolve: () => resolve(cell.live && readOf(cell)),
        reject: (error) => (error instanceof ActorQuarantinedError ? resolve('aside') : reject(error)),
      });
    });
  }

  /** A stimulus from within the actor (a result, an action that calls `self.send`), for which nobody waits. */
  push(address: Address, stimulus: Stimulus): void {
    if (!this.#options.phase.running) return; // the process goes down; what matters follows from the row
    this.post(address, { stimulus, insistent: true }).catch(() => {});
  }

  /** Lets an actor fire what is due; resolves when it has, or waits for another attempt. */
  async fire(address: Address): Promise<void> {
    const { alarms, cells, clock, pacer, phase } = this.#options;
    if (!phase.running || !cells.has(address)) return; // nobody here knows how; recovery reports it
    const notBefore = pacer.notBefore(address);
    if (notBefore > clock.now()) return alarms.set(address, notBefore);
    const cell = cells.hold(address);
    try {
      if (cell.pausing) return;
      await new Promise<unknown>((resolve, reject) => {
        const refused = (error: Error) => {
          if (error instanceof NotRunningError || error instanceof ActorQuarantinedError) resolve(undefined);
          else reject(error);
        };
        // Before the work: a turn may fail at once.
        cell.onPause.push(resolve as () => void);
        this.#enqueue(cell, { stimulus: { kind: 'timer' }, insistent: true, resolve, reject: refused });
      });
    } finally {
      cells.release(cell);
    }
  }

  /** The same, for who is taken up in passing: one that was not in memory leaves it again, as far as nothing goes on. */
  async pass(address: Address): Promise<void> {
    const { cells } = this.#options;
    const isKnown = cells.includes(address);
    await this.fire(address);
    if (!isKnown) cells.drop(address);
  }

  /** Restores an actor and starts its processes. */
  async revive(address: Address): Promise<void> {
    await this.pass(address).catch((error) => {
      if (error instanceof ActorNotFoundError) return; // it was removed, and what it had under way has ended with that
      this.#options.events.emit('fault', { during: `reviving ${formatAddress(address)}`, error });
    });
  }

  /** Applies an event of another actor. @returns the error that it threw, for which it became a dead letter, if any */
  async deliver(address: Address, event: AnyEventObject, key: string): Promise<Error | undefined> {
    const { participantId: participant_id, flowType: flow_type } = address;
    const { failed } = await this.post(address, {
      stimulus: { kind: 'event', event },
      inbound: { channel: 'perdure', messageId: key, scope: '', text: null },
      refusesEnded: true,
      onFailure: (error) => ({
        deadLetter: {
          participant_id,
          flow_type,
          kind: 'event',
          target: null,
          event: stringify(event, 'event'),
          error: error.message,
          at: this.#options.clock.now(),
        },
      }),
    });
    return failed;
  }

  /** The first turn. It is made on a copy: where there is an actor already, its cell stays as it is. */
  async #create(cell: Cell, create: SpawnOptions, origin: unknown): Promise<Done> {
    const { cells, commits, maker } = this.#options;
    const { address } = cell;
    if (cell.row) throw new ActorExistsError(address);
    const copy = cells.copy(address);
    const { turn, commit } = maker.first(copy, cell, create);
    if ((await commits.once(commit)) === 'conflict') throw new ActorExistsError(address);
    cell.adopt(copy, copy.row!);
    commits.carryOut(cell, commit, turn, copy.live!.snapshot, origin);
    return { snapshot: cell.committed, handled: true, duplicate: false };
  }

  #enqueue(cell: Cell, item: Item): void {
    const { tracing } = this.#options.events;
    if (tracing) item.origin = tracing.origin(item.stimulus.kind !== 'timer');
    cell.queue.push(item);
    if (cell.endPause && isEnding(cell)) cell.endPause();
    this.#run(cell);
  }

  /** While `body` goes on, these actors take no turns: what it asks them for waits for its end, as for that of a turn. */
  still(cells: ReadonlySet<Cell>, body: () => void): void {
    const idle = [...cells].filter((cell) => !cell.busy);
    for (const cell of idle) cell.busy = true;
    try {
      body();
    } finally {
      for (const cell of idle) cell.busy = false;
      for (const cell of idle) if (cell.queue.length > 0) this.#run(cell);
    }
  }

  #run(cell: Cell): void {
    if (cell.busy) return;
    cell.busy = true;
    this.#options.cells.keep(cell);
    this.track(this.#workOff(cell));
  }

  /** Empties a mailbox. Never rejects. */
  async #workOff(cell: Cell): Promise<void> {
    const { cells, events, inspection, pauses, phase } = this.#options;
    while (cell.queue.length > 0) {
      const item = cell.queue[0]!;
      try {
        const done = await this.#work(cell, item);
        if (!done) continue; // a deadline went first, or the row had moved on
        take(cell, item);
        item.resolve(done);
      } catch (error) {
        if (item.insistent && error instanceof StoreError && phase.running) {
          // The row could not be read, and nobody would ask again.
          events.emit('fault', { during: `a turn of ${cell.key}`, error });
          await pauses.of(cell, RETRY, error);
          continue;
        }
        take(cell, item);
        item.reject(error as Error);
      } finally {
        item.committing = false;
      }
    }
    cell.busy = false;
    inspection.introduce(cell);
    cell.onPause.length = 0;
    cells.release(cell);
  }

  /** One turn. `undefined`: not this item's turn yet, ask again. */
  async #work(cell: Cell, item: Item): Promise<Done | undefined> {
    const { alarms, clock, commits, committer, failedTurns, maker, pacer, phase, restorer } = this.#options;
    if (item.create) {
      item.committing = true;
      return this.#create(cell, item.create, item.origin);
    }
    if (!cell.row) await restorer.load(cell);
    const { row } = cell;
    if (!row || item.answered) return undefined; // it was changed while it was put aside: read it again
    assertTakesEvents(row);
    if (item.refusesEnded && isEnded(row.status)) throw hasEnded(cell.address, row.status);
    const live = cell.live!;
    const before = live.snapshot;
    const ambient = maker.ambient(cell.address, row.version + 1);
    const { stimulus } = item;
    const isTimer = stimulus.kind === 'timer';
    const isKnown = item.awaits !== undefined;
    if (isTimer) item.awaits ??= live.countDue(ambient.now());
    const overdue = isOvertaking(cell, item, ambient.now());
    if (!isKnown && item.awaits) pacer.began(cell, ambient.now());
    const step: Work = overdue ? { stimulus: { kind: 'timer' } } : item;
    let made: Made;
    try {
      made = maker.make(cell, step, ambient, overdue);
    } catch (error) {
      cell.forget();
      return await failedTurns.settle(cell, item, overdue, errorOf(error));
    }
    const { turn, commit } = made;
    if (commit) {
      item.committing = !isTimer && !overdue;
      let outcome = await committer.add(commit);
      if (outcome.result === 'failed' && isGeneral(outcome.error))
        outcome = await commits.again(cell, step, commit, outcome.error);
      if (outcome.result === 'conflict') return void cell.forget();
      if (outcome.result === 'duplicate') {
        if (commit.update) cell.forget();
        return { snapshot: before, handled: false, duplicate: true };
      }
      if (outcome.result === 'failed') {
        cell.forget();
        if (isGeneral(outcome.error)) throw outcome.error;
        // The database refused what this turn writes, as it would again.
        return await failedTurns.settle(cell, item, overdue, outcome.error);
      }
      const next = commit.update?.version;
      if (next !== undefined && cell.live !== live && !(cell.row && cell.row.version >= next)) {
        // Meanwhile the turns of a transaction took its place, after which this one had been made.
        cell.forget();
        cell.row = row;
        cell.live = live;
      }
      commits.carryOut(cell, commit, turn, live.snapshot, overdue ? undefined : item.origin);
      if (!overdue) item.committed?.();
    }
    if (isTimer || overdue) {
      alarms.set(cell.address, activeDueAt(cell), cell.key);
      item.awaits!--;
    }
    if (overdue) return undefined;
    // One turn fires one deadline; what is due since it began fires after those who came meanwhile.
    if (isTimer && commit && phase.running && item.awaits! > 0 && isDue(cell, clock.now())) return undefined;
    return { snapshot: cell.committed ?? before, handled: turn.handled, duplicate: false };
  }
}

/** Takes an item out of its mailbox, unless it was taken out meanwhile. */
function take({ queue }: Cell, item: Item): void {
  const at = queue.indexOf(item);
  if (at >= 0) queue.splice(at, 1);
}

/** A copy, for the row is written to. */
const readOf = ({ row, live, committed }: Cell): Read => ({
  row: { ...row! },
  snapshot: committed,
  timers: live!.timers,
});

const hasEnded = (address: Address, status: string) =>
  new ActorEndedError(`The actor ${formatAddress(address)} has ended ('${status}') and takes no events.`, { address });
