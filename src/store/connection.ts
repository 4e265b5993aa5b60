/** One connection of Knex's pool, as the driver gives it: no query building on the hot path. */
import type { Knex } from 'knex';
import { StoreError } from '../errors.ts';

interface Driver {
  run(sql: string, params: unknown[], done: (this: { changes: number }, error: Error | null) => void): void;
  exec(sql: string, done: (error: Error | null) => void): void;
  all(sql: string, params: unknown[], done: (error: Error | null, rows: unknown[]) => void): void;
}

export class Connection {
  readonly #driver: Driver;

  private constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** Runs `body` with a connection that nobody else uses meanwhile. */
  static async use<T>(knex: Knex, body: (connection: Connection) => Promise<T>): Promise<T> {
    const driver = (await knex.client.acquireConnection()) as Driver;
    try {
      return await body(new Connection(driver));
    } finally {
      await knex.client.releaseConnection(driver);
    }
  }

  /** The number of rows that the statement changed. */
  run(sql: string, params: unknown[] = []): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#driver.run(sql, params, function (error) {
        if (error) reject(storeError(error));
        else resolve(this.changes);
      });
    });
  }

  /** Runs several statements in one hop to the driver's thread; the first that fails ends it. */
  exec(sql: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#driver.exec(sql, (error) => (error ? reject(storeError(error)) : resolve()));
    });
  }

  all<T>(sql: string, params: unknown[] = []): Promise<T[]> {
    return new Promise((resolve, reject) => {
      this.#driver.all(sql, params, (error, rows) => (error ? reject(storeError(error)) : resolve(rows as T[])));
    });
  }

  /** Runs a Knex query on this connection. */
  async query<T>(query: Knex.QueryBuilder<any, T> | Knex.Raw<T>): Promise<T> {
    return (await (query as Knex.QueryBuilder).connection(this.#driver as never)) as T;
  }
}

const REASONS: [pattern: RegExp, reason: StoreError['reason'], advice: string][] = [
  [
    /^SQLITE_(BUSY|LOCKED)/,
    'busy',
    'Another program holds a lock on the database file. Close it, or wait and try again.',
  ],
  [/^SQLITE_FULL/, 'full', 'The disk is full. Free some space; nothing that was acknowledged is lost.'],
  [
    /^SQLITE_(READONLY|PERM|AUTH)/,
    'readonly',
    'The database cannot be written. Check the permissions of its file and folder.',
  ],
  [/^SQLITE_(CORRUPT|NOTADB)/, 'corrupt', 'The file is not a sound SQLite database. Restore it from a backup.'],
  [/^SQLITE_(CANTOPEN|IOERR)/, 'io', 'The database file cannot be opened or read. Check its path and the disk.'],
  [/^SQLITE_CONSTRAINT/, 'constraint', 'A row of the same key exists already, or a value is not allowed.'],
];

/** The driver's error as a {@link StoreError} that says what to do. */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  const [, reason, advice] = REASONS.find(([pattern]) => pattern.test(code)) ?? [undefined, 'unknown' as const, ''];
  return new StoreError(reason, `The database refused: ${message}. ${advice}`.trim(), { cause: error });
}
