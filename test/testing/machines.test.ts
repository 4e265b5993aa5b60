/** Machines of many shapes, each lived through with a death at every point, and explored. */

import { of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { assign, createMachine, fromObservable, sendTo, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { crashEverywhere, createTestRuntime, explore } from '../../src/testing/index.ts';
import { promiseNames } from '../../src/testing/kit/stubs.ts';
import { approval } from './machines/approval.ts';
import { auction } from './machines/auction.ts';
import { booking } from './machines/booking.ts';
import { cart } from './machines/cart.ts';
import { creditCheck } from './machines/credit-check.ts';
import { order } from './machines/order.ts';
import { poll } from './machines/poll.ts';
import { rateLimiter } from './machines/rate-limiter.ts';
import { reminder } from './machines/reminder.ts';
import { stopwatch } from './machines/stopwatch.ts';
import { subscription } from './machines/subscription.ts';
import { trafficLight } from './machines/traffic-light.ts';

const subjects = {
  approval,
  auction,
  booking,
  cart,
  creditCheck,
  order,
  poll,
  rateLimiter,
  reminder,
  stopwatch,
  subscription,
  trafficLight,
};

describe.each(Object.entries(subjects))('%s', (_, { flow, script, options, explore: exploration, ends }) => {
  it('does the same wherever it crashes', async () => {
    const { crashes } = await crashEverywhere(flow, script, options);
    expect(crashes).toBeGreaterThan(100);
  });

  it('lives through the whole of its script', async () => {
    const test = await createTestRuntime({ flows: [flow] });
    const { input, phoneNumber } = options;
    const services = new Map([...promiseNames(flow.logic)].map((name) => [name, test.stub(name)]));
    const actor = await test.spawn(flow, 'p_1', { input, ...(phoneNumber && { phoneNumber }) });
    for (const [i, step] of script.entries()) {
      if ('send' in step) await actor.send(step.send);
      if ('receive' in step) await test.receive({ channel: 'sms', id: `${i}`, from: phoneNumber!, text: step.receive });
      if ('advance' in step) await test.advance(step.advance);
      if ('advanceTo' in step) await test.advanceTo(new Date(step.advanceTo));
      if ('resolve' in step) await services.get(step.resolve)!.resolve(step.with);
      if ('reject' in step) await services.get(step.reject)!.reject(step.with);
      await test.settle();
    }
    expect((await actor.describe()).state).toBe(ends);
    await test.stop();
  });

  it('is explored', async () => {
    const report = await explore(flow, exploration);
    expect(report.scripts.length).toBeGreaterThan(0);
    expect(report.crashes).toBeGreaterThan(20);
  });
});

it('an observable that has given nothing is the same after a crash', async () => {
  const silent = fromObservable<number, undefined>(() => ({ subscribe: () => ({ unsubscribe() {} }) }) as never);
  const logic = setup({ actors: { silent } }).createMachine({
    id: 'listener',
    initial: 'listening',
    states: { listening: { invoke: { src: 'silent' }, on: { stop: 'over' } }, over: { type: 'final' } },
  });
  const { crashes } = await crashEverywhere(defineFlow({ type: 'listener', version: 1, logic }), [
    { send: { type: 'stop' } },
  ]);
  expect(crashes).toBeGreaterThan(10);
});

it('an observable that gives its values again after a crash is no divergence, unless they lead elsewhere', async () => {
  const flow = (record: (seen: number[], value: number) => number[]) =>
    defineFlow({
      type: 'reader',
      version: 1,
      logic: setup({
        types: {} as { context: { seen: number[] } },
        actors: { values: fromObservable(() => of(1, 2)) },
      }).createMachine({
        id: 'reader',
        context: { seen: [] },
        initial: 'idle',
        states: {
          idle: { on: { read: 'reading' } },
          reading: {
            invoke: {
              src: 'values',
              onSnapshot: {
                guard: ({ event }) => event.snapshot.context !== undefined,
                actions: assign({ seen: ({ context, event }) => record(context.seen, event.snapshot.context!) }),
              },
              onDone: 'idle',
            },
          },
        },
      }),
    });
  await crashEverywhere(
    flow((_, value) => [value]),
    [{ send: { type: 'read' } }],
  );
  await expect(
    crashEverywhere(
      flow((seen, value) => [...seen, value]),
      [{ send: { type: 'read' } }],
    ),
  ).rejects.toMatchObject({ kind: 'crash' });
});

it('a delayed event for a child that has gone is none, after a crash or without one', async () => {
  const logic = setup({ actors: { guest: createMachine({}) } }).createMachine({
    id: 'host',
    initial: 'home',
    states: {
      home: {
        invoke: { id: 'guest', src: 'guest' },
        entry: sendTo('guest', { type: 'leave' }, { delay: 60_000 }),
        on: { out: 'away' },
      },
      away: { on: { back: 'over' } },
      over: {},
    },
  });
  const flow = defineFlow({ type: 'host', version: 1, logic });
  await crashEverywhere(flow, [{ send: { type: 'out' } }, { advance: '1m' }, { send: { type: 'back' } }]);
});
