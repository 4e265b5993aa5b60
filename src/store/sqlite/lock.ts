/**
 * One process per SQLite file. The lock is an open write transaction on a small database beside it (`FILE-lock`): the
 * operating system drops it with the process, however that dies, so there is no stale lock and no heartbeat. The owner's
 * pid is committed there first, for readers; since somebody may slip in between that commit and the lasting transaction,
 * the winner looks whether the pid is still its own.
 *
 * A lock file that is deleted or replaced excludes nobody any more. Its owner notices ({@link DatabaseLock.isHeld}) and takes
 * the file that is there now, or a new one ({@link DatabaseLock.retake}). If another process was faster, the lock is lost.
 */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import sqlite3 from 'sqlite3';
import { DatabaseInUseError, StoreError } from '../../errors.ts';
import { storeError } from './connection.ts';

const POLL = 200;
/** How long SQLite itself waits, in ms: long enough for another one's short transaction; the lasting one does not end. */
const BUSY = 100;

export class DatabaseLock {
  readonly #path: string;
  #file: LockFile;
  #inode: number | undefined;

  private constructor(path: string, file: LockFile) {
    this.#path = path;
    this.#file = file;
    this.#inode = inodeOf(path);
  }

  /**
   * Locks the database file for this process.
   * @param file its true name
   * @param wait how long to wait for another process to let go, in ms; 0 fails at once
   * @throws {DatabaseInUseError} naming the other process
   * @throws {StoreError} the lock file cannot be written
   */
  static async take(file: string, wait: number): Promise<DatabaseLock> {
    const path = `${file}-lock`;
    const lock = await LockFile.open(path);
    const until = Date.now() + wait;
    try {
      while (!(await lock.take())) {
        if (Date.now() >= until) throw inUse(file, await lock.owner());
        await delay(POLL);
      }
    } catch (error) {
      await lock.close();
      throw error;
    }
    return new DatabaseLock(path, lock);
  }

  /** Whether the file of this name is still the one that is locked. */
  get isHeld(): boolean {
    return inodeOf(this.#path) === this.#inode;
  }

  /**
   * Locks the file that is there now, if nobody has used it meanwhile.
   * @returns who else has used it; `undefined`: nobody, and the lock is held again
   */
  async retake(): Promise<{ pid: number | undefined } | undefined> {
    const lock = await LockFile.open(this.#path);
    const pid = await lock.owner();
    if (pid !== undefined || !(await lock.take())) {
      const owner = { pid: pid ?? (await lock.owner()) };
      await lock.close();
      return owner;
    }
    const former = this.#file;
    this.#file = lock;
    this.#inode = inodeOf(this.#path);
    await former.close();
    return undefined;
  }

  release(): Promise<void> {
    return this.#file.close();
  }
}

/** Which file has this name; `undefined`: none. */
export const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

const inUse = (file: string, pid: number | undefined) =>
  new DatabaseInUseError(
    `The database ${file} is in use by ${pid === undefined ? 'another process' : `the process with pid ${pid}`}. ` +
      'Stop that one first, let this one wait (option `lock: { wait }`, on the command line --wait), or use another file.',
    pid,
  );

class LockFile {
  readonly #db: sqlite3.Database;

  private constructor(db: sqlite3.Database) {
    this.#db = db;
  }

  static open(path: string): Promise<LockFile> {
    return new Promise((resolve, reject) => {
      const db = new sqlite3.Database(path, (error) =>
        error ? reject(unwritable(path, error)) : resolve(new LockFile(db)),
      );
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

function unwritable(path: string, cause: Error): StoreError {
  const error = storeError(cause);
  if (error.reason !== 'io') return error;
  return new StoreError(
    'readonly',
    `${path} cannot be written, which keeps a second process from the database. Make the folder ${dirname(path)} writable for this user, and let nothing else have that name.`,
    { cause },
  );
}
