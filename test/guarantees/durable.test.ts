import { describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime } from '../../src/testing/index.ts';

const machine = setup({
  types: {
    context: {} as { count: number },
    events: {} as { type: 'inc' } | { type: 'ask' },
    emitted: {} as { type: 'message'; text: string },
  },
  actors: { answer: fromPromise(async ({ input }: { input: number }) => input * 2) },
}).createMachine({
  id: 'counter',
  context: { count: 0 },
  initial: 'idle',
  states: {
    idle: {
      on: {
        inc: {
          actions: [assign({ count: ({ context }) => context.count + 1 }), emit({ type: 'message', text: 'hi' })],
        },
        ask: 'asking',
      },
      after: { 60000: 'late' },
    },
    asking: {
      invoke: {
        src: 'answer',
        input: ({ context }) => context.count,
        onDone: { target: 'idle', actions: assign({ count: ({ event }) => event.output }) },
      },
    },
    late: {},
  },
});
const flow = defineFlow({ type: 'counter', version: 1, logic: machine });

describe('G1 durable', () => {
  it('keeps what was acknowledged through a crash', async () => {
    const test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1', { phoneNumber: '+15551234567' });
    const snapshot = await actor.send({ type: 'inc' });
    expect(snapshot.context.count).toBe(1);
    expect(snapshot.handled).toBe(true);
    await test.settle(); // it is on record, too, that the message was sent
    await test.crash();
    await test.restart();
    expect((await test.actor(flow, 'p_1').getSnapshot()).context.count).toBe(1);
    await test.actor(flow, 'p_1').send({ type: 'ask' });
    await test.settle();
    expect((await test.actor(flow, 'p_1').getSnapshot()).context.count).toBe(2);
    await test.advance('59s');
    expect((await test.actor(flow, 'p_1').getSnapshot()).value).toBe('idle');
    await test.advance('1s');
    expect((await test.actor(flow, 'p_1').getSnapshot()).value).toBe('late');
    expect(await test.outbox()).toMatchObject([{ to: '+15551234567', status: 'sent' }]);
    expect(test.delivered.length).toBe(1);
    await test.stop();
  });
});
