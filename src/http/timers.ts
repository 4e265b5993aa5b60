import type { FastifyInstance } from 'fastify';
import { isStoredTimer } from '../actor/live-actor.ts';
import { formatInstant } from '../clock.ts';
import type { PendingTimer } from '../runtime/handle.ts';
import type { ActorRow, DuePlace } from '../store/rows.ts';
import { notFound, ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import * as is from './schemas.ts';

/** How many rows are read at a time. */
const ROWS = 250;

type List = { Querystring: is.ListQuery };

/** A deadline is named by its actor, its instant and, of several at one instant, its number. */
const NAME = /^([^:]+):([\s\S]+):(\d[\d.]*(?:e\+\d+)?):(\d{1,9})$/;
const LENGTH = 600;
const after = { type: 'string', maxLength: LENGTH, pattern: NAME.source, description: is.AFTER };

/** Pending deadlines. */
export async function timerRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  const find = async (id: string) => {
    const [, flowType, participantId] = NAME.exec(id) ?? [];
    if (flowType === undefined) return undefined;
    const [row] = await runtime.store.withDeadlines({ flowType, participantId }, undefined, 1);
    return row && timersOf(row, runtime.clock.now()).find((timer) => timer.id === id);
  };

  /** The next deadlines in the order of their instants. Actors are read in the order of their first deadline, as far as needed. */
  const pageOf = async ({ limit: asked, after, flow, participant }: is.ListQuery): Promise<Timer[]> => {
    const limit = Number(asked ?? 100);
    const of = { flowType: flow, participantId: participant };
    const last = after === undefined ? undefined : positionOf(after);
    let found: Timer[] = [];
    for (let from: ActorRow | undefined, end = false; !end; ) {
      const place: DuePlace | undefined = from && { at: from.next_due_at!, id: from.id };
      const read = await runtime.store.withDeadlines(of, place, ROWS);
      from = read.at(-1);
      const now = runtime.clock.now();
      const timers = read
        .flatMap((row) => timersOf(row, now))
        .filter(({ id }) => !last || compare(positionOf(id), last) > 0);
      found = [...new Map([...found, ...timers].map((timer) => [timer.id, timer])).values()]
        .sort((a, b) => compare(positionOf(a.id), positionOf(b.id)))
        .slice(0, limit);
      end = read.length < ROWS || (found.length === limit && found.at(-1)!.due_at_ms < from!.next_due_at!);
    }
    return found;
  };

  const params = is.object({ id: is.filled(LENGTH) });

  app.get<List>('/timers', { schema: { querystring: is.listOf({ ...is.narrowed, after }) } }, async ({ query }) =>
    ok(await pageOf(query)),
  );

  app.get<{ Params: { id: string } }>('/timers/:id', { schema: { params } }, async ({ params: { id } }, reply) => {
    const timer = await find(id);
    return timer ? ok(timer) : gone(reply, id);
  });

  app.delete<{ Params: { id: string } }>('/timers/:id', { schema: { params } }, async ({ params: { id } }, reply) => {
    const timer = await find(id);
    if (!timer) return gone(reply, id);
    const nth = Number(id.slice(id.lastIndexOf(':') + 1));
    const cancelled = await runtime.actor(timer.flow, timer.participant).cancelTimer(timer.due_at_ms, nth);
    return cancelled ? ok({ id, status: 'cancelled' }) : gone(reply, id);
  });
}

const gone = (reply: Parameters<typeof notFound>[0], id: string) =>
  notFound(reply, `There is no pending deadline ${id}. It may have fired or been cancelled: list them again.`);

type Timer = ReturnType<typeof timersOf>[number];
type Position = [dueAt: number, actor: string, nth: number];

function positionOf(id: string): Position {
  const [, flow, participant, dueAt, nth] = NAME.exec(id)!;
  return [Number(dueAt), `${flow}:${participant}`, Number(nth)];
}

const compare = (a: Position, b: Position) => a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0) || a[2] - b[2];

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
