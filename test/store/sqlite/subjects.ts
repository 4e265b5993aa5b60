/** Stores of SQLite for the conformance suite. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex from 'knex';
import { migrate } from '../../../src/store/sqlite/schema.ts';
import { SqliteStore } from '../../../src/store/sqlite/store.ts';
import { databaseInMemory } from '../../engine/engines.ts';
import type { Subject } from '../conformance.ts';

/** Runs `body` with a store in memory. */
export async function inMemory(body: (subject: Subject) => Promise<void>): Promise<void> {
  const knex = await databaseInMemory();
  try {
    await body({ store: await SqliteStore.open(knex), another: () => SqliteStore.open(knex) });
  } finally {
    await knex.destroy();
  }
}

/** Runs `body` with a store on a file, on which each other one has connections of its own. */
export async function onFile(body: (subject: Subject) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-conformance-'));
  const connect = () =>
    createKnex({ client: 'sqlite3', connection: { filename: join(folder, 'p.db') }, useNullAsDefault: true });
  const all = [connect()];
  try {
    await migrate(all[0]!);
    const another = async () => {
      const knex = connect();
      all.push(knex);
      return SqliteStore.open(knex);
    };
    await body({ store: await SqliteStore.open(all[0]!), another });
  } finally {
    for (const knex of all) await knex.destroy();
    rmSync(folder, { recursive: true });
  }
}
