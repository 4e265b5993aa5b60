import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { assign, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestActor, type TestRuntime } from '../../src/testing/index.ts';

let broken = true;
const machine = setup({
  types: { context: {} as { heard: number } },
  guards: {
    mended: () => {
      if (broken) throw new Error('a bug');
      return true;
    },
  },
}).createMachine({
  context: { heard: 0 },
  initial: 'a',
  on: { hi: { actions: assign({ heard: ({ context }) => context.heard + 1 }) } },
  states: { a: { after: { 1000: { guard: 'mended', target: 'b' } } }, b: {} },
});
const flow = defineFlow({ type: 'f', version: 1, logic: machine });

describe('who asks an actor that waits for another attempt', () => {
  let test: TestRuntime;
  let actor: TestActor<typeof flow>;
  beforeEach(async () => {
    broken = true;
    test = await createTestRuntime({ flows: [flow] });
    actor = await test.spawn(flow, 'p');
    await test.advance('1s');
  });
  afterEach(() => test.stop());

  it('is told so where the clock stands still, and what to write', async () => {
    await expect(actor.send({ type: 'hi' })).rejects.toMatchObject({
      code: 'TIMEOUT',
      address: actor.address,
      message: expect.stringMatching(/^f\/p waits for another attempt .*a bug.* It is tried again at .*test\.advance/s),
    });
  });

  it('ends it all the same', async () => {
    await actor.stop();
    expect(await actor.describe()).toMatchObject({ status: 'stopped' });
  });

  it('is answered where the test lets time go by meanwhile', async () => {
    const sent = actor.send({ type: 'hi' });
    await setImmediate();
    broken = false;
    await test.advance('1m');
    expect(await sent).toMatchObject({ value: 'b', context: { heard: 1 } });
  });

  it('may ask others, and look', async () => {
    const other = await test.spawn(flow, 'q');
    expect(await other.send({ type: 'hi' })).toMatchObject({ context: { heard: 1 } });
    expect(await actor.getSnapshot()).toMatchObject({ value: 'a' });
  });
});

describe('under fake timers', () => {
  afterEach(() => void vi.useRealTimers());

  it.each([[['setTimeout', 'setInterval']], [['setImmediate']], [undefined]])('%j, the kit works', async (toFake) => {
    broken = false;
    vi.useFakeTimers(toFake ? { toFake: toFake as never } : {});
    const test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p');
    await test.advance('1s');
    expect(await actor.getSnapshot()).toMatchObject({ value: 'b' });
    await test.restart();
    await test.stop();
  });
});
