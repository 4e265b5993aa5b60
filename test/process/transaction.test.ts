import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { counter } from '../guarantees/machines.ts';

describe('a transaction, when its process is killed', () => {
  let folder: string;
  let file: string;
  const sent: string[] = [];
  const open = async () => {
    const transport = { send: ({ text }: { text: string }) => void sent.push(text) };
    const runtime = createRuntime({ database: `sqlite:${file}`, flows: [counter], transport });
    await runtime.start();
    return runtime;
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    file = join(folder, 'study.db');
    sent.length = 0;
    const runtime = await open();
    await runtime.knex.schema.createTable('orders', (table) => table.text('id').primary());
    await runtime.spawn(counter, 'p_1');
    await runtime.stop();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const killed = async (where: 'inside' | 'after') => {
    const script = new URL('purchase.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, ['--import', 'tsx', script, file, where], { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    const runtime = await open();
    const orders = await runtime.knex('orders').pluck('id');
    const { version } = await runtime.actor(counter, 'p_1').describe();
    const other = await runtime.knex('flow_states').where({ participant_id: 'p_2' }).first('version');
    while (!runtime.idle) await new Promise(setImmediate);
    await runtime.stop();
    return { orders, version, other: other?.version };
  };

  it('is undone as a whole before it has committed', async () => {
    expect(await killed('inside')).toEqual({ orders: [], version: 1, other: undefined });
    expect(sent).toEqual([]);
  });

  it('is there as a whole once it has, and its message is sent by the next process', async () => {
    expect(await killed('after')).toEqual({ orders: ['o_1'], version: 2, other: 2 });
    expect(sent).toEqual(['paid']);
  });
});
