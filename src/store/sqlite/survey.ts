/** What recovery and evolution read: counts from the indexes, and all rows of a flow, a page at a time. */
import type { Knex } from 'knex';
import type {
  ActorRow,
  BoundRow,
  DuePlace,
  FlowFigures,
  OutboxStatus,
  ShapeRow,
  TrafficFigures,
  VersionCount,
} from '../rows.ts';

/** Reads much, and only once. */
export type Scan = <T>(text: string, parameters?: unknown[]) => Promise<T[]>;

/** What is counted of each flow: a name, and the condition under which a row counts. */
type Measures<K extends string> = Record<K, string>;

/** So many flows are counted in one pass: SQLite gives 2,000 columns at most. */
const ABREAST = 500;

export async function figures(scan: Scan, now: number, horizon: number): Promise<Map<string, FlowFigures>> {
  const found = await scan<{ flow_type: string }>('SELECT DISTINCT flow_type FROM flow_states');
  const flowTypes = found.map(({ flow_type }) => flow_type);
  const all = new Map<string, FlowFigures>();
  for (let from = 0; from < flowTypes.length; from += ABREAST) {
    const counted = await countFlows(scan, flowTypes.slice(from, from + ABREAST), now, horizon);
    for (const [flowType, of] of counted) all.set(flowType, of);
  }
  return all;
}

async function countFlows(
  scan: Scan,
  flowTypes: string[],
  now: number,
  horizon: number,
): Promise<[flowType: string, figures: FlowFigures][]> {
  // One pass over the index, with a column for each figure. GROUP BY would sort all rows first, in memory.
  const count = async <K extends string>(from: string, measures: Measures<K>): Promise<Record<K, number>[]> => {
    const names = Object.keys(measures) as K[];
    const columns = flowTypes.flatMap((_, flow) =>
      names.map((name) => `COUNT(*) FILTER (WHERE flow_type = ?${flow + 1} AND ${measures[name]}) AS ${name}${flow}`),
    );
    const [counted] = await scan<Record<string, number>>(`SELECT ${columns.join(', ')} FROM ${from}`, flowTypes);
    return flowTypes.map(
      (_, flow) => Object.fromEntries(names.map((name) => [name, counted![name + flow]])) as Record<K, number>,
    );
  };
  const [actors, quarantined, deadlines, leased, unsent, handlers] = await Promise.all([
    count('flow_states', { total: 'TRUE' }),
    count("flow_states WHERE status = 'quarantined'", { total: 'TRUE' }),
    count('flow_states WHERE next_due_at IS NOT NULL', {
      overdue: `next_due_at < ${now}`,
      armed: `next_due_at BETWEEN ${now} AND ${now + horizon}`,
      beyond: `next_due_at > ${now + horizon}`,
    }),
    count('flow_states WHERE lease_until IS NOT NULL', { total: 'TRUE' }),
    count("outbox_messages WHERE status IN ('pending', 'sending')", { total: 'TRUE' }),
    count('response_handlers', { bound: `expires_at > ${now}`, expired: `expires_at <= ${now}` }),
  ]);
  return flowTypes.map((flowType, flow) => [
    flowType,
    {
      actors: actors[flow]!.total,
      quarantined: quarantined[flow]!.total,
      deadlines: deadlines[flow]!,
      leased: leased[flow]!.total,
      unsent: unsent[flow]!.total,
      handlers: handlers[flow]!,
    },
  ]);
}

export function boundRows(
  scan: Scan,
  flowType: string,
  after: number,
  limit: number,
  { participants, participantId }: { participants?: string | undefined; participantId?: string | undefined },
): Promise<BoundRow[]> {
  return scan<BoundRow>(
    `SELECT f.*, h.participant_id AS bound_to, h.expires_at AS bound_until, o.status AS bound_status, ${participants ? 'p.id' : 'f.participant_id'} AS enrolled
     FROM flow_states AS f
     LEFT JOIN response_handlers AS h ON h.phone_number = f.address AND h.flow_type = f.flow_type
     LEFT JOIN flow_states AS o ON o.participant_id = h.participant_id AND o.flow_type = h.flow_type AND o.id <> f.id
     ${participants ? `LEFT JOIN ${participants} AS p ON p.id = f.participant_id` : ''}
     WHERE f.id > ? AND f.flow_type = ? ${participantId === undefined ? '' : 'AND f.participant_id = ?'}
     ORDER BY f.id LIMIT ?`,
    [after, flowType, ...(participantId === undefined ? [] : [participantId]), limit],
  );
}

export function dueBetween(scan: Scan, flowType: string, { at, id }: DuePlace, until: number, limit: number) {
  return scan<ActorRow>(
    `SELECT * FROM flow_states WHERE next_due_at IS NOT NULL AND next_due_at < ? AND (next_due_at, id) > (?, ?)
     AND flow_type = ? AND status = 'active' ORDER BY next_due_at, id LIMIT ?`,
    [until, at, id, flowType, limit],
  );
}

export function withoutActor(
  knex: Knex,
  flowType: string,
  participants: string,
  after: string,
  limit: number,
): Promise<{ id: string; other: string | null }[]> {
  const own = knex('flow_states as f').whereRaw('f.participant_id = p.id').where('f.flow_type', flowType);
  return knex(`${participants} as p`)
    .whereIn('p.status', ['active', 'paused'])
    .where('p.id', '>', after)
    .whereNotExists(own.select('f.id'))
    .orderBy('p.id')
    .limit(limit)
    .select('p.id', { other: knex('flow_states').whereRaw('participant_id = p.id').select('flow_type').limit(1) });
}

export const allRows = (scan: Scan, after: number, limit: number) =>
  scan<ShapeRow>(
    `SELECT id, participant_id, flow_type, current_state, state_data, flow_version, status, updated_at
     FROM flow_states WHERE id > ? ORDER BY id LIMIT ?`,
    [after, limit],
  );

const OTHERS = "FROM flow_states WHERE id > ? AND flow_type = ? AND flow_version <> ? AND status = 'active'";

export const ofOtherVersions = (scan: Scan, flowType: string, version: number, after: number, limit: number) =>
  scan<ActorRow>(`SELECT * ${OTHERS} ORDER BY id LIMIT ?`, [after, flowType, version, limit]);

export async function countOtherVersions(scan: Scan, flowType: string, version: number): Promise<number> {
  return (await scan<{ total: number }>(`SELECT COUNT(*) AS total ${OTHERS}`, [0, flowType, version]))[0]!.total;
}

export async function countRows(scan: Scan): Promise<number> {
  return (await scan<{ total: number }>('SELECT COUNT(*) AS total FROM flow_states'))[0]?.total ?? 0;
}

export function versionsAbove(knex: Knex, flowType: string, version: number): Promise<VersionCount[]> {
  return knex('flow_states')
    .where({ flow_type: flowType, status: 'active' })
    .where('flow_version', '>', version)
    .groupBy('flow_version')
    .orderBy('flow_version')
    .select('flow_version as version', knex.raw('COUNT(*) AS actors')) as unknown as Promise<VersionCount[]>;
}

export async function traffic(knex: Knex): Promise<TrafficFigures> {
  const count = async (table: string, where: string) => {
    const row = await knex(table).whereRaw(where).count({ count: '*' }).first();
    return Number(row?.count ?? 0);
  };
  const sent: { status: OutboxStatus; count: number }[] = await knex('outbox_messages')
    .where({ kind: 'message' })
    .groupBy('status')
    .select('status')
    .count({ count: '*' });
  return {
    messagesIn: (await count('flow_journal', 'text IS NOT NULL')) + (await count('inbox', 'text IS NOT NULL')),
    messagesOut: Object.fromEntries(sent.map(({ status, count: n }) => [status, n])),
    quarantined: await count('flow_states', "status = 'quarantined'"),
    deadLetters: await count('dead_letters', "status = 'open'"),
  };
}
