import type { Knex } from 'knex';
import * as initial from '../../migrations/20261123_initial.ts';
import * as operations from '../../migrations/20261124_operations.ts';
import { NewerDatabaseError } from '../errors.ts';

const MIGRATIONS: Record<string, Knex.Migration> = {
  '20261123_initial': initial,
  '20261124_operations': operations,
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
 */
export async function migrate(knex: Knex): Promise<void> {
  if (await knex.schema.hasTable(TABLE)) {
    const applied: string[] = await knex(TABLE).pluck('name');
    const unknown = applied.filter((name) => !(name in MIGRATIONS));
    if (unknown.length > 0) {
      throw new NewerDatabaseError(
        `The database was written by a newer Perdure (it has the migration ${unknown.join(', ')}). Update perdure; nothing was changed.`,
      );
    }
    // This process holds the file's lock, so a migration lock in the table is left over from a process that died.
    await knex.migrate.forceFreeMigrationsLock({ tableName: TABLE, migrationSource: source });
  }
  await knex.migrate.latest({ tableName: TABLE, migrationSource: source });
}
