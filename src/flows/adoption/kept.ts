import type { Knex } from 'knex';
import type { InTransaction } from '../../store/rows.ts';

/** Deletes what the kept tables of an adopted database hold of a participant. */
export async function forgetKept(run: InTransaction, knex: Knex, flowType: string, id: string): Promise<void> {
  const found = await run<{ name: string; column: string }[]>(
    knex.raw(
      `SELECT m.name, c.name AS "column" FROM sqlite_master AS m, pragma_table_info(m.name) AS c
       WHERE m.type = 'table' AND m.name LIKE 'promptpipe!_%' ESCAPE '!' AND c.name IN ('participant_id', 'flow_type')`,
    ) as never,
  );
  const columns = new Map<string, Set<string>>();
  for (const { name, column } of found) columns.set(name, (columns.get(name) ?? new Set()).add(column));
  for (const [name, has] of columns) {
    if (!has.has('participant_id')) continue;
    const flow = has.has('flow_type') ? { flow_type: flowType } : {};
    await run(
      knex(name)
        .where({ participant_id: id, ...flow })
        .delete() as never,
    );
  }
  const people = `promptpipe_${flowType === 'conversation' ? 'conversation' : 'intervention'}_participants`;
  const [exists] = await run<object[]>(knex('sqlite_master').where({ type: 'table', name: people }) as never);
  if (exists) await run(knex(people).where({ id }).delete() as never);
}
