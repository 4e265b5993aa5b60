import type { FastifyInstance } from 'fastify';
import { isStoredTimer } from '../actor/live-actor.ts';
import type { PendingTimer } from '../actor-handle.ts';
import { formatInstant } from '../clock.ts';
import type { ActorRow } from '../store/rows.ts';
import { notFound, ok } from './answers.ts';
import type { HttpOptions } from './plugin.ts';

/** Pending deadlines. A deadline is named by its actor, its instant and, of several at one instant, its number. */
export async function timerRoutes(app: FastifyInstance, { runtime }: HttpOptions): Promise<void> {
  const pending = () => runtime.knex('flow_states').whereNotNull('next_due_at').where({ status: 'active' });
  const find = async (id: string) => {
    const [, flow_type, participant_id] = /^([^:]+):(.+):\d+:\d+$/s.exec(id) ?? [];
    const row = flow_type && (await pending().where({ flow_type, participant_id }).first());
    return row && timersOf(row, runtime.clock.now()).find((timer) => timer.id === id);
  };

  app.get<{ Querystring: { participant?: string; limit?: string } }>('/timers', async ({ query }) => {
    const limited = pending()
      .orderBy('next_due_at')
      .limit(Math.min(Number(query.limit) || 1000, 10_000));
    const rows: ActorRow[] = await (query.participant === undefined
      ? limited
      : limited.where({ participant_id: query.participant }));
    const now = runtime.clock.now();
    return ok(rows.flatMap((row) => timersOf(row, now)).sort((a, b) => a.due_at_ms - b.due_at_ms));
  });

  app.get<{ Params: { id: string } }>('/timers/:id', async ({ params: { id } }, reply) => {
    const timer = await find(id);
    return timer ? ok(timer) : gone(reply, id);
  });

  app.delete<{ Params: { id: string } }>('/timers/:id', async ({ params: { id } }, reply) => {
    const timer = await find(id);
    if (!timer) return gone(reply, id);
    const nth = Number(id.slice(id.lastIndexOf(':') + 1));
    const cancelled = await runtime.actor(timer.flow, timer.participant).cancelTimer(timer.due_at_ms, nth);
    return cancelled ? ok({ id, status: 'cancelled' }) : gone(reply, id);
  });
}

const gone = (reply: Parameters<typeof notFound>[0], id: string) =>
  notFound(reply, `There is no pending deadline ${id}. It may have fired or been cancelled: list them again.`);

/** The deadlines in a row; none where it cannot be read, which its actor says when it is next used. */
function timersOf(row: ActorRow, now: number) {
  const { participant_id: participant, flow_type: flow, updated_at } = row;
  const seen = new Map<number, number>();
  return storedIn(row.state_data).map(({ event, dueAt }) => {
    const nth = seen.get(dueAt) ?? 0;
    seen.set(dueAt, nth + 1);
    return {
      id: `${flow}:${participant}:${dueAt}:${nth}`,
      participant,
      flow,
      event: event.type,
      scheduled_at: updated_at,
      due_at: formatInstant(dueAt),
      due_at_ms: dueAt,
      remaining_ms: Math.max(0, dueAt - now),
    };
  });
}

function storedIn(stateData: string): PendingTimer[] {
  try {
    return JSON.parse(stateData).timers?.filter(isStoredTimer) ?? [];
  } catch {
    return [];
  }
}
