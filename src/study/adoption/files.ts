/**
 * A SQLite file that is not ours yet, as it is taken over.
 *
 * In place, all is one transaction of SQLite's on the file itself: killed at any instant, it is what it was, or ours. Before
 * it, the file is copied page by page to the backup's name. Into a new file, that copy is worked on under another name
 * and gets its own at the very end; the old file is only read.
 */
import { closeSync, existsSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import createKnex, { type Knex } from 'knex';
import { NotAdoptableError } from '../../errors.ts';
import { Connection, storeError } from '../../store/sqlite/connection.ts';
import { Copy, removeDatabase, settle } from '../../store/sqlite/copy.ts';
import { trueName } from '../../store/sqlite/location.ts';
import { DatabaseLock } from '../../store/sqlite/lock.ts';
import { isMigrated } from '../../store/sqlite/schema.ts';

/** What is in a file: its tables with their columns, by name in lower case; and whether they are ours. */
export interface Contents {
  ours: boolean;
  tables: ReadonlyMap<string, { name: string; columns: ReadonlySet<string> }>;
}

/**
 * @throws {NotAdoptableError} there is no such file, or it is no SQLite database
 * @throws {StoreError} it cannot be read
 */
export async function contentsOf(file: string): Promise<Contents> {
  assertSqlite(file);
  return reading(file, async (knex) => ({
    ours: await isMigrated(knex),
    tables: await Connection.use(knex, tablesIn),
  }));
}

/**
 * Undoes half a transaction that a process left in a file when it was killed, PromptPipe or we: who only reads cannot, and
 * so would not even see what is in it. Changes nothing in a file that is whole.
 * @throws {NotAdoptableError} there is no such file, or it is no SQLite database
 * @throws {DatabaseInUseError} a Perdure runs on it
 */
export async function undoHalf(file: string): Promise<void> {
  assertSqlite(file);
  if (!existsSync(journalOf(file))) return;
  const lock = await DatabaseLock.take(trueName(file), 0);
  const knex = createKnex(configuration(file, ['PRAGMA busy_timeout = 1000']));
  try {
    await Connection.use(knex, tablesIn);
  } catch (error) {
    throw explained(error);
  } finally {
    await knex.destroy();
    await lock.release();
  }
}

/** Its tables. */
export async function tablesIn(connection: Connection): Promise<Contents['tables']> {
  const columns = await connection.all<{ name: string; column: string }>(
    `SELECT m.name, c.name AS column FROM sqlite_master AS m, pragma_table_info(m.name) AS c
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'`,
  );
  const tables = new Map<string, { name: string; columns: Set<string> }>();
  for (const { name, column } of columns) {
    const key = name.toLowerCase();
    if (!tables.has(key)) tables.set(key, { name, columns: new Set() });
    tables.get(key)!.columns.add(column.toLowerCase());
  }
  return tables;
}

/** Reads a file as it is at one instant, and changes nothing in it, nor beside it. */
export async function reading<T>(file: string, body: (transaction: Knex.Transaction) => Promise<T>): Promise<T> {
  const knex = createKnex(configuration(readingUri(file), ['PRAGMA busy_timeout = 5000']));
  try {
    return await knex.transaction(body);
  } catch (error) {
    if (storeError(error).reason === 'readonly' && existsSync(journalOf(file))) throw halfWritten(file, error);
    throw explained(error);
  } finally {
    await knex.destroy();
  }
}

const halfWritten = (file: string, cause: unknown) =>
  new NotAdoptableError(
    file,
    'holds half a transaction of a program that was killed. To undo it, adopt in place, or open the file once: ' +
      `sqlite3 ${file} .tables.`,
    { cause },
  );

/**
 * Takes a file over in place.
 * @param backup where the original is kept
 * @param body works in the transaction
 * @throws {DatabaseInUseError | NotAdoptableError} a program runs on it
 */
export async function inPlace<T>(file: string, backup: string, body: (transaction: Knex.Transaction) => Promise<T>) {
  const lock = await DatabaseLock.take(trueName(file), 0);
  const knex = createKnex(configuration(file, ['PRAGMA busy_timeout = 1000', 'PRAGMA synchronous = FULL']));
  try {
    await assertAlone(knex, file);
    if (await isMigrated(knex)) throw new NotAdoptableError(file, 'was adopted by another process just now.');
    return await knex.transaction(async (transaction) => {
      await Connection.use(transaction, async (connection) => {
        // Writes what is there, and so takes the lock: nobody else changes the file while it is copied.
        const [row] = await connection.all<{ user_version: number }>('PRAGMA user_version');
        await connection.exec(`PRAGMA user_version = ${row!.user_version}`);
      });
      // By SQLite alone: a file that is opened and closed past it takes the locks of this process away.
      await copyOf(file, `${pathToFileURL(file).href}?mode=ro`, `${backup}-unfinished`);
      settle(`${backup}-unfinished`, backup);
      return body(transaction);
    });
  } catch (error) {
    throw explained(error);
  } finally {
    await knex.destroy();
    await lock.release();
  }
}

/**
 * Takes a copy of a file over.
 * @throws {InvalidArgumentError} there is a file of that name already
 */
export async function intoNewFile<T>(file: string, into: string, body: (transaction: Knex.Transaction) => Promise<T>) {
  const unfinished = `${into}-unfinished`;
  removeDatabase(unfinished);
  // A crash leaves this file, which nobody takes for another: it need not survive one.
  const knex = createKnex(configuration(unfinished, ['PRAGMA journal_mode = MEMORY', 'PRAGMA synchronous = OFF']));
  try {
    await copyOf(file, readingUri(file), unfinished);
    const result = await knex.transaction(body);
    await knex.destroy();
    settle(unfinished, into);
    return result;
  } catch (error) {
    throw explained(error);
  } finally {
    await knex.destroy();
    removeDatabase(unfinished);
  }
}

/** Copies a database with what its write-ahead log holds. */
async function copyOf(file: string, uri: string, target: string): Promise<void> {
  const copy = await Copy.open(file, uri);
  try {
    await copy.write(target);
  } finally {
    await copy.close();
  }
}

/** What a transaction under way keeps, so that it can be undone; https://www.sqlite.org/tempfiles.html#rollback_journals */
const journalOf = (file: string) => `${realpathSync(file)}-journal`;

/** Tries on a database in memory, with these tables, views and indexes and nothing in them, what may not be done to a file. */
export async function rehearsing(schema: readonly string[], body: (transaction: Knex.Transaction) => Promise<void>) {
  const knex = createKnex(configuration(':memory:', []));
  try {
    await Connection.use(knex, async (connection) => {
      // The tables behind a virtual table come with it; a virtual one of an extension is not renamed.
      for (const sql of schema) await connection.exec(sql).catch(() => {});
    });
    await knex.transaction(body);
  } catch (error) {
    throw explained(error);
  } finally {
    await knex.destroy();
  }
}

/** A name that is not taken yet. */
export function freeName(wanted: string): string {
  let name = wanted;
  for (let n = 2; existsSync(name); n++) name = `${wanted}-${n}`;
  return name;
}

function assertSqlite(file: string): void {
  if (!existsSync(file)) throw new NotAdoptableError(file, 'is not there. Check the path.');
  if (!statSync(file).isFile()) throw new NotAdoptableError(file, 'is no file. Name the SQLite file of PromptPipe.');
  const head = Buffer.alloc(16);
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (cause) {
    throw new NotAdoptableError(file, `cannot be read: ${(cause as Error).message}.`, { cause });
  }
  readSync(handle, head);
  closeSync(handle);
  if (head.toString('latin1') !== 'SQLite format 3\0')
    throw new NotAdoptableError(file, 'is no SQLite database. Name the SQLite file of PromptPipe.');
}

/** Of a database in WAL mode, SQLite knows who else has it open. */
async function assertAlone(knex: Knex, file: string): Promise<void> {
  const busy = (cause: unknown) =>
    new NotAdoptableError(file, 'is open in another program, as it seems PromptPipe. Stop that first.', { cause });
  try {
    await Connection.use(knex, async (connection) => {
      const [mode] = await connection.all<{ journal_mode: string }>('PRAGMA journal_mode = DELETE');
      if (mode?.journal_mode !== 'delete') throw busy(undefined);
      await connection.exec('BEGIN EXCLUSIVE; COMMIT');
    });
  } catch (error) {
    throw storeError(error).reason === 'busy' ? busy(error) : error;
  }
}

/**
 * Read-only. A file in WAL mode whose log is not there has nobody who writes, and would get a log from its reader: it is
 * opened as one that does not change.
 */
function readingUri(file: string): string {
  return `${pathToFileURL(file).href}?mode=ro${isWal(file) && !existsSync(`${file}-wal`) ? '&immutable=1' : ''}`;
}

/** https://www.sqlite.org/fileformat2.html#file_format_version_numbers */
function isWal(file: string): boolean {
  const head = Buffer.alloc(20);
  const handle = openSync(file, 'r');
  readSync(handle, head);
  closeSync(handle);
  return head[18] === 2;
}

const configuration = (filename: string, pragmas: string[]): Knex.Config => ({
  client: 'sqlite3',
  connection: { filename, ...(filename.startsWith('file:') && { flags: ['OPEN_URI'] }) },
  useNullAsDefault: true,
  pool: {
    min: 0,
    max: 1,
    afterCreate: (
      driver: { exec(sql: string, done: (error: Error | null) => void): void },
      done: (error: Error | null) => void,
    ) => driver.exec(pragmas.join(';'), done),
  },
});

const explained = (error: unknown) =>
  (error as { code?: string }).code?.startsWith('SQLITE_') ? storeError(error) : error;
