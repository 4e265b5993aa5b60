import type { Knex } from 'knex';

/** Deletes what the kept tables of an adopted database hold of a participant. */
export async function forgetKept(trx: Knex.Transaction, flowType: string, id: string): Promise<void> {
  const found: { name: string; column: string }[] = await trx.raw(
    `SELECT m.name, LOWER(c.name) AS "column" FROM sqlite_master AS m, pragma_table_info(m.name) AS c
     WHERE m.type = 'table' AND m.name LIKE 'promptpipe!_%' ESCAPE '!' AND LOWER(c.name) IN ('participant_id', 'flow_type')`,
  );
  const columns = new Map<string, Set<string>>();
  for (const { name, column } of found) columns.set(name, (columns.get(name) ?? new Set()).add(column));
  for (const [name, has] of columns) {
    if (!has.has('participant_id')) continue;
    const flow = has.has('flow_type') ? { flow_type: flowType } : {};
    await trx(name)
      .where({ participant_id: id, ...flow })
      .delete();
  }
  const people = `promptpipe_${flowType === 'conversation' ? 'conversation' : 'intervention'}_participants`;
  if (await trx('sqlite_master').where({ type: 'table', name: people }).first())
    await trx(people).where({ id }).delete();
}

/** Actors in quarantine that hold further legacy rows of a participant, of whom only the last row counted. */
export const keptActors = (trx: Knex.Transaction, flowType: string, id: string): Promise<string[]> =>
  trx('flow_states')
    .where({ flow_type: flowType })
    .whereBetween('participant_id', [`${id} (flow_states row `, `${id} (flow_states row ~`])
    .pluck('participant_id');
