import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex from 'knex';
import sqlite3 from 'sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import { counter } from '../guarantees/machines.ts';

describe('a database that cannot be used is refused with a clear, typed error', () => {
  let folder: string;
  let file: string;
  let runtimes: Runtime[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    file = join(folder, 'study.db');
  });
  afterEach(async () => {
    for (const runtime of runtimes) await runtime.stop();
    runtimes = [];
    rmSync(folder, { recursive: true });
  });

  const start = async (options: Partial<RuntimeOptions> = {}) => {
    const runtime = createRuntime({
      database: `sqlite:${file}`,
      flows: [counter],
      transport: { send() {} },
      ...options,
    });
    runtimes.push(runtime);
    await runtime.start();
    return runtime;
  };
  /** Another program on the same file. */
  const program = async () => {
    const db = new sqlite3.Database(file);
    const run = (sql: string) =>
      new Promise<void>((resolve, reject) => db.exec(sql, (error) => (error ? reject(error) : resolve())));
    return { run, close: () => new Promise((resolve) => db.close(resolve)) };
  };

  it('a file that another runtime holds: names its pid, and the first goes on', async () => {
    const first = await start();
    symlinkSync(file, join(folder, 'link.db'));
    for (const database of [`sqlite:${file}`, `sqlite:${join(folder, 'link.db')}`]) {
      await expect(start({ database })).rejects.toMatchObject({
        code: 'DATABASE_IN_USE',
        pid: process.pid,
        message: expect.stringContaining(`pid ${process.pid}`),
      });
    }
    await first.spawn(counter, 'p_1');
  });

  it('or waits for it, where it is told to', async () => {
    const first = await start();
    await first.spawn(counter, 'p_1');
    const second = start({ lock: { wait: '30s' } });
    await new Promise((resolve) => setImmediate(resolve));
    await first.stop();
    expect((await (await second).actor(counter, 'p_1').send({ type: 'inc' })).context.count).toBe(1);
  });

  it('a file that another program has locked: nothing is lost, and it works once that lets go', async () => {
    const runtime = await start({ sqlite: { busyTimeout: 50 } });
    const actor = await runtime.spawn(counter, 'p_1');
    const other = await program();
    await other.run('BEGIN IMMEDIATE');
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'busy' });
    expect((await actor.getSnapshot()).context.count).toBe(0);
    await other.run('COMMIT');
    expect((await actor.send({ type: 'inc' })).context.count).toBe(1);
    await other.close();
  });

  it('a disk that is full: nothing is lost, and it works once there is space', async () => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    const runtime = await start({ database: knex });
    const actor = await runtime.spawn(counter, 'p_1', { phoneNumber: '+15551234567' });
    const [{ page_count: pages }] = await knex.raw('PRAGMA page_count');
    await knex.raw(`PRAGMA max_page_count = ${pages}`);
    const note = () => actor.send({ type: 'note', text: 'x'.repeat(100_000) });
    await expect(note()).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'full' });
    expect((await actor.getSnapshot()).context.log).toEqual([]);
    await knex.raw('PRAGMA max_page_count = 1000000');
    expect((await note()).context.log).toHaveLength(1);
    await runtime.stop();
    await knex.destroy();
  });

  it('a database that is read-only', async () => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    const runtime = await start({ database: knex });
    const actor = await runtime.spawn(counter, 'p_1');
    await knex.raw('PRAGMA query_only = ON');
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({
      code: 'STORE_ERROR',
      reason: 'readonly',
      message: expect.stringContaining('Check the permissions'),
    });
    expect((await actor.getSnapshot()).context.count).toBe(0);
    await knex.raw('PRAGMA query_only = OFF');
    expect((await actor.send({ type: 'inc' })).context.count).toBe(1);
    await runtime.stop();
    await knex.destroy();
  });

  it('a file that is no database, and a folder that is not there', async () => {
    writeFileSync(file, 'This is a letter, and a rather long one, but no database at all.'.repeat(100));
    await expect(start()).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'corrupt' });
    await expect(start({ database: `sqlite:${join(folder, 'no', 'study.db')}` })).rejects.toMatchObject({
      code: 'STORE_ERROR',
      reason: 'io',
    });
    await expect(start({ database: `sqlite:${folder}` })).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'io' });
  });

  it('a database of a newer Perdure: nothing is changed', async () => {
    await (await start()).stop();
    const other = await program();
    await other.run("INSERT INTO perdure_migrations (name, batch) VALUES ('29990101_telepathy', 2)");
    await other.close();
    await expect(start()).rejects.toMatchObject({
      code: 'NEWER_DATABASE',
      message: expect.stringContaining('29990101_telepathy'),
    });
  });

  it('a name that is not understood, and a driver that is not supported', async () => {
    await expect(start({ database: 'study.db' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const other = 'pg';
    const knex = createKnex({ client: other });
    await expect(start({ database: knex })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('survives a migration that was cut off: the lock of a dead process is taken over', async () => {
    await (await start()).stop();
    const other = await program();
    await other.run('UPDATE perdure_migrations_lock SET is_locked = 1');
    await other.close();
    await start();
  });

  it('lives beside the tables and migrations of the application', async () => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    await knex.schema.createTable('knex_migrations', (table) => void table.text('name'));
    await knex.schema.createTable('users', (table) => void table.text('name'));
    await knex('users').insert({ name: 'Ada' });
    const runtime = await start({ database: knex });
    await runtime.spawn(counter, 'p_1');
    await runtime.stop();
    expect(await knex('users').pluck('name')).toEqual(['Ada']); // and the instance is still the application's
    expect(await knex('knex_migrations')).toEqual([]);
    await knex.destroy();
  });
});
