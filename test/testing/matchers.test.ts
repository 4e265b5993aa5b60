import { AssertionError } from 'node:assert';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, createActor, createMachine, fromPromise, fromTransition, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import '../../src/testing/vitest.ts';
import {
  assertThat,
  createTestRuntime,
  serializer,
  type TestActor,
  type TestRuntime,
} from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';
import { appointment } from './appointment.ts';

const PHONE = '+15551234567';

const day = defineFlow({
  type: 'day',
  version: 1,
  logic: createMachine({
    id: 'day',
    type: 'parallel',
    states: {
      talk: {
        initial: 'asking',
        states: { asking: { initial: 'first', states: { first: {}, second: {} } }, over: {} },
      },
      week: { initial: 'counting', states: { counting: {}, done: {} } },
      clock: {},
    },
  }),
});
const total = defineFlow({
  type: 'total',
  version: 1,
  logic: fromTransition((sum: { n: number }, event: { type: 'add'; n: number }) => ({ n: sum.n + event.n }), { n: 0 }),
});

let test: TestRuntime;
let actor: TestActor<typeof appointment>;
beforeEach(async () => {
  test = await createTestRuntime({ flows: [appointment, counter, day, total] });
  actor = await test.spawn(appointment, 'ada', { input: { day: 'Monday' }, phoneNumber: PHONE });
});
afterEach(() => test.stop());

/** What a failed expectation says. */
const complaint = async (expectation: () => unknown): Promise<string> => {
  try {
    await expectation();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('It did not fail.');
};

describe('toBeInState', () => {
  it('holds of an actor and of a snapshot, by name, path or value', async () => {
    await expect(actor).toBeInState('asking');
    await expect(actor).not.toBeInState('booking');
    const snapshot = await actor.getSnapshot();
    expect(snapshot).toBeInState('asking');
    expect(await actor.send({ type: 'reply', text: '1' })).toBeInState('booking');
    expect(snapshot).toBeInState('asking');
    await expect(actor).toBeInState('over'); // what needs no time has happened by then
  });

  it('knows parallel and nested states', async () => {
    const ada = await test.spawn(day, 'ada');
    for (const state of [
      'talk',
      'talk.asking',
      'talk.asking.first',
      'week.counting',
      'clock',
      'talk.asking,week.counting',
    ])
      await expect(ada).toBeInState(state);
    for (const state of [{ talk: 'asking' }, { talk: { asking: 'first' }, week: 'counting' }])
      await expect(ada).toBeInState(state);
    for (const state of [
      'talk.over',
      'talk.asking.second',
      'week.done',
      'talk.asking,week.done',
      { talk: { asking: 'second' } },
    ])
      await expect(ada).not.toBeInState(state);
    expect(await complaint(() => expect(ada).toBeInState('week.done'))).toBe(
      "Expected day/ada to be in 'week.done'.\nIt is in 'talk.asking.first,week.counting,clock'.",
    );
  });

  it('takes logic without states by its status', async () => {
    const ada = await test.spawn(total, 'ada');
    await expect(ada).toBeInState('active');
    await expect(ada).not.toBeInState('done');
  });

  it('tells where the actor is instead', async () => {
    expect(await complaint(() => expect(actor).toBeInState('booking'))).toBe(
      "Expected appointment/ada to be in 'booking'.\nIt is in 'asking'.",
    );
    expect(await complaint(() => expect(actor).not.toBeInState('asking'))).toBe(
      "Expected appointment/ada not to be in 'asking'.\nIt is in 'asking'.",
    );
  });

  it('refuses a state that the machine does not have, also under not', async () => {
    expect(await complaint(() => expect(actor).not.toBeInState('askng'))).toBe(
      "The machine 'appointment' has no state 'askng'. There is: asking, booking, over.",
    );
    const ada = await test.spawn(day, 'ada');
    expect(await complaint(() => expect(ada).toBeInState({ talk: 'askng' }))).toBe(
      "The machine 'day' has no state 'talk.askng'. There is: talk.asking, talk.over.",
    );
    expect(await complaint(() => expect(ada).toBeInState('clock.running'))).toBe(
      "The machine 'day' has no state 'clock.running'. There is nothing in 'clock'.",
    );
  });

  it('says what it is asked of', async () => {
    expect(await complaint(() => expect({ value: 'asking' }).toBeInState('asking'))).toBe(
      "toBeInState is asked of an actor of a test runtime, a view of it, or a snapshot. This is { value: 'asking' }.",
    );
    expect(await complaint(() => expect(actor.getSnapshot()).toBeInState('asking'))).toContain(
      'a promise: await it first',
    );
  });
});

describe('toHaveContext', () => {
  it('asks for a part of it', async () => {
    await expect(actor).toHaveContext({ day: 'Monday' });
    await expect(actor).toHaveContext({ reminded: expect.any(Number), day: expect.stringMatching(/^Mon/) });
    await expect(actor).not.toHaveContext({ day: 'Tuesday' });
    expect(await actor.getSnapshot()).toHaveContext({ room: null });
  });

  it('goes into objects, and takes lists as a whole', async () => {
    const note = await test.spawn(counter, 'ada');
    await note.send({ type: 'note', text: 'a' });
    await note.send({ type: 'note', text: 'b' });
    await expect(note).toHaveContext({ log: ['a', 'b'] });
    await expect(note).not.toHaveContext({ log: ['a'] });
    await expect(note).toHaveContext({ log: ['a', expect.any(String)] });
  });

  it('tells each difference with its path', async () => {
    const snapshot = {
      status: 'active',
      output: undefined,
      error: undefined,
      context: { a: { b: 1, c: [1, 2] }, d: 1 },
    };
    expect(
      await complaint(() => expect(snapshot).toHaveContext({ a: { b: 2, c: [1, 3] }, e: expect.anything() })),
    ).toBe(
      [
        'Expected the snapshot to have the context { a: { b: 2, c: [ 1, 3 ] }, e: Anything }.',
        '  context.a.b is 1, not 2',
        '  context.a.c[1] is 2, not 3',
        '  context.e does not match Anything; it is undefined',
      ].join('\n'),
    );
    expect(await complaint(() => expect(snapshot).not.toHaveContext({ d: 1 }))).toBe(
      'Expected the snapshot not to have the context { d: 1 }.\nIts context is { a: { b: 1, c: [ 1, 2 ] }, d: 1 }.',
    );
  });
});

describe('toHaveSent', () => {
  it('takes a text, the question of a multiple choice, a pattern, or fields', async () => {
    await expect(actor).toHaveSent();
    await expect(actor).toHaveSent('Will you come on Monday?');
    await expect(actor).toHaveSent('Will you come on Monday?\n1. Yes\n2. No');
    await expect(actor).toHaveSent(/monday/i);
    await expect(actor).toHaveSent({ to: PHONE, text: /Monday/, status: 'sent' });
    await expect(actor).toHaveSent({ text: 'Will you come on Monday?', options: [{ id: '1' }, { label: 'No' }] });
    await expect(actor).not.toHaveSent('Will you come');
    await expect(actor).not.toHaveSent({ to: '+15550000000' });
    await expect(test).toHaveSent(/Monday/);
    expect(await test.outbox()).toHaveSent(/Monday/);
    const again = /Monday/g;
    await expect(actor).toHaveSent(again);
    await expect(actor).toHaveSent(again);
  });

  it('takes only what that actor has sent', async () => {
    const bob = await test.spawn(counter, 'bob');
    await expect(bob).not.toHaveSent();
    expect(await complaint(() => expect(bob).toHaveSent())).toBe(
      'Expected counter/bob to have sent a message.\nIt has sent nothing.',
    );
    await bob.send({ type: 'say', text: 'hi' });
    await expect(bob).toHaveSent({ text: 'hi', to: 'bob' });
    await expect(actor).not.toHaveSent('hi');
  });

  it('tells what was sent instead', async () => {
    expect(await complaint(() => expect(actor).toHaveSent('Hello'))).toBe(
      `Expected appointment/ada to have sent 'Hello'.\nSent so far:\n  to ${PHONE}: "Will you come on Monday?\\n1. Yes\\n2. No"`,
    );
    expect(await complaint(() => expect(actor).not.toHaveSent(/Monday/))).toMatch(
      /^Expected appointment\/ada not to have sent \/Monday\/.\nSent so far:\n/,
    );
    expect(await complaint(() => expect(await0()).toHaveSent())).toContain('toHaveSent is asked of');
  });
});
const await0 = () => ({ text: 'x' });

describe('toHaveTimer', () => {
  it('takes the name of the delay, its ms, the type of the event or an id, and when', async () => {
    await test.advance('5m');
    await expect(actor).toHaveTimer();
    for (const name of ['reminder', 'after 1d', '86400000', 'xstate.after.reminder.appointment.asking'])
      await expect(actor).toHaveTimer(name);
    await expect(actor).toHaveTimer('reminder', { in: '10m' });
    await expect(actor).toHaveTimer('reminder', { in: 600_000, at: '2026-01-01T00:15:00Z' });
    await expect(actor).toHaveTimer({ in: '23h55m' });
    await expect(actor).toHaveTimer({ in: '1435m' });
    await expect(actor).toHaveTimer({ at: new Date('2026-01-02') });
    await expect(actor).not.toHaveTimer('reminder', { in: '15m' });
    await expect(actor).not.toHaveTimer('nudge');
    expect(await test.timers('ada')).toHaveTimer('reminder', { in: '10m' });
  });

  it('tells which deadlines there are instead', async () => {
    expect(await complaint(() => expect(actor).toHaveTimer('nudge', { in: '5m' }))).toBe(
      [
        "Expected appointment/ada to have a deadline 'nudge' in 5m.",
        'Its deadlines:',
        '  reminder in 15m, at 2026-01-01T00:15:00.000Z',
        '  after 1d in 1d, at 2026-01-02T00:00:00.000Z',
      ].join('\n'),
    );
    await actor.send({ type: 'reply', text: '2' });
    expect(await complaint(() => expect(actor).toHaveTimer())).toBe(
      'Expected appointment/ada to have a deadline.\nIt has no deadlines.',
    );
    expect(await complaint(() => expect(actor).toHaveTimer({ in: 'soon' }))).toContain('It has no deadlines');
  });

  it('understands no wait that is none', async () => {
    expect(await complaint(() => expect(actor).toHaveTimer({ in: 'soon' }))).toContain('"soon" is not a duration');
  });
});

describe('toBeDone', () => {
  it('asks for the end, and for the output', async () => {
    await expect(actor).not.toBeDone();
    await actor.send({ type: 'reply', text: '1' });
    await expect(actor).toBeDone();
    await expect(actor).toBeDone({ room: 12 });
    await expect(actor).not.toBeDone({ room: 13 });
    expect(await actor.getSnapshot()).toBeDone({ room: expect.any(Number) });
  });

  it('tells how it stands instead', async () => {
    expect(await complaint(() => expect(actor).toBeDone())).toBe(
      "Expected appointment/ada to be done.\nIt is active, in 'asking'.",
    );
    await actor.send({ type: 'reply', text: '1' });
    expect(await complaint(() => expect(actor).toBeDone({ room: 1 }))).toBe(
      'Expected appointment/ada to be done with { room: 1 }.\nIt is done, with { room: 12 }.',
    );
  });
});

describe('toBeQuarantined', () => {
  const doomed = async () => {
    const ada = await test.spawn(counter, 'ada');
    await ada.send({ type: 'throw later' });
    await test.advance('10m');
    return ada;
  };

  it('asks whether it was put aside, and why', async () => {
    await expect(actor).not.toBeQuarantined();
    const ada = await doomed();
    await expect(ada).toBeQuarantined();
    await expect(ada).toBeQuarantined('the deadline threw');
    await expect(ada).toBeQuarantined(/deadline/);
    await expect(ada).not.toBeQuarantined('the guard threw');
    expect(await ada.view()).toBeQuarantined();
  });

  it('tells how it stands instead', async () => {
    expect(await complaint(() => expect(actor).toBeQuarantined())).toBe(
      'Expected appointment/ada to be quarantined.\nIt is active.',
    );
    const ada = await doomed();
    expect(await complaint(() => expect(ada).toBeQuarantined('no reason'))).toMatch(
      /^Expected counter\/ada to be quarantined for 'no reason'.\nIt was put aside: (.|\n)*the deadline threw/,
    );
    const snapshot = await actor.getSnapshot();
    expect(await complaint(() => expect(snapshot).toBeQuarantined())).toContain('a view of it. This is');
  });

  it('holds of an actor whose snapshot does not fit the flow', async () => {
    await test.restart();
    const row = () => test.runtime.knex('flow_states').where({ participant_id: 'ada' });
    const { state_data } = await row().first();
    await row().update({ state_data: state_data.replaceAll('"asking"', '"nowhere"') });
    await expect(actor.send({ type: 'reply', text: '1' })).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
    await expect(actor).toBeQuarantined(/nowhere/);
  });
});

describe('assertThat', () => {
  it('says the same without an expect', async () => {
    await assertThat(actor).toBeInState('asking');
    await assertThat(actor).not.toHaveSent(/sorry/);
    assertThat(await actor.getSnapshot()).toHaveContext({ day: 'Monday' });
    const failed = assertThat(actor).toHaveTimer('nudge');
    await expect(failed).rejects.toBeInstanceOf(AssertionError);
    await expect(failed).rejects.toThrow("Expected appointment/ada to have a deadline 'nudge'.");
    await expect(assertThat(actor).not.toBeInState('asking')).rejects.toThrow('not to be in');
    const snapshot = await actor.getSnapshot();
    expect(() => assertThat(snapshot).toBeDone()).toThrow(
      "Expected the snapshot to be done.\nIt is active, in 'asking'.",
    );
  });

  it('is typed by what it is asked of', async () => {
    const later: Promise<void> = assertThat(actor).toBeInState('asking');
    // @ts-expect-error of a snapshot the answer is there at once
    const now: Promise<void> = assertThat(await actor.getSnapshot()).toBeInState('asking');
    await Promise.all([later, now]);
  });
});

describe('a snapshot file', () => {
  it('shows state, context, deadlines from now, and nothing that differs from run to run', async () => {
    await test.advance('5m');
    expect(await actor.view()).toMatchInlineSnapshot(`
      appointment/ada (active)
      state: asking
      context:
        day: "Monday"
        reminded: 0
        room: null
      deadlines:
        reminder in 10m
        after 1d in 23h55m
    `);
    expect(await actor.getSnapshot()).toMatchInlineSnapshot(`
      state: asking
      context:
        day: "Monday"
        reminded: 0
        room: null
    `);
    expect((await actor.view()).toString({ instants: true })).toContain('reminder in 10m (2026-01-01T00:15:00.000Z)');
  });

  it('shows children, one level below the other, and a nested view in its place', async () => {
    test.stub('bookRoom');
    await actor.send({ type: 'reply', text: '1' });
    expect({ ada: await actor.view() }).toMatchInlineSnapshot(`
      {
        "ada": appointment/ada (active)
          state: booking
          context:
            day: "Monday"
            reminded: 0
            room: null
          children:
            room (bookRoom): active,
      }
    `);
  });

  it('shows parallel states as a tree, and all kinds of values', async () => {
    const rich = defineFlow({
      type: 'rich',
      version: 1,
      logic: setup({
        types: { context: {} as Record<string, unknown> },
        actors: {
          never: fromPromise(() => new Promise(() => {})),
          inner: createMachine({ initial: 'on', states: { on: { after: { 1000: 'off' } }, off: {} } }),
        },
      }).createMachine({
        id: 'rich',
        context: {
          zero: -0,
          nothing: undefined,
          big: 12n,
          'two words': 'a\n"b"',
          when: new Date('2026-01-05T10:00:00Z'),
          map: new Map<unknown, unknown>([
            ['a', 1],
            ['b', { c: [] }],
          ]),
          set: new Set([1, 2]),
          bytes: new Uint8Array([1, 2]),
          error: new TypeError('no'),
          pattern: /a+/i,
          list: [{ b: 1, a: [2] }, 'x'],
          empty: {},
        },
        entry: assign({ ref: ({ spawn }) => spawn('inner') }),
        type: 'parallel',
        states: {
          b: { initial: 'one', states: { one: { initial: 'deep', states: { deep: {} } } } },
          a: { invoke: { src: 'never', id: 'never' } },
        },
      }),
    });
    await using mine = await createTestRuntime({ flows: [rich] });
    const ada = await mine.spawn(rich, 'ada');
    expect(await ada.view()).toMatchInlineSnapshot(`
      rich/ada (active)
      state:
        a
        b:
          one: deep
      context:
        big: 12n
        bytes: Uint8Array [1, 2]
        empty: {}
        error: TypeError: "no"
        list:
          - a: [2]
            b: 1
          - "x"
        map: Map
          "a": 1
          "b":
            c: []
        nothing: undefined
        pattern: /a+/i
        ref: actor #1
        set: Set [1, 2]
        "two words": "a\\n\\"b\\""
        when: 2026-01-05T10:00:00.000Z
        zero: -0
      children:
        #1 (inner): active
          state: on
        never: active
      deadlines:
        #1/after 1s in 1s
    `);
  });

  it('shows why an actor was put aside, and how one ended', async () => {
    const ada = await test.spawn(counter, 'ada');
    await ada.send({ type: 'throw later' });
    await test.advance('10m');
    expect(await ada.view()).toMatchInlineSnapshot(`
      counter/ada (quarantined)
      reason: "The event 'xstate.after.1000.counter.doomed' made counter/ada throw: Unable to evaluate guard in transition for event 'xstate.after.1000.counter.doomed' in state node 'counter.doomed':\\nthe deadline threw. The turn was undone; the actor is as it was before."
      state: doomed
      context:
        count: 0
        log: []
    `);
    await actor.send({ type: 'reply', text: '1' });
    expect(await actor.view()).toMatchInlineSnapshot(`
      appointment/ada (done)
      state: over
      context:
        day: "Monday"
        reminded: 0
        room: 12
      output:
        room: 12
    `);
  });

  it('is not made of a handle', () => {
    expect(() => expect(actor).toMatchInlineSnapshot('x')).toThrow('await actor.view()');
  });

  it('leaves what is persisted of any actor as it is, also with children', () => {
    const child = createMachine({ initial: 'x', states: { x: {} } });
    const parent = createActor(
      setup({ actors: { child } }).createMachine({ context: {}, invoke: { id: 'kid', src: 'child' } }),
    ).start();
    expect(serializer.test(parent.getSnapshot())).toBe(true);
    expect(serializer.test(parent.getPersistedSnapshot())).toBe(false);
    expect(parent.getPersistedSnapshot()).toMatchSnapshot();
    parent.stop();
  });

  it('leaves other values as they are', () => {
    expect({ status: 'active', output: 1, error: null }).toMatchInlineSnapshot(`
      {
        "error": null,
        "output": 1,
        "status": "active",
      }
    `);
  });
});

describe('what a test waits for in vain', () => {
  const fragile = (throws: boolean) =>
    defineFlow({
      type: 'fragile',
      version: 1,
      logic: setup({ actors: { pay: fromPromise<string>(async () => '1') } }).createMachine({
        initial: 'paying',
        states: {
          paying: { invoke: { src: 'pay', onDone: 'paid', ...(!throws && { onError: 'unpaid' }) } },
          paid: {},
          unpaid: {},
        },
      }),
      invocations: { pay: { attempts: 2, backoff: { initial: '1h', max: '1h' } } },
      supervision: { strategy: 'restart', maxRestarts: 1, within: '1d', backoff: { initial: '2h', max: '2h' } },
    });

  it('is said where it will be tried again only later', async () => {
    await using own = await createTestRuntime({ flows: [fragile(false)] });
    const pay = own.stub('pay');
    const ada = await own.spawn(fragile(false), 'ada');
    await pay.reject(new Error('closed'));
    const said = await complaint(() => expect(ada).toBeInState('unpaid'));
    expect(said).toMatch(
      /It is in 'paying'.\nAttempt 1 of 2 at 'pay' of fragile\/ada failed: closed\. It is tried again at 2026-01-01T00:\d\d:\d\d.\d+Z.$/,
    );
    await own.advance('1h');
    expect(await complaint(() => expect(ada).toBeInState('unpaid'))).toBe(
      "Expected fragile/ada to be in 'unpaid'.\nIt is in 'paying'.",
    );
    await pay.reject(new Error('closed'));
    await expect(ada).toBeInState('unpaid');
  });

  it('is said where a turn threw, and who was put aside for it', async () => {
    await using own = await createTestRuntime({ flows: [fragile(true)] });
    const pay = own.stub('pay', () => Promise.reject(new Error('closed')));
    const ada = await own.spawn(fragile(true), 'ada');
    await own.advance('1h');
    expect(pay.calls).toHaveLength(2);
    expect(await complaint(() => expect(ada).toBeInState('paid'))).toMatch(
      /\nThe event 'xstate\.\S+' made fragile\/ada throw: closed\. .*\. It is tried again at \S+Z\.$/,
    );
    await own.advance('1d');
    expect(await complaint(() => expect(ada).toBeInState('paid'))).toMatch(
      /It is in 'paying'\.\nIt was put aside: .*closed/,
    );
  });
});

describe('a message that reached no actor', () => {
  const patient = defineFlow({
    type: 'patient',
    version: 1,
    logic: createMachine({ initial: 'asking', states: { asking: { on: { reply: 'thanking' } }, thanking: {} } }),
  });

  it('is named by what then fails, with the reason', async () => {
    const own = await createTestRuntime({ flows: [patient] });
    const ada = await own.spawn(patient, 'ada', { phoneNumber: PHONE });
    expect(await complaint(() => expect(ada).toBeInState('thanking'))).not.toContain('reached no actor');
    await ada.stop();
    await own.advance('3d');
    expect(await own.receive({ from: PHONE, text: 'yes' })).toMatchObject({
      status: 'unrouted',
      reason: expect.stringContaining('the actor has ended'),
    });
    const said = `At 2026-01-04T00:00:00.000Z "yes" was received and reached no actor. ${PHONE} led to patient/ada until 2026-01-03T00:00:00.000Z: the actor has ended.`;
    expect(await complaint(() => expect(ada).toBeInState('thanking'))).toBe(
      `Expected patient/ada to be in 'thanking'.\nIt is in 'asking'.\n${said}`,
    );
    for (const expectation of [
      () => expect(ada).toHaveSent('Thank you.'),
      () => expect(own).toHaveSent('Thank you.'),
      () => expect(ada).toHaveTimer(),
      () => expect(ada).toBeDone(),
      () => expect(ada).not.toBeInState('asking'),
    ])
      expect(await complaint(expectation)).toContain(said);
    await own.receive({ from: '+15550100001', text: 'hello' });
    expect(await complaint(() => expect(ada).toBeInState('thanking'))).toContain(
      '"hello" was received and reached no actor. No actor has the number +15550100001.',
    );
    await own.receive({ from: PHONE, text: 'Stop!' });
    expect(await complaint(() => expect(ada).toBeInState('thanking'))).toContain(
      '"Stop!" was received and was taken for STOP, which the messaging edge answers itself: no flow gets it as a reply.',
    );
    await own.stop();
  });
});
