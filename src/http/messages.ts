import type { FastifyInstance } from 'fastify';
import { parse } from '../actor/codec.ts';
import { describeState } from '../actor/state.ts';
import type { InboundMessage } from '../flow.ts';
import { notFound, ok } from './answers.ts';
import { object } from './participants.ts';
import type { HttpOptions } from './plugin.ts';

/** Messages from people, and what was said. */
export async function messageRoutes(app: FastifyInstance, { runtime }: HttpOptions): Promise<void> {
  app.post('/messages', async (request) => {
    const { address, snapshot, ...receipt } = await runtime.receive(object(request.body) as unknown as InboundMessage);
    return ok({
      ...receipt,
      ...(address && { participantId: address.participantId, flowType: address.flowType }),
      ...(snapshot && { state: describeState(snapshot) }),
    });
  });

  app.get<{ Params: { id: string } }>('/participants/:id/messages', async ({ params: { id } }, reply) => {
    const { knex } = runtime;
    if (!(await knex('flow_states').where({ participant_id: id }).first('id')))
      return notFound(reply, `There is no participant ${id}.`);
    const lines = () => knex('flow_journal as j').where('j.participant_id', id);
    const [received, sent] = await Promise.all([
      lines()
        .leftJoin('inbox as i', 'i.id', 'j.inbox_id')
        .whereNotNull('j.text')
        .select('j.id as line', 'j.at', 'j.text', 'i.channel', 'i.message_id'),
      lines()
        .join('outbox_messages as o', (on) =>
          on.on('o.id', '>=', 'j.outbox_id').on('o.id', '<', knex.raw('j.outbox_id + j.outbox_count')),
        )
        .where('o.kind', 'message')
        .orderBy('o.id')
        .select('j.id as line', 'o.*'),
    ]);
    const messages = [
      ...received.map((row) => ({
        line: row.line,
        at: row.at,
        direction: 'in',
        id: row.message_id,
        text: row.text,
        channel: row.channel,
      })),
      ...sent.map((row) => {
        const { text, options } = parse(row.payload) as { text: string; options?: unknown };
        return {
          line: row.line,
          at: row.created_at,
          direction: 'out',
          id: String(row.id),
          text,
          options,
          status: row.status,
          to: row.recipient,
        };
      }),
    ];
    // By turns; within one, what was heard comes before what was answered (the sort is stable).
    messages.sort((a, b) => a.line - b.line);
    return ok(messages.map(({ line: _, at, ...message }) => ({ ...message, at: new Date(at).toISOString() })));
  });
}
