/** Counts by flow, from the indexes alone: no row's snapshot is read, so that a million participants take no second. */
import { HORIZON } from '../engine/alarms.ts';
import type { Store } from '../store/store.ts';
import type { ComponentReport } from './report.ts';

/** What each flow that occurs in the database has. */
export type Census = Map<
  string,
  Pick<ComponentReport, 'recovered' | 'skipped' | 'handlers' | 'deadlines' | 'invocations' | 'unsent'>
>;

type Counted = { flow_type: string } & Record<string, number>;

export async function takeCensus({ knex }: Store, now: number): Promise<Census> {
  const rows = (sql: string, bindings: number[] = []): Promise<Counted[]> => knex.raw(sql, bindings);
  const census: Census = new Map();
  for (const { flow_type, total } of await rows('SELECT flow_type, COUNT(*) AS total FROM flow_states GROUP BY 1')) {
    census.set(flow_type, {
      recovered: total!,
      skipped: { ended: 0, quarantined: 0 },
      handlers: { bound: 0, renewed: 0, expired: 0 },
      deadlines: { overdue: 0, armed: 0, beyond: 0 },
      invocations: 0,
      unsent: 0,
    });
  }
  const add = async (counted: Promise<Counted[]>, to: (its: any, counts: Counted) => void) => {
    for (const counts of await counted) if (census.has(counts.flow_type)) to(census.get(counts.flow_type), counts);
  };
  await add(
    rows("SELECT flow_type, COUNT(*) AS n FROM flow_states WHERE status = 'quarantined' GROUP BY 1"),
    (its, { n }) => {
      its.skipped.quarantined = n;
      its.recovered -= n!;
    },
  );
  await add(
    rows(
      `SELECT flow_type, SUM(next_due_at < ?) AS overdue, SUM(next_due_at > ?) AS beyond, COUNT(*) AS total
       FROM flow_states WHERE next_due_at IS NOT NULL GROUP BY 1`,
      [now, now + HORIZON],
    ),
    (its, { overdue, beyond, total }) => {
      its.deadlines = { overdue, armed: total! - overdue! - beyond!, beyond };
    },
  );
  await add(
    rows('SELECT flow_type, COUNT(*) AS n FROM flow_states WHERE lease_until IS NOT NULL GROUP BY 1'),
    (its, { n }) => {
      its.invocations = n;
    },
  );
  await add(
    rows(
      "SELECT flow_type, COUNT(*) AS n FROM outbox_messages WHERE status IN ('pending', 'sending') AND flow_type IS NOT NULL GROUP BY 1",
    ),
    (its, { n }) => {
      its.unsent = n;
    },
  );
  await add(
    rows('SELECT flow_type, COUNT(*) AS total, SUM(expires_at <= ?) AS expired FROM response_handlers GROUP BY 1', [
      now,
    ]),
    (its, { total, expired }) => {
      its.handlers = { bound: total! - expired!, renewed: 0, expired };
    },
  );
  return census;
}
