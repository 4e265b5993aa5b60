import { afterEach, describe, expect, it } from 'vitest';
import { assign, createMachine, emit, fromPromise, setup } from 'xstate';
import { type AnyFlow, createRuntime, defineFlow } from '../../src/index.ts';
import { type ActorMessage, random, sendToActor } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime, type TestRuntimeOptions } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';
import { appointment } from './appointment.ts';

const PHONE = '+15551234567';
const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

let test: TestRuntime;
afterEach(() => test.stop());
const begin = async (options: Partial<TestRuntimeOptions> = {}) => {
  test = await createTestRuntime({ flows: [appointment, counter], ...options });
  return test.spawn(appointment, 'ada', { input: { day: 'Monday' }, phoneNumber: PHONE });
};

describe('whom a test talks to', () => {
  it('is a handle, an address or the id of a participant', async () => {
    const actor = await begin();
    test.stub('bookRoom');
    await test.advance('15m');
    expect((await test.send('ada', { type: 'reply', text: '1' })).value).toBe('booking');
    const address = { flowType: 'appointment', participantId: 'ada' };
    for (const who of [actor, address, 'ada', 'appointment/ada']) {
      expect(await test.journal(who)).toHaveLength(3);
      expect(await test.outbox(who)).toHaveLength(2);
      expect(await test.timers(who)).toEqual([]);
    }
    expect(await test.outbox(PHONE)).toHaveLength(2);
    expect((await test.send(address, { type: 'reply', text: '1' })).handled).toBe(false);
  });

  it('is typed by its flow', async () => {
    const actor = await begin();
    // @ts-expect-error no such event
    await test.send(actor, { type: 'answer' });
    // @ts-expect-error a reply has a text
    await actor.send({ type: 'reply' });
    // @ts-expect-error the input has a day
    await test.spawn(appointment, 'bob', { input: {} });
    const { context } = await test.send(actor, { type: 'reply', text: '2' });
    expect(context.day.toUpperCase()).toBe('MONDAY');
  });

  it('has to be there, and to be one', async () => {
    const actor = await begin();
    await test.spawn(counter, 'ada');
    await expect(test.timers('bob')).rejects.toThrow(
      "There is no actor 'bob' in this test. There are: appointment/ada, counter/ada.",
    );
    await expect(test.outbox(test.actor(counter, 'bob'))).rejects.toThrow('There is no actor counter/bob');
    await expect(test.send('ada', { type: 'inc' })).rejects.toThrow(
      "'ada' has several actors: 'appointment/ada', 'counter/ada'. Say which one is meant.",
    );
    expect((await test.send('counter/ada', { type: 'inc' })).context.count).toBe(1);
    expect(await test.journal('ada')).toHaveLength(3);
    expect(await test.journal(actor)).toHaveLength(1);
    expect(() => test.actor('appointmnt', 'ada')).toThrow("There is no flow 'appointmnt'");
  });

  it('is written to by messages that need no channel and no id, each of them another one', async () => {
    await begin();
    expect(await test.receive({ from: PHONE, text: '2' })).toMatchObject({ status: 'applied' });
    expect(await test.receive({ from: PHONE, text: '2' })).toMatchObject({ status: 'ignored' });
    const message = { from: PHONE, text: 'again', channel: 'sms', id: 'SM1' };
    expect((await test.receive(message)).status).toBe('ignored');
    expect((await test.receive(message)).status).toBe('duplicate');
  });
});

describe('what a test reads', () => {
  it('says who was told what, and what may be answered', async () => {
    await begin();
    const [sent] = await test.outbox();
    expect(sent).toMatchObject({
      to: PHONE,
      text: 'Will you come on Monday?\n1. Yes\n2. No',
      options: [
        { id: '1', label: 'Yes' },
        { id: '2', label: 'No' },
      ],
      status: 'sent',
      at: START,
      address: { flowType: 'appointment', participantId: 'ada' },
    });
  });

  it('says which deadline is how far away, by the name that it has in the machine', async () => {
    const actor = await begin();
    await test.advance('5m');
    expect((await actor.timers()).map(({ name, in: wait, dueAt }) => [name, wait, dueAt])).toEqual([
      ['reminder', '10m', START + 15 * MINUTE],
      ['after 1d', '23h55m', START + 24 * 60 * MINUTE],
    ]);
    await test.advance('90s');
    expect((await test.timers('ada'))[0]).toMatchObject({ name: 'reminder', in: '8m30s' });
  });

  it('says what each turn was made from', async () => {
    const actor = await begin();
    await actor.send({ type: 'reply', text: '1' });
    expect((await actor.journal()).map(({ event, from, to }) => [event, from, to])).toEqual([
      ['xstate.init', null, 'asking'],
      ['reply', 'asking', 'booking'],
      ['xstate.promise.resolve', 'booking', 'over'],
    ]);
  });
});

describe('a crash', () => {
  it('leaves handles that are good after the restart', async () => {
    const actor = await begin();
    await test.crash();
    await test.restart();
    expect((await actor.send({ type: 'reply', text: '2' })).value).toBe('over');
  });

  it('says so to whoever uses the runtime that is down', async () => {
    const actor = await begin();
    await test.crash();
    const down = /The test runtime is down: it crashed. Call and await restart\(\) first./;
    await expect(actor.send({ type: 'reply', text: '1' })).rejects.toThrow(down);
    await expect(test.advance('1m')).rejects.toThrow(down);
    await expect(test.outbox()).rejects.toThrow(down);
    await expect(test.crash()).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    expect(await test.knex('flow_states').pluck('current_state')).toEqual(['asking']);
    await test.restart();
    await test.stop();
    await expect(test.spawn(appointment, 'bob', { input: { day: 'x' } })).rejects.toThrow(/down: it was stopped\./);
    await test.stop(); // twice does no harm
  });

  it('comes in the midst of turns: what was acknowledged is there, and of the rest nothing is half done', async () => {
    await begin();
    const actor = await test.spawn(counter, 'bob');
    for (let after = 0; after < 12; after++) {
      const { count } = (await actor.getSnapshot()).context;
      let acknowledged = 0;
      const sends = Array.from({ length: 30 }, () => actor.send({ type: 'say', text: 'hi' }));
      const incs = Array.from({ length: 30 }, () => actor.send({ type: 'inc' }).then(() => acknowledged++));
      const all = Promise.allSettled([...sends, ...incs]);
      for (let tick = 0; tick < after; tick++) await new Promise(setImmediate);
      await test.crash();
      const unknown = (await all).filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
      for (const { reason } of unknown) expect(reason).toMatchObject({ code: 'NOT_RUNNING' });
      await test.restart();
      const row = await test.knex('flow_states').where({ participant_id: 'bob' }).first();
      const now = await actor.getSnapshot();
      expect(now.context.count).toBeGreaterThanOrEqual(count + acknowledged);
      // The dead one goes on with nothing: no line, no message and no version more than its row says.
      await test.settle();
      expect(await test.journal('bob')).toHaveLength(row.version);
      expect((await actor.send({ type: 'inc' })).context.count).toBe(now.context.count + 1);
    }
    const lines = await test.journal('bob');
    expect(await test.outbox('bob')).toHaveLength(lines.filter(({ event }) => event === 'say').length);
  });

  it('starts no promise of a turn whose end it did not see', async () => {
    const actor = await begin();
    const booking = test.stub('bookRoom');
    const sent = actor.send({ type: 'reply', text: '1' });
    let seen = 'nothing';
    sent.catch(({ code }) => (seen = code));
    for (let tick = 0; tick < 2; tick++) await new Promise(setImmediate);
    await test.crash();
    expect([seen, booking.calls.length]).toEqual(['NOT_RUNNING', 0]);
  });

  it('leaves what the transport has not acknowledged as maybe sent', async () => {
    const given: boolean[] = [];
    const transport = {
      send: ({ maybeSent }: { maybeSent: boolean }) => {
        given.push(maybeSent);
        return given.length === 1 ? new Promise<void>(() => {}) : Promise.resolve();
      },
    };
    await begin({ transport });
    expect(await test.outbox('ada')).toMatchObject([{ status: 'sending' }]);
    await test.crash();
    await test.restart();
    expect(await test.outbox('ada')).toMatchObject([{ status: 'sent' }]);
    expect(given).toEqual([false, true]);
  });

  it('is a deploy where the runtime is restarted as it runs: what it was doing comes to its end', async () => {
    const actor = await begin();
    const { runtime } = test;
    await test.restart();
    expect(test.runtime).not.toBe(runtime);
    await expect(runtime.receive({ channel: 'a', id: 'b', from: PHONE, text: '1' })).rejects.toThrow('stopped');
    expect((await actor.send({ type: 'reply', text: '2' })).status).toBe('done');
  });
});

describe('time', () => {
  it('goes forward by durations and to instants, and says what it does not understand', async () => {
    await begin({ start: '2026-03-01T09:00:00Z' });
    expect(new Date(test.clock.now()).toISOString()).toBe('2026-03-01T09:00:00.000Z');
    await test.advance(90_000);
    await test.advanceTo('2026-03-01T10:00:00Z');
    await test.advanceTo(new Date('2026-03-02'));
    expect(new Date(test.clock.now()).toISOString()).toBe('2026-03-02T00:00:00.000Z');
    await expect(test.advance('15 minutes' as never)).rejects.toThrow('"15 minutes" is not a duration');
    await expect(test.advance(Number.NaN)).rejects.toThrow('NaN is not a duration');
    await expect(test.advance(undefined as never)).rejects.toThrow('undefined is not a duration');
    await expect(test.advance(-1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(test.advanceTo('tomorrow')).rejects.toThrow('"tomorrow" is no instant');
    await expect(test.advanceTo('2026-03-01')).rejects.toThrow('it is 2026-03-02T00:00:00.000Z already');
    test.clock.moveTo(Date.parse('2026-03-01'));
    expect(test.clock.now()).toBe(Date.parse('2026-03-01'));
  });

  it('goes through years, day by day', async () => {
    const daily = defineFlow({
      type: 'daily',
      version: 1,
      logic: createMachine({ initial: 'on', states: { on: { after: { 86400000: { target: 'on', reenter: true } } } } }),
    });
    test = await createTestRuntime({ flows: [daily] });
    await test.spawn(daily, 'ada');
    let settled = 0;
    const settle = test.settle.bind(test);
    test.settle = () => {
      settled++;
      return settle();
    };
    await test.advance('365d');
    const fired = (await test.journal('ada')).slice(1);
    expect(fired.map(({ at, dueAt }) => [at, dueAt])).toEqual(
      Array.from({ length: 365 }, (_, i) => [START + (i + 1) * 86_400_000, START + (i + 1) * 86_400_000]),
    );
    // A day has its deadline, the look at the database before it, a sweep and a pruning, and little more.
    expect(settled).toBeLessThan(365 * 6);
  });
});

describe('the seed', () => {
  const draw = defineFlow({
    type: 'draw',
    version: 1,
    logic: setup({
      types: { context: {} as { drawn: number; failed: number } },
      actors: {
        flaky: fromPromise(async () => {
          throw new Error('not now');
        }),
      },
    }).createMachine({
      context: () => ({ drawn: random(), failed: 0 }),
      invoke: { src: 'flaky', onError: { actions: assign({ failed: 1 }) } },
    }),
    invocations: { flaky: { attempts: 5 } },
  });
  const run = async (seed?: string) => {
    test = await createTestRuntime({ flows: [draw], ...(seed !== undefined && { seed }) });
    const waits: (number | undefined)[] = [];
    test.runtime.on('invocationFailed', ({ after }) => waits.push(after));
    const actor = await test.spawn(draw, 'ada');
    await test.advance('1h');
    const { drawn } = (await actor.getSnapshot()).context;
    await test.stop();
    return { drawn, waits };
  };

  it('decides what is drawn in turns, and how long is waited', async () => {
    const [first, again, other, byDefault] = [await run('a'), await run('a'), await run('b'), await run()];
    expect(first.waits).toHaveLength(5);
    expect(again).toEqual(first);
    expect(other.drawn).not.toBe(first.drawn);
    expect(other.waits).not.toEqual(first.waits);
    expect(await run()).toEqual(byDefault);
  });
});

describe('coming to rest', () => {
  const flowOf = (type: string, logic: AnyFlow['logic']) => defineFlow({ type, version: 1, logic });
  const restless = createMachine({
    id: 'restless',
    initial: 'calm',
    states: {
      calm: { on: { go: 'on' } },
      on: { after: { 0: 'off' } },
      off: { after: { 0: 'on' } },
    },
  });

  it('waits for no promise that never ends', async () => {
    const actor = await begin();
    test.stub('bookRoom', () => new Promise(() => {}));
    await actor.send({ type: 'reply', text: '1' });
    await test.advance('7d');
    expect((await actor.getSnapshot()).value).toBe('booking');
  });

  it('is not to be expected of an actor that sets itself deadlines of no delay: the error names it', async () => {
    const flow = flowOf('restless', restless);
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'ada');
    await actor.send({ type: 'go' });
    await expect(test.advance('1m')).rejects.toMatchObject({
      code: 'RUNAWAY',
      address: actor.address,
      events: expect.arrayContaining(['xstate.after.0.restless.on', 'xstate.after.0.restless.off']),
      message: expect.stringContaining('restless/ada does not come to rest: 1001 turns at one instant'),
    });
    await expect(test.outbox()).rejects.toMatchObject({ code: 'RUNAWAY' });
  });

  it('is not to be expected of it by who sends it events, either: they are taken, and it goes on', async () => {
    const flow = flowOf('restless', restless);
    test = await createTestRuntime({ flows: [flow], runawayAfter: 50 });
    const actor = await test.spawn(flow, 'ada');
    await actor.send({ type: 'go' });
    expect(await actor.send({ type: 'go' })).toMatchObject({ value: 'off' });
    await expect(test.settle()).rejects.toMatchObject({ code: 'RUNAWAY' });
  });

  it('is no condition for the end of a test', async () => {
    const flow = flowOf('restless', restless);
    test = await createTestRuntime({ flows: [flow], runawayAfter: 50 });
    await (await test.spawn(flow, 'ada')).send({ type: 'go' });
    await test.stop();
  });

  it('is no condition for the end of a process, either', async () => {
    const flow = flowOf('restless', restless);
    test = await createTestRuntime({ flows: [flow], runawayAfter: Number.POSITIVE_INFINITY });
    await (await test.spawn(flow, 'ada')).send({ type: 'go' });
    test.clock.moveTo(test.clock.now());
    await test.runtime.stop();
    expect(test.runtime.health().status).toBe('stopped');
  });

  it('is not to be expected of one that asks again whatever is answered', async () => {
    const flow = flowOf(
      'asking',
      setup({ actors: { ask: fromPromise(async () => 1) } }).createMachine({
        initial: 'asking',
        states: { asking: { invoke: { src: 'ask', onDone: { target: 'asking', reenter: true } } } },
      }),
    );
    test = await createTestRuntime({ flows: [flow], runawayAfter: 200 });
    const actor = await test.spawn(flow, 'ada');
    await expect(test.settle()).rejects.toMatchObject({
      code: 'RUNAWAY',
      events: expect.arrayContaining(['xstate.promise.resolve']),
    });
    await test.restart();
    await expect(actor.waitFor(() => false)).rejects.toMatchObject({ code: 'RUNAWAY' });
  });

  it('is not to be expected of two that answer each other for ever', async () => {
    type Ball = { type: 'ball'; to: string; from: string };
    const player = flowOf(
      'player',
      setup({
        types: { events: {} as Ball, emitted: {} as ActorMessage<Ball> },
      }).createMachine({
        on: {
          ball: {
            actions: emit(({ event: { to, from } }) =>
              sendToActor({ flowType: 'player', participantId: to }, { type: 'ball', to: from, from: to }),
            ),
          },
        },
      }),
    );
    test = await createTestRuntime({ flows: [player], runawayAfter: 100 });
    await test.spawn(player, 'ada');
    const bob = await test.spawn(player, 'bob');
    const serve: Ball = { type: 'ball', to: 'ada', from: 'bob' };
    await bob.send(serve);
    await expect(test.settle()).rejects.toMatchObject({ code: 'RUNAWAY', events: ['ball'] });
  });

  it('is reached by many events of a test at one instant', async () => {
    test = await createTestRuntime({ flows: [counter], runawayAfter: 50 });
    const actor = await test.spawn(counter, 'ada');
    const sends = Array.from({ length: 200 }, () => actor.send({ type: 'inc' }));
    await test.settle();
    await Promise.all(sends);
    for (let i = 0; i < 100; i++) await actor.send({ type: 'inc' });
    expect((await actor.getSnapshot()).context.count).toBe(300);
  });
});

describe('the end of a test', () => {
  it('comes with the block, by await using', async () => {
    const left = await (async () => {
      await using mine = await createTestRuntime({ flows: [counter] });
      await mine.spawn(counter, 'ada');
      return mine;
    })();
    test = left;
    expect(() => left.runtime).toThrow('down: it was stopped');
  });

  it('needs no answer from the transport', async () => {
    await begin({ transport: { send: () => new Promise<void>(() => {}) } });
    await test.settle();
  });
});

it('says what a flow is, where it is given a machine or nothing', async () => {
  await begin();
  for (const flows of [[counter.logic], [undefined], undefined] as never[]) {
    await expect(createTestRuntime({ flows })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(() => createRuntime({ database: ':memory:', flows })).toThrow('defineFlow');
  }
});
