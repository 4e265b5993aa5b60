import type { FastifyInstance } from 'fastify';
import { formatInstant } from '../clock.ts';
import type { UndeliveredMessage } from '../operations/undelivered.ts';
import { ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import { filterOf } from './queries.ts';
import * as is from './schemas.ts';

/** Messages that did not arrive. */
export async function undeliveredRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  type Named = { Params: { id: string } };
  type List = { Querystring: is.ListQuery & { status?: UndeliveredMessage['status'] } };
  const status = is.oneOf('failed', 'held', 'waiting');

  app.get<List>(
    '/undelivered',
    { schema: { querystring: is.listOf({ ...is.narrowed, status }) } },
    async ({ query }) => {
      const filter = { ...filterOf(query), ...(query.status !== undefined && { status: query.status }) };
      return ok((await runtime.undelivered.list(filter)).map(described));
    },
  );

  app.get<Named>('/undelivered/:id', { schema: { params: is.row } }, async ({ params }) =>
    ok(described(await runtime.undelivered.get(Number(params.id)))),
  );

  app.post<Named>('/undelivered/:id/resend', { schema: { params: is.row } }, async ({ params }) => {
    const id = Number(params.id);
    await runtime.undelivered.resend(id);
    return ok({ id, status: 'resent' });
  });

  app.post<Named & { Body: is.Reason }>(
    '/undelivered/:id/discard',
    { schema: { params: is.row, body: is.reason } },
    async ({ params, body }) => {
      const id = Number(params.id);
      await runtime.undelivered.discard(id, body?.reason);
      return ok({ id, status: 'discarded' });
    },
  );
}

const described = ({ from, payload, idempotencyKey, createdAt, updatedAt, ...message }: UndeliveredMessage) => ({
  ...message,
  participant: from?.participantId ?? null,
  flow: from?.flowType ?? null,
  payload: payload ?? null,
  idempotency_key: idempotencyKey,
  at: formatInstant(createdAt),
  updated_at: formatInstant(updatedAt),
});
