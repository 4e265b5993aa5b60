/**
 * Writes a group of turns in one transaction. Every statement reports how many rows it changed; as long as that is as many as there
 * are turns, nobody lost. If fewer, the transaction finds out who lost (an inbound message that was applied before, a row that has
 * another version), and is rolled back.
 */
import type { Knex } from 'knex';
import type { Commit, Outcome } from '../rows.ts';
import { writeChange } from './changes.ts';
import { type Connection, isSqlite, storeError } from './connection.ts';
import * as sql from './statements.ts';

/**
 * Writes a group in one transaction, or nothing of it where somebody loses.
 * @returns who lost, and how
 */
export async function writeGroup(
  connection: Connection,
  knex: Knex,
  group: readonly Commit[],
): Promise<Map<Commit, Outcome>> {
  const rollBack = () => connection.run('ROLLBACK').catch(() => {}); // SQLite has done so by itself after some errors
  if (!group.some((commit) => commit.also || commit.records)) {
    try {
      await connection.exec(script(group));
      return new Map();
    } catch (error) {
      await rollBack();
      if (!(error as Error).message.includes(sql.GUARD)) throw error;
    }
  }
  try {
    await connection.run('BEGIN IMMEDIATE');
    const losers = await writeStepwise(connection, knex, group);
    await connection.run(losers.size === 0 ? 'COMMIT' : 'ROLLBACK');
    return losers;
  } catch (error) {
    await rollBack();
    throw isSqlite(error) ? storeError(error) : error;
  }
}

/**
 * Writes the group's statements one by one, to find out who loses, or since the application's own writes are among them.
 * @returns who lost, and how; then what was written is to be undone
 */
export async function writeStepwise(
  connection: Connection,
  knex: Knex,
  group: readonly Commit[],
): Promise<Map<Commit, Outcome>> {
  const losers = new Map<Commit, Outcome>();
  const write = async (statement: sql.GroupStatement, rows: object[]): Promise<boolean> =>
    rows.length === 0 || (await connection.run(sql.withRows(statement, rows))) === rows.length;

  const inbound = every(group, (commit) => commit.inbound);
  if (!(await write(sql.insertInbox, inbound))) {
    const taken = await idsOf(connection, 'inbox', ['channel', 'message_id', 'scope'], inbound);
    for (const commit of group) {
      if (commit.inbound && !taken.has(commit.inbound.id)) losers.set(commit, { result: 'duplicate' });
    }
  }
  const inserts = every(group, (commit) => commit.insert);
  if (!(await write(sql.insertActors, inserts))) {
    const taken = await idsOf(connection, 'flow_states', ['participant_id', 'flow_type'], inserts);
    for (const commit of group) {
      if (commit.insert && !taken.has(commit.insert.id)) losers.set(commit, { result: 'conflict' });
    }
  }
  const updates = every(group, (commit) => commit.update);
  if (updates.length > 0) {
    // Asked of the update itself: another turn may have given the row the very version that this one wanted to give it.
    const swapped = await connection.all<{ id: number }>(`${sql.withRows(sql.updateActors, updates)} RETURNING id`);
    const won = new Set(swapped.map(({ id }) => id));
    for (const commit of group) {
      if (commit.update && !won.has(commit.update.id)) losers.set(commit, { result: 'conflict' });
    }
  }
  if (losers.size > 0) return losers;
  for (const [statement, rows] of unconditional(group)) await write(statement, rows);
  for (const record of every(group, (commit) => commit.records)) {
    const table = knex(record.table);
    await connection.query(
      'row' in record ? table.insert(record.row) : (table.where(record.where).update(record.set) as never),
    );
  }
  for (const commit of group) {
    for (const change of commit.also ?? [])
      if (!(await writeChange(connection, knex, change))) losers.set(commit, { result: 'conflict' });
  }
  return losers;
}

async function idsOf(connection: Connection, table: string, columns: string[], rows: object[]): Promise<Set<number>> {
  const keys = JSON.stringify(rows.map((row) => columns.map((column) => (row as Record<string, unknown>)[column])));
  const found = await connection.all<{ id: number }>(
    `SELECT ${table}.id FROM json_each(?) AS key JOIN ${table} ON ${columns.map((column, i) => `${column} = key.value->>${i}`).join(' AND ')}`,
    [keys],
  );
  const ours = new Set(rows.map((row) => (row as { id: number }).id));
  return new Set(found.map(({ id }) => id).filter((id) => ours.has(id)));
}

/** The whole transaction in one text; it fails at the first statement in which somebody loses. */
function script(group: readonly Commit[]): string {
  let text = 'BEGIN IMMEDIATE';
  const add = (statement: sql.GroupStatement, rows: object[], guarded: boolean) => {
    if (rows.length === 0) return;
    text += `;${sql.withRows(statement, rows)}`;
    if (guarded) text += `;${sql.guard(rows.length)}`;
  };
  for (const [statement, rows] of exclusive(group)) add(statement, rows, true);
  for (const [statement, rows] of unconditional(group)) add(statement, rows, false);
  return `${text};COMMIT`;
}

/** The tables in which somebody can lose. */
const exclusive = (group: readonly Commit[]): [sql.GroupStatement, object[]][] => [
  [sql.insertInbox, every(group, (commit) => commit.inbound)],
  [sql.insertActors, every(group, (commit) => commit.insert)],
  [sql.updateActors, every(group, (commit) => commit.update)],
];

/** A new actor that runs from now on; one that has ended in its first turn takes its number from nobody. */
const begins = ({ insert }: Commit): boolean => insert?.status === 'active';

/** The tables in which nobody can lose. */
const unconditional = (group: readonly Commit[]): [sql.GroupStatement, object[]][] => [
  [sql.insertOutbox, every(group, (commit) => commit.outbox)],
  [sql.insertJournal, every(group, (commit) => commit.journal)],
  [sql.rebindHandlers, every(group, (commit) => (begins(commit) ? undefined : commit.handlers))],
  [sql.bindHandlers, every(group, (commit) => (begins(commit) ? commit.handlers : undefined))],
  [sql.markOutbox, every(group, (commit) => commit.marks)],
  [sql.insertDeadLetters, every(group, (commit) => commit.deadLetter)],
];

function every<T>(group: readonly Commit[], pick: (commit: Commit) => T | T[] | undefined): T[] {
  const all: T[] = [];
  for (const commit of group) {
    const picked = pick(commit);
    if (Array.isArray(picked)) all.push(...picked);
    else if (picked !== undefined) all.push(picked);
  }
  return all;
}
