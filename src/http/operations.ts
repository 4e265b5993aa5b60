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
      const row = await runtime.knex('flow_states').where({ participant_id: id }).first('flow_type');
      if (!row) return notFound(reply, `There is no participant ${id}.`);
      const actor = runtime.actor(row.flow_type, id);
      const [described, snapshot, timers] = [await actor.describe(), await actor.getSnapshot(), await actor.timers()];
      return ok({
        flow: row.flow_type,
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
      const rows = await runtime.knex('flow_states').where({ participant_id: id }).select('flow_type');
      if (rows.length === 0) return notFound(reply, `There is no participant ${id}.`);
      for (const { flow_type } of rows) await runtime.actor(flow_type, id).retry();
      return ok({ retried: id });
    },
  );

  app.get<{ Params: { id: string }; Querystring: is.PageQuery }>(
    '/participants/:id/journal',
    { schema: { params: is.named, querystring: is.listOf() } },
    async ({ params: { id }, query }, reply) => {
      const [limit, after] = [Number(query.limit ?? 200), Number(query.after ?? 0)];
      const lines = await runtime.journal(id, { limit, after, lastFirst: true });
      if (lines.length === 0 && !(await runtime.knex('flow_states').where({ participant_id: id }).first('id')))
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
