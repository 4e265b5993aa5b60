/**
 * What a turn writes, all of it in one transaction: the actor's row, the mark of the message that it applies, the messages
 * that it sends, the application's own rows, and its line in the journal.
 */
import type { AnyEventObject } from 'xstate';
import { keepableEvent, stringify } from '../actor/codec.ts';
import type { Stimulus, Turn } from '../actor/live-actor.ts';
import { describeState } from '../actor/state.ts';
import { type Address, formatAddress, InvalidArgumentError } from '../errors.ts';
import { boundUntil, type FlowRecord } from '../flow/flow.ts';
import {
  type ActorRow,
  type ActorUpdate,
  type Commit,
  type DeadLetterRow,
  isEnded,
  type JournalRow,
  lifeOf,
  NO_TURN,
  type OutboxRow,
} from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { isWellFormed } from '../well-formed.ts';
import type { Cell, Work } from './cell.ts';
import type { Outbox } from './outbox.ts';
import { assertRecord } from './record.ts';

/** How long a process may be taken to be alive, in ms, before another node may start it again. */
export const LEASE = 60_000;

export class Composer {
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #journal: boolean;

  constructor(store: Store, outbox: Outbox, journal: boolean) {
    this.#store = store;
    this.#outbox = outbox;
    this.#journal = journal;
  }

  /** What the turn writes; `undefined` where there is nothing to write. A message always leaves a turn, if an idle one. */
  turn(cell: Cell, work: Work, turn: Turn, before: any, at: number): Commit | undefined {
    const idle =
      turn.event === undefined ||
      (work.stimulus.kind === 'event' &&
        !turn.handled &&
        cell.live!.snapshot === before &&
        turn.emitted.length === 0 &&
        turn.actions.length === 0);
    if (idle && !work.inbound && !work.also && !work.notices) return undefined;
    return this.#compose(cell, work, turn, before, at, idle && !work.notices ? 'ignored' : undefined);
  }

  /** What is written in place of a turn that threw: the actor stays as it is. */
  failure(cell: Cell, work: Work, turn: Turn, error: Error, at: number): Commit {
    const { deadLetter, notices = [] } = work.onFailure!(error);
    const { snapshot } = cell.live!;
    const commit = this.#compose(cell, { ...work, notices }, turn, snapshot, at, `failed: ${error.message}`);
    if (deadLetter) commit.deadLetter = deadLetter;
    return commit;
  }

  /** What supervision writes: the actor without the deadline that made it throw, or stopped. */
  supervised(
    cell: Cell,
    turn: Turn,
    before: any,
    undone: Undone,
    error: Error,
    at: number,
    unrecorded?: Error,
  ): Commit {
    const work: Work = { stimulus: { kind: 'timer' }, ...(unrecorded && { unrecorded }) };
    const commit = this.#compose(cell, work, turn, before, at, `failed: ${error.message}`);
    commit.deadLetter = {
      participant_id: cell.address.participantId,
      flow_type: cell.address.flowType,
      kind: undone.kind,
      target: undone.target,
      event: stringify(keepableEvent(undone.event), 'event'),
      error: error.message,
      at,
    };
    return commit;
  }

  /** A line in the journal for what is no turn of the logic: that the actor was put aside, taken up again, or migrated. */
  line(
    row: Omit<ActorRow, 'state_data'>,
    event_type: string,
    note: string | null,
    at: number,
    to_state = row.current_state,
  ): JournalRow | undefined {
    if (!this.#journal) return undefined;
    const { participant_id, flow_type, current_state } = row;
    return {
      id: this.#store.nextId('flow_journal'),
      previous_id: row.journal_id,
      participant_id,
      flow_type,
      version: row.version + 1,
      event_type,
      from_state: current_state,
      to_state,
      at,
      ...NO_TURN,
      note,
    };
  }

  #compose(cell: Cell, work: Work, turn: Turn, before: any, at: number, remark: string | undefined): Commit {
    const { flow } = cell;
    const row = cell.row!;
    const live = cell.live!;
    const { snapshot } = live;
    turn.event ??= eventOf(work.stimulus);
    // An actor that has ended stays so, whatever its snapshot says: it may have been discarded as it was.
    const ended = isEnded(row.status);
    const status = ended ? row.status : snapshot.status;
    const update: ActorUpdate = {
      id: row.id,
      version: row.version + 1,
      current_state: describeState(snapshot),
      state_data: live.encode(),
      updated_at: new Date(at).toISOString(),
      flow_version: flow.version,
      status,
      next_due_at: status === 'active' ? (live.nextDueAt ?? null) : null,
      lease_until: status === 'active' && live.hasProcesses ? at + LEASE : null,
      last_error: ended ? row.last_error : null,
      journal_id: row.journal_id,
    };
    const commit: Commit = { update };
    if (work.also) commit.also = work.also;
    if (work.inbound) commit.inbound = this.#mark(work.inbound, at);
    const outbox: OutboxRow[] = [];
    const notes = [work.note, remark].filter((note) => note !== undefined);
    const isRecorded = work.unrecorded === undefined;
    if (!isRecorded) notes.push(`not recorded: ${work.unrecorded!.message}`);
    this.#emitted(cell, turn, update.version, at, commit, outbox, notes, isRecorded);
    work.notices?.forEach(({ recipient, payload }, i) => {
      const key = `${cell.key}:${lifeOf(row)}:${update.version}:notice:${i}`;
      outbox.push(this.message(cell.address, key, recipient, payload, at));
    });
    if (outbox.length > 0) commit.outbox = outbox;
    if (snapshot !== before && isRecorded) {
      const projection = flow.project?.({ participantId: row.participant_id, before, after: snapshot, at });
      if (projection) commit.records = [...(commit.records ?? []), projection];
    }
    if (commit.records) for (const record of commit.records) assertRecord(record, cell.address);
    if (!ended && row.address) this.#bind(cell, status !== 'active', before === undefined, at, commit);
    if (this.#journal) {
      update.journal_id = this.#store.nextId('flow_journal');
      commit.journal = {
        id: update.journal_id,
        previous_id: row.journal_id,
        participant_id: row.participant_id,
        flow_type: row.flow_type,
        version: update.version,
        event_type: turn.event.type,
        from_state: before === undefined ? null : row.current_state,
        to_state: update.current_state,
        at,
        due_at: turn.firedDueAt ?? null,
        inbox_id: commit.inbound?.id ?? null,
        text: work.inbound?.text ?? null,
        outbox_id: outbox[0]?.id ?? null,
        outbox_count: outbox.length,
        note: notes.length > 0 ? notes.join('; ') : null,
      };
    }
    return commit;
  }

  /**
   * A row for the outbox.
   * @throws {InvalidArgumentError} no text can be stored that is the recipient
   */
  message(
    actor: Address | null,
    key: string,
    recipient: string,
    payload: object,
    at: number,
    kind: OutboxRow['kind'] = 'message',
  ): OutboxRow {
    if (!isWellFormed(recipient))
      throw new InvalidArgumentError(
        'The recipient of a message has half of a surrogate pair in it, which cannot be stored.',
        {
          ...(actor && { address: actor }),
        },
      );
    return {
      id: this.#store.nextId('outbox_messages'),
      participant_id: actor?.participantId ?? null,
      flow_type: actor?.flowType ?? null,
      recipient,
      kind,
      payload: stringify(payload, 'message'),
      status: kind === 'message' ? this.#outbox.statusOf(recipient, actor?.flowType ?? null) : 'pending',
      attempts: 0,
      next_attempt_at: null,
      idempotency_key: key,
      last_error: null,
      created_at: at,
      updated_at: at,
    };
  }

  /** The mark of an inbound message; its text is in the journal. */
  #mark({ channel, messageId, scope }: NonNullable<Work['inbound']>, at: number): NonNullable<Commit['inbound']> {
    return {
      id: this.#store.nextId('inbox'),
      channel,
      message_id: messageId,
      scope,
      applied_at: at,
      sender: null,
      text: null,
    };
  }

  #emitted(
    { key: actor, address, flow, row }: Cell,
    turn: Turn,
    version: number,
    at: number,
    commit: Commit,
    outbox: OutboxRow[],
    notes: string[],
    isRecorded: boolean,
  ): void {
    const records: FlowRecord[] = [];
    const life = turn.emitted.length > 0 ? lifeOf(row!) : '';
    turn.emitted.forEach((emitted, i) => {
      const key = turn.emitKey === undefined ? `${actor}:${life}:${version}:${i}` : `${actor}:${turn.emitKey}`;
      if (emitted.type === 'perdure.send') {
        const to = emitted['to'] as Address;
        outbox.push(this.message(address, key, formatAddress(to), { to, event: emitted['event'] }, at, 'event'));
      } else if (flow.outgoing.includes(emitted.type)) {
        const recipient = (emitted['to'] as string | undefined) ?? row!.address ?? address.participantId;
        outbox.push(this.message(address, key, recipient, emitted, at));
      }
      if (!isRecorded) return;
      const record = flow.record?.(emitted as never, { participantId: address.participantId, at });
      if (record) records.push(record);
      const note = flow.note?.(emitted as never);
      if (note) notes.push(note);
    });
    if (records.length > 0) commit.records = records;
  }

  /**
   * The first turn binds the actor's address for as long as it runs; the last one, which may be the first, says until when it
   * still leads there.
   */
  #bind({ row, flow }: Cell, ends: boolean, begins: boolean, at: number, commit: Commit): void {
    if (!ends && !begins) return;
    commit.handlers = [
      {
        phone_number: row!.address!,
        flow_type: row!.flow_type,
        participant_id: row!.participant_id,
        handler_type: flow.handlerType,
        bound_at: at,
        expires_at: boundUntil(flow, ends ? at : undefined),
      },
    ];
  }
}

/** An event whose turn was undone, for the dead letters. */
export interface Undone extends Pick<DeadLetterRow, 'kind' | 'target'> {
  event: AnyEventObject;
}

/** The event that a stimulus brings. */
export const eventOf = (stimulus: Stimulus): AnyEventObject =>
  'event' in stimulus ? stimulus.event : { type: stimulus.kind };
