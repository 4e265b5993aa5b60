import type { FastifyInstance } from 'fastify';
import { describeState } from '../actor/state.ts';
import type { InboundMessage } from '../flow/flow.ts';
import { notFound, ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import { pageOf } from './queries.ts';
import * as is from './schemas.ts';

/** Messages from people, and what was said. */
export async function messageRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  app.post<{ Body: InboundMessage }>(
    '/messages',
    { schema: { body: message }, config: { perdure: 'traffic' } },
    async ({ body }) => {
      const { address, snapshot, reason, ...receipt } = await runtime.receive(body);
      return ok({
        ...receipt,
        ...(address && { participantId: address.participantId, flowType: address.flowType }),
        ...(snapshot && { state: describeState(snapshot) }),
      });
    },
  );

  // The last turns, in the order in which they were: who reads on goes back, behind the first one of the page.
  app.get<{ Params: { id: string }; Querystring: is.PageQuery }>(
    '/participants/:id/messages',
    { schema: { params: is.named, querystring: is.listOf() } },
    async ({ params: { id }, query }, reply) => {
      if ((await runtime.store.flowsOf(id)).length === 0) return notFound(reply, `There is no participant ${id}.`);
      const messages = await runtime.messages(id, { ...pageOf(query), lastFirst: true });
      return ok(messages.reverse().map(({ at, ...message }) => ({ ...message, at: new Date(at).toISOString() })));
    },
  );
}

const part = (schema: object, description: string) => ({ ...schema, description, errorCode: 'INVALID_MESSAGE' });
const message = is.object(
  {
    channel: part(is.id, "where the message came in, like 'sms'"),
    id: part(
      is.id,
      "the channel's own id of the message, a text of 1 to 255 characters: it keeps a message from being applied twice",
    ),
    from: part(is.sender, 'who wrote it: a phone number, or another address of the channel'),
    text: part(is.words, 'a text, which may be empty'),
  },
  ['channel', 'id', 'from', 'text'],
);
