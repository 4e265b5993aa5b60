/**
 * Copies a SQLite database, as it is at one instant, while others write to it. SQLite's own backup begins anew with each write of
 * another connection; within a transaction that has read, it stays at the instant of that, and goes on step by step.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import sqlite3 from 'sqlite3';
import { InvalidArgumentError } from '../../errors.ts';

/** So many pages are copied at a time: some 10 MB. */
const STEP = 2_500;

/** How many pages of how many are copied. */
export type OnPages = (done: number, total: number) => void;

/** A database as it is when it is opened here. */
export class Copy {
  readonly #file: string;
  readonly #db: sqlite3.Database;

  private constructor(file: string, db: sqlite3.Database) {
    this.#file = file;
    this.#db = db;
  }

  /** @param uri the file as SQLite is to open it: it is only read */
  static async open(file: string, uri: string): Promise<Copy> {
    const flags = sqlite3.OPEN_READONLY | sqlite3.OPEN_URI;
    const db = await new Promise<sqlite3.Database>((resolve, reject) => {
      const opened = new sqlite3.Database(uri, flags, (error) => (error ? reject(error) : resolve(opened)));
    });
    const copy = new Copy(file, db);
    try {
      await copy.all('BEGIN');
      await copy.all('SELECT 1 FROM sqlite_master LIMIT 1');
      return copy;
    } catch (error) {
      await copy.close();
      throw error;
    }
  }

  /** Reads what is copied. */
  all<T>(sql: string): Promise<T[]> {
    return new Promise((resolve, reject) =>
      this.#db.all<T>(sql, (error, rows) => (error ? reject(error) : resolve(rows))),
    );
  }

  /** Writes the copy to a file, which is for nobody's eyes but those that may see the original. */
  async write(target: string, onPages: OnPages = () => {}): Promise<void> {
    removeDatabase(target);
    writeFileSync(target, '', { mode: 0o600 });
    // We have to write it, though the original may be read-only.
    chmodSync(target, (statSync(this.#file).mode & 0o777) | 0o600);
    const backup = await new Promise<Backup>((resolve, reject) => {
      const begun = (this.#db as unknown as Backups).backup(target, (error) =>
        error ? reject(error) : resolve(begun),
      );
    });
    try {
      while (!backup.completed) {
        await new Promise<void>((resolve, reject) => backup.step(STEP, (error) => (error ? reject(error) : resolve())));
        onPages(backup.pageCount - backup.remaining, backup.pageCount);
      }
    } finally {
      await new Promise<void>((resolve) => backup.finish(resolve));
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#db.close(() => resolve()));
  }
}

/** Not among the driver's types. */
interface Backups {
  backup(file: string, done: (error: Error | null) => void): Backup;
}
interface Backup {
  readonly completed: boolean;
  readonly remaining: number;
  readonly pageCount: number;
  step(pages: number, done: (error: Error | null) => void): void;
  finish(done: () => void): void;
}

/**
 * Gives a finished file its name, durably.
 * @throws {InvalidArgumentError} there is a file of that name
 */
export function settle(unfinished: string, name: string): void {
  sync(unfinished);
  try {
    linkSync(unfinished, name);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'EEXIST' || existsSync(name)) throw isThere(name);
    renameSync(unfinished, name); // a file system without links
  }
  rmSync(unfinished, { force: true });
  sync(dirname(name));
}

export const isThere = (name: string) =>
  new InvalidArgumentError(`${name} is there already, and is not written over. Name a file that is not.`);

function sync(path: string): void {
  const handle = openSync(path, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

/** Removes a database that nobody has open, with what SQLite keeps beside it. */
export function removeDatabase(file: string): void {
  for (const end of ['', '-journal', '-wal', '-shm']) rmSync(file + end, { force: true });
}
