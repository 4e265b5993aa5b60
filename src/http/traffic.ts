import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { parse } from '../actor/codec.ts';
import { describeState } from '../actor/state.ts';
import { pageOf } from '../operations/page.ts';
import { ok } from './answers.ts';
import type { HttpOptions } from './plugin.ts';
import { filterOf, type ListQuery, object, optionalText, text } from './queries.ts';

/** Messages by hand, and what went in and out. */
export async function trafficRoutes(app: FastifyInstance, { runtime }: HttpOptions): Promise<void> {
  app.post('/send', async ({ body }, reply) => {
    const given = object(body);
    const id = optionalText(given, 'id');
    const message = { to: text(given, 'to'), text: text(given, 'text'), ...(id !== undefined && { id }) };
    return reply.code(202).send(ok(await runtime.sendTo(message)));
  });

  app.get<{ Querystring: ListQuery }>('/receipts', async ({ query }) => {
    const { participantId, ...page } = filterOf(query);
    const { limit, after } = pageOf(page);
    const rows = runtime
      .knex('outbox_messages')
      .where('id', '>', after)
      .where({ kind: 'message', ...(participantId !== undefined && { participant_id: participantId }) });
    return ok(
      (await rows.orderBy('id').limit(limit)).map((row) => ({
        id: row.id,
        to: row.recipient,
        participant: row.participant_id,
        text: (parse(row.payload) as { text?: string }).text ?? null,
        status: row.status,
        attempts: row.attempts,
        error: row.last_error,
        time: new Date(row.updated_at).toISOString(),
      })),
    );
  });

  app.post('/response', async ({ body }) => {
    const given = object(body);
    const { address, snapshot, ...receipt } = await runtime.receive({
      channel: 'operator',
      id: optionalText(given, 'id') ?? randomUUID(),
      from: text(given, 'from'),
      text: text(given, 'text'),
    });
    return ok({
      ...receipt,
      ...(address && { participantId: address.participantId, flowType: address.flowType }),
      ...(snapshot && { state: describeState(snapshot) }),
    });
  });

  app.get<{ Querystring: ListQuery }>('/responses', async ({ query }) => {
    const { limit } = pageOf(filterOf(query));
    const { knex } = runtime;
    const fromActors = await knex('flow_journal as j')
      .leftJoin('flow_states as f', (on) =>
        on.on('f.participant_id', 'j.participant_id').on('f.flow_type', 'j.flow_type'),
      )
      .leftJoin('inbox as i', 'i.id', 'j.inbox_id')
      .whereNotNull('j.text')
      .orderBy('j.id', 'desc')
      .limit(limit)
      .select({ from: 'f.address', participant: 'j.participant_id', channel: 'i.channel', text: 'j.text', at: 'j.at' });
    const fromOthers = await knex('inbox')
      .whereNotNull('text')
      .orderBy('id', 'desc')
      .limit(limit)
      .select({ from: 'sender', channel: 'channel', text: 'text', at: 'applied_at' });
    const all = [...fromActors, ...fromOthers.map((row) => ({ participant: null, ...row }))];
    return ok(
      all
        .sort((a, b) => b.at - a.at)
        .slice(0, limit)
        .map(({ at, ...message }) => ({ ...message, at: new Date(at).toISOString() })),
    );
  });

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
