/** What a metric of actors counts: the turn with which one begins, and the one with which it ends. */
import { expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { defineFlow, type RuntimeEvents } from '../../src/index.ts';
import { createTestRuntime } from '../../src/testing/index.ts';

const call = defineFlow({
  type: 'call',
  version: 1,
  logic: createMachine({
    initial: 'open',
    states: { open: { on: { reply: 'over' }, after: { 3600000: 'lost' } }, lost: {}, over: { type: 'final' } },
  }),
});
const memo = defineFlow({
  type: 'memo',
  version: 1,
  logic: createMachine({ initial: 'over', states: { over: { type: 'final' } } }),
});

it('tells of each actor once that it begins, and once that it ends, however it does', async () => {
  const told: RuntimeEvents['turn'][] = [];
  await using test = await createTestRuntime({
    flows: [call, memo],
    prepare: (runtime) => runtime.on('turn', (turn) => told.push(turn)),
  });
  const of = (kind: (turn: RuntimeEvents['turn']) => unknown) =>
    told.filter(kind).map(({ address, ended }) => [address.participantId, ended]);
  const phoneNumber = '+15551234567';
  await test.spawn(call, 'ada', { phoneNumber });
  await test.spawn(call, 'bob');
  await test.spawn(call, 'cid');
  await test.spawn(memo, 'dan');
  await test.receive({ from: phoneNumber, text: 'hello' });
  expect(await test.receive({ from: phoneNumber, text: 'still there?' })).toMatchObject({ status: 'ignored' });
  await test.actor(call, 'bob').stop();
  await test.crash();
  await test.restart();
  await test.advance('2h');
  expect(await test.receive({ from: phoneNumber, text: 'and now?' })).toMatchObject({ status: 'ignored' });
  expect(of(({ from }) => from === null).map(([id]) => id)).toEqual(['ada', 'bob', 'cid', 'dan']);
  expect(of(({ ended }) => ended)).toEqual([
    ['dan', 'done'],
    ['ada', 'done'],
    ['bob', 'stopped'],
  ]);
});
