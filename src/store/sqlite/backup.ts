/**
 * Backs a database up while a server runs on it, or while none does. The copy is looked at before it gets its name: a file of
 * that name is whole, whenever the process dies. See docs/backup.md.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import createKnex from 'knex';
import { PerdureError, StoreError } from '../../errors.ts';
import { Connection, storeError } from './connection.ts';
import { Copy, isThere, removeDatabase, settle } from './copy.ts';
import { assertWhole, trueName } from './location.ts';

/** How a backup is made. */
export interface BackupOptions {
  /** Told while it lasts. */
  onProgress?: (progress: BackupProgress) => void;
}

/** How far a backup is: `done` of `total` pages are copied; then all are checked, which tells of no parts. */
export interface BackupProgress {
  step: 'copying' | 'checking';
  done: number;
  total: number;
}

/** What was backed up. */
export interface BackupReport {
  /** The absolute path of the copy. */
  file: string;
  bytes: number;
  tables: number;
  /** Of all tables. */
  rows: number;
  durationMs: number;
}

/**
 * Copies the database as it is at this instant. Resolves once the copy was checked (`PRAGMA integrity_check`, and as many rows in each
 * table), is on the disk, and has its name.
 * @param file the database
 * @param to where the copy is written; there must be no such file
 * @throws {InvalidArgumentError} there is a file `to`
 * @throws {StoreError} the database cannot be read, the copy cannot be written, or it is not sound; nothing is left of it
 */
export async function backup(file: string, to: string, { onProgress }: BackupOptions = {}): Promise<BackupReport> {
  const began = performance.now();
  const source = trueName(file);
  const target = resolve(to);
  assertWhole(source);
  assertFree(target);
  const unfinished = `${target}-unfinished-${randomUUID().slice(0, 8)}`;
  try {
    const copy = await Copy.open(source, `${pathToFileURL(source).href}?mode=ro`);
    let counts: Map<string, number>;
    let pages = 0;
    try {
      await copy.write(unfinished, (done, total) => {
        pages = total;
        onProgress?.({ step: 'copying', done, total });
      });
      onProgress?.({ step: 'checking', done: 0, total: pages });
      counts = await countRows((sql) => copy.all(sql));
    } finally {
      await copy.close();
    }
    await check(unfinished, counts);
    settle(unfinished, target);
    return {
      file: target,
      bytes: statSync(target).size,
      tables: counts.size,
      rows: [...counts.values()].reduce((sum, rows) => sum + rows, 0),
      durationMs: Math.round(performance.now() - began),
    };
  } catch (error) {
    throw error instanceof PerdureError ? error : refused(source, target, error);
  } finally {
    removeDatabase(unfinished);
  }
}

/** SQLite would take a log that lies there for the copy's own. */
function assertFree(target: string): void {
  if (existsSync(target)) throw isThere(target);
  for (const end of ['-wal', '-journal']) if (existsSync(target + end)) throw isThere(target + end);
}

function refused(source: string, target: string, cause: unknown): StoreError {
  const { reason } = storeError(cause);
  return new StoreError(
    reason === 'unknown' ? 'io' : reason,
    `The backup of ${source} to ${target} was not made: ${(cause as Error).message}. Its folder must be there and writable for this user, and that of the database as well: SQLite keeps ${source}-shm there.`,
    { cause },
  );
}

type Ask = <T>(sql: string) => Promise<T[]>;

/** How many rows each table has; one of an extension that is not there is left out. */
async function countRows(ask: Ask): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { name } of await ask<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
  )) {
    const [counted] = await ask<{ rows: number }>(`SELECT count(*) AS rows FROM "${name.replaceAll('"', '""')}"`).catch(
      () => [],
    );
    if (counted) counts.set(name, counted.rows);
  }
  return counts;
}

async function check(file: string, expected: ReadonlyMap<string, number>): Promise<void> {
  const knex = createKnex({
    client: 'sqlite3',
    connection: { filename: file },
    useNullAsDefault: true,
    pool: { min: 0, max: 1 },
  });
  try {
    await Connection.use(knex, async (connection) => {
      await connection.exec('PRAGMA journal_mode = DELETE'); // one file, and nothing beside it
      const ask: Ask = (sql) => connection.all(sql);
      const [first] = await ask<{ integrity_check: string }>('PRAGMA integrity_check(1)');
      if (first?.integrity_check !== 'ok') throw unsound(first?.integrity_check ?? 'it cannot be read');
      const counts = await countRows(ask);
      for (const [table, rows] of expected)
        if (counts.get(table) !== rows) throw unsound(`${table} has ${counts.get(table)} of ${rows} rows`);
    });
  } finally {
    await knex.destroy();
  }
}

const unsound = (reason: string) =>
  new StoreError(
    'corrupt',
    `The copy of the database is not sound, and was removed: ${reason}. Check the disk, and the database itself: PRAGMA integrity_check.`,
  );
