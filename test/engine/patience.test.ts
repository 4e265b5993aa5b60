import { afterEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { defineFlow, type Supervision } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const PHONE = '+15551234567';
let trouble = false;

const flowWith = (supervision: Supervision = {}) =>
  defineFlow({
    type: 'patient',
    version: 1,
    supervision,
    logic: setup({
      types: {
        context: {} as { log: string[] },
        events: {} as { type: 'wait' | 'ask' | 'note' | 'reply' | 'xstate.done.actor.x' },
      },
      actors: { answer: fromPromise(async () => 'an answer') },
      actions: { note: assign({ log: ({ context, event }) => [...context.log, event.type] }) },
      guards: {
        mayThrow: () => {
          if (trouble) throw new Error('trouble');
          return true;
        },
      },
    }).createMachine({
      context: { log: [] },
      initial: 'idle',
      on: { note: { actions: 'note' }, reply: { actions: 'note' } },
      states: {
        idle: { on: { wait: 'waiting', ask: 'asking' } },
        waiting: { after: { 60000: { guard: 'mayThrow', target: 'over', actions: 'note' } } },
        asking: { invoke: { src: 'answer', onDone: { target: 'over', actions: 'note' } } },
        over: {},
      },
    }),
  });

/** What is asked of the actor meanwhile, and what became of it. */
function answerOf(asked: Promise<unknown>) {
  const answer: { value: any } = { value: 'pending' };
  asked.then(
    () => (answer.value = 'done'),
    (error) => (answer.value = error),
  );
  return answer;
}

describe('who waits is answered within a bounded time', () => {
  let test: TestRuntime;
  let stub: ReturnType<TestRuntime['stub']>;
  afterEach(async () => {
    trouble = false;
    await test.knex.raw('PRAGMA query_only = OFF');
    await test.stop();
  });
  const begin = async (event: 'wait' | 'ask', supervision?: Supervision) => {
    const flow = flowWith(supervision);
    test = await createTestRuntime({ flows: [flow] });
    stub = test.stub('answer');
    const actor = await test.spawn(flow, 'p_1', { phoneNumber: PHONE });
    await actor.send({ type: event });
    return actor;
  };
  const full = (is: boolean) => test.knex.raw(`PRAGMA query_only = ${is ? 'ON' : 'OFF'}`);

  it('while a deadline before it cannot be written, with the reason; it is not applied later, and the deadline is', async () => {
    const actor = await begin('wait');
    await full(true);
    await test.advance('1m');
    const sent = answerOf(actor.send({ type: 'note' }));
    const received = answerOf(test.receive({ from: PHONE, text: 'hello', channel: 'sms', id: '1' }));
    const stopped = answerOf(actor.stop());
    await test.advance('4s');
    expect([sent, received, stopped].map(({ value }) => value)).toEqual(['pending', 'pending', 'pending']);
    await test.advance('6s');
    for (const { value } of [sent, received, stopped])
      expect(value).toMatchObject({ code: 'STORE_ERROR', reason: 'readonly', address: actor.address });
    expect(sent.value.message).toContain('Nothing of it was applied, and nothing will be');
    await full(false);
    await test.advance('1m');
    const { value, context, status } = await actor.getSnapshot();
    expect({ value, status }).toEqual({ value: 'over', status: 'active' });
    expect(context.log).toHaveLength(1);
    // Its sender repeats it.
    expect(await test.receive({ from: PHONE, text: 'hello', channel: 'sms', id: '1' })).toMatchObject({
      status: 'applied',
    });
  });

  it('while a result before it cannot be written', async () => {
    const actor = await begin('ask');
    await full(true);
    await stub.resolve('an answer');
    const sent = answerOf(actor.send({ type: 'note' }));
    await test.advance('10s');
    expect(sent.value).toMatchObject({ code: 'STORE_ERROR' });
    await full(false);
    await test.advance('1m');
    expect((await actor.getSnapshot()).value).toBe('over');
  });

  it('while its actor waits for another attempt at a deadline that threw, and is not applied later', async () => {
    const actor = await begin('wait', { backoff: { initial: '1m', max: '1m' } });
    trouble = true;
    await test.advance('1m');
    const sent = answerOf(actor.send({ type: 'note' }));
    await test.advance('10s');
    expect(sent.value).toMatchObject({ code: 'TIMEOUT', address: actor.address });
    trouble = false;
    await test.advance('2m');
    expect((await actor.getSnapshot()).context.log).toHaveLength(1);
  });

  it('as it was told to wait: answerWithin', async () => {
    const flow = flowWith({ backoff: { initial: '1m', max: '1m' } });
    test = await createTestRuntime({ flows: [flow], answerWithin: '40s' });
    const actor = await test.spawn(flow, 'p_1', {});
    await actor.send({ type: 'wait' });
    trouble = true;
    await test.advance('1m');
    const sent = answerOf(actor.send({ type: 'note' }));
    await test.advance('19s');
    expect(sent.value).toBe('pending');
    await test.advance('21s');
    expect(sent.value).toMatchObject({ code: 'TIMEOUT' });
    await expect(createTestRuntime({ flows: [flow], answerWithin: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  for (const how of ['stop', 'remove'] as const) {
    it(`a ${how} of an actor that waits for another attempt goes at once`, async () => {
      const actor = await begin('wait', { backoff: { initial: '1m', max: '1m' } });
      trouble = true;
      await test.advance('1m');
      if (how === 'stop') await actor.stop();
      else await test.runtime.remove('patient', 'p_1');
      await test.advance('10m');
      if (how === 'stop') expect(await actor.describe()).toMatchObject({ status: 'stopped' });
      else await expect(actor.describe()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    });
  }

  it('a stop that comes before a deadline that throws waits for no other attempt', async () => {
    const actor = await begin('wait', { backoff: { initial: '1m', max: '1m' } });
    await test.crash();
    trouble = true;
    test.clock.moveTo(test.clock.now() + 3_600_000);
    await test.restart();
    await test.actor('patient', 'p_1').stop();
    expect(await test.actor('patient', 'p_1').describe()).toMatchObject({ status: 'stopped' });
    expect(actor.address).toEqual({ flowType: 'patient', participantId: 'p_1' });
  });
});
