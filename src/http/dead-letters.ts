import type { FastifyInstance } from 'fastify';
import { formatInstant } from '../clock.ts';
import type { DeadLetter, DeadLetterFilter } from '../operations/dead-letters.ts';
import { ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import { filterOf } from './queries.ts';
import * as is from './schemas.ts';

/** Events that could not be applied. */
export async function deadLetterRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  type Named = { Params: { id: string } };
  type List = { Querystring: is.ListQuery & { status?: NonNullable<DeadLetterFilter['status']> } };
  const status = is.oneOf('open', 'retried', 'discarded', 'all');

  app.get<List>(
    '/dead-letters',
    { schema: { querystring: is.listOf({ ...is.narrowed, status }) } },
    async ({ query }) => {
      const filter = { ...filterOf(query), ...(query.status !== undefined && { status: query.status }) };
      return ok((await runtime.deadLetters.list(filter)).map(described));
    },
  );

  app.get<Named>('/dead-letters/:id', { schema: { params: is.row } }, async ({ params }) =>
    ok(described(await runtime.deadLetters.get(Number(params.id)))),
  );

  app.post<Named>('/dead-letters/:id/retry', { schema: { params: is.row } }, async ({ params }) => {
    const id = Number(params.id);
    return ok({ id, status: 'retried', ...(await runtime.deadLetters.retry(id)) });
  });

  app.post<Named & { Body: is.Reason }>(
    '/dead-letters/:id/discard',
    { schema: { params: is.row, body: is.reason } },
    async ({ params, body }) => {
      const id = Number(params.id);
      await runtime.deadLetters.discard(id, body?.reason);
      return ok({ id, status: 'discarded' });
    },
  );
}

const described = ({ address, at, resolvedAt, ...letter }: DeadLetter) => ({
  ...letter,
  participant: address.participantId,
  flow: address.flowType,
  at: formatInstant(at),
  resolved_at: resolvedAt === null ? null : formatInstant(resolvedAt),
});
