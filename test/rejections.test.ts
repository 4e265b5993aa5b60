import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { createRuntime, defineFlow, PerdureError, type Runtime } from '../src/index.ts';

const flow = defineFlow({ type: 'f', version: 1, logic: createMachine({ on: { reply: {} } }) });
const address = { flowType: 'f', participantId: 'p' };
let runtime: Runtime;
let actor: any;
beforeAll(async () => {
  runtime = createRuntime({ database: ':memory:', flows: [flow] });
  await runtime.start();
  actor = await runtime.spawn(flow, 'p', { phoneNumber: '+15551234567' });
});
afterAll(() => runtime.stop());

const any = () => runtime as any;
const sms = (fields: object) => ({ channel: 'sms', id: 'm_1', from: '+15551234567', text: 'hi', ...fields });

it.each<[string, string, () => unknown]>([
  ['an event that is none', 'INVALID_ARGUMENT', () => actor.send(undefined)],
  ['an event type with half of a surrogate pair', 'INVALID_ARGUMENT', () => actor.send({ type: 'reply\ud83d' })],
  ['an event that cannot be stored', 'NOT_SERIALIZABLE', () => actor.send({ type: 'reply', a: () => 1 })],
  ['a predicate that is none', 'INVALID_ARGUMENT', () => actor.waitFor(undefined)],
  ['a subscriber that is none', 'INVALID_ARGUMENT', () => actor.subscribe(undefined)],
])('%s is refused with a code and the address', async (_, code, call) => {
  const error = await (async () => call())().then(
    () => undefined,
    (error) => error,
  );
  expect(error).toBeInstanceOf(PerdureError);
  expect(error).toMatchObject({ code, address });
});

it.each<[string, string, () => unknown]>([
  ['a flow that is none, to spawn', 'UNKNOWN_FLOW', () => any().spawn(undefined, 'q')],
  ['a flow that is none, to remove', 'UNKNOWN_FLOW', () => any().remove()],
  ['an id with half of a surrogate pair', 'INVALID_ARGUMENT', () => runtime.spawn(flow, 'q\ud800')],
  ['a text with half of a surrogate pair', 'INVALID_MESSAGE', () => runtime.receive(sms({ text: 'a\ud83d' }))],
  ['a message id with half of a surrogate pair', 'INVALID_MESSAGE', () => runtime.receive(sms({ id: '\udc00' }))],
])('%s is refused with a code', async (_, code, call) => {
  const error = await (async () => call())().then(
    () => undefined,
    (error) => error,
  );
  expect(error).toBeInstanceOf(PerdureError);
  expect(error).toMatchObject({ code });
});

it('whole surrogate pairs are text as any other', async () => {
  expect(await runtime.receive(sms({ id: 'm_2', text: 'fine 👍🏽' }))).toMatchObject({ status: expect.any(String) });
  await expect(any().spawn(flow, 'q 👍', null)).resolves.toBeDefined();
});
