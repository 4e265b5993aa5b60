/**
 * Deletes old rows that nothing needs any more, a step at a time: each looks at some hundred rows, in the order of their ids, and
 * deletes in one short transaction those that are too old. Ids are given in the order of time, and never twice: an actor's chain
 * of journal lines ends where its older part was deleted, and no row is taken for one that is gone.
 */
import type { Knex } from 'knex';
import type { Kind } from '../../flow/retention-periods.ts';
import type { Cutoffs, Pruned } from '../store.ts';
import { Connection } from './connection.ts';

/** So many rows are looked at in a step. */
const STEP = 500;

interface Rows {
  table: string;
  /** Which rows may be deleted at all. */
  finished: string;
  /** From when on their age counts. */
  since: string;
  /** When they were made. */
  made: string;
  flow: string;
}

const ROWS: Record<Kind, Rows> = {
  // The mark of an event whose arrival is still to be noted in the outbox is needed; that is noted soon after a start.
  inbox: { table: 'inbox', finished: '1', since: 'applied_at', made: 'applied_at', flow: 'NULL' },
  messages: {
    table: 'outbox_messages',
    finished: "kind = 'message' AND status IN ('sent', 'cancelled')",
    since: 'updated_at',
    made: 'created_at',
    flow: 'flow_type',
  },
  // One that is `dead` is among the dead letters.
  events: {
    table: 'outbox_messages',
    finished: "kind <> 'message' AND status IN ('sent', 'cancelled', 'dead')",
    since: 'updated_at',
    made: 'created_at',
    flow: 'flow_type',
  },
  journal: { table: 'flow_journal', finished: '1', since: 'at', made: 'at', flow: 'flow_type' },
  deadLetters: {
    table: 'dead_letters',
    finished: "status <> 'open'",
    since: 'resolved_at',
    made: 'at',
    flow: 'flow_type',
  },
};

/**
 * Takes one step.
 * @param after the last id that was looked at; 0 at first
 * @returns how many rows were deleted, and the last id that was looked at; `undefined`: what follows is too young
 */
export function prune(knex: Knex, kind: Kind, after: number, cutoffs: Cutoffs): Promise<Pruned> {
  const { table, finished, since, made, flow } = ROWS[kind];
  const old = `${finished} AND ${since} < ${instantBy(flow, cutoffs)}`;
  const columns = ['id', ...new Set([made, since, ...(flow === 'NULL' ? [] : [flow]), ...columnsIn(finished)])];
  return Connection.use(knex, async (connection) => {
    const [step] = await connection.all<Step>(
      `SELECT count(*) AS seen, max(id) AS last, min(${made}) AS first, coalesce(sum(${old}), 0) AS due
       FROM (SELECT ${columns.join(', ')} FROM ${table} WHERE id > ? ORDER BY id LIMIT ${STEP})`,
      [after],
    );
    const { seen, last, first, due } = step!;
    const deleted =
      due === 0 ? 0 : await connection.run(`DELETE FROM ${table} WHERE id > ? AND id <= ? AND ${old}`, [after, last]);
    const isOver = seen < STEP || first >= Math.max(cutoffs.others, ...cutoffs.flows.values());
    return { deleted, last: isOver ? undefined : last };
  });
}

interface Step {
  seen: number;
  last: number;
  first: number;
  due: number;
}

const columnsIn = (condition: string) => ['kind', 'status'].filter((column) => condition.includes(column));

function instantBy(flow: string, { flows, others }: Cutoffs): string {
  if (flows.size === 0) return literal(others);
  const cases = [...flows].map(([type, cutoff]) => `WHEN '${type.replaceAll("'", "''")}' THEN ${literal(cutoff)}`);
  return `CASE ${flow} ${cases.join(' ')} ELSE ${literal(others)} END`;
}

const literal = (cutoff: number) => String(Math.max(Math.floor(cutoff), Number.MIN_SAFE_INTEGER));
