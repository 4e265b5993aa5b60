import createKnex, { type Knex } from 'knex';
import * as initial from '../../../migrations/20261123_initial.ts';
import * as operations from '../../../migrations/20261124_operations.ts';
import * as recovery from '../../../migrations/20261124_recovery.ts';
import * as delivery from '../../../migrations/20261130_delivery.ts';
import { InvalidArgumentError, NewerDatabaseError } from '../../errors.ts';

const MIGRATIONS: Record<string, Knex.Migration> = {
  '20261123_initial': initial,
  '20261124_operations': operations,
  '20261124_recovery': recovery,
  '20261130_delivery': delivery,
};

const source: Knex.MigrationSource<string> = {
  getMigrations: async () => Object.keys(MIGRATIONS),
  getMigrationName: (name) => name,
  getMigration: async (name) => MIGRATIONS[name]!,
};

/** Perdure's own tables for Knex's records, so that they do not mix with the migrations of an application. */
const TABLE = 'perdure_migrations';

/**
 * Brings the schema up to date.
 * @throws {NewerDatabaseError} the database has migrations that this version does not know
 * @throws {InvalidArgumentError} it is a database of the system before, which has to be adopted first
 */
export async function migrate(knex: Knex): Promise<void> {
  const names = await assertRoom(knex);
  if (names?.length === Object.keys(MIGRATIONS).length) return;
  if (names) {
    // This process holds the file's lock, so a migration lock in the table is left over from a process that died.
    await knex.migrate.forceFreeMigrationsLock({ tableName: TABLE, migrationSource: source });
  }
  await knex.migrate.latest({ tableName: TABLE, migrationSource: source });
}

/**
 * Looks whether the schema can be brought up to date, before anything is changed.
 * @returns the migrations that the database has; `undefined` where it has none of ours
 * @throws {NewerDatabaseError} the database has migrations that this version does not know
 * @throws {InvalidArgumentError} something else in it has a name that we need, or it is a database of the system before
 */
export async function assertRoom(knex: Knex): Promise<string[] | undefined> {
  const names = await applied(knex);
  if (names?.length === Object.keys(MIGRATIONS).length) return names;
  if (!names?.length && (await knex.schema.hasColumn('flow_states', 'flow_type')))
    throw new InvalidArgumentError(
      'The file has a table flow_states that is not of Perdure. If it is a database of PromptPipe, adopt it first: perdure adopt FILE. Nothing was changed.',
    );
  const found: { type: string; name: string }[] = await knex('sqlite_master').select('type', 'name');
  if (found.length === 0) return names;
  const made = await namesAfter(names ?? []);
  const [clash] = found.filter(({ name }) => made.has(name.toLowerCase()));
  if (clash) throw nameTaken(clash);
  return names;
}

const nameTaken = ({ type, name }: { type: string; name: string }) =>
  new InvalidArgumentError(
    `The database has a ${type} '${name}' that is not Perdure's, and Perdure needs that name. Give Perdure a file of its own ` +
      `(database: 'sqlite:perdure.db'), or rename the ${type}. Nothing was changed.`,
  );

/** The names in lower case that the migrations give to tables and indexes, of which these have been made already. */
async function namesAfter(names: readonly string[]): Promise<Set<string>> {
  const knex = inMemory();
  try {
    const former =
      names.length === 0 ? [] : await schemaNames(knex, { ...source, getMigrations: async () => [...names] });
    const all = new Set(await schemaNames(knex, source));
    for (const name of former) all.delete(name);
    return all;
  } finally {
    await knex.destroy();
  }
}

async function schemaNames(knex: Knex, migrationSource: Knex.MigrationSource<string>): Promise<string[]> {
  await knex.migrate.latest({ tableName: TABLE, migrationSource });
  const names: string[] = await knex('sqlite_master').pluck('name');
  return names.filter((name) => !name.startsWith('sqlite_')).map((name) => name.toLowerCase());
}

const inMemory = () =>
  createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });

/** Makes our tables in a file that has none of them, as a part of a transaction that is under way. */
export async function migrateWithin(transaction: Knex.Transaction): Promise<void> {
  await transaction.migrate.latest({ tableName: TABLE, migrationSource: source, disableTransactions: true });
}

/** The names of all tables that are ours. */
export async function ownTables(): Promise<string[]> {
  const knex = inMemory();
  try {
    await migrate(knex);
    const tables: { name: string }[] = await knex('sqlite_master').where({ type: 'table' }).select('name');
    return tables.map(({ name }) => name).filter((name) => !name.startsWith('sqlite_'));
  } finally {
    await knex.destroy();
  }
}

/** Whether the file is ours: it has had at least one of our migrations. */
export const isMigrated = async (knex: Knex): Promise<boolean> =>
  (await knex.schema.hasTable(TABLE)) && (await knex(TABLE).first()) !== undefined;

/**
 * For those who only read.
 * @throws {InvalidArgumentError} the schema is not up to date
 * @throws {NewerDatabaseError} the database has migrations that this version does not know
 */
export async function assertMigrated(knex: Knex): Promise<void> {
  const names = await applied(knex);
  if (!names) throw new InvalidArgumentError("The file is no database of Perdure's. Nothing was changed.");
  if (names.length === Object.keys(MIGRATIONS).length) return;
  throw new InvalidArgumentError(
    'The database was written by an older Perdure. Start this version on it once, which brings its tables up to date.',
  );
}

/** The migrations that the database has; `undefined` where it is none of ours. */
async function applied(knex: Knex): Promise<string[] | undefined> {
  const found: { type: string } | undefined = await knex('sqlite_master').where({ name: TABLE }).first('type');
  if (!found) return undefined;
  if (!(await knex.schema.hasColumn(TABLE, 'batch'))) throw nameTaken({ ...found, name: TABLE });
  const names: string[] = await knex(TABLE).pluck('name');
  const unknown = names.filter((name) => !(name in MIGRATIONS));
  if (unknown.length === 0) return names;
  throw new NewerDatabaseError(
    `The database was written by a newer Perdure (it has the migration ${unknown.join(', ')}). Update perdure; nothing was changed.`,
  );
}
