import { expect, it } from 'vitest';
import { campaign } from './campaign.ts';

it('loses nothing and repeats nothing when the server is killed 30 times', { timeout: 240_000 }, async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const report = await campaign({ kills: 30, seed });
  expect(report.violations, `seed ${seed}`).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(100);
  expect(report.deadlinesFired).toBeGreaterThan(10);
  expect(report.deadlinesCompared).toBeGreaterThan(10);
});
