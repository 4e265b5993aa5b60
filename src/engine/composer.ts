/**
 * What a turn writes, all of it in one transaction: the actor's row, the mark of the message that it applies, the messages
 * that it sends, the application's own rows, and its line in the journal.
 */
import { stringify } from '../actor/codec.ts';
import type { Turn } from '../actor/live-actor.ts';
import { describeState } from '../actor/state.ts';
import { type Address, formatAddress } from '../errors.ts';
import type { FlowRecord } from '../flow.ts';
import type { Commit, OutboxRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Cell, Row, Work } from './cell.ts';
import type { Outbox } from './outbox.ts';

/** How long a process may be taken to be alive, in ms, before another node may start it again. */
const LEASE = 60_000;
/** A handler's expiry is written when it moves by more than this, in ms. */
const HANDLER_GRAIN = 60_000;

export class Composer {
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #journal: boolean;

  constructor(store: Store, outbox: Outbox, journal: boolean) {
    this.#store = store;
    this.#outbox = outbox;
    this.#journal = journal;
  }

  /** What the turn writes; `undefined` where it changed nothing. */
  turn(cell: Cell, work: Work, turn: Turn, before: any, at: number): Commit | undefined {
    const row = cell.row!;
    const live = cell.live!;
    const { snapshot } = live;
    const idle =
      turn.event === undefined ||
      (work.stimulus.kind === 'event' &&
        !turn.handled &&
        snapshot === before &&
        turn.emitted.length === 0 &&
        turn.actions.length === 0);
    if (idle && !work.inbound && !work.also && !work.notices) return undefined;

    const commit: Commit = {};
    if (work.also) commit.also = work.also;
    if (work.inbound) commit.inbound = this.#mark(work.inbound, at);
    const outbox: OutboxRow[] = [];
    const notes: string[] = [];
    if (!idle) {
      commit.update = {
        id: row.id,
        version: row.version + 1,
        current_state: describeState(snapshot),
        state_data: live.encode(),
        updated_at: new Date(at).toISOString(),
        flow_version: cell.flow.version,
        status: snapshot.status,
        next_due_at: snapshot.status === 'active' ? (live.nextDueAt ?? null) : null,
        lease_until: live.hasProcesses ? at + LEASE : null,
        last_error: null,
      };
      this.#emitted(cell, turn, at, commit, outbox, notes);
      const projection = cell.flow.project?.({ participantId: row.participant_id, before, after: snapshot, at });
      if (projection) commit.records = [...(commit.records ?? []), projection];
      this.#renewHandler(cell, snapshot.status, at, commit);
    } else notes.push('ignored');
    this.#notices(cell, work, 'notice', at, outbox);
    if (outbox.length > 0) commit.outbox = outbox;
    if (this.#journal) {
      const event = turn.event?.type ?? work.stimulus.kind;
      const to = commit.update?.current_state ?? row.current_state;
      const from = before === undefined ? null : row.current_state;
      this.#line(commit, row, { event, from, to, at, dueAt: turn.firedDueAt, work, notes });
    }
    return commit;
  }

  /** What is written in place of a turn that threw. */
  failure(cell: Cell, row: Row, work: Work, event: string, error: Error, at: number): Commit {
    const { deadLetter, notices } = work.onFailure!(error);
    const commit: Commit = {};
    if (deadLetter) commit.deadLetter = deadLetter;
    if (work.inbound) commit.inbound = this.#mark(work.inbound, at);
    const outbox: OutboxRow[] = [];
    this.#notices(cell, { ...work, notices: notices ?? [] }, 'failure', at, outbox);
    if (outbox.length > 0) commit.outbox = outbox;
    const { current_state: state } = row;
    if (this.#journal)
      this.#line(commit, row, { event, from: state, to: state, at, work, notes: [`failed: ${error.message}`] });
    return commit;
  }

  /** A row for the outbox. */
  message(
    actor: Address | null,
    key: string,
    recipient: string,
    payload: object,
    at: number,
    kind: OutboxRow['kind'] = 'message',
  ): OutboxRow {
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
  #mark({ channel, messageId }: NonNullable<Work['inbound']>, at: number): NonNullable<Commit['inbound']> {
    return {
      id: this.#store.nextId('inbox'),
      channel,
      message_id: messageId,
      applied_at: at,
      sender: null,
      text: null,
    };
  }

  #emitted(cell: Cell, turn: Turn, at: number, commit: Commit, outbox: OutboxRow[], notes: string[]): void {
    const { address, flow, row } = cell;
    const { version } = commit.update!;
    const records: FlowRecord[] = [];
    turn.emitted.forEach((emitted, i) => {
      const key = `${cell.key}:${version}:${i}`;
      if (emitted.type === 'perdure.send') {
        const to = emitted['to'] as Address;
        outbox.push(this.message(address, key, formatAddress(to), { to, event: emitted['event'] }, at, 'event'));
      } else if (flow.outgoing.includes(emitted.type)) {
        const recipient = (emitted['to'] as string | undefined) ?? row!.address ?? address.participantId;
        outbox.push(this.message(address, key, recipient, emitted, at));
      }
      const record = flow.record?.(emitted as never, { participantId: address.participantId, at });
      if (record) records.push(record);
      const note = flow.note?.(emitted as never);
      if (note) notes.push(note);
    });
    if (records.length > 0) commit.records = records;
  }

  #notices(cell: Cell, { notices, inbound }: Work, kind: string, at: number, outbox: OutboxRow[]): void {
    notices?.forEach(({ recipient, payload }, i) => {
      outbox.push(this.message(cell.address, `${cell.key}:${inbound?.messageId}:${kind}:${i}`, recipient, payload, at));
    });
  }

  #renewHandler(cell: Cell, status: string, at: number, commit: Commit): void {
    const { row, flow } = cell;
    const expiresAt = at + flow.handlerTtl;
    if (!row!.address || status !== 'active' || expiresAt - cell.handlerExpiresAt <= HANDLER_GRAIN) return;
    commit.handlers = [
      {
        phone_number: row!.address,
        flow_type: row!.flow_type,
        participant_id: row!.participant_id,
        handler_type: flow.handlerType,
        bound_at: at,
        expires_at: expiresAt,
      },
    ];
  }

  #line(
    commit: Commit,
    row: Row,
    line: {
      event: string;
      from: string | null;
      to: string;
      at: number;
      dueAt?: number | undefined;
      work: Work;
      notes: string[];
    },
  ): void {
    commit.journal = {
      id: this.#store.nextId('flow_journal'),
      participant_id: row.participant_id,
      flow_type: row.flow_type,
      version: commit.update?.version ?? row.version,
      event_type: line.event,
      from_state: line.from,
      to_state: line.to,
      at: line.at,
      due_at: line.dueAt ?? null,
      inbox_id: commit.inbound?.id ?? null,
      text: line.work.inbound?.text ?? null,
      outbox_id: commit.outbox?.[0]?.id ?? null,
      outbox_count: commit.outbox?.length ?? 0,
      note: line.notes.length > 0 ? line.notes.join('; ') : null,
    };
  }
}
