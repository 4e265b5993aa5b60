/** Lists for operators, a page at a time: actors in quarantine, dead letters, messages in and out, deadlines. */
import type { Knex } from 'knex';
import type { Address } from '../../errors.ts';
import type {
  ActorRow,
  ActorsOf,
  DuePlace,
  LetterRow,
  LetterStatus,
  OutboxRow,
  PageAfter,
  QuarantinedRow,
  WrittenRow,
} from '../rows.ts';
import { UNDELIVERED } from './changes.ts';

const quarantine = (knex: Knex) =>
  knex('flow_states as f')
    .leftJoin('flow_journal as j', 'j.id', 'f.journal_id')
    .select('f.*', 'j.event_type as journal_event', 'j.at as journal_at');

export function quarantined(
  knex: Knex,
  { flowType, participantId }: ActorsOf,
  page: PageAfter,
): Promise<QuarantinedRow[]> {
  const rows = quarantine(knex).whereRaw("f.status = 'quarantined'"); // a literal, so that the partial index serves
  if (flowType !== undefined) rows.where('f.flow_type', flowType);
  if (participantId !== undefined) rows.where('f.participant_id', participantId);
  return rows.where('f.id', '>', page.after).orderBy('f.id').limit(page.limit);
}

export function actorWithLine(knex: Knex, { flowType, participantId }: Address): Promise<QuarantinedRow | undefined> {
  return quarantine(knex).where({ 'f.participant_id': participantId, 'f.flow_type': flowType }).first();
}

export function deadLetters(
  knex: Knex,
  { status, ...of }: ActorsOf & { status: LetterStatus | 'all' },
  page: PageAfter,
): Promise<LetterRow[]> {
  const rows = knex('dead_letters');
  if (status === 'open')
    rows.whereRaw("status = 'open'"); // as above
  else if (status !== 'all') rows.where({ status });
  return pageOf(rows, of, page);
}

export function undelivered(
  knex: Knex,
  { status, ...of }: ActorsOf & { status: OutboxRow['status'] | undefined },
  page: PageAfter,
): Promise<OutboxRow[]> {
  const rows = knex('outbox_messages').whereRaw(UNDELIVERED);
  if (status !== undefined) rows.where({ status });
  return pageOf(rows, of, page);
}

export function undeliveredMessage(knex: Knex, id: number): Promise<OutboxRow | undefined> {
  return knex('outbox_messages').where({ id }).whereRaw(UNDELIVERED).first();
}

export function outgoing(knex: Knex, participantId: string | undefined, page: PageAfter): Promise<OutboxRow[]> {
  return pageOf(knex('outbox_messages').where({ kind: 'message' }), { participantId }, page);
}

export function told(knex: Knex, before: number, limit: number): Promise<WrittenRow[]> {
  const rows = knex('flow_journal as j')
    .leftJoin('flow_states as f', (on) =>
      on.on('f.participant_id', 'j.participant_id').on('f.flow_type', 'j.flow_type'),
    )
    .leftJoin('inbox as i', (on) => on.on('i.id', 'j.inbox_id').on('i.applied_at', 'j.at'))
    .whereNotNull('j.text')
    .orderBy('j.id', 'desc')
    .limit(limit);
  if (before > 0) rows.where('j.id', '<', before);
  return rows.select({
    id: 'j.id',
    from: 'f.address',
    participant: 'j.participant_id',
    channel: 'i.channel',
    text: 'j.text',
    at: 'j.at',
  });
}

export function untold(knex: Knex, before: number, limit: number): Promise<WrittenRow[]> {
  const rows = knex('inbox').whereNotNull('text').orderBy('id', 'desc').limit(limit);
  if (before > 0) rows.where('id', '<', before);
  return rows.select({
    id: 'id',
    from: 'sender',
    participant: knex.raw('NULL'),
    channel: 'channel',
    text: 'text',
    at: 'applied_at',
  });
}

export function withDeadlines(
  knex: Knex,
  { flowType, participantId }: ActorsOf,
  after: DuePlace | undefined,
  limit: number,
): Promise<ActorRow[]> {
  const rows = knex('flow_states').whereNotNull('next_due_at').where({ status: 'active' });
  if (flowType !== undefined) rows.where({ flow_type: flowType });
  if (participantId !== undefined) rows.where({ participant_id: participantId });
  if (after) rows.whereRaw('(next_due_at, id) > (?, ?)', [after.at, after.id]);
  return rows.orderBy('next_due_at').orderBy('id').limit(limit);
}

function pageOf<T>(rows: Knex.QueryBuilder, { flowType, participantId }: ActorsOf, { limit, after }: PageAfter) {
  if (flowType !== undefined) rows.where({ flow_type: flowType });
  if (participantId !== undefined) rows.where({ participant_id: participantId });
  return rows.where('id', '>', after).orderBy('id').limit(limit) as unknown as Promise<T[]>;
}
