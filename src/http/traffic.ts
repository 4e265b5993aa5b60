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
export async function trafficRoutes(app: FastifyInstance, { runtime, enrolled }: ServiceOptions): Promise<void> {
  const send = { body: is.object({ to: is.sender, text: is.words, id: is.id }, ['to', 'text']) };
  app.post<{ Body: DirectMessage }>(
    '/send',
    { schema: send, config: { perdure: 'traffic' } },
    async ({ body }, reply) => reply.code(202).send(ok(await runtime.sendTo(body))),
  );

  const receipts = { querystring: is.listOf({ participant: is.id }) };
  app.get<{ Querystring: is.ListQuery }>('/receipts', { schema: receipts }, async ({ query }) => {
    const rows = await runtime.store.outgoing(query.participant, pageOf(query));
    return ok(
      rows.map((row) => ({
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
    const { messagesIn, messagesOut, quarantined, deadLetters } = await runtime.store.traffic();
    return ok({
      ...(enrolled && { participants: await enrolled() }),
      messages_in: messagesIn,
      messages_out: messagesOut,
      quarantined,
      dead_letters: deadLetters,
    });
  });
}
