/** What an adopted database keeps of the system before. In one that was not adopted, no table is taken for one of those. */
import type { Knex } from 'knex';

/** The tables of the system before, as the adoption noted them. */
export interface AdoptedTables {
  /** Legacy tables under their new names. */
  kept: string[];
  /** Of `receipts` and `responses`, those that are the system's before. */
  logs: string[];
}

/** Deletes what the legacy tables of an adopted database hold of a participant. */
export async function forgetKept(trx: Knex.Transaction, flowType: string, id: string): Promise<void> {
  const adopted = await adoptedTables(trx);
  if (!adopted) return;
  const found: { name: string; column: string }[] = await trx.raw(
    `SELECT m.name, LOWER(c.name) AS "column" FROM sqlite_master AS m, pragma_table_info(m.name) AS c
     WHERE m.type = 'table' AND m.name LIKE 'promptpipe!_%' ESCAPE '!' AND LOWER(c.name) IN ('id', 'participant_id', 'flow_type')`,
  );
  const columns = new Map<string, Set<string>>();
  for (const { name, column } of found) columns.set(name, (columns.get(name) ?? new Set()).add(column));
  const people = `promptpipe_${flowType === 'conversation' ? 'conversation' : 'intervention'}_participants`;
  for (const [name, has] of columns) {
    if (adopted.kept?.includes(name) === false) continue;
    const flow = has.has('flow_type') ? { flow_type: flowType } : {};
    if (has.has('participant_id'))
      await trx(name)
        .where({ participant_id: id, ...flow })
        .delete();
    else if (name === people && has.has('id')) await trx(name).where({ id }).delete();
  }
}

/** Deletes what the logs of an adopted database hold of phone numbers, as they are written there. */
export async function forgetLogs(trx: Knex.Transaction, phones: readonly string[]): Promise<void> {
  const adopted = await adoptedTables(trx);
  if (!adopted) return;
  for (const [table, column] of [
    ['receipts', 'recipient'],
    ['responses', 'sender'],
  ] as const) {
    if (adopted.logs?.includes(table) === false) continue;
    if (await trx.schema.hasColumn(table, column)) await trx(table).whereIn(column, phones).delete();
  }
}

/** An adoption by Perdure 0.1.0 noted no tables: then their names tell. */
async function adoptedTables(trx: Knex.Transaction): Promise<Partial<AdoptedTables> | undefined> {
  const mark: { value: string } | undefined = await trx('runtime_settings').where({ key: 'adoption' }).first('value');
  return mark && JSON.parse(mark.value);
}

/** Actors in quarantine that hold further legacy rows of a participant, of whom only the last row counted. */
export const keptActors = (trx: Knex.Transaction, flowType: string, id: string): Promise<string[]> =>
  trx('flow_states')
    .where({ flow_type: flowType })
    .whereBetween('participant_id', [`${id} (flow_states row `, `${id} (flow_states row ~`])
    .pluck('participant_id');
