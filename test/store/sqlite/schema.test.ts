import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as initial from '../../../migrations/20261123_initial.ts';
import * as operations from '../../../migrations/20261124_operations.ts';
import * as recovery from '../../../migrations/20261124_recovery.ts';
import { createRuntime } from '../../../src/index.ts';
import { counter } from '../../guarantees/machines.ts';

/** What 0.1.0 made beside its migrations, and never wrote to. */
const LOGS = `CREATE TABLE receipts (id integer not null primary key autoincrement, recipient text not null, status text not null, time integer not null)`;

describe('a database of 0.1.0', () => {
  let knex: Knex;
  beforeEach(async () => {
    knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
    const migrations: Record<string, Knex.Migration> = {
      '20261123_initial': initial,
      '20261124_operations': operations,
      '20261124_recovery': recovery,
    };
    await knex.migrate.latest({
      tableName: 'perdure_migrations',
      migrationSource: {
        getMigrations: async () => Object.keys(migrations),
        getMigrationName: (name) => name as string,
        getMigration: async (name) => migrations[name as string]!,
      },
    });
    await knex.raw(LOGS);
  });
  afterEach(() => knex.destroy());
  const start = async () => {
    const runtime = createRuntime({ database: knex, flows: [counter] });
    await runtime.start();
    return runtime;
  };

  it('goes on by itself, beside tables of the application', async () => {
    await knex.raw("INSERT INTO receipts (recipient, status, time) VALUES ('a', 'paid', 1)");
    await knex.raw('CREATE TABLE users (name TEXT)');
    const runtime = await start();
    await runtime.spawn(counter, 'p_1');
    expect((await runtime.actor(counter, 'p_1').send({ type: 'inc' })).context.count).toBe(1);
    await runtime.stop();
    expect(await knex('receipts')).toHaveLength(1);
  });

  it('is refused before anything is changed, where a newer table, index or trigger has a name that is taken', async () => {
    const before = await knex('perdure_migrations');
    await knex.raw('CREATE TABLE inbox_last_id (x)');
    await knex.raw('CREATE INDEX outbox_waiting ON inbox_last_id (x)');
    await expect(start()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/has a (table 'inbox_last_id'|index 'outbox_waiting') that is not Perdure's/),
    });
    expect(await knex('perdure_migrations')).toEqual(before);
  });
});
