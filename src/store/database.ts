/** Opens the database that a runtime is given: a SQLite file, memory, or a Knex instance that the application made. */
import { pathToFileURL } from 'node:url';
import createKnex, { type Knex } from 'knex';
import { type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError, StoreError } from '../errors.ts';
import { Connection, storeError } from './connection.ts';
import { lockDatabase } from './lock.ts';
import { assertMigrated, migrate } from './migrate.ts';

/** `'sqlite:FILE'`, `':memory:'`, or a Knex instance on the `sqlite3` driver. */
export type DatabaseOption = string | Knex;

export interface SqliteOptions {
  /** SQLite's `synchronous`. `FULL` (default) survives a power cut; `NORMAL` may lose the last commits in one. */
  synchronous?: 'FULL' | 'NORMAL';
  /** How long a statement waits for another program's lock. Default: 5 s. */
  busyTimeout?: Duration;
}

export interface OpenDatabase {
  knex: Knex;
  /**
   * Brings the tables up to date; one that was opened for reading only looks.
   * @throws {NewerDatabaseError} it was written by a newer Perdure
   * @throws {InvalidArgumentError} (for reading) it is no database of Perdure's, or has not seen this version
   */
  migrate(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens and locks the database.
 * @throws {DatabaseInUseError} another process runs on this file
 * @throws {StoreError} it cannot be opened or written
 */
export async function openDatabase(
  option: DatabaseOption,
  sqlite: SqliteOptions,
  wait: Duration,
): Promise<OpenDatabase> {
  const given = typeof option !== 'string';
  const pragmas = pragmaStatements(sqlite);
  const knex = given ? option : createKnex(configuration(option, pragmas));
  assertSqlite(knex);
  const file = fileOf(knex);
  let unlock: (() => Promise<void>) | undefined;
  const close = async () => {
    if (!given) await knex.destroy();
    await unlock?.();
  };
  try {
    unlock = file === undefined ? undefined : await lockDatabase(file, milliseconds(wait));
    if (given) await Connection.use(knex, (connection) => runAll(connection, pragmas));
  } catch (error) {
    await close();
    throw explained(error);
  }
  return { knex, migrate: () => migrate(knex).catch(rethrow), close };
}

/** Opens a database that another process may run on, and changes nothing in it. */
export async function openDatabaseForReading(option: DatabaseOption, sqlite: SqliteOptions): Promise<OpenDatabase> {
  const given = typeof option !== 'string';
  const [patience] = pragmaStatements(sqlite);
  const knex = given ? option : createKnex(configuration(option, [patience!, 'PRAGMA query_only = ON'], true));
  assertSqlite(knex);
  const close = async () => {
    if (!given) await knex.destroy();
  };
  return { knex, migrate: () => assertMigrated(knex).catch((error) => rethrow(unreadable(error))), close };
}

/** To read beside a writer, SQLite needs files of its own there. */
function unreadable(error: unknown): unknown {
  const { reason } = explained(error) as Partial<StoreError>;
  if (reason !== 'readonly') return error;
  return new StoreError(
    reason,
    'SQLite cannot read the database without writing to its folder, where it keeps FILE-shm and FILE-wal. Make the folder writable for this user, or copy FILE and FILE-wal into one that is, and look at the copy.',
    { cause: error },
  );
}

const explained = (error: unknown) =>
  (error as { code?: string }).code?.startsWith('SQLITE_') ? storeError(error) : error;

const rethrow = (error: unknown) => {
  throw explained(error);
};

function configuration(option: string, pragmas: string[], reading = false): Knex.Config {
  const filename = option === ':memory:' ? option : /^sqlite:(.+)$/.exec(option)?.[1];
  if (!filename) {
    throw new InvalidArgumentError(
      `database: '${option}' is not understood. Write 'sqlite:study.db', ':memory:', or give a Knex instance.`,
    );
  }
  return {
    client: 'sqlite3',
    // Knex adds flags to those for writing, so that only a URI can take them away.
    connection: reading ? { filename: `${pathToFileURL(filename).href}?mode=ro`, flags: ['OPEN_URI'] } : { filename },
    useNullAsDefault: true,
    pool: {
      min: 1,
      // Each connection to ':memory:' is a database of its own. On a file, readers do not wait for the writer (WAL).
      max: filename === ':memory:' ? 1 : 4,
      afterCreate: (
        driver: { exec(sql: string, done: (error: Error | null) => void): void },
        done: (error: Error | null) => void,
      ) => driver.exec(pragmas.join(';'), done),
    },
  };
}

const pragmaStatements = ({ synchronous = 'FULL', busyTimeout = '5s' }: SqliteOptions) => [
  `PRAGMA busy_timeout = ${milliseconds(busyTimeout)}`,
  'PRAGMA journal_mode = WAL',
  `PRAGMA synchronous = ${synchronous}`,
  'PRAGMA foreign_keys = ON',
  'PRAGMA temp_store = MEMORY',
  'PRAGMA cache_size = -65536',
  // Larger than the default of 1000 pages: fewer checkpoints, each over pages that changed many times.
  'PRAGMA wal_autocheckpoint = 10000',
];

async function runAll(connection: Connection, statements: string[]): Promise<void> {
  for (const statement of statements) await connection.all(statement);
}

function assertSqlite(knex: Knex): void {
  const { dialect, driverName } = knex.client as { dialect: string; driverName: string };
  if (dialect === 'sqlite3' && driverName === 'sqlite3') return;
  throw new InvalidArgumentError(
    `The given Knex instance uses ${driverName}. Perdure runs on the sqlite3 driver: knex({ client: 'sqlite3', … }).`,
  );
}

function fileOf(knex: Knex): string | undefined {
  const { filename } = knex.client.connectionSettings as { filename: string };
  return filename === ':memory:' || filename === '' ? undefined : filename;
}
