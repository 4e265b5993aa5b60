/** The flow of the guide to writing flows, as it stands there, does what the guide says. */
import { afterAll, describe, expect, it } from 'vitest';
import { Project } from '../testing/project.ts';
import { blocksOf } from './blocks.ts';

const GUIDE = 'docs/writing-a-flow.md';

describe('the flow of the guide to writing flows', () => {
  const [flow] = blocksOf(GUIDE).filter(({ kind }) => kind === 'file');
  const project = new Project({
    [flow!.file]: flow!.code,
    'order.test.ts': `
import { expect, it } from 'vitest';
import { createTestRuntime } from 'perdure/testing';
import 'perdure/testing/vitest';
import { fromPromise } from 'xstate';
import { machine, orderFlow } from './order.ts';

const begin = async (flow = orderFlow) => {
  const test = await createTestRuntime({ flows: [flow], start: '2026-03-01T12:00:00Z' });
  await test.knex.schema.createTable('answers', (table) => {
    for (const column of ['order', 'answer', 'at']) table.text(column);
  });
  const input = { customer: 'Ada', timeZone: 'America/New_York' };
  return { test, order: await test.spawn(flow, 'o_1', { input, phoneNumber: '+15551234567' }) };
};

it('asks, reminds at nine in the morning there, charges, and records the answer', async () => {
  const { test, order } = await begin();
  const charge = test.stub('charge');
  await expect(order).toHaveSent('Shall we send it, Ada?\\n1. Yes\\n2. No');
  await expect(order).toHaveTimer('tillMorning', { at: '2026-03-01T14:00:00Z' });
  await test.advance('2h');
  await expect(order).toHaveSent(/Good morning/);
  await test.receive({ from: '+15551234567', text: 'Sure! 😀' });
  expect(charge.calls[0].input).toEqual({ order: 'o_1' });
  expect(await test.knex('answers').select('order', 'answer')).toEqual([{ order: 'o_1', answer: 'yes' }]);
  await charge.resolve();
  await expect(order).toHaveSent(/on its way/);
  await expect(order).toBeDone();
  await test.stop();
});

it('has one key for one invocation, over a crash and over attempts, and another one for the next', async () => {
  const keys = [];
  let works = false;
  const asks = fromPromise(async ({ self, input }) => {
    keys.push(input.order + '/' + self.sessionId);
    if (keys.length === 1) return new Promise(() => {}); // it hangs, and dies with the process
    if (!works) throw new Error('no');
  });
  const { test, order } = await begin({ ...orderFlow, logic: machine.provide({ actors: { charge: asks } }) });
  await order.send({ type: 'reply', text: 'yes' });
  await test.settle();
  await test.crash();
  await test.restart();
  await test.advance('10m');
  await expect(order).toBeInState('asking');
  expect(keys.length).toBe(6);
  expect(new Set(keys).size).toBe(1);
  works = true;
  await order.send({ type: 'reply', text: 'yes' });
  await expect(order).toBeDone();
  expect(new Set(keys).size).toBe(2);
  await test.stop();
});
`,
  });
  afterAll(() => project.remove());

  it('asks, reminds, charges under one key, and records', async () => {
    const { output, code } = await project.run('vitest/vitest.mjs', ['run']);
    expect(output).toMatch(/Tests {2}2 passed \(2\)/);
    expect(code).toBe(0);
  });
});
