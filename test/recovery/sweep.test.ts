import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow, StoreError } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const flow = defineFlow({
  type: 'order',
  version: 1,
  logic: setup({
    types: {
      context: {} as { asked: number },
      events: {} as { type: 'order' } | { type: 'reset' },
      emitted: {} as { type: 'message'; text: string },
    },
    actors: { price: fromPromise(async () => 'a price') },
  }).createMachine({
    context: { asked: 0 },
    initial: 'idle',
    states: {
      idle: { on: { order: { target: 'ordered', actions: assign({ asked: ({ context }) => context.asked + 1 }) } } },
      ordered: {
        entry: emit({ type: 'message', text: 'Thank you.' }),
        after: { 60000: 'reminded' },
        invoke: { src: 'price', onDone: { actions: emit({ type: 'message', text: 'It costs little.' }) } },
      },
      reminded: { entry: emit({ type: 'message', text: 'Are you there?' }) },
    },
  }),
});

let test: TestRuntime;
const { commit } = SqliteStore.prototype;
afterEach(async () => {
  SqliteStore.prototype.commit = commit;
  await test.stop();
});

describe('sweep: what a failed step left behind is found without a restart', () => {
  it('a commit that went through and was told as failed', async () => {
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1', { phoneNumber: '+15552000001' });
    SqliteStore.prototype.commit = async function (group) {
      await commit.call(this, group);
      return group.map(() => ({ result: 'failed', error: new StoreError('io', 'the connection is gone') }));
    };
    await expect(actor.send({ type: 'order' })).rejects.toThrow('the connection is gone');
    SqliteStore.prototype.commit = commit;
    // The outbox asks at once whether its messages were written; the invocation and the deadline wait for the sweep.
    await test.settle();
    expect(test.delivered.map(({ text, maybeSent }) => [text, maybeSent])).toEqual([['Thank you.', false]]);

    await test.advance('20s');
    expect(test.delivered.map(({ text, maybeSent }) => [text, maybeSent])).toEqual([
      ['Thank you.', false],
      ['It costs little.', false],
    ]);
    await test.advance('1m');
    expect((await actor.getSnapshot()).value).toBe('reminded');
    expect((await actor.getSnapshot()).context.asked).toBe(1);
    expect(test.delivered.map(({ text }) => text)).toContain('Are you there?');
    expect(test.delivered).toHaveLength(3);
  });

  it('sends nothing that is to be held back and could not be marked so yet', async () => {
    const sent: string[] = [];
    const cautious = defineFlow({ type: 'order', version: 1, logic: flow.logic, uncertain: 'hold' });
    test = await createTestRuntime({
      flows: [cautious],
      recovery: { sweepEvery: '2s' },
      transport: { send: ({ text }) => new Promise(() => sent.push(text)) },
    });
    const actor = await test.spawn(cautious, 'p_1', { phoneNumber: '+15552000001' });
    await actor.send({ type: 'order' });
    await test.settle();
    expect(sent).toEqual(['Thank you.']);
    await test.crash();
    let refusals = 10;
    SqliteStore.prototype.commit = async function (group) {
      const isHeld = group.some(({ marks }) => marks?.some(({ status }) => status === 'held'));
      if (!isHeld || refusals-- < 0) return commit.call(this, group);
      return group.map(() => ({ result: 'failed', error: new Error('the disk is full') }));
    };
    await test.restart();
    await test.advance('30s');
    expect(sent.filter((text) => text === 'Thank you.')).toHaveLength(1);
    const [row] = await test.runtime.knex('outbox_messages').orderBy('id');
    expect(row.status).toBe('held');
  });

  it('sends nothing twice, whatever waits for another attempt', async () => {
    let refusals = 3;
    const sent: string[] = [];
    test = await createTestRuntime({
      flows: [flow],
      recovery: { sweepEvery: '1s' },
      transport: {
        send({ text }) {
          if (refusals-- > 0) throw new Error('busy');
          sent.push(text);
        },
      },
    });
    const actor = await test.spawn(flow, 'p_1', { phoneNumber: '+15552000001' });
    await actor.send({ type: 'order' });
    await test.advance('40s');
    expect(sent).toEqual(['Thank you.', 'It costs little.']);
  });

  it('goes on sweeping while the database cannot be read', async () => {
    const faults: string[] = [];
    const { unsent } = SqliteStore.prototype;
    test = await createTestRuntime({ flows: [flow], recovery: { sweepEvery: '1m' } });
    test.runtime.on('fault', ({ during }) => faults.push(during));
    SqliteStore.prototype.unsent = async () => {
      throw new Error('no');
    };
    try {
      await test.advance('70s');
    } finally {
      SqliteStore.prototype.unsent = unsent;
    }
    expect(faults).toEqual(['sweeping', 'sweeping', 'sweeping']);
    await test.advance('1m');
    expect(faults).toHaveLength(3);
  });
});
