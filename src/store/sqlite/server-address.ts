/**
 * What a database file tells from the outside, without opening it for writing: whether it is Perdure's, and where the
 * process that runs on it listens. That is kept in the file itself, with the process id, and not beside its lock: the lock
 * is a transaction that must not end while the process lives, so nothing can be committed there any more. Whether the
 * process still runs, the lock knows.
 */
import sqlite3 from 'sqlite3';
import { SERVER_SETTING, type Server } from '../rows.ts';
import { storeError } from './connection.ts';
import { assertWhole, trueName } from './location.ts';

/**
 * @returns who served the file last, if anybody did; `undefined` where the file is no database of Perdure's
 * @throws {StoreError} it cannot be read
 */
export async function presenceIn(file: string): Promise<{ server: Server | undefined } | undefined> {
  assertWhole(trueName(file));
  const db = await new Promise<sqlite3.Database>((resolve, reject) => {
    const opened = new sqlite3.Database(file, sqlite3.OPEN_READONLY, (error) =>
      error ? reject(storeError(error)) : resolve(opened),
    );
  });
  const one = <T>(sql: string, ...parameters: string[]) =>
    new Promise<T | undefined>((resolve, reject) =>
      db.get<T>(sql, parameters, (error, row) => (error ? reject(storeError(error)) : resolve(row))),
    );
  try {
    if (!(await one("SELECT 1 FROM sqlite_master WHERE name = 'runtime_settings'"))) return undefined;
    const row = await one<{ value: string }>('SELECT value FROM runtime_settings WHERE key = ?', SERVER_SETTING);
    return { server: row && JSON.parse(row.value) };
  } finally {
    await new Promise((resolve) => db.close(resolve));
  }
}
