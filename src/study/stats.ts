/** How the study goes, counted in the database. */
import type { Knex } from 'knex';

export interface InterventionStats {
  participants: number;
  by_status: Record<string, number>;
  /** By the state of the day, or the state outside of days. */
  by_state: Record<string, number>;
  responses: number;
  by_response_type: Record<string, number>;
  /** Of the habits that were suggested and came to an end, the share that was done, 0 to 1; null before the first. */
  completion_rate: number | null;
  /** From a question to the reply, in s; null before the first. These two need the journal. */
  mean_response_time_s: number | null;
}

const FLOW = 'micro_health_intervention';

/** Counts participants, answers, habits done, and how fast people reply. */
export async function interventionStats(knex: Knex): Promise<InterventionStats> {
  const count = async (table: string, column: string, where: Record<string, string> = {}) => {
    const rows: { key: string; count: number }[] = await knex(table)
      .where(where)
      .groupBy(column)
      .select({ key: column })
      .count({ count: '*' });
    return rows;
  };
  const statuses = await count('intervention_participants', 'status');
  const states = await count('flow_states', 'current_state', { flow_type: FLOW });
  const types = await count('intervention_responses', 'response_type');
  const [habits] = await knex.raw(HABITS, [FLOW]);
  const [replies] = await knex.raw(REPLIES, [FLOW]);
  return {
    participants: sum(statuses),
    by_status: record(statuses),
    by_state: record(states.map(({ key, count: n }) => ({ key: dayOf(key), count: n }))),
    responses: sum(types),
    by_response_type: record(types),
    completion_rate: habits.suggested > 0 ? habits.done / habits.suggested : null,
    mean_response_time_s: replies.mean === null ? null : Math.round(replies.mean) / 1000,
  };
}

// A habit that was done leads to the end of the day, any other outcome to a question. An operator's moves do not count.
const HABITS = `SELECT COUNT(*) AS suggested, COALESCE(SUM(to_state LIKE '%END_OF_DAY'), 0) AS done FROM flow_journal
  WHERE flow_type = ? AND from_state LIKE '%SEND_INTERVENTION_%' AND (event_type = 'reply' OR due_at IS NOT NULL)
    AND (to_state LIKE '%END_OF_DAY' OR to_state LIKE '%DID_YOU_GET_A_CHANCE')`;

// The turn before the reply said something.
const REPLIES = `SELECT AVG(reply.at - asked.at) AS mean FROM flow_journal AS reply
  JOIN flow_journal AS asked ON asked.id = reply.previous_id
  WHERE reply.flow_type = ? AND reply.text IS NOT NULL AND asked.outbox_count > 0`;

/** `PARTICIPATING.week.COUNTING,PARTICIPATING.day.ORIENTATION` → `ORIENTATION` */
const dayOf = (state: string) => /\bday\.([^.,]+)/.exec(state)?.[1] ?? state;

const sum = (rows: { count: number }[]) => rows.reduce((total, { count }) => total + count, 0);

function record(rows: { key: string; count: number }[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const { key, count } of rows) result[key] = (result[key] ?? 0) + count;
  return result;
}
