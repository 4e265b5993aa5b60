import { afterEach, describe, expect, it } from 'vitest';
import { assign, cancel, createMachine, emit, raise, setup, spawnChild } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { now } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

const child = createMachine({
  initial: 'waiting',
  states: { waiting: { after: { 120000: 'over' } }, over: { type: 'final' } },
});

const reminder = defineFlow({
  type: 'reminder',
  version: 1,
  logic: setup({
    types: {
      context: {} as { log: string[] },
      events: {} as { type: 'ask' | 'answer' | 'tick' | 'note' | 'late' | 'forget' | 'child' | 'xstate.done.actor.c' },
      emitted: {} as { type: 'message'; text: string },
    },
    actors: { child },
    actions: {
      note: assign({
        log: ({ context, event }) => [...context.log, `${event.type}@${now() - START}`],
      }),
    },
  }).createMachine({
    context: { log: [] },
    initial: 'idle',
    on: {
      note: { actions: 'note' },
      tick: { actions: 'note' },
      late: { actions: [raise({ type: 'tick' }, { id: 'tick', delay: 5 * MINUTE }), 'note'] },
      forget: { actions: cancel('tick') },
      child: { actions: spawnChild('child', { id: 'c' }) },
      'xstate.done.actor.c': { actions: 'note' },
    },
    states: {
      idle: { on: { ask: 'asking' } },
      asking: {
        entry: emit({ type: 'message', text: 'How are you?' }),
        on: { answer: 'idle' },
        after: { [15 * MINUTE]: { target: 'asking', reenter: true, actions: 'note' } },
      },
    },
  }),
});

describe('deadlines: absolute, once, never early, in order', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  const log = async () => (await test.actor(reminder, 'p_1').getSnapshot()).context.log;
  const begin = async (...events: ('ask' | 'late' | 'child')[]) => {
    test = await createTestRuntime({ flows: [reminder], start: START });
    const actor = await test.spawn(reminder, 'p_1', { phoneNumber: '+15551234567' });
    for (const type of events) await actor.send({ type });
    return actor;
  };
  const crash = async () => {
    await test.crash();
    await test.restart();
  };

  it('keeps the instant over restarts: the time that is left is never counted anew', async () => {
    await begin('ask');
    for (let minute = 1; minute <= 14; minute++) {
      await test.advance('1m');
      await crash();
      expect(await test.actor(reminder, 'p_1').timers()).toMatchObject([{ dueAt: START + 15 * MINUTE }]);
    }
    await test.advance(MINUTE - 1);
    expect(await log()).toEqual([]);
    await test.advance(1);
    expect(await log()).toEqual([`xstate.after.${15 * MINUTE}.(machine).asking@${15 * MINUTE}`]);
  });

  it('fires once each, late, and in order, what passed while the process was down', async () => {
    await begin('ask', 'late', 'child');
    await test.crash();
    test.clock.moveTo(START + 3 * 3_600_000);
    await test.restart();
    await test.settle();
    const events = (await log()).filter((line) => !line.startsWith('late'));
    expect(events).toEqual([
      `xstate.done.actor.c@${180 * MINUTE}`,
      `tick@${180 * MINUTE}`,
      `xstate.after.${15 * MINUTE}.(machine).asking@${180 * MINUTE}`,
    ]);
    const lines = (await test.journal('p_1')).filter(({ dueAt }) => dueAt !== null);
    expect(lines.map(({ dueAt }) => dueAt! - START)).toEqual([2 * MINUTE, 5 * MINUTE, 15 * MINUTE]);
    await test.advance('1m');
    expect((await log()).filter((line) => !line.startsWith('late'))).toHaveLength(3);
  });

  it('lets an event never overtake a deadline that has passed', async () => {
    await begin('ask');
    await test.crash();
    test.clock.moveTo(START + 20 * MINUTE);
    await test.restart();
    // The answer comes while the overdue reminder is not handled yet.
    await test.actor(reminder, 'p_1').send({ type: 'note' });
    expect(await log()).toEqual([`xstate.after.${15 * MINUTE}.(machine).asking@${20 * MINUTE}`, `note@${20 * MINUTE}`]);
  });

  it('never fires what was cancelled, or whose state was left, also over a crash', async () => {
    const actor = await begin('ask', 'late');
    await test.advance('4m');
    await actor.send({ type: 'forget' });
    await actor.send({ type: 'answer' });
    await crash();
    await test.advance('2h');
    expect(await log()).toEqual(['late@0']);
    expect((await test.knex('flow_states').first()).next_due_at).toBeNull();
  });

  it('fires nothing early when the clock jumps back, and nothing twice when it jumps forward', async () => {
    await begin('ask');
    test.clock.moveTo(START - 3_600_000);
    await test.settle();
    expect(await log()).toEqual([]);
    test.clock.moveTo(START + 15 * MINUTE - 1);
    await test.settle();
    expect(await log()).toEqual([]);
    await test.advance(1);
    expect(await log()).toHaveLength(1);
    test.clock.moveTo(START);
    await test.settle();
    await test.advance('14m');
    expect(await log()).toHaveLength(1);
  });

  it('tries a turn again and again while the database takes no writes, and fires once', async () => {
    await begin('ask');
    await test.knex.raw('PRAGMA query_only = ON');
    const failures: Error[] = [];
    test.runtime.on('commitFailed', ({ error }) => failures.push(error));
    test.clock.moveTo(START + 15 * MINUTE);
    for (let second = 0; second < 5; second++) {
      while (failures.length <= second) await new Promise(setImmediate);
      test.clock.moveTo(test.clock.now() + 1000);
    }
    await test.knex.raw('PRAGMA query_only = OFF');
    await test.advance('1m');
    expect(await log()).toHaveLength(1);
    expect(await test.outbox('p_1')).toHaveLength(2);
  });

  it('knows the deadlines of actors that are not in memory', async () => {
    test = await createTestRuntime({ flows: [reminder], start: START, cacheSize: 5 });
    const ids = Array.from({ length: 200 }, (_, i) => `p_${i}`);
    for (const id of ids) await (await test.spawn(reminder, id)).send({ type: 'ask' });
    await crash();
    await test.advance('15m');
    for (const id of ids) expect((await test.actor(reminder, id).getSnapshot()).context.log).toHaveLength(1);
  });
});

it('an actor that is done has no deadlines, not even one that its own cancel would not have found', async () => {
  const flow = defineFlow({
    type: 'ending',
    version: 1,
    logic: createMachine({
      context: { log: [] },
      initial: 'on',
      states: {
        on: {
          on: {
            ARM: { actions: raise({ type: 'LATER' }, { id: 'one', delay: 1000 }) },
            END: 'over',
          },
        },
        over: { type: 'final' },
      },
    }),
  });
  const test = await createTestRuntime({ flows: [flow] });
  const actor = await test.spawn(flow, 'p_1');
  for (const type of ['ARM', 'ARM', 'END']) await actor.send({ type });
  expect(await actor.timers()).toEqual([]);
  await test.advance('1m');
  expect(await actor.send({ type: 'ARM' })).toMatchObject({ status: 'done', handled: false });
  await test.stop();
});
