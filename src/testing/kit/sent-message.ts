/** What was said to people, as a test reads it. */
import type { Knex } from 'knex';
import { payloadOf } from '../../engine/payload.ts';
import { type Address, formatAddress } from '../../errors.ts';
import type { Option } from '../../machine/index.ts';
import type { OutboxRow, OutboxStatus } from '../../store/rows.ts';
import { actorsOf, means, type Who } from './who.ts';

/** A message that was emitted to be sent, and what became of it. */
export interface SentMessage {
  /** A phone number or another address; the participant's id, where the actor has no address. */
  to: string;
  text: string;
  /** What may be answered, where it is a multiple-choice message. */
  options?: Option[];
  status: OutboxStatus;
  /** When it was emitted, in ms since the epoch. */
  at: number;
  id: number;
  /** Who said it; null where no actor did. */
  address: Address | null;
  /** The whole emitted event. */
  payload: any;
}

/**
 * All messages in order, or those of some actors, or those to one phone number.
 * @throws {InvalidArgumentError} nobody of that name is known
 */
export async function sentMessages(knex: Knex, who: Who | undefined): Promise<SentMessage[]> {
  const rows: OutboxRow[] = await knex('outbox_messages').where({ kind: 'message' }).orderBy('id');
  const all = rows.map(sentMessage);
  if (who === undefined) return all;
  const found = all.filter(({ to, address }) => to === who || (address && means(who, address)));
  if (found.length === 0) await actorsOf(knex, who);
  return found;
}

function sentMessage(row: OutboxRow): SentMessage {
  const payload = (payloadOf(row.payload) ?? {}) as { text?: string; options?: Option[] };
  const { participant_id: participantId, flow_type: flowType } = row;
  return {
    to: row.recipient,
    text: String(payload.text ?? ''),
    ...(payload.options && { options: payload.options }),
    status: row.status,
    at: row.created_at,
    id: row.id,
    address: participantId !== null && flowType !== null ? { flowType, participantId } : null,
    payload,
  };
}

/** A message in one line, for people. */
export const formatMessage = ({ to, text, status, address }: SentMessage) =>
  `to ${address?.participantId === to ? formatAddress(address) : to}: ${JSON.stringify(text)}${status === 'sent' ? '' : ` (${status})`}`;
