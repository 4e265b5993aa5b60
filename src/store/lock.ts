/**
 * One process per SQLite file. The lock is an open write transaction on a small database beside it (`FILE-lock`): the
 * operating system drops it with the process, however that dies, so there is no stale lock and no heartbeat. The owner's
 * pid is committed there first, for readers; since somebody may slip in between that commit and the lasting transaction,
 * the winner looks whether the pid is still its own.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import sqlite3 from 'sqlite3';
import { DatabaseInUseError, StoreError } from '../errors.ts';
import { storeError } from './connection.ts';

const POLL = 200;
/** How long SQLite itself waits, in ms: long enough for another one's short transaction; the lasting one does not end. */
const BUSY = 100;

/**
 * Locks the database file for this process.
 * @param wait how long to wait for another process to let go, in ms; 0 fails at once
 * @returns what lets go of it
 * @throws {DatabaseInUseError} naming the other process
 */
export async function lockDatabase(file: string, wait: number): Promise<() => Promise<void>> {
  const lock = await LockFile.open(`${trueName(file)}-lock`);
  const until = Date.now() + wait;
  try {
    while (!(await lock.take())) {
      if (Date.now() >= until) throw await inUse(file, lock);
      await delay(POLL);
    }
  } catch (error) {
    await lock.close();
    throw error;
  }
  return () => lock.close();
}

/** One name for one file, by whatever links it was reached. */
function trueName(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    try {
      return join(realpathSync(dirname(file)), basename(file)); // it is not there yet
    } catch (cause) {
      throw new StoreError('io', `The folder of the database ${file} cannot be opened. Create it, or check the path.`, {
        cause,
      });
    }
  }
}

async function inUse(file: string, lock: LockFile): Promise<DatabaseInUseError> {
  const pid = await lock.owner();
  return new DatabaseInUseError(
    `The database ${file} is in use by ${pid === undefined ? 'another process' : `the process with pid ${pid}`}. ` +
      'Stop that one first, let this one wait (option `lock: { wait }`, on the command line --wait), or use another file.',
    pid,
  );
}

class LockFile {
  readonly #db: sqlite3.Database;

  private constructor(db: sqlite3.Database) {
    this.#db = db;
  }

  static open(path: string): Promise<LockFile> {
    return new Promise((resolve, reject) => {
      const db = new sqlite3.Database(path, (error) => (error ? reject(storeError(error)) : resolve(new LockFile(db))));
      db.configure('busyTimeout', BUSY);
    });
  }

  /** Whether the lock is ours now. */
  async take(): Promise<boolean> {
    try {
      await this.#run('BEGIN IMMEDIATE');
      await this.#run('CREATE TABLE IF NOT EXISTS owner (pid INTEGER NOT NULL)');
      await this.#run('DELETE FROM owner');
      await this.#run(`INSERT INTO owner VALUES (${process.pid})`);
      await this.#run('COMMIT');
      await this.#run('BEGIN IMMEDIATE');
      if ((await this.owner()) === process.pid) return true;
      await this.#run('ROLLBACK');
      return false;
    } catch (error) {
      if (storeError(error).reason !== 'busy') throw storeError(error);
      await this.#run('ROLLBACK').catch(() => {});
      return false;
    }
  }

  owner(): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.#db.get<{ pid: number }>('SELECT pid FROM owner', (error, row) => resolve(error ? undefined : row?.pid));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#db.close(() => resolve()));
  }

  #run(sql: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#db.run(sql, (error: Error | null) => (error ? reject(error) : resolve())),
    );
  }
}
