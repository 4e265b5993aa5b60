/**
 * What follows from a commit: of one that was made, all that its turn asked for; of one that failed, the doubt whether it was
 * made after all.
 */
import type { Turn } from '../actor/live-actor.ts';
import type { Address, StoreError } from '../errors.ts';
import type { EventChannel, RuntimeEvents } from '../events.ts';
import type { Inspection } from '../inspection/inspection.ts';
import type { Observers } from '../inspection/observers.ts';
import { type Commit, isEnded, type Outcome } from '../store/rows.ts';
import { isGeneral } from '../store/store.ts';
import type { Cell, Work } from './cell.ts';
import type { Alarms } from './deadlines.ts';
import type { Committer } from './group-commit.ts';
import type { Outbox } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import type { Patience } from './patience.ts';
import type { Pauses } from './pauses.ts';
import type { Phase } from './phase.ts';
import type { Sweeper } from './sweep.ts';
import { activeDueAt, type TurnMaker } from './turn-maker.ts';

/** Between attempts at what nobody would ask for again, in ms. */
export const RETRY = 1_000;

export interface CommitsOptions {
  committer: Committer;
  maker: TurnMaker;
  outbox: Outbox;
  alarms: Alarms;
  observers: Observers;
  inspection: Inspection;
  events: EventChannel;
  phase: Phase;
  pacer: Pacer;
  patience: Patience;
  pauses: Pauses;
  sweeper: Sweeper;
}

export class Commits {
  readonly #options: CommitsOptions;
  /** Told after each commit of an actor that has an address. */
  onActivity: (phoneNumber: string, address: Address, ended: boolean) => void = () => {};

  constructor(options: CommitsOptions) {
    this.#options = options;
  }

  /** Writes what belongs to no actor, e.g. an inbound message from an unknown sender. */
  async write(commit: Commit): Promise<Outcome> {
    const { committer, events } = this.#options;
    const origin = events.tracing?.origin(true);
    const outcome = await committer.add(commit);
    if (outcome.result === 'committed') this.written(commit, origin);
    if (outcome.result === 'failed') this.#failed(commit, outcome.error);
    return outcome;
  }

  /**
   * Commits what is tried once.
   * @param cell forgets what is in memory where it was not committed
   * @throws what it failed with
   */
  async once(commit: Commit, cell?: Cell): Promise<Exclude<Outcome['result'], 'failed'>> {
    const outcome = await this.#options.committer.add(commit);
    if (outcome.result !== 'committed') cell?.forget();
    if (outcome.result !== 'failed') return outcome.result;
    this.#failed(commit, outcome.error);
    throw outcome.error;
  }

  /**
   * Commits a turn again that the database could not take, though nothing is wrong with the turn. One that nobody can repeat
   * (a deadline, a result) is tried until that succeeds; of any other, who waits is told.
   */
  async again(cell: Cell, { stimulus: { kind } }: Work, commit: Commit, error: StoreError): Promise<Outcome> {
    const { committer, phase, pauses } = this.#options;
    let tell = (_committed: boolean) => {};
    const committed = new Promise<boolean>((resolve) => {
      tell = resolve;
    });
    const repeatable = kind !== 'timer' && kind !== 'relay' && kind !== 'emit';
    let outcome: Outcome = { result: 'failed', error };
    while (outcome.result === 'failed' && isGeneral(outcome.error)) {
      this.#failed(commit, outcome.error, committed);
      if (repeatable || !phase.running) break;
      await pauses.of(cell, RETRY, outcome.error);
      outcome = await committer.add(commit);
    }
    tell(outcome.result === 'committed');
    return outcome;
  }

  /** What was to be written outside of a turn's own commit could not be. */
  failed(error: Error): void {
    this.#failed({}, error);
  }

  /**
   * Sees to what the database as a whole failed to write. Whether it was written is not known for sure: the outbox will ask,
   * and a sweep finds what else it may have left. What was refused for its own sake was undone; whoever asked for it is told.
   * @param committed where it is tried again: how that ends
   */
  #failed({ outbox }: Commit, error: Error, committed = Promise.resolve(false)): void {
    const { committer, phase, events, patience, sweeper } = this.#options;
    if (phase.stopped || !isGeneral(error)) return;
    patience.failing(error);
    // A group that was not answered in time may still be written: the outbox asks once that has ended.
    const ended = committer.ended.then(() => false);
    if (outbox)
      this.#options.outbox.doubt(
        outbox,
        committed.then((isKnown) => isKnown || ended),
      );
    events.emit('commitFailed', { turns: 1, error });
    sweeper.suspect();
  }

  /** @param origin where the messages come from, if somebody traces */
  written(commit: Commit, origin: unknown): void {
    if (commit.outbox) this.#options.outbox.accept(commit.outbox, origin);
  }

  /**
   * The turn is durable: what it asked for may happen now.
   * @param asked where the turn comes from, if somebody traces
   */
  carryOut(cell: Cell, commit: Commit, turn: Turn, snapshot: unknown = cell.live!.snapshot, asked?: unknown): void {
    const { alarms, events, inspection, maker, observers, outbox, pacer } = this.#options;
    const { address } = cell;
    const row = cell.row!;
    const update = commit.update ?? commit.insert;
    // Told only after a turn of a transaction that followed it: as after a crash, what there is to do follows from that one.
    if (!update || row.version >= update.version) {
      this.written(commit, asked);
      return;
    }
    const at = Date.parse(update.updated_at);
    const hadEnded = row.version > 0 && isEnded(row.status);
    if (commit.insert) outbox.wake(cell.key);
    const told: RuntimeEvents['turn'] = {
      address,
      event: turn.event!.type,
      from: row.version === 0 ? null : row.current_state,
      to: update.current_state,
      version: update.version,
      at,
      ...(isEnded(update.status) && !hadEnded && { ended: update.status }),
      ...(turn.firedDueAt !== undefined && { lateness: at - turn.firedDueAt }),
    };
    const origin = events.tracing?.turn(told, asked);
    this.written(commit, origin);
    row.version = update.version;
    row.current_state = update.current_state;
    row.updated_at = update.updated_at;
    row.flow_version = update.flow_version;
    row.status = update.status;
    row.next_due_at = update.next_due_at;
    row.lease_until = update.lease_until;
    row.last_error = update.last_error;
    row.journal_id = update.journal_id;
    const live = cell.live!;
    cell.committed = snapshot;
    const dueAt = activeDueAt(cell);
    alarms.set(address, dueAt, cell.key);
    pacer.committed(cell, at, turn.firedDueAt !== undefined, dueAt);
    // One that was given up without a turn may still ask for invocations.
    if (!hadEnded) events.within(origin, () => live.afterCommit(turn, () => maker.ambient(address, row.version)));
    if (row.address) this.onActivity(row.address, address, isEnded(row.status));
    events.emit('turn', told);
    inspection.committed(cell, turn);
    observers.tell(cell, turn.emitted);
  }
}
