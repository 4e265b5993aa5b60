/** Opens the database that a runtime is given: a SQLite file, memory, or a Knex instance that the application made. */
import { pathToFileURL } from 'node:url';
import createKnex, { type Knex } from 'knex';
import { type Duration, milliseconds } from '../../duration.ts';
import { InvalidArgumentError, StoreError } from '../../errors.ts';
import type { Store } from '../store.ts';
import { Connection, storeError } from './connection.ts';
import { FileWatch, type OnTrouble } from './file-watch.ts';
import { assertWhole, type DatabaseOption, filenameOf, MEMORY, trueName } from './location.ts';
import { DatabaseLock } from './lock.ts';
import { assertMigrated, assertRoom, migrate } from './schema.ts';
import { SqliteStore } from './store.ts';

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
  /** The store on the tables, once they are up to date. */
  store(): Promise<Store>;
  /** The true name of its file; none where it was opened for reading, or in memory. */
  file?: string | undefined;
  /** Watches that file. */
  watch?: FileWatch | undefined;
  close(): Promise<void>;
}

/**
 * Opens and locks the database. Where it is refused, nothing in it was changed.
 * @param onTrouble told when the file is not the one any more that was opened
 * @throws {DatabaseInUseError} another process runs on this file
 * @throws {StoreError} it cannot be opened or written
 * @throws {NewerDatabaseError} it was written by a newer Perdure
 * @throws {InvalidArgumentError} something else in it has a name that we need
 */
export async function openDatabase(
  option: DatabaseOption,
  sqlite: SqliteOptions,
  wait: Duration,
  onTrouble: OnTrouble = () => {},
): Promise<OpenDatabase> {
  const given = typeof option !== 'string';
  const pragmas = pragmaStatements(sqlite);
  let file = given ? undefined : fileIn(option);
  let knex: Knex | undefined;
  let lock: DatabaseLock | undefined;
  let watch: FileWatch | undefined;
  const close = async () => {
    await watch?.stop();
    try {
      if (!given) await knex?.destroy();
    } finally {
      await lock?.release();
    }
  };
  try {
    if (given) {
      knex = option;
      assertSqlite(knex);
      file = await fileOf(knex);
    }
    if (file !== undefined) {
      lock = await DatabaseLock.take(file, milliseconds(wait));
      assertWhole(file);
    }
    knex ??= createKnex(configuration({ filename: file ?? MEMORY }, pragmas));
    if (given) await Connection.use(knex, (connection) => connection.exec(pragmas.join(';')));
    await assertRoom(knex);
    if (file !== undefined && lock) {
      await Connection.use(knex, makeWritable);
      watch = await FileWatch.open(file, lock, onTrouble);
    }
  } catch (error) {
    await close();
    throw file === undefined ? explained(error) : unwritable(explained(error), file);
  }
  const open = knex;
  const upToDate = async () => {
    await migrate(open).catch(rethrow);
    await watch?.start();
  };
  return { knex: open, migrate: upToDate, store: () => SqliteStore.open(open, watch), file, watch, close };
}

/** Opens a database that another process may run on, and changes nothing in it. */
export async function openDatabaseForReading(option: DatabaseOption, sqlite: SqliteOptions): Promise<OpenDatabase> {
  const given = typeof option !== 'string';
  const [patience] = pragmaStatements(sqlite);
  const file = given ? undefined : fileIn(option);
  if (file !== undefined) assertWhole(file);
  // Knex adds flags to those for writing, so that only a URI can take them away.
  const connection =
    file === undefined
      ? { filename: MEMORY }
      : { filename: `${pathToFileURL(file).href}?mode=ro`, flags: ['OPEN_URI'] };
  const knex = given ? option : createKnex(configuration(connection, [patience!, 'PRAGMA query_only = ON']));
  assertSqlite(knex);
  const close = async () => {
    if (!given) await knex.destroy();
  };
  const upToDate = () => assertMigrated(knex).catch((error) => rethrow(unreadable(error)));
  return { knex, migrate: upToDate, store: () => SqliteStore.open(knex), close };
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

/**
 * Sets the file to a write-ahead log, and writes to it what is there already: a file, folder or file system that is
 * read-only shows at the start, and not at somebody's first message.
 */
async function makeWritable(connection: Connection): Promise<void> {
  await connection.all('PRAGMA journal_mode = WAL');
  const [version] = await connection.all<{ user_version: number }>('PRAGMA user_version');
  await connection.run(`PRAGMA user_version = ${version!.user_version}`);
}

function unwritable(error: unknown, file: string): unknown {
  if (!(error instanceof StoreError) || !error.cause || !['readonly', 'io'].includes(error.reason)) return error;
  return new StoreError(
    'readonly',
    `The database ${file} cannot be written (${(error.cause as Error).message}). The file and its folder must be writable for this ` +
      `user, and nothing else may stand in the place of ${file}-wal and ${file}-shm, which SQLite keeps beside it.`,
    { cause: error.cause },
  );
}

const explained = (error: unknown) =>
  (error as { code?: string }).code?.startsWith('SQLITE_') ? storeError(error) : error;

const rethrow = (error: unknown) => {
  throw explained(error);
};

/** So long a statement waits for a connection, in ms, where all of them are taken. */
const CONNECTION_TIMEOUT = 10_000;

const configuration = (connection: Knex.Sqlite3ConnectionConfig, pragmas: string[]): Knex.Config => ({
  client: 'sqlite3',
  connection,
  useNullAsDefault: true,
  // Knex would put the values into its errors, which are logged.
  compileSqlOnError: false,
  acquireConnectionTimeout: CONNECTION_TIMEOUT,
  pool: {
    min: 1,
    // Each connection to ':memory:' is a database of its own. On a file, readers do not wait for the writer (WAL).
    max: connection.filename === MEMORY ? 1 : 4,
    afterCreate: (
      driver: { exec(sql: string, done: (error: Error | null) => void): void },
      done: (error: Error | null) => void,
    ) => driver.exec(pragmas.join(';'), done),
  },
});

const pragmaStatements = ({ synchronous = 'FULL', busyTimeout = '5s' }: SqliteOptions) => [
  // SQLite takes what is beyond 32 bits for no time at all.
  `PRAGMA busy_timeout = ${Math.min(Math.ceil(milliseconds(busyTimeout)), 2 ** 31 - 1)}`,
  `PRAGMA synchronous = ${synchronous}`,
  'PRAGMA foreign_keys = ON',
  'PRAGMA temp_store = MEMORY',
  'PRAGMA cache_size = -65536',
  // Larger than the default of 1000 pages: fewer checkpoints, each over pages that changed many times.
  'PRAGMA wal_autocheckpoint = 10000',
];

function assertSqlite(knex: Knex): void {
  const { dialect, driverName } = knex.client as { dialect: string; driverName: string };
  if (dialect === 'sqlite3' && driverName === 'sqlite3') return;
  throw new InvalidArgumentError(
    `The given Knex instance uses ${driverName}. Perdure runs on the sqlite3 driver: knex({ client: 'sqlite3', … }).`,
  );
}

/** The true name of the file in `'sqlite:FILE'`; `undefined`: memory. */
function fileIn(option: string): string | undefined {
  const filename = filenameOf(option);
  return filename === MEMORY ? undefined : trueName(filename);
}

/** The true name of the file that the instance is on, as SQLite knows it; `undefined`: memory. Opens it, and reads nothing. */
async function fileOf(knex: Knex): Promise<string | undefined> {
  const databases = await Connection.use(knex, (connection) =>
    connection.all<{ name: string; file: string | undefined }>('PRAGMA database_list'),
  );
  const file = databases.find(({ name }) => name === 'main')?.file;
  return file ? trueName(file) : undefined;
}
