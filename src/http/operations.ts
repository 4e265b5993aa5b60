import type { FastifyInstance } from 'fastify';
import type { RuntimeEvents } from '../events.ts';
import { notFound, ok, RETRY_AFTER } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import * as is from './schemas.ts';

/** What an operator looks at: health, where an actor stands and how it came there. */
export async function operationRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  const now = () => (runtime.health().status === 'running' ? new Date(runtime.clock.now()).toISOString() : undefined);

  app.get('/health', { schema: { querystring: is.anything }, config: { perdure: 'open' } }, async (_, reply) => {
    const { status, health, troubles } = runtime.health();
    const refuse = (code: string, message: string) =>
      reply.code(503).header('retry-after', RETRY_AFTER).send({ status: 'error', code, message });
    if (status !== 'running') {
      const { recovering } = runtime.registry.get().context;
      return refuse('NOT_RUNNING', `The runtime is ${status}${recovering ? ` (${progressOf(recovering)})` : ''}.`);
    }
    if (health === 'degraded')
      return refuse('DEGRADED', `The runtime runs, and is degraded: ${Object.values(troubles).join(' ')}`);
    return ok({ status, now: now() });
  });

  app.get('/status', async () => ok({ ...runtime.registry.get().context, pid: process.pid, now: now() }));

  app.get<{ Params: { id: string } }>(
    '/participants/:id/state',
    { schema: { params: is.named } },
    async ({ params: { id } }, reply) => {
      const [flowType] = await runtime.store.flowsOf(id);
      if (flowType === undefined) return notFound(reply, `There is no participant ${id}.`);
      const actor = runtime.actor(flowType, id);
      const [described, snapshot, timers] = [await actor.describe(), await actor.getSnapshot(), await actor.timers()];
      return ok({
        flow: flowType,
        ...described,
        context: snapshot.context,
        tags: [...(snapshot.tags ?? [])],
        timers,
        now: runtime.clock.now(),
      });
    },
  );

  app.post<{ Params: { id: string } }>(
    '/participants/:id/retry',
    { schema: { params: is.named } },
    async ({ params: { id } }, reply) => {
      const flowTypes = await runtime.store.flowsOf(id);
      if (flowTypes.length === 0) return notFound(reply, `There is no participant ${id}.`);
      for (const flowType of flowTypes) await runtime.actor(flowType, id).retry();
      return ok({ retried: id });
    },
  );

  app.get<{ Params: { id: string }; Querystring: is.PageQuery }>(
    '/participants/:id/journal',
    { schema: { params: is.named, querystring: is.listOf() } },
    async ({ params: { id }, query }, reply) => {
      const [limit, after] = [Number(query.limit ?? 200), Number(query.after ?? 0)];
      const lines = await runtime.journal(id, { limit, after, lastFirst: true });
      if (lines.length === 0 && (await runtime.store.flowsOf(id)).length === 0)
        return notFound(reply, `There is no participant ${id}.`);
      return ok(
        lines.map(({ id: line, event, from, to, at, dueAt, note }) => ({
          id: line,
          event,
          from,
          to,
          at: new Date(at).toISOString(),
          late_ms: dueAt === null ? null : at - dueAt,
          note,
        })),
      );
    },
  );
}

const progressOf = ({ component, done, total }: RuntimeEvents['recovering']) =>
  `${component}: ${done}${total === undefined ? '' : ` of ${total}`}`;
