/**
 * Carries the write-ahead log over into the database file: soon after the last write, and every ten seconds while there are
 * more. So a plain copy of the file has everybody in it, and the log stays small where readers keep SQLite from starting it
 * anew. It does so on a connection of its own, which also keeps SQLite from deleting the log while all others are closed.
 *
 * Each time, a new stamp is written first. What is in the file afterwards has a stamp that no older copy has: a file that was
 * written over by a program other than SQLite (`cp backup.db study.db`) is told by it.
 */
import { randomUUID } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import sqlite3 from 'sqlite3';
import { storeError } from './connection.ts';

/** The longest time between two checkpoints while there are writes, in ms. */
const AT_MOST = 10_000;

export class Checkpoints {
  readonly #file: string;
  readonly #db: Connection;
  #stamp: string | undefined;
  /** How the log was at the last look, after the last stamp, and after the last checkpoint that was complete. */
  #seen = '';
  #stamped = '';
  #carried = '';
  /** How the file was after the last checkpoint that is known of. */
  #known: FileState;
  #last = 0;
  readonly #log: number | undefined;

  private constructor(file: string, db: Connection) {
    this.#file = file;
    this.#db = db;
    this.#known = statOf(file);
    this.#log = statOf(`${file}-wal`).ino;
  }

  static async open(file: string): Promise<Checkpoints> {
    const db = await Connection.open(file, sqlite3.OPEN_READWRITE);
    await db.all('SELECT 1 FROM sqlite_master LIMIT 1'); // opens the log
    return new Checkpoints(file, db);
  }

  /** Carries everything over now, as far as no reader is in the way. */
  async now(): Promise<void> {
    await this.#carry(true);
  }

  /** Looks at the log, and carries it over where it is time. */
  async look(): Promise<void> {
    const log = stateOf(`${this.#file}-wal`);
    const isIdle = log === this.#seen;
    this.#seen = log;
    if (log === this.#carried) return;
    if (isIdle || performance.now() - this.#last >= AT_MOST) await this.#carry(isIdle);
  }

  /** Whether the file is another one, or has changed since the last checkpoint that is known of. */
  get isUnsure(): boolean {
    const { ino, size, mtimeMs } = statOf(this.#file);
    const known = this.#known;
    return ino !== known.ino || size !== known.size || mtimeMs !== known.mtimeMs;
  }

  /** Whether the log is still the one that was opened. */
  get isLogHeld(): boolean {
    return statOf(`${this.#file}-wal`).ino === this.#log;
  }

  /**
   * Whether the file is the one that was written here. Reads it only where that is not sure.
   * @throws {StoreError} it cannot be read, as where another one is just being copied over it
   */
  async isOurs(): Promise<boolean> {
    if (this.#stamp === undefined || !this.isUnsure) return true;
    const state = statOf(this.#file);
    // A new connection has nothing in its cache.
    const db = await Connection.open(this.#file, sqlite3.OPEN_READONLY);
    try {
      const [row] = await db.all<{ value: string }>(READ);
      if (row?.value !== this.#stamp) return false;
      this.#known = state;
      return true;
    } finally {
      await db.close();
    }
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  async #carry(truncate: boolean): Promise<void> {
    if (stateOf(`${this.#file}-wal`) !== this.#stamped || this.#stamp === undefined) {
      const stamp = randomUUID();
      const written = await this.#db.all(WRITE, [stamp]).then(
        () => true,
        (error) => {
          if (storeError(error).reason === 'busy') return false;
          throw storeError(error);
        },
      );
      if (!written) return;
      this.#stamp = stamp;
      this.#stamped = stateOf(`${this.#file}-wal`);
    }
    this.#last = performance.now();
    const [passive] = await this.#db.all<Progress>('PRAGMA wal_checkpoint(PASSIVE)');
    // All is carried over, so that this one is brief: it holds up writers.
    if (truncate && passive!.log === passive!.checkpointed) {
      const [full] = await this.#db.all<Progress>('PRAGMA wal_checkpoint(TRUNCATE)');
      if (full!.busy === 0) this.#carried = this.#stamped = this.#seen = stateOf(`${this.#file}-wal`);
    }
    this.#known = statOf(this.#file);
  }
}

interface Progress {
  busy: number;
  log: number;
  checkpointed: number;
}

const WRITE = `INSERT OR REPLACE INTO runtime_settings (key, value) VALUES ('stamp', ?)`;
const READ = `SELECT value FROM runtime_settings WHERE key = 'stamp'`;

type FileState = Partial<Pick<Stats, 'ino' | 'size' | 'mtimeMs'>>;

const statOf = (path: string): FileState => statSync(path, { throwIfNoEntry: false }) ?? {};

function stateOf(path: string): string {
  const { ino, size, mtimeMs } = statOf(path);
  return `${ino} ${size} ${mtimeMs}`;
}

/** A connection of the driver, without a pool; it waits for no lock. */
class Connection {
  readonly #db: sqlite3.Database;

  private constructor(db: sqlite3.Database) {
    this.#db = db;
  }

  static open(file: string, mode: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const db = new sqlite3.Database(file, mode, (error) =>
        error ? reject(storeError(error)) : resolve(new Connection(db)),
      );
      db.configure('busyTimeout', 0);
    });
  }

  all<T>(sql: string, parameters: unknown[] = []): Promise<T[]> {
    return new Promise((resolve, reject) =>
      this.#db.all<T>(sql, parameters, (error, rows) => (error ? reject(storeError(error)) : resolve(rows))),
    );
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#db.close(() => resolve()));
  }
}
