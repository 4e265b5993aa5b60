import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime, type Runtime } from '../../../src/index.ts';
import { type BackupProgress, backup } from '../../../src/store/sqlite/backup.ts';
import { counter } from '../../guarantees/machines.ts';

describe('a backup', () => {
  let folder: string;
  let runtimes: Runtime[] = [];
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'perdure-')));
  });
  afterEach(async () => {
    for (const runtime of runtimes) await runtime.stop();
    runtimes = [];
    rmSync(folder, { recursive: true });
  });
  const path = (name: string) => join(folder, name);
  const start = async (name: string) => {
    const runtime = createRuntime({ database: `sqlite:${path(name)}`, flows: [counter] });
    runtimes.push(runtime);
    await runtime.start();
    return runtime;
  };
  const names = () => readdirSync(folder).filter((name) => name.startsWith('backup'));

  it('of a runtime that goes on meanwhile has all that was acknowledged before it, and whole turns of what came after', async () => {
    const runtime = await start('study.db');
    await runtime.knex.schema.createTable('filler', (table) => void table.text('text'));
    await runtime.knex.raw(
      'INSERT INTO filler WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT hex(randomblob(2500)) FROM n',
    );
    const actor = await runtime.spawn(counter, 'p_1');
    for (let i = 0; i < 20; i++) await actor.send({ type: 'inc' });
    const progress: BackupProgress[] = [];
    let sent = 20;
    const report = await runtime.backup(path('backup.db'), {
      onProgress: (step) => {
        progress.push(step);
        sent++;
        void actor.send({ type: 'inc' });
      },
    });
    expect(report).toMatchObject({ file: path('backup.db'), bytes: statSync(path('backup.db')).size });
    expect(report.rows).toBeGreaterThan(4_000);
    expect(progress.filter(({ step }) => step === 'copying').length).toBeGreaterThan(1);
    expect(progress.at(-2)).toMatchObject({ step: 'copying', done: progress.at(-2)!.total });
    expect(names()).toEqual(['backup.db']);

    const restored = await start('backup.db');
    const { count } = (await restored.actor(counter, 'p_1').getSnapshot()).context;
    expect(count).toBe(20);
    expect(await restored.journal('p_1')).toHaveLength(21);
    await actor.send({ type: 'inc' });
    expect((await actor.getSnapshot()).context.count).toBe(sent + 1);
  });

  it('of a file that no process runs on', async () => {
    const runtime = await start('study.db');
    await runtime.spawn(counter, 'p_1');
    await runtime.stop();
    await backup(path('study.db'), path('backup.db'));
    expect((await (await start('backup.db')).actor(counter, 'p_1').getSnapshot()).context.count).toBe(0);
  });

  it('writes over nothing, nor beside what SQLite would take for its log', async () => {
    const runtime = await start('study.db');
    for (const name of ['backup.db', 'backup.db-wal']) {
      writeFileSync(path(name), 'mine');
      await expect(runtime.backup(path('backup.db'))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`${name} is there already`),
      });
      expect(names()).toEqual([name]);
      rmSync(path(name));
    }
  });

  it('of a database that is damaged is refused, and leaves nothing', async () => {
    const runtime = await start('study.db');
    for (let i = 0; i < 50; i++) await runtime.spawn(counter, `p_${i}`);
    await runtime.stop();
    const handle = openSync(path('study.db'), 'r+');
    const { size } = statSync(path('study.db'));
    for (let page = 4; page < size / 4096; page++) writeSync(handle, Buffer.alloc(2_000, 0xff), 0, 2_000, page * 4096);
    closeSync(handle);
    await expect(backup(path('study.db'), path('backup.db'))).rejects.toMatchObject({
      code: 'STORE_ERROR',
      reason: 'corrupt',
    });
    expect(names()).toEqual([]);
  });

  it('into a folder that is not there, or of a database in memory, is refused', async () => {
    const runtime = await start('study.db');
    await expect(runtime.backup(path('gone/backup.db'))).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'io' });
    const memory = createRuntime({ database: ':memory:', flows: [counter] });
    runtimes.push(memory);
    await memory.start();
    await expect(memory.backup(path('backup.db'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
