import type { FastifyInstance } from 'fastify';
import { formatInstant } from '../clock.ts';
import type { DeadLetter, DeadLetterFilter } from '../operations/dead-letters.ts';
import { ok } from './answers.ts';
import type { HttpOptions } from './plugin.ts';
import { filterOf, type ListQuery, numberOf, reasonOf } from './queries.ts';

/** Events that could not be applied. */
export async function deadLetterRoutes(app: FastifyInstance, { runtime }: HttpOptions): Promise<void> {
  type Named = { Params: { id: string } };

  app.get<{ Querystring: ListQuery & { status?: string } }>('/dead-letters', async ({ query }) => {
    const status = query.status as DeadLetterFilter['status'];
    const letters = await runtime.deadLetters.list({ ...filterOf(query), ...(status !== undefined && { status }) });
    return ok(letters.map(described));
  });

  app.get<Named>('/dead-letters/:id', async ({ params: { id } }) =>
    ok(described(await runtime.deadLetters.get(numberOf('The id of a dead letter', id)))),
  );

  app.post<Named>('/dead-letters/:id/retry', async ({ params }) => {
    const id = numberOf('The id of a dead letter', params.id);
    return ok({ id, status: 'retried', ...(await runtime.deadLetters.retry(id)) });
  });

  app.post<Named>('/dead-letters/:id/discard', async ({ params, body }) => {
    const id = numberOf('The id of a dead letter', params.id);
    await runtime.deadLetters.discard(id, reasonOf(body));
    return ok({ id, status: 'discarded' });
  });
}

const described = ({ address, at, resolvedAt, ...letter }: DeadLetter) => ({
  ...letter,
  participant: address.participantId,
  flow: address.flowType,
  at: formatInstant(at),
  resolved_at: resolvedAt === null ? null : formatInstant(resolvedAt),
});
