import { afterEach, describe, expect, it } from 'vitest';
import {
  type AnyEventObject,
  assign,
  createMachine,
  fromCallback,
  fromObservable,
  fromPromise,
  sendTo,
  setup,
} from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

type Asked = {
  input: unknown;
  signal: AbortSignal;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
};

describe('invocations: after the commit, again after a crash, one result', () => {
  let test: TestRuntime;
  let asked: Asked[] = [];
  afterEach(async () => {
    asked = [];
    await test.stop();
  });

  const machine = setup({
    types: { context: {} as { answers: unknown[]; error: unknown }, events: {} as { type: 'ask' | 'leave' | 'throw' } },
    actors: {
      answer: fromPromise<unknown, { question: number }>(
        ({ input, signal }) =>
          new Promise((resolve, reject) => {
            asked.push({ input, signal, resolve, reject });
          }),
      ),
    },
  }).createMachine({
    context: { answers: [], error: null },
    on: {
      throw: {
        guard: () => {
          throw new Error('no');
        },
      },
    },
    initial: 'idle',
    states: {
      idle: { on: { ask: 'asking' } },
      asking: {
        invoke: {
          src: 'answer',
          input: ({ context }) => ({ question: context.answers.length }),
          onDone: {
            target: 'idle',
            actions: assign({ answers: ({ context, event }) => [...context.answers, event.output] }),
          },
          onError: { target: 'idle', actions: assign({ error: ({ event }) => event.error }) },
        },
        on: { leave: 'idle' },
      },
    },
  });
  const flow = defineFlow({ type: 'asking', version: 1, logic: machine });
  const begin = async () => {
    test = await createTestRuntime({ flows: [flow] });
    return test.spawn(flow, 'p_1');
  };
  const context = async () => (await test.actor(flow, 'p_1').getSnapshot()).context;

  it('starts only once its turn is in the database', async () => {
    const actor = await begin();
    const sent = actor.send({ type: 'ask' });
    while (asked.length === 0) await new Promise(setImmediate);
    expect(await test.knex('flow_states').pluck('current_state')).toEqual(['asking']);
    await sent;
  });

  it('never starts for a turn whose commit failed', async () => {
    const actor = await begin();
    await test.knex.raw("CREATE TRIGGER t BEFORE INSERT ON flow_journal BEGIN SELECT RAISE(ABORT, 'refused'); END");
    await expect(actor.send({ type: 'ask' })).rejects.toMatchObject({ code: 'STORE_ERROR' });
    await test.settle();
    expect(asked).toEqual([]);
  });

  it('runs again after a crash with the same input, and the result is applied once', async () => {
    const actor = await begin();
    await actor.send({ type: 'ask' });
    await test.settle();
    await test.crash();
    await test.restart();
    await test.settle();
    expect(asked.map(({ input }) => input)).toEqual([{ question: 0 }, { question: 0 }]);
    asked[0]!.resolve('from before the crash'); // its process is gone
    asked[1]!.resolve('again');
    await test.settle();
    expect((await context()).answers).toEqual(['again']);
  });

  it('goes on while its actor is not in memory', async () => {
    test = await createTestRuntime({ flows: [flow], cacheSize: 1 });
    await (await test.spawn(flow, 'p_1')).send({ type: 'ask' });
    for (let i = 0; i < 5; i++) await test.spawn(flow, `q_${i}`);
    asked[0]!.resolve('late');
    await test.settle();
    expect(asked).toHaveLength(1);
    expect((await context()).answers).toEqual(['late']);
  });

  it('goes on, once, when an event makes its actor throw', async () => {
    const actor = await begin();
    await actor.send({ type: 'ask' });
    await expect(actor.send({ type: 'throw' })).rejects.toMatchObject({ code: 'TURN_FAILED' });
    await test.actor(flow, 'p_1').getSnapshot();
    expect(asked).toHaveLength(1);
    asked[0]!.resolve('still here');
    await test.settle();
    expect((await context()).answers).toEqual(['still here']);
  });

  it('hears the abort signal when its state is left, and its result is nobody’s then', async () => {
    const actor = await begin();
    await actor.send({ type: 'ask' });
    await actor.send({ type: 'leave' });
    expect(asked[0]!.signal.aborted).toBe(true);
    await actor.send({ type: 'ask' });
    asked[0]!.resolve('old');
    await test.settle();
    expect((await context()).answers).toEqual([]);
    asked[1]!.resolve('new');
    await test.settle();
    expect((await context()).answers).toEqual(['new']);
  });

  it('starts no more once the runtime stops, also for a turn that commits then; the next process starts it', async () => {
    const actor = await begin();
    const { commit } = SqliteStore.prototype;
    let answer = () => {};
    const slow = new Promise<void>((resolve) => (answer = resolve));
    SqliteStore.prototype.commit = async function (group) {
      const outcomes = await commit.call(this, group);
      await slow;
      return outcomes;
    };
    const sent = actor.send({ type: 'ask' });
    while ((await test.knex('flow_states').first('version')).version !== 2) await new Promise(setImmediate);
    const stopped = test.runtime.stop();
    while (test.runtime.health().status !== 'draining') await new Promise(setImmediate);
    SqliteStore.prototype.commit = commit;
    answer();
    await Promise.all([sent, stopped]);
    expect(asked).toEqual([]);
    await test.restart();
    await test.settle();
    expect(asked).toHaveLength(1);
  });

  it('ends once its state was left by a commit of which nobody knew, also where the next turn does not succeed', async () => {
    const wary = setup({
      types: { events: {} as { type: 'ask' | 'leave' } },
      actors: {
        answer: fromPromise<unknown>(
          ({ signal }) =>
            new Promise((resolve, reject) => {
              asked.push({ input: undefined, signal, resolve, reject });
            }),
        ),
      },
      guards: {
        never: () => {
          throw new Error('a guard with a bug');
        },
      },
    }).createMachine({
      initial: 'idle',
      states: {
        idle: { on: { ask: 'asking' } },
        asking: { invoke: { src: 'answer' }, on: { leave: 'resting' } },
        resting: { after: { 1000: { guard: 'never', target: 'idle' } } },
      },
    });
    const flow = defineFlow({ type: 'wary', version: 1, logic: wary });
    test = await createTestRuntime({ flows: [flow] });
    for (const who of ['p_1', 'p_2']) await (await test.spawn(flow, who)).send({ type: 'ask' });
    await test.actor(flow, 'p_2').send({ type: 'leave' });
    // As if p_1 had done the same, and the answer of that commit had been lost.
    const { knex } = test.runtime;
    const left = await knex('flow_states').where({ participant_id: 'p_2' }).first();
    const { state_data, current_state, next_due_at, version } = left;
    await knex('flow_states')
      .where({ participant_id: 'p_1' })
      .update({ state_data, current_state, next_due_at, version });
    test.clock.moveTo(test.clock.now() + 2_000);
    expect(asked[0]!.signal.aborted).toBe(false);
    test
      .actor(flow, 'p_1')
      .send({ type: 'leave' })
      .catch(() => {});
    await test.settle();
    expect(asked[0]!.signal.aborted).toBe(true);
  });

  it('gives an error with its name, message and cause to onError, also over a crash', async () => {
    const actor = await begin();
    await actor.send({ type: 'ask' });
    asked[0]!.reject(new TypeError('no answer', { cause: new Error('offline') }));
    await test.settle();
    await test.crash();
    await test.restart();
    expect((await context()).error).toMatchObject({
      name: 'TypeError',
      message: 'no answer',
      cause: { message: 'offline' },
    });
  });

  it('tells onError of a result that cannot be stored', async () => {
    const actor = await begin();
    await actor.send({ type: 'ask' });
    asked[0]!.resolve({ socket: () => {} });
    await test.settle();
    expect(await context()).toMatchObject({ answers: [], error: { name: 'NotSerializableError' } });
    expect(((await context()).error as Error).message).toContain('socket');
  });
});

describe('callbacks and observables live with the process, and start again with it', () => {
  let started = 0;
  let stopped = 0;
  const observers = new Set<{ next: (value: number) => void; complete: () => void }>();
  const flow = defineFlow({
    type: 'listening',
    version: 1,
    logic: setup({
      actors: {
        ear: fromCallback(({ sendBack, receive }) => {
          started++;
          receive((event: AnyEventObject) => sendBack({ type: 'HEARD', what: event['what'] }));
          return () => {
            stopped++;
          };
        }),
        values: fromObservable(() => ({
          subscribe: (observer: any) => {
            observers.add(observer);
            return { unsubscribe: () => void observers.delete(observer) };
          },
        })),
      },
    }).createMachine({
      context: { log: [] } as { log: unknown[] },
      initial: 'on',
      states: {
        on: {
          invoke: [
            { id: 'ear', src: 'ear' },
            {
              id: 'values',
              src: 'values',
              onSnapshot: {
                actions: assign({ log: ({ context, event }: any) => [...context.log, event.snapshot.context] }),
              },
              onDone: { actions: assign({ log: ({ context }) => [...context.log, 'complete'] }) },
            },
          ],
          on: {
            SAY: { actions: sendTo('ear', ({ event }: any) => ({ type: 'SAY', what: event.what })) },
            HEARD: { actions: assign({ log: ({ context, event }: any) => [...context.log, event.what] }) },
            OFF: 'off',
          },
        },
        off: {},
      },
    }),
  });

  it('start after the commit, start again after a crash, and end with their state', async () => {
    const test = await createTestRuntime({ flows: [flow] });
    await test.spawn(flow, 'p_1');
    const emit = (value: number) => {
      for (const observer of observers) observer.next(value);
    };
    await test.actor(flow, 'p_1').send({ type: 'SAY', what: 'before' });
    emit(1);
    await test.settle();
    await test.crash();
    expect(observers.size).toBe(0);
    await test.restart();
    await test.settle();
    await test.actor(flow, 'p_1').send({ type: 'SAY', what: 'after' });
    emit(2);
    await test.settle();
    const { log } = (await test.actor(flow, 'p_1').getSnapshot()).context;
    expect(log.filter((entry: unknown) => entry !== undefined)).toEqual(['before', 1, 'after', 2]);
    expect([started, stopped]).toEqual([2, 1]);
    await test.actor(flow, 'p_1').send({ type: 'OFF' });
    await test.settle();
    expect([started, stopped, observers.size]).toEqual([2, 2, 0]);
    await test.stop();
  });
});

describe('what cannot be durable is refused, with what to write instead', () => {
  const refusal = (logic: unknown) => {
    try {
      defineFlow({ type: 'refused', version: 1, logic: logic as never });
    } catch (error) {
      return error as Error & { code: string };
    }
    throw new Error('it was not refused');
  };

  it('logic that is no machine, transition function or store', () => {
    for (const logic of [fromPromise(async () => 1), fromCallback(() => {}), fromObservable(() => ({}) as never)]) {
      expect(refusal(logic)).toMatchObject({ code: 'UNSUPPORTED_LOGIC' });
      expect(refusal(logic).message).toContain('Write a machine that invokes it');
    }
    for (const logic of [undefined, null, {}, 'machine', () => {}])
      expect(refusal(logic)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('an actor spawned from inline logic, by an action that can be seen', () => {
    const inline = createMachine({ entry: { type: 'xstate.spawnChild', src: createMachine({}) } as never });
    expect(refusal(inline).message).toContain("spawn('worker')");
  });

  it('an actor spawned from inline logic, when it is spawned: the turn is undone', async () => {
    const flow = defineFlow({
      type: 'inline',
      version: 1,
      logic: createMachine({
        context: { ref: null } as { ref: unknown },
        on: { SPAWN: { actions: assign({ ref: ({ spawn }) => spawn(createMachine({})) }) } },
      }),
    });
    const test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1');
    await expect(actor.send({ type: 'SPAWN' })).rejects.toMatchObject({ code: 'UNSUPPORTED_LOGIC' });
    expect((await actor.getSnapshot()).context.ref).toBeNull();
    await test.stop();
  });

  it('an invocation or a delay that the machine does not provide', () => {
    expect(refusal(createMachine({ invoke: { src: 'nobody' } })).message).toContain("invokes 'nobody'");
    const late = createMachine({ initial: 'a', states: { a: { after: { someday: 'b' } }, b: {} } });
    expect(refusal(late).message).toContain("deadline 'someday'");
    const worded = late.provide({ delays: { someday: '15m' as never } });
    expect(refusal(worded).message).toContain(`deadline 'someday', whose delay is "15m"`);
  });

  it('a type or a version that cannot be one', () => {
    const logic = createMachine({});
    for (const type of ['', 'a b', 'a/b', undefined])
      expect(() => defineFlow({ type: type as string, version: 1, logic })).toThrow(/type/);
    for (const version of [0, -1, 1.5, Number.NaN, '1'])
      expect(() => defineFlow({ type: 'a', version: version as number, logic })).toThrow(/version/);
  });
});
