import { afterEach, describe, expect, it } from 'vitest';
import { assign, raise, setup } from 'xstate';
import type { Cell } from '../../src/engine/cell.ts';
import { Pacer } from '../../src/engine/pacer.ts';
import { EventChannel } from '../../src/events.ts';
import { defineFlow, type RuntimeEvents } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const flow = defineFlow({
  type: 'cycle',
  version: 1,
  logic: setup({
    types: {
      context: {} as { rounds: number; heard: number },
      events: {} as { type: 'begin' | 'halt' | 'many' | 'late' },
    },
    actions: { count: assign({ rounds: ({ context }) => context.rounds + 1 }) },
  }).createMachine({
    context: { rounds: 0, heard: 0 },
    initial: 'calm',
    on: {
      halt: '.calm',
      late: { actions: assign({ heard: ({ context }) => context.heard + 1 }) },
      many: {
        actions: Array.from({ length: 2_100 }, (_, i) => raise({ type: 'late' }, { id: `late ${i}`, delay: i + 1 })),
      },
    },
    states: {
      calm: { on: { begin: 'tick' } },
      tick: { after: { 0: { target: 'tock', actions: 'count' } } },
      tock: { after: { 0: { target: 'tick', actions: 'count' } } },
    },
  }),
});

describe('an actor whose deadlines are always due', () => {
  let test: TestRuntime;
  const heard: string[] = [];
  afterEach(async () => {
    heard.length = 0;
    await test.stop();
  });
  const begin = async () => {
    test = await createTestRuntime({ flows: [flow], runawayAfter: 10_000, journal: false });
    for (const type of ['runaway', 'calmed'] as const)
      test.runtime.on(type, (event: RuntimeEvents[typeof type]) =>
        heard.push(`${type} ${event.address.participantId}`),
      );
    return test.spawn(flow, 'p_1', {});
  };
  const rounds = async () => (await test.knex('flow_states').first()).version;

  it('fires no faster than once a second after very many rounds, is told of, and takes events at once', async () => {
    const actor = await begin();
    await actor.send({ type: 'begin' });
    await test.settle();
    expect(heard).toEqual(['runaway p_1']);
    expect(test.runtime.health()).toMatchObject({
      health: 'degraded',
      troubles: { 'deadlines of cycle': expect.stringContaining('one actor are always due') },
    });
    expect(test.runtime.registry.get().context.flows['cycle']).toMatchObject({ runaways: 1 });
    const before = await rounds();
    await test.advance('10s');
    expect(await rounds()).toBe(before + 10);
    expect(await actor.send({ type: 'halt' })).toMatchObject({ value: 'calm' });
    expect(heard).toEqual(['runaway p_1', 'calmed p_1']);
    expect(test.runtime.health()).toMatchObject({ health: 'healthy', troubles: {} });
  });

  it('stays slowed down when it takes an event in a transaction of the application', async () => {
    const actor = await begin();
    await actor.send({ type: 'begin' });
    await test.settle();
    await test.advance('500ms');
    await test.runtime.transaction((trx) => trx.actor(flow, 'p_1').send({ type: 'late' }));
    const before = await rounds();
    await test.advance('10s');
    expect(await rounds()).toBe(before + 10);
    expect((await actor.getSnapshot()).context.heard).toBe(1);
    expect(heard).toEqual(['runaway p_1']);
  });

  it('is well again once it was removed', async () => {
    const actor = await begin();
    await actor.send({ type: 'begin' });
    await test.settle();
    await test.runtime.remove(flow, 'p_1');
    expect(heard).toEqual(['runaway p_1', 'calmed p_1']);
    await test.advance('1m');
    expect(test.runtime.health().health).toBe('healthy');
  });

  it('is not one that has very many deadlines of one turn, each a moment after the other', async () => {
    const actor = await begin();
    await actor.send({ type: 'many' });
    await test.advance('3s');
    expect((await actor.getSnapshot()).context.heard).toBe(2_100);
    expect(heard).toEqual([]);
  });
});

it('counts also rounds whose turn could be written only later, and was made anew', () => {
  const told: string[] = [];
  const events = new EventChannel();
  events.on('runaway', ({ event }) => told.push(event));
  const pacer = new Pacer(events);
  const live = { nextDueAt: 0, earliest: { event: { type: 'tick' } }, pending: 1 };
  const cell = { address: { flowType: 'cycle', participantId: 'p_1' }, key: 'cycle/p_1', live } as unknown as Cell;
  for (let round = 0; round < 2_100 && told.length === 0; round++) {
    pacer.began(cell, live.nextDueAt);
    live.nextDueAt += 1_000; // as long as the database took no writes
    pacer.committed(cell, live.nextDueAt, true, live.nextDueAt);
  }
  expect(told).toEqual(['tick']);
});
