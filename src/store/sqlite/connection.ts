/** One connection of Knex's pool, as the driver gives it: no query building on the hot path. */
import type { Knex } from 'knex';
import { StoreError } from '../../errors.ts';

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
    const driver = (await knex.client.acquireConnection().catch(rethrowUnreachable)) as Driver;
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

  /**
   * Runs a Knex query on this connection.
   * @throws {StoreError} the database refused it; the error shows none of the values that Knex puts into its messages
   */
  async query<T>(query: Knex.QueryBuilder<any, T> | Knex.Raw<T>): Promise<T> {
    try {
      return (await (query as Knex.QueryBuilder).connection(this.#driver as never)) as T;
    } catch (error) {
      throw isSqlite(error) ? storeError(error) : error;
    }
  }
}

/** Reasons of the driver's codes, with what to do about them. Those that are not here lie in the statement. */
const REASONS: [pattern: RegExp, reason: StoreError['reason'], advice: string][] = [
  [
    /^SQLITE_(BUSY|LOCKED|ABORT|INTERRUPT|PROTOCOL)/,
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
  [/^SQLITE_NOMEM/, 'io', 'There is no memory left. Give the process more of it.'],
  [
    /^SQLITE_(CANTOPEN|IOERR|INTERNAL|NOLFS)/,
    'io',
    'The database file cannot be opened or read. Check its path and the disk.',
  ],
  [/^SQLITE_CONSTRAINT/, 'constraint', 'A row of the same key exists already, or a value is not allowed.'],
];

/** Whether an error is the driver's own. */
export const isSqlite = (error: unknown) =>
  String((error as { code?: unknown } | undefined)?.code).startsWith('SQLITE_');

/**
 * The driver's error as a {@link StoreError} that says what to do. It has the statement's kind and SQLite's reason, and none
 * of the values: Knex puts them before the reason, so that all before it is left out.
 */
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code = '', message = String(error) } = error as { code?: string; message?: string };
  const begins = code === '' ? -1 : message.lastIndexOf(`${code}: `);
  const told = begins > 0 ? message.slice(begins) : message;
  const isClosed = /^SQLITE_MISUSE: Database .*closed/.test(told);
  const [, reason, advice] = isClosed
    ? [undefined, 'io' as const, 'The connection to the database is closed.']
    : (REASONS.find(([pattern]) => pattern.test(code)) ?? [undefined, 'unknown' as const, '']);
  const statement = begins > 0 ? ` ${statementOf(message) ?? ''}`.trimEnd() : '';
  const why = told.replace(/unrecognized token: .*/s, 'unrecognized token');
  return new StoreError(
    reason,
    `The database refused${statement}: ${why}. ${advice}`.trim(),
    told === message ? { cause: error } : {},
  );
}

/** The kind of a statement and its table, in words, from how Knex writes it. */
function statementOf(sql: string): string | undefined {
  const [, verb, table] = /^(insert into|update|delete from|select .*? from) `([^`]+)`/is.exec(sql) ?? [];
  if (verb === undefined) return undefined;
  const kind = verb.split(' ', 1)[0]!.toLowerCase();
  return kind === 'insert' ? `an insert into '${table}'` : `${/^u/.test(kind) ? 'an' : 'a'} ${kind} of '${table}'`;
}

/** No connection was to be had: no statement was at fault. */
function rethrowUnreachable(error: unknown): never {
  if (isSqlite(error)) throw storeError(error);
  throw new StoreError('timeout', `No connection to the database was to be had: ${(error as Error).message}`, {
    cause: error,
  });
}
