import { afterEach, expect, it } from 'vitest';
import { emit, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { message } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

/** Answers each message with two, and says nothing where it thinks. */
const talk = defineFlow({
  type: 'talk',
  version: 1,
  logic: setup({}).createMachine({
    on: { reply: { actions: [emit(message('One.')), emit(message('Two.'))] }, think: {} },
  }),
});
const ADA = '+15551234567';
const BOB = '+15557654321';

let test: TestRuntime;
afterEach(() => test.stop());

it('what was said comes by the page, in whole turns, from the first one or from the last one, none twice and none left out', async () => {
  test = await createTestRuntime({ flows: [talk] });
  const ada = await test.spawn(talk, 'ada', { phoneNumber: ADA });
  await test.spawn(talk, 'bob', { phoneNumber: BOB });
  for (let i = 0; i < 6; i++) {
    await test.receive({ from: ADA, text: `${i}` });
    await test.receive({ from: BOB, text: 'Hello.' });
    for (let thought = 0; thought < 3; thought++) await ada.send({ type: 'think' });
  }
  await test.settle();
  const { runtime } = test;
  const all = await runtime.messages('ada');
  expect(all.map(({ text }) => text)).toEqual([0, 1, 2, 3, 4, 5].flatMap((i) => [`${i}`, 'One.', 'Two.']));
  for (const lastFirst of [false, true]) {
    const pages = [];
    for (let after = 0; ; ) {
      const page = await runtime.messages('ada', { limit: 4, after, lastFirst });
      if (page.length === 0) break;
      pages.push(page);
      after = page.at(-1)!.line;
    }
    expect(pages.map(({ length }) => length)).toEqual([12, 6]);
    expect(pages.flat()).toEqual(lastFirst ? all.toReversed() : all);
  }
  await expect(runtime.messages('ada', { limit: -1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(runtime.messages('ada', { after: 1.5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

it('who writes, and is known to no actor, is told so once an hour, by the index of such answers alone', async () => {
  test = await createTestRuntime({ flows: [talk] });
  const asked: { sql: string; bindings: unknown[] }[] = [];
  test.knex.on('query', (query) => asked.push(query));
  for (let i = 0; i < 3; i++) await test.receive({ from: ADA, text: 'Hello?' });
  expect(test.delivered).toHaveLength(1);
  const { sql, bindings } = asked.find(({ sql }) => sql.includes('max(`created_at`)'))!;
  const [plan] = await test.knex.raw(`EXPLAIN QUERY PLAN ${sql}`, bindings as never);
  expect(plan.detail).toMatch(/SEARCH outbox_messages USING (COVERING )?INDEX outbox_answers/);
  await test.advance('1h');
  await test.receive({ from: ADA, text: 'Hello?' });
  expect(test.delivered).toHaveLength(2);
});
