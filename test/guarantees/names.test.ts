/** Generated ids are part of the state: a restart uses none of them up. */
import { expect, it } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime } from '../../src/testing/index.ts';

const worker = setup({}).createMachine({});
const machine = setup({
  types: {} as { events: { type: 'ask' } },
  actors: { worker, service: fromPromise(async () => {}) },
}).createMachine({
  initial: 'idle',
  states: {
    idle: { on: { ask: 'asking' } },
    asking: { invoke: [{ src: 'worker' }, { src: 'service' }], on: { ask: { target: 'asking', reenter: true } } },
  },
});
const flow = defineFlow({ type: 'office', version: 1, logic: machine });

it('names an invocation alike, however often the process was restarted before', async () => {
  const keys = async (restarts: number) => {
    const test = await createTestRuntime({ flows: [flow] });
    const service = test.stub('service');
    await test.spawn(flow, 'p_1');
    for (let i = 0; i < 3; i++) {
      await test.actor(flow, 'p_1').send({ type: 'ask' });
      for (let j = 0; j < restarts; j++) {
        await test.crash();
        await test.restart();
        await test.settle();
      }
    }
    await test.stop();
    return [...new Set(service.calls.map(({ idempotencyKey }) => idempotencyKey))];
  };
  const without = await keys(0);
  expect(without).toHaveLength(3);
  expect(await keys(2)).toEqual(without);
});
