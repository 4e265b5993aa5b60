/** Counts by flow, from the indexes alone: no row's snapshot is read, so that a million participants take about a second. */
import { HORIZON } from '../engine/deadlines.ts';
import type { Store } from '../store/store.ts';
import type { ComponentReport } from './report.ts';

/** What each flow that occurs in the database has. */
export type Census = Map<
  string,
  Pick<ComponentReport, 'recovered' | 'skipped' | 'handlers' | 'deadlines' | 'invocations' | 'unsent'>
>;

export async function takeCensus(store: Store, now: number): Promise<Census> {
  const figures = await store.figures(now, HORIZON);
  return new Map(
    [...figures].map(([flowType, { actors, quarantined, handlers, deadlines, leased, unsent }]) => [
      flowType,
      {
        recovered: actors - quarantined,
        skipped: { ended: 0, quarantined },
        handlers: { ...handlers, renewed: 0 },
        deadlines,
        invocations: leased,
        unsent,
      },
    ]),
  );
}
