import { afterEach, expect, it } from 'vitest';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter, counterMachine } from '../guarantees/machines.ts';

const another = defineFlow({ type: 'another', version: 1, logic: counterMachine });

let test: TestRuntime;
afterEach(() => test.stop());

it("a participant's turns come by the page, from the first one or from the last one, none twice and none left out", async () => {
  test = await createTestRuntime({ flows: [counter, another] });
  const [ada, other] = [await test.spawn(counter, 'ada'), await test.spawn(another, 'ada')];
  for (let i = 0; i < 6; i++) {
    await ada.send({ type: 'inc' });
    await (await test.ensure(counter, 'bob')).send({ type: 'inc' });
    await other.send({ type: 'inc' });
  }
  const { runtime } = test;
  const all = await runtime.journal('ada');
  expect(all).toHaveLength(14);
  expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).sort((a, b) => a - b));
  for (const lastFirst of [false, true]) {
    const paged = [];
    for (let after = 0; ; ) {
      const page = await runtime.journal('ada', { limit: 4, after, lastFirst });
      if (page.length === 0) break;
      paged.push(...page);
      after = page.at(-1)!.id;
    }
    expect(paged).toEqual(lastFirst ? all.toReversed() : all);
  }
  await expect(runtime.journal('ada', { limit: -1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(runtime.journal('ada', { after: 1.5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});
