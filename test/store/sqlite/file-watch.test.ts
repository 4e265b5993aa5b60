import { copyFileSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite3 from 'sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRuntime, type Runtime } from '../../../src/index.ts';
import { type OpenDatabase, openDatabase } from '../../../src/store/sqlite/open.ts';
import { counter } from '../../guarantees/machines.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'perdure-')));
  file = join(folder, 'study.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

const counted = (path: string) =>
  new Promise<number>((resolve, reject) => {
    const db = new sqlite3.Database(path, sqlite3.OPEN_READONLY);
    db.get<{ n: number }>('SELECT count(*) AS n FROM flow_states', (error, row) =>
      db.close(() => (error ? reject(error) : resolve(row.n))),
    );
  });

describe('a runtime whose file is not the one any more that it opened', () => {
  let runtime: Runtime;
  beforeEach(async () => {
    runtime = createRuntime({ database: `sqlite:${file}`, flows: [counter] });
    await runtime.start();
    await runtime.spawn(counter, 'p_1');
  });
  afterEach(() => runtime.stop());
  const send = () => runtime.actor(counter, 'p_1').send({ type: 'inc' });
  const refused = (message: string) =>
    expect(send()).rejects.toMatchObject({
      code: 'STORE_ERROR',
      reason: 'io',
      message: expect.stringContaining(message),
    });

  it('was renamed: acknowledges nothing, says so, and goes on once it is back', async () => {
    await send();
    renameSync(file, join(folder, 'moved.db'));
    await refused(`${file} was removed or renamed`);
    expect(runtime.health()).toMatchObject({
      health: 'degraded',
      troubles: { 'database file': expect.stringContaining('(mv)') },
    });
    renameSync(join(folder, 'moved.db'), file);
    expect((await send()).context.count).toBe(2);
    await vi.waitFor(() => expect(runtime.health().health).toBe('healthy'));
  });

  it('was removed: is known also where nothing is written', async () => {
    rmSync(file);
    await vi.waitFor(() => expect(runtime.health().health).toBe('degraded'), 5_000);
    await refused('restore a backup');
  });

  it('was replaced by another', async () => {
    writeFileSync(join(folder, 'other.db'), '');
    renameSync(join(folder, 'other.db'), file);
    await refused('was replaced by another file');
  });

  it.each(['-wal', '-shm'])('has lost its %s: what was acknowledged is there after a stop', async (end) => {
    await send();
    rmSync(file + end);
    if (end === '-shm') await vi.waitFor(() => expect(runtime.health().health).toBe('degraded'), 5_000);
    await refused(`${file}${end} was removed or renamed`);
    await runtime.stop();
    await runtime.start();
    expect((await runtime.actor(counter, 'p_1').getSnapshot()).context.count).toBeGreaterThanOrEqual(1);
    await send();
  });

  it('has lost its lock: takes it anew, so that nobody notices, and a second process is refused', async () => {
    rmSync(`${file}-lock`);
    expect((await send()).context.count).toBe(1);
    expect(runtime.health().health).toBe('healthy');
    await expect(createRuntime({ database: `sqlite:${file}`, flows: [counter] }).start()).rejects.toMatchObject({
      code: 'DATABASE_IN_USE',
    });
  });

  it('has lost its lock to another: acknowledges nothing any more, also once that has gone', async () => {
    const other = createRuntime({ database: `sqlite:${join(folder, 'other.db')}`, flows: [counter] });
    await other.start();
    renameSync(join(folder, 'other.db-lock'), `${file}-lock`);
    await refused(`the process with pid ${process.pid} has taken it`);
    await other.stop();
    await refused('has taken it');
    await runtime.stop();
    await runtime.start();
    expect((await send()).context.count).toBe(1);
  });

  it('was written over in place', async () => {
    await runtime.stop();
    copyFileSync(file, join(folder, 'backup.db'));
    await runtime.start();
    await send();
    copyFileSync(join(folder, 'backup.db'), file);
    await refused('was written over');
    expect(runtime.health()).toMatchObject({ health: 'degraded' });
  });
});

describe('the write-ahead log', () => {
  let database: OpenDatabase;
  beforeEach(async () => {
    database = await openDatabase(`sqlite:${file}`, {}, 0);
    await database.migrate();
  });
  afterEach(() => database.close());
  const copy = () => {
    copyFileSync(file, join(folder, 'copy.db'));
    return counted(join(folder, 'copy.db'));
  };
  const write = () =>
    database.knex('flow_states').insert({
      participant_id: 'p',
      flow_type: 'f',
      current_state: 's',
      state_data: '{}',
      created_at: '',
      updated_at: '',
      version: 1,
      flow_version: 1,
      status: 'active',
    });

  it('is carried over once the tables are made, and while nothing is written: a copy of the file is whole', async () => {
    expect(await copy()).toBe(0);
    await write();
    await database.watch!.look(); // sees that it has grown
    await database.watch!.look(); // and that it grows no more
    expect(await copy()).toBe(1);
    expect(statSync(`${file}-wal`).size).toBe(0);
    const { mtimeMs } = statSync(file);
    for (let i = 0; i < 3; i++) await database.watch!.look();
    expect(statSync(file).mtimeMs).toBe(mtimeMs);
  });

  it('is carried over as far as a reader lets it, and does not grow by that', async () => {
    const trx = await database.knex.transaction();
    await trx('flow_states').first();
    await write();
    await database.watch!.look();
    await database.watch!.look();
    const { size } = statSync(`${file}-wal`);
    for (let i = 0; i < 3; i++) await database.watch!.look();
    expect(statSync(`${file}-wal`).size).toBe(size);
    await trx.rollback();
    await database.watch!.look();
    expect(await copy()).toBe(1);
    expect(statSync(`${file}-wal`).size).toBe(0);
  });
});
