import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import createKnex from 'knex';
import sqlite3 from 'sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkDatabase, createRuntime, type Runtime, type RuntimeOptions } from '../../../src/index.ts';
import { presenceIn } from '../../../src/store/sqlite/server-address.ts';
import { counter } from '../../guarantees/machines.ts';

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

  it.each([
    ['table', 'inbox', 'CREATE TABLE inbox (id INTEGER PRIMARY KEY, letter TEXT)'],
    ['table', 'Dead_Letters', 'CREATE TABLE Dead_Letters (id INTEGER PRIMARY KEY)'],
    ['table', 'flow_states', 'CREATE TABLE flow_states (id INTEGER PRIMARY KEY)'],
    ['table', 'perdure_migrations', 'CREATE TABLE perdure_migrations (id INTEGER PRIMARY KEY)'],
    ['view', 'opt_outs', 'CREATE VIEW opt_outs AS SELECT 1 AS address'],
    ['index', 'flow_states_due', 'CREATE TABLE x (id); CREATE INDEX flow_states_due ON x (id)'],
  ])('a %s %s of the application: it is named, and nothing is changed', async (type, name, sql) => {
    const other = await program();
    await other.run(sql);
    await other.close();
    const before = readFileSync(file);
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    for (const database of [`sqlite:${file}`, knex]) {
      await expect(start({ database })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(`has a ${type} '${name}' that is not Perdure's.*Give Perdure a file of its own`),
      });
    }
    await knex.destroy();
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['study.db', 'study.db-lock']);
  });

  it.each(['study.db-wal', 'study.db-lock'])(
    'a file that cannot be written, for what stands in the place of %s',
    async (name) => {
      await (await start()).stop();
      rmSync(join(folder, name), { force: true });
      mkdirSync(join(folder, name));
      await expect(start()).rejects.toMatchObject({
        code: 'STORE_ERROR',
        reason: 'readonly',
        message: expect.stringContaining(`study.db`),
      });
      rmSync(join(folder, name), { recursive: true });
      await start();
    },
  );

  it('a file that may only be read', async () => {
    await (await start()).stop();
    const connection = { filename: `${pathToFileURL(file).href}?mode=ro`, flags: ['OPEN_URI'] };
    const knex = createKnex({ client: 'sqlite3', connection, useNullAsDefault: true, pool: { min: 1, max: 1 } });
    await knex.raw('PRAGMA query_only = ON');
    await expect(start({ database: knex })).rejects.toMatchObject({
      code: 'STORE_ERROR',
      reason: 'readonly',
      message: expect.stringContaining('must be writable'),
    });
    await knex.destroy();
  });

  it('a link into a folder without a file yet: one runs on it, and no other', async () => {
    mkdirSync(join(folder, 'volume'));
    symlinkSync(join(folder, 'volume', 'study.db'), file);
    await start();
    for (const path of [file, join(folder, 'volume', 'study.db')])
      await expect(start({ database: `sqlite:${path}` })).rejects.toMatchObject({ code: 'DATABASE_IN_USE' });
  });

  it('an empty file beside a log: neither a start nor a look deletes the log', async () => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    writeFileSync(file, '');
    writeFileSync(`${file}-wal`, 'frames');
    for (const database of [`sqlite:${file}`, knex])
      await expect(start({ database })).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'io' });
    await expect(presenceIn(file)).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'io' });
    await expect(checkDatabase({ database: `sqlite:${file}`, flows: [counter] })).rejects.toThrow('write-ahead log');
    expect(readFileSync(`${file}-wal`, 'utf8')).toBe('frames');
    await knex.destroy();
  });

  it('means the same file for as long as the process lives, wherever that works', async () => {
    const cwd = process.cwd();
    try {
      process.chdir(folder);
      mkdirSync('elsewhere');
      const knex = createKnex({
        client: 'sqlite3',
        connection: { filename: 'given.db' },
        useNullAsDefault: true,
        pool: { min: 0, max: 4 },
      });
      for (const [name, database] of [
        ['study.db', 'sqlite:study.db'],
        ['given.db', knex],
      ] as const) {
        process.chdir(folder);
        const runtime = createRuntime({ database, flows: [counter] });
        process.chdir('elsewhere');
        for (let life = 0; life < 2; life++) {
          await runtime.start();
          if (life === 0) await runtime.spawn(counter, 'p_1');
          const counts = await Promise.all(
            Array.from({ length: 6 }, () => runtime.knex('flow_states').count({ n: '*' })),
          );
          expect(counts).toEqual(Array(6).fill([{ n: 1 }]));
          await runtime.stop();
        }
        expect(readdirSync(folder)).toContain(name);
        expect(readdirSync('.')).toEqual([]);
      }
      await knex.destroy();
    } finally {
      process.chdir(cwd);
    }
  });
});
