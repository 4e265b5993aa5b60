import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { type ActorMessage, sendToActor } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

let broken = true;
const fail = () => {
  if (broken) throw new Error('it is broken');
  return true;
};

const receiver = defineFlow({
  type: 'receiver',
  version: 1,
  logic: setup({
    types: {
      context: {} as { got: number[] },
      events: {} as { type: 'hi'; n: number } | { type: 'doom' } | { type: 'end' },
    },
  }).createMachine({
    context: { got: [] },
    initial: 'calm',
    on: {
      hi: {
        guard: ({ event }) => event.n >= 0 || fail(),
        actions: assign({ got: ({ context, event }) => [...context.got, event.n] }),
      },
      end: '.ended',
    },
    states: {
      calm: { on: { doom: 'doomed' } },
      doomed: { after: { 1000: { target: 'calm', guard: fail } } },
      ended: { type: 'final' },
    },
  }),
  supervision: { strategy: 'escalate' },
});

const sender = defineFlow({
  type: 'sender',
  version: 1,
  logic: setup({
    types: {
      events: {} as { type: 'go'; n: number; to?: string },
      emitted: {} as ActorMessage<{ type: 'hi'; n: number }>,
    },
  }).createMachine({
    on: {
      go: {
        actions: emit(({ event }) =>
          sendToActor({ flowType: 'receiver', participantId: event.to ?? 'r' }, { type: 'hi' as const, n: event.n }),
        ),
      },
    },
  }),
});

const R = { flowType: 'receiver', participantId: 'r' };

describe('events between actors arrive, or somebody knows', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  const begin = async (options: { eventPatience?: '2h' } = {}) => {
    broken = true;
    test = await createTestRuntime({ flows: [receiver, sender], ...options });
    await test.spawn(sender, 's');
  };
  const go = async (...ns: number[]) => {
    for (const n of ns) await test.actor(sender, 's').send({ type: 'go', n });
    await test.settle();
  };
  const got = async () => (await test.actor(receiver, 'r').getSnapshot()).context.got;
  const statuses = async () => test.knex('outbox_messages').where({ kind: 'event' }).orderBy('id').pluck('status');
  /** Puts the receiver into quarantine. */
  const quarantine = async () => {
    const r = await test.spawn(receiver, 'r');
    await r.send({ type: 'doom' });
    await test.advance('1s');
    expect((await r.describe()).status).toBe('quarantined');
  };

  it.each(['at once', 'after a restart', 'after a crash'])(
    'wait while their receiver is in quarantine, and are applied in order when it is retried, %s',
    async (when) => {
      await begin();
      await quarantine();
      const waits: string[] = [];
      test.runtime.on('eventWaits', ({ address }) => waits.push(address.participantId));
      await go(1, 2, 3);
      expect(await statuses()).toEqual(['waiting', 'waiting', 'waiting']);
      expect(waits).toEqual(['r']);
      if (when === 'after a restart') await test.restart();
      if (when === 'after a crash') {
        await test.crash();
        await test.restart();
      }
      await go(4);
      broken = false;
      await test.runtime.quarantine.retry(R);
      await go(5);
      expect(await got()).toEqual([1, 2, 3, 4, 5]);
      expect(await statuses()).toEqual(Array(5).fill('sent'));
      expect(await test.runtime.deadLetters.list()).toEqual([]);
    },
  );

  it('are taken up by a sweep where a retry was not heard of', async () => {
    await begin();
    await quarantine();
    await go(1, 2);
    await test.knex('flow_states').where({ participant_id: 'r' }).update({ status: 'active', last_error: null });
    broken = false;
    await test.crash();
    await test.restart();
    await test.settle();
    expect(await got()).toEqual([1, 2]);
  });

  it('become dead letters when their receiver is given up, and are dropped with a note when it is removed', async () => {
    await begin();
    await quarantine();
    await go(1, 2);
    await test.runtime.quarantine.discard(R);
    await test.settle();
    expect(await test.runtime.deadLetters.list()).toMatchObject([
      { address: R, kind: 'event', event: { type: 'hi', n: 1 }, error: expect.stringContaining('has ended') },
      { event: { n: 2 } },
    ]);
    expect(await statuses()).toEqual(['dead', 'dead']);
    await test.runtime.remove(receiver, 'r');
    await quarantine();
    await go(3);
    await test.runtime.remove(receiver, 'r');
    expect(await test.knex('outbox_messages').orderBy('id', 'desc').first()).toMatchObject({
      status: 'cancelled',
      last_error: 'The receiver was removed.',
    });
    broken = false;
    await test.spawn(receiver, 'r');
    await test.advance('2d');
    expect(await got()).toEqual([]);
  });

  it('wait for a receiver that does not exist yet, and nothing overtakes them', async () => {
    await begin();
    await go(1, 2);
    await test.advance('1h');
    expect(await statuses()).toEqual(['waiting', 'waiting']);
    await test.spawn(receiver, 'r');
    await go(3);
    expect(await got()).toEqual([1, 2, 3]);
  });

  it('become dead letters where nobody comes in time, which can be applied when somebody does', async () => {
    await begin({ eventPatience: '2h' });
    await go(1);
    await test.advance('1h');
    await go(2);
    await test.advance('65m');
    expect(await statuses()).toEqual(['dead', 'waiting']);
    const [letter] = await test.runtime.deadLetters.list();
    expect(letter).toMatchObject({ address: R, error: expect.stringContaining('There is no actor') });
    await test.spawn(receiver, 'r');
    await test.settle();
    expect(await got()).toEqual([2]);
    expect(await test.runtime.deadLetters.retry(letter!.id)).toMatchObject({ handled: true });
    expect(await got()).toEqual([2, 1]);
  });

  it('to an actor that has ended are dead letters at once', async () => {
    await begin();
    await (await test.spawn(receiver, 'r')).send({ type: 'end' });
    await go(1);
    expect(await test.runtime.deadLetters.list()).toMatchObject([
      { address: R, error: expect.stringContaining('has ended') },
    ]);
  });

  it('that make their receiver throw are dead letters, and the next ones go on', async () => {
    await begin();
    await test.spawn(receiver, 'r');
    await go(1, -2, 3);
    expect(await got()).toEqual([1, 3]);
    expect(await statuses()).toEqual(['sent', 'dead', 'sent']);
    const [letter] = await test.runtime.deadLetters.list();
    expect(letter).toMatchObject({ kind: 'event', event: { n: -2 }, error: expect.stringContaining('it is broken') });
    broken = false;
    await test.runtime.deadLetters.retry(letter!.id);
    expect(await got()).toEqual([1, 3, -2]);
  });

  it('that were applied before are no dead letters where they would throw now', async () => {
    await begin();
    await test.spawn(receiver, 'r');
    broken = false;
    await go(-1);
    await test.crash();
    await test.restart();
    await test.knex('outbox_messages').where({ kind: 'event' }).update({ status: 'pending' });
    broken = true;
    await test.crash();
    await test.restart();
    await test.settle();
    expect(await statuses()).toEqual(['sent']);
    expect(await test.runtime.deadLetters.list()).toEqual([]);
    expect(await got()).toEqual([-1]);
  });

  it('hold nobody else up while they wait', async () => {
    await begin();
    await test.spawn(receiver, 'other');
    await go(1);
    await test.actor(sender, 's').send({ type: 'go', n: 2, to: 'other' });
    await test.settle();
    expect((await test.actor(receiver, 'other').getSnapshot()).context.got).toEqual([2]);
  });

  it('that cannot be read are put aside, and the next ones go on', async () => {
    await begin();
    await go(1, 2);
    await test.knex('outbox_messages').where({ id: 1 }).update({ payload: '{"to": 7}' });
    await test.spawn(receiver, 'r');
    await test.settle();
    expect(await got()).toEqual([2]);
    expect(await test.runtime.undelivered.list()).toMatchObject([{ id: 1, kind: 'event', status: 'failed' }]);
  });
});
