/** How the failures of an actor are counted. */
import { expect, it } from 'vitest';
import { Failures } from '../../src/flow/supervision.ts';

const policy = { maxRestarts: 2, within: 60_000, initial: 1_000, max: 10_000 };
type Policy = Parameters<Failures['another']>[0];

it('counts those after which it is tried again; who could not be put aside is tried again once they are long ago', () => {
  const failures = new Failures();
  const another = (at: number) => failures.another(policy as Policy, at, 1);
  expect([another(0), another(1_000)]).toEqual([1_000, 2_000]);
  // The database takes no writes, so that each time it is to be put aside anew.
  for (let at = 3_000; at < 60_000; at += 5_000) expect(another(at)).toBeUndefined();
  expect(another(61_001)).toBe(1_000);
});
