/** What operators look at, a page at a time: who was put aside, events that could not be applied, messages that did not arrive. */
import type { Knex } from 'knex';
import type { Address } from '../../errors.ts';
import type { ActorsOf, LetterRow, LetterStatus, OutboxRow, PageAfter, QuarantinedRow } from '../rows.ts';
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

function pageOf<T>(rows: Knex.QueryBuilder, { flowType, participantId }: ActorsOf, { limit, after }: PageAfter) {
  if (flowType !== undefined) rows.where({ flow_type: flowType });
  if (participantId !== undefined) rows.where({ participant_id: participantId });
  return rows.where('id', '>', after).orderBy('id').limit(limit) as unknown as Promise<T[]>;
}
