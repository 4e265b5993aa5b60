import { describe, expect, it } from 'vitest';
import { PROMISES, type Subject } from './conformance.ts';
import { onFile } from './sqlite/subjects.ts';
import { WRONG } from './wrong-stores.ts';

describe('the conformance suite', () => {
  it('has a wrong store for each promise', () => {
    expect(Object.keys(WRONG).sort()).toEqual(PROMISES.map(({ name }) => name).sort());
  });

  it.each(PROMISES)('refuses a store that breaks its promise: $name', async ({ name, check }) => {
    await onFile(async ({ store, another }: Subject) => {
      const wrong = WRONG[name]!;
      const subject = { store: wrong(store), another: async () => wrong(await another()) };
      await expect(check(subject)).rejects.toThrow();
    });
  });
});
