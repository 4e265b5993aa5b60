import { createTestRuntime, type TestRuntime } from 'perdure/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { moods, texts } from '../machines/texts.ts';
import { checkInFlow } from '../src/flow.ts';

let runtime: TestRuntime;
beforeEach(async () => {
  runtime = await createTestRuntime({ flows: [checkInFlow] });
  await runtime.spawn(checkInFlow, 'ada', { input: { name: 'Ada' } });
});
afterEach(() => runtime.stop());

const said = async () => (await runtime.outbox('ada')).map(({ text }) => text);
const ada = () => runtime.actor(checkInFlow, 'ada');

test('asks, understands words as well as numbers, and asks again the next day', async () => {
  const { context } = await ada().send({ type: 'reply', text: ' Great! ' });
  expect(context.answers).toEqual(['1']);
  expect(await said()).toEqual([expect.stringContaining(texts.ask('Ada')), texts.thanks(moods[0]!.label)]);
  await runtime.advance('24h');
  expect((await said()).at(-1)).toContain(texts.ask('Ada'));
});

test('says so where it does not understand', async () => {
  await ada().send({ type: 'reply', text: 'purple' });
  expect((await said()).at(-1)).toBe(texts.unclear);
});

test('reminds after two hours and gives up after four, also when the process dies in between', async () => {
  await runtime.advance('1h');
  await runtime.crash();
  await runtime.restart();
  await runtime.advance('1h');
  expect((await said()).at(-1)).toBe(texts.remind);
  await runtime.crash();
  await runtime.restart();
  await runtime.advance('2h');
  expect((await said()).at(-1)).toBe(texts.missed);
});
