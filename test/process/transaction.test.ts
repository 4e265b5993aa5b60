import { expect, it } from 'vitest';
import { buyAndDie } from './purchases.ts';

it('a transaction is there as a whole or not at all, wherever its process is killed', {
  timeout: 240_000,
}, async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const { kills, untold, told, violations } = await buyAndDie({ kills: 9, seed });
  expect(violations, `seed ${seed}`).toEqual([]);
  expect(kills).toBe(9);
  // Who died after a commit left an order.
  expect(untold.whole + told).toBeGreaterThanOrEqual(3);
});
