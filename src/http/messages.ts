import type { FastifyInstance } from 'fastify';
import { describeState } from '../actor/state.ts';
import type { InboundMessage } from '../flow.ts';
import { notFound, ok } from './answers.ts';
import type { HttpOptions } from './plugin.ts';
import { object } from './queries.ts';

/** Messages from people, and what was said. */
export async function messageRoutes(app: FastifyInstance, { runtime }: HttpOptions): Promise<void> {
  app.post('/messages', async (request) => {
    const { address, snapshot, reason, ...receipt } = await runtime.receive(
      object(request.body) as unknown as InboundMessage,
    );
    return ok({
      ...receipt,
      ...(address && { participantId: address.participantId, flowType: address.flowType }),
      ...(snapshot && { state: describeState(snapshot) }),
    });
  });

  app.get<{ Params: { id: string } }>('/participants/:id/messages', async ({ params: { id } }, reply) => {
    if (!(await runtime.knex('flow_states').where({ participant_id: id }).first('id')))
      return notFound(reply, `There is no participant ${id}.`);
    const messages = await runtime.messages(id);
    return ok(messages.map(({ at, ...message }) => ({ ...message, at: new Date(at).toISOString() })));
  });
}
