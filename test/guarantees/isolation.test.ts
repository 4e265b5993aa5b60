import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AnyActorRef, assign, createMachine, emit, raise, sendParent, sendTo, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from './machines.ts';

const withChild = defineFlow({
  type: 'parent',
  version: 1,
  logic: setup({
    actors: { child: createMachine({ initial: 'a', states: { a: { after: { 1000: 'b' } }, b: {} } }) },
  }).createMachine({
    context: { list: [1] },
    invoke: { id: 'child', src: 'child' },
  }),
});

const more = ({ context }: { context: { laps: number } }) => context.laps + 1;
const inner = createMachine({
  id: 'inner',
  context: { laps: 0 },
  initial: 'a',
  states: {
    a: { on: { go: 'b' } },
    b: { always: { target: '#inner.b', reenter: true, actions: assign({ laps: more }) } },
  },
});
/** Turns that would never end. */
const endless = defineFlow({
  type: 'endless',
  version: 1,
  logic: setup({
    types: { context: {} as { laps: number }, emitted: {} as { type: 'message'; text: string } },
    actors: { echo: createMachine({ on: { ping: { actions: sendParent({ type: 'pong' }) } } }), inner },
  }).createMachine({
    context: { laps: 0 },
    initial: 'calm',
    invoke: [
      { id: 'echo', src: 'echo' },
      { id: 'inner', src: 'inner' },
    ],
    states: {
      calm: {
        on: {
          always: 'round',
          raise: { actions: [emit({ type: 'message', text: 'off we go' }), raise({ type: 'raise' })] },
          self: { actions: sendTo(({ self }) => self, { type: 'self' }) },
          go: { actions: sendTo('echo', { type: 'ping' }) },
          pong: { actions: sendTo('echo', { type: 'ping' }) },
          inner: { actions: sendTo('inner', { type: 'go' }) },
          wait: 'waiting',
        },
      },
      waiting: { after: { 1000: 'round' } },
      round: { id: 'round', always: { target: '#round', reenter: true, actions: assign({ laps: more }) } },
    },
  }),
});

describe('isolation: one bad row or throwing guard never stops another actor', () => {
  let test: TestRuntime;
  let quarantined: string[] = [];
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [counter, withChild, endless] });
    for (const id of ['bad', 'good'])
      await test.spawn(counter, id, { phoneNumber: id === 'bad' ? '+15551230001' : '+15551230002' });
    await test.spawn(withChild, 'parent');
    quarantined = [];
    test.runtime.on('quarantined', ({ address }) => quarantined.push(address.participantId));
  });
  afterEach(() => test.stop());

  const spoil = async (change: (state: any) => unknown, id = 'bad') => {
    await test.crash();
    await test.restart();
    test.runtime.on('quarantined', ({ address }) => quarantined.push(address.participantId));
    const row = await test.knex('flow_states').where({ participant_id: id }).first();
    const spoiled = change(JSON.parse(row.state_data));
    await test
      .knex('flow_states')
      .where({ participant_id: id })
      .update({ state_data: typeof spoiled === 'string' ? spoiled : JSON.stringify(spoiled) });
    return row;
  };
  const others = async () => {
    expect((await test.actor(counter, 'good').send({ type: 'inc' })).context.count).toBe(1);
  };

  for (const [what, change, why] of [
    ['is cut off', (state) => JSON.stringify(state).slice(0, 50), /not readable/],
    ['is empty', () => '', /not readable/],
    ['is no object', () => '42', /holds no snapshot/],
    ['is a list', () => '[]', /holds no snapshot/],
    [
      'is of a state that the machine does not have',
      (state) => ({ ...state, snapshot: { ...state.snapshot, value: 'nowhere' } }),
      /nowhere/,
    ],
    [
      'has no status',
      (state) => ({ ...state, snapshot: { ...state.snapshot, status: undefined } }),
      /holds no snapshot/,
    ],
    ['has a broken lossless part', (state) => ({ ...state, lossless: '[{"a":99}]' }), /not readable/],
  ] as [string, (state: any) => unknown, RegExp][]) {
    it(`puts an actor aside whose row ${what}, names the reason, and keeps the row`, async () => {
      await spoil(change);
      const [{ state_data }] = await test.knex('flow_states').where({ participant_id: 'bad' });
      await expect(test.actor(counter, 'bad').send({ type: 'inc' })).rejects.toMatchObject({
        code: 'ACTOR_QUARANTINED',
      });
      await others();
      expect(quarantined).toEqual(['bad']);
      const row = await test.knex('flow_states').where({ participant_id: 'bad' }).first();
      expect(row).toMatchObject({ status: 'quarantined', state_data });
      expect(row.last_error).toMatch(why);
      // And so it stays.
      await test.crash();
      await test.restart();
      await expect(test.actor(counter, 'bad').send({ type: 'inc' })).rejects.toMatchObject({
        code: 'ACTOR_QUARANTINED',
      });
    });
  }

  it('puts an actor aside whose child the machine does not know any more', async () => {
    await spoil((state) => {
      state.snapshot.children.child.src = 'gone';
      return state;
    }, 'parent');
    await expect(test.actor(withChild, 'parent').getSnapshot()).rejects.toMatchObject({
      code: 'SNAPSHOT_INCOMPATIBLE',
    });
    expect((await test.knex('flow_states').where({ participant_id: 'parent' }).first()).last_error).toContain(
      "its child 'child' runs 'gone'",
    );
    await others();
  });

  it('puts an actor aside whose deadline belongs to a child that is not there', async () => {
    await spoil((state) => {
      state.timers[0].target = ['nobody'];
      return state;
    }, 'parent');
    await test.advance('1h');
    expect(quarantined).toEqual(['parent']);
    await others();
  });

  it('puts an actor aside whose deadline makes it throw, with its last good state', async () => {
    await test.actor(counter, 'bad').send({ type: 'throw later' });
    await test.advance('1m');
    expect(quarantined).toEqual(['bad']);
    expect(await test.actor(counter, 'bad').describe()).toMatchObject({
      state: 'doomed',
      status: 'quarantined',
      lastError: expect.stringContaining('the deadline threw'),
    });
    expect((await test.actor(counter, 'bad').getSnapshot()).value).toBe('doomed');
    await others();
  });

  it('lets an actor that was put aside go on, once its row is mended', async () => {
    const { state_data } = await spoil(() => '{', 'parent');
    await test.advance('1h');
    expect(await test.runtime.quarantine.list()).toMatchObject([
      { address: { participantId: 'parent' }, error: expect.stringContaining('not readable') },
    ]);
    await expect(test.actor(withChild, 'parent').retry()).rejects.toMatchObject({ code: 'SNAPSHOT_INCOMPATIBLE' });
    expect(await test.runtime.quarantine.list()).toHaveLength(1);
    await test.knex('flow_states').where({ participant_id: 'parent' }).update({ state_data });
    await test.actor(withChild, 'parent').retry();
    await test.settle();
    // Its overdue deadline fired, late.
    const { children } = await test.actor(withChild, 'parent').getSnapshot();
    expect((children['child'] as AnyActorRef).getSnapshot().value).toBe('b');
    expect(await test.runtime.quarantine.list()).toEqual([]);
  });

  it('lets an actor that failed too often go on, with its deadline', async () => {
    await test.actor(counter, 'bad').send({ type: 'throw later' });
    await test.advance('1m');
    expect(quarantined).toEqual(['bad']);
    await test.actor(counter, 'bad').retry();
    await test.settle();
    expect(await test.actor(counter, 'bad').describe()).toMatchObject({ status: 'active', lastError: null });
    await test.advance('1m'); // nothing was mended
    expect(quarantined).toEqual(['bad', 'bad']);
  });

  it('leaves an actor as it was whose event makes it throw', async () => {
    const actor = test.actor(counter, 'bad');
    await actor.send({ type: 'inc' });
    await expect(actor.send({ type: 'throw' })).rejects.toThrow(
      /'throw' made counter\/bad throw: .*the guard threw.* The turn was undone/s,
    );
    expect((await actor.send({ type: 'inc' })).context.count).toBe(2);
    await others();
  });

  for (const [type, why] of [
    ['always', /more than 10000 microsteps/],
    ['raise', /more than 10000 microsteps/],
    ['self', /more than 10000 events in one turn/],
    ['go', /more than 10000 events in one turn/],
    ['inner', /more than 10000 microsteps/],
  ] as const) {
    it(`ends a turn that would never end (${type}), as one that throws`, async () => {
      const actor = await test.spawn(endless, 'loop');
      await expect(actor.send({ type })).rejects.toThrow(why);
      expect(await actor.describe()).toMatchObject({ state: 'calm', status: 'active', version: 1 });
      expect(test.delivered).toEqual([]);
      await actor.send({ type: 'wait' });
      await others();
    });
  }

  it('puts an actor aside whose deadline leads to a turn that would never end, also over a restart', async () => {
    const actor = await test.spawn(endless, 'loop');
    await actor.send({ type: 'wait' });
    await test.crash();
    await test.restart();
    test.runtime.on('quarantined', ({ address }) => quarantined.push(address.participantId));
    await test.advance('1h');
    expect(quarantined).toEqual(['loop']);
    expect((await test.actor(endless, 'loop').describe()).lastError).toMatch(/more than 10000 microsteps/);
    await others();
  });

  it('answers a message to an actor that was put aside, and keeps the message', async () => {
    await spoil(() => '{');
    const message = { channel: 'sms', id: 'x', from: '+15551230001', text: 'hello?' };
    await expect(test.receive(message)).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
    await others();
  });

  it('is harmed by no listener that throws, nor by an async one that rejects: each is told of, and the others hear', async () => {
    const faults: string[] = [];
    test.runtime.on('fault', ({ during, error }) => faults.push(`${during}: ${(error as Error).message}`));
    const throws = () => {
      throw new Error('thrown');
    };
    const rejects = async () => throws();
    const heard: string[] = [];
    const good = test.actor(counter, 'good');
    for (const listener of [throws, rejects]) {
      test.runtime.on('turn', listener);
      test.runtime.on('fault', listener);
      good.subscribe(listener);
      good.on('message', listener);
      test.runtime.inspect({ actor: listener, event: listener, snapshot: listener }, { flow: counter });
    }
    test.runtime.on('turn', ({ event }) => void heard.push(event));
    good.on('message', ({ text }) => void heard.push(text));
    await good.send({ type: 'say', text: 'hello' });
    await test.settle();
    expect(heard).toEqual(expect.arrayContaining(['say', 'hello']));
    for (const during of ["a listener to 'turn'", 'a subscriber of counter/good', 'an inspector'])
      expect(faults.filter((fault) => fault === `${during}: thrown`).length).toBeGreaterThanOrEqual(2);
    await others();
  });
});
