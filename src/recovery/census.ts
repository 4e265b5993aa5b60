/** Counts by flow, from the indexes alone: no row's snapshot is read, so that a million participants take about a second. */
import { HORIZON } from '../engine/alarms.ts';
import type { Store } from '../store/store.ts';
import type { ComponentReport } from './report.ts';

/** What each flow that occurs in the database has. */
export type Census = Map<
  string,
  Pick<ComponentReport, 'recovered' | 'skipped' | 'handlers' | 'deadlines' | 'invocations' | 'unsent'>
>;

/** What is counted of each flow: a name, and the condition under which a row counts. */
type Measures<K extends string> = Record<K, string>;

/** So many flows are counted in one pass: SQLite gives 2,000 columns at most. */
const ABREAST = 500;

export async function takeCensus(store: Store, now: number): Promise<Census> {
  const found = await store.scan<{ flow_type: string }>('SELECT DISTINCT flow_type FROM flow_states');
  const flowTypes = found.map(({ flow_type }) => flow_type);
  const census: Census = new Map();
  for (let from = 0; from < flowTypes.length; from += ABREAST) {
    const counted = await countFlows(store, now, flowTypes.slice(from, from + ABREAST));
    for (const [flowType, figures] of counted) census.set(flowType, figures);
  }
  return census;
}

async function countFlows(store: Store, now: number, flowTypes: string[]): Promise<Census> {
  // One pass over the index, with a column for each figure. GROUP BY would sort all rows first, in memory.
  const count = async <K extends string>(from: string, measures: Measures<K>): Promise<Record<K, number>[]> => {
    const names = Object.keys(measures) as K[];
    const columns = flowTypes.flatMap((_, flow) =>
      names.map((name) => `COUNT(*) FILTER (WHERE flow_type = ?${flow + 1} AND ${measures[name]}) AS ${name}${flow}`),
    );
    const [counted] = await store.scan<Record<string, number>>(`SELECT ${columns.join(', ')} FROM ${from}`, flowTypes);
    return flowTypes.map(
      (_, flow) => Object.fromEntries(names.map((name) => [name, counted![name + flow]])) as Record<K, number>,
    );
  };
  const [actors, quarantined, deadlines, leased, unsent, handlers] = await Promise.all([
    count('flow_states', { total: 'TRUE' }),
    count("flow_states WHERE status = 'quarantined'", { total: 'TRUE' }),
    count('flow_states WHERE next_due_at IS NOT NULL', {
      overdue: `next_due_at < ${now}`,
      armed: `next_due_at BETWEEN ${now} AND ${now + HORIZON}`,
      beyond: `next_due_at > ${now + HORIZON}`,
    }),
    count('flow_states WHERE lease_until IS NOT NULL', { total: 'TRUE' }),
    count("outbox_messages WHERE status IN ('pending', 'sending')", { total: 'TRUE' }),
    count('response_handlers', { bound: `expires_at > ${now}`, expired: `expires_at <= ${now}` }),
  ]);
  return new Map(
    flowTypes.map((flowType, flow) => {
      const aside = quarantined[flow]!.total;
      return [
        flowType,
        {
          recovered: actors[flow]!.total - aside,
          skipped: { ended: 0, quarantined: aside },
          handlers: { ...handlers[flow]!, renewed: 0 },
          deadlines: deadlines[flow]!,
          invocations: leased[flow]!.total,
          unsent: unsent[flow]!.total,
        },
      ];
    }),
  );
}
