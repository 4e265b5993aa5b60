import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { describeState } from '../actor/state.ts';
import { payloadOf } from '../engine/payload.ts';
import type { DirectMessage } from '../messaging/inbound.ts';
import { ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import { pageOf } from './queries.ts';
import * as is from './schemas.ts';

/** Messages by hand, and what went in and out. */
export async function trafficRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  const send = { body: is.object({ to: is.sender, text: is.words, id: is.id }, ['to', 'text']) };
  app.post<{ Body: DirectMessage }>(
    '/send',
    { schema: send, config: { perdure: 'traffic' } },
    async ({ body }, reply) => reply.code(202).send(ok(await runtime.sendTo(body))),
  );

  const receipts = { querystring: is.listOf({ participant: is.id }) };
  app.get<{ Querystring: is.ListQuery }>('/receipts', { schema: receipts }, async ({ query }) => {
    const { limit, after } = pageOf(query);
    const { participant: participantId } = query;
    const rows = runtime
      .knex('outbox_messages')
      .where('id', '>', after)
      .where({ kind: 'message', ...(participantId !== undefined && { participant_id: participantId }) });
    return ok(
      (await rows.orderBy('id').limit(limit)).map((row) => ({
        id: row.id,
        to: row.recipient,
        participant: row.participant_id,
        text: payloadOf(row.payload)?.['text'] ?? null, // null, too, where it cannot be read
        status: row.status,
        attempts: row.attempts,
        error: row.last_error,
        time: new Date(row.updated_at).toISOString(),
      })),
    );
  });

  const response = { body: is.object({ from: is.sender, text: is.words, id: is.id }, ['from', 'text']) };
  app.post<{ Body: { from: string; text: string; id?: string } }>(
    '/response',
    { schema: response, config: { perdure: 'traffic' } },
    async ({ body }) => {
      const { address, snapshot, ...receipt } = await runtime.receive({
        channel: 'operator',
        id: body.id ?? randomUUID(),
        from: body.from,
        text: body.text,
      });
      return ok({
        ...receipt,
        ...(address && { participantId: address.participantId, flowType: address.flowType }),
        ...(snapshot && { state: describeState(snapshot) }),
      });
    },
  );

  app.get('/stats', async () => {
    const { knex } = runtime;
    const count = async (table: string, where?: string) => {
      const row = await knex(table)
        .whereRaw(where ?? '1')
        .count({ count: '*' })
        .first();
      return Number(row?.count ?? 0);
    };
    const sent: { status: string; count: number }[] = await knex('outbox_messages')
      .where({ kind: 'message' })
      .groupBy('status')
      .select('status')
      .count({ count: '*' });
    return ok({
      participants: {
        intervention: await count('intervention_participants'),
        conversation: await count('conversation_participants'),
      },
      messages_in: (await count('flow_journal', 'text IS NOT NULL')) + (await count('inbox', 'text IS NOT NULL')),
      messages_out: Object.fromEntries(sent.map(({ status, count: n }) => [status, n])),
      quarantined: await count('flow_states', "status = 'quarantined'"),
      dead_letters: await count('dead_letters', "status = 'open'"),
    });
  });
}
