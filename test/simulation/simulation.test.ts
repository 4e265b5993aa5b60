/** Thousands of lives of the whole runtime, with all that goes wrong in them; see docs/simulation.md. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundle, ROOT } from './bundle.ts';
import { findBug, PLANTED } from './planted.ts';

const simulator = bundle('simulate');

const run = async (...options: string[]) => {
  const args = [await simulator, ...options];
  return new Promise<{ code: number; output: string }>((resolve) => {
    execFile(process.execPath, args, { maxBuffer: 2 ** 28 }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, output: stdout }),
    );
  });
};

describe('simulation', { timeout: 300_000 }, () => {
  it('finds nothing wrong in 2,000 schedules', async () => {
    const { output } = await run('--seeds', '2000', '--json');
    const { schedules, turns, failed } = JSON.parse(output);
    expect(failed).toEqual([]);
    expect(schedules).toBe(2_000);
    expect(turns).toBeGreaterThan(10_000);
  });

  it('lives through a seed the same way each time, step for step', async () => {
    const once = await run('--seed', '33');
    expect(once.output.split('\n').length).toBeGreaterThan(100);
    expect(await run('--seed', '33')).toEqual(once);
  });

  const quick = PLANTED.filter(({ rare }) => !rare);
  it.each(quick.map((bug) => [bug.name, bug] as const))('finds a planted bug: %s', async (_, bug) => {
    expect(await findBug(bug, 2_000)).toMatchObject({ message: expect.stringMatching(/^(G\d|STOP|rest): /) });
  });

  it.each(PLANTED.map((bug) => [bug.name, bug] as const))('has a place for the bug: %s', async (_, { file, find }) => {
    expect((await readFile(join(ROOT, file), 'utf8')).split(find)).toHaveLength(2);
  });
});
