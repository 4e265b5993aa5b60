import { assign, createMachine, fromCallback, fromPromise, fromTransition, raise, sendTo, setup } from 'xstate';
import { passed } from '../gates.ts';
import { advance, log, logAt, open, say, send, settle } from '../steps.ts';
import type { Case } from '../subject.ts';

/** Waits at the gate that `input` names, then gives what it says. */
const fetcher = fromPromise(async ({ input }: any) => {
  await passed(input.gate);
  if (input.fails) throw new TypeError(`no ${input.gate}`, { cause: new Error('the root of it') });
  return input.result ?? { got: input.gate };
});

const fetching = setup({ actors: { fetcher } }).createMachine({
  context: { log: [], result: null, error: null } as Record<string, any>,
  initial: 'idle',
  states: {
    idle: { on: { GO: 'loading' } },
    loading: {
      tags: ['busy'],
      invoke: {
        id: 'fetch',
        src: 'fetcher',
        input: ({ event }: any) => event,
        onDone: { target: 'loaded', actions: [assign({ result: ({ event }: any) => event.output }), logAt('done')] },
        onError: { target: 'failed', actions: [assign({ error: ({ event }: any) => event.error }), logAt('failed')] },
      },
      after: { 5000: { target: 'idle', actions: say('timeout') } },
      on: { CANCEL: 'idle', NOTE: { actions: log('note') }, AGAIN: { target: 'loading', reenter: true } },
    },
    loaded: { entry: say('loaded', ({ context }) => ({ result: context['result'] })), on: { GO: 'loading' } },
    failed: { on: { GO: 'loading' } },
  },
});

const chain = setup({ actors: { fetcher } }).createMachine({
  context: { log: [] },
  initial: 'one',
  states: {
    one: { invoke: { src: 'fetcher', input: { gate: 'free' }, onDone: { target: 'two', actions: log('one') } } },
    two: { invoke: { src: 'fetcher', input: { gate: 'free' }, onDone: { target: 'three', actions: log('two') } } },
    three: { invoke: { src: 'fetcher', input: { gate: 'held' }, onDone: 'four' } },
    four: { type: 'final' },
  },
  output: ({ context }: any) => context.log,
});

const race = setup({ actors: { fetcher } }).createMachine({
  type: 'parallel',
  context: { log: [] },
  states: {
    a: {
      initial: 'waiting',
      states: {
        waiting: {
          invoke: { id: 'a', src: 'fetcher', input: { gate: 'a' }, onDone: { target: 'done', actions: logAt('a') } },
        },
        done: { type: 'final' },
      },
    },
    b: {
      initial: 'waiting',
      states: {
        waiting: {
          invoke: [
            { id: 'b', src: 'fetcher', input: { gate: 'b' }, onDone: { actions: logAt('b') } },
            { id: 'c', src: 'fetcher', input: { gate: 'c', fails: true }, onError: { actions: logAt('c') } },
          ],
          on: { DONE: 'done' },
        },
        done: { type: 'final' },
      },
    },
  },
  onDone: { actions: say('both') },
});

const spawnedPromises = setup({ actors: { fetcher } }).createMachine({
  context: { log: [], refs: [] } as Record<string, any>,
  on: {
    START: {
      actions: assign({
        refs: ({ context, event, spawn }: any) => [
          ...context.refs,
          spawn('fetcher', { id: event.id, input: { gate: event.id } }),
        ],
      }),
    },
    'xstate.done.actor.*': { actions: log(({ event }: any) => [event.type, event.output]) },
  },
});

const countdown = createMachine({
  id: 'countdown',
  context: ({ input }: any) => ({ left: input.from }),
  initial: 'ticking',
  states: {
    ticking: {
      always: { guard: ({ context }: any) => context.left === 0, target: 'zero' },
      after: {
        1000: { target: 'ticking', reenter: true, actions: assign({ left: ({ context }: any) => context.left - 1 }) },
      },
      on: { SKIP: { actions: assign({ left: ({ context }: any) => context.left - 1 }) } },
    },
    zero: { type: 'final' },
  },
  output: ({ context }: any) => ({ left: context.left, lift: 'off' }),
});

const launch = setup({ actors: { countdown } }).createMachine({
  context: { log: [], seen: [] } as Record<string, any>,
  initial: 'idle',
  states: {
    idle: { on: { GO: 'counting' } },
    counting: {
      invoke: {
        id: 'count',
        systemId: 'clock',
        src: 'countdown',
        input: { from: 3 },
        onSnapshot: {
          actions: assign({ seen: ({ context, event }: any) => [...context.seen, event.snapshot.context.left] }),
        },
        onDone: { target: 'flying', actions: [logAt('done'), log(({ event }: any) => event.output)] },
      },
      on: {
        SKIP: { actions: sendTo('count', { type: 'SKIP' }) },
        HURRY: { actions: sendTo(({ system }: any) => system.get('clock'), { type: 'SKIP' }) },
        ABORT: 'idle',
      },
    },
    flying: { entry: say('flying') },
  },
});

const failingChild = createMachine({
  on: {
    BREAK: {
      actions: assign(() => {
        throw new RangeError('broken');
      }),
    },
  },
});

const keeper = setup({ actors: { failingChild } }).createMachine({
  context: { log: [] },
  initial: 'watching',
  states: {
    watching: {
      invoke: {
        src: 'failingChild',
        id: 'child',
        onError: { target: 'told', actions: log(({ event }: any) => event.error) },
      },
      on: { BREAK: { actions: sendTo('child', { type: 'BREAK' }) } },
    },
    told: {},
  },
});

const counter = fromTransition(
  (state: { n: number }, event: any) => (event.type === 'ADD' ? { n: state.n + event.by } : state),
  ({ input }: any) => ({ n: input?.start ?? 0 }),
);

const reducerInvoked = setup({ actors: { counter } }).createMachine({
  context: { seen: [] } as Record<string, any>,
  invoke: {
    id: 'counter',
    src: 'counter',
    input: { start: 5 },
    onSnapshot: { actions: assign({ seen: ({ context, event }: any) => [...context.seen, event.snapshot.context.n] }) },
  },
  on: { ADD: { actions: sendTo('counter', ({ event }: any) => event) } },
});

/** Answers each PING; says nothing of its own, so that nothing is lost when it starts again. */
const ponger = fromCallback(({ sendBack, receive }: any) => {
  receive((event: any) => sendBack({ type: 'PONG', n: event.n }));
});

const pinging = setup({ actors: { ponger } }).createMachine({
  context: { log: [] },
  initial: 'on',
  states: {
    on: {
      invoke: { id: 'ponger', src: 'ponger' },
      on: {
        PING: { actions: sendTo('ponger', ({ event }: any) => event) },
        PONG: { actions: log(({ event }: any) => event.n) },
        OFF: 'off',
      },
    },
    off: { on: { PING: { actions: log('nobody') }, ON: 'on' } },
  },
});

const nestedInvocation = setup({
  actors: {
    inner: setup({ actors: { fetcher } }).createMachine({
      initial: 'asking',
      context: { answer: null } as Record<string, any>,
      states: {
        asking: {
          invoke: {
            src: 'fetcher',
            input: { gate: 'deep', result: 42 },
            onDone: { target: 'done', actions: assign({ answer: ({ event }: any) => event.output }) },
          },
          after: { 60000: 'done' },
        },
        done: { type: 'final' },
      },
      output: ({ context }: any) => context.answer,
    }),
  },
}).createMachine({
  context: { answers: [] } as Record<string, any>,
  initial: 'a',
  states: {
    a: {
      invoke: {
        src: 'inner',
        onDone: { target: 'b', actions: assign({ answers: ({ event }: any) => [event.output] }) },
      },
    },
    b: { entry: raise({ type: 'NEXT' }), on: { NEXT: 'c' } },
    c: { type: 'final' },
  },
});

export const cases: Case[] = [
  {
    name: 'invocations: a promise, its result, the deadline that waits for it',
    logic: fetching,
    script: [send('GO', { gate: 'x' }), advance(4999), send('NOTE'), open('x'), advance(10_000)],
    expect: {
      value: 'loaded',
      context: { result: { got: 'x' }, log: ['note', 'done@4999'] },
      emitted: [[4999, { type: 'loaded', result: { got: 'x' } }]],
    },
  },
  {
    name: 'invocations: a promise that is too late',
    logic: fetching,
    script: [send('GO', { gate: 'x' }), advance(5000), open('x'), send('GO', { gate: 'y' }), advance(1)],
    expect: { values: ['idle', 'loading', 'idle', 'idle', 'loading', 'loading'], tags: ['busy'] },
  },
  {
    name: 'invocations: a promise that rejects with a cause',
    logic: fetching,
    script: [send('GO', { gate: 'x', fails: true }), open('x')],
    expect: {
      value: 'failed',
      context: { error: { name: 'TypeError', message: 'no x', cause: { name: 'Error', message: 'the root of it' } } },
    },
  },
  {
    name: 'invocations: cancelled and started again, only the second counts',
    logic: fetching,
    script: [
      ...[send('GO', { gate: 'x', result: 1 }), send('CANCEL'), send('GO', { gate: 'y', result: 2 })],
      ...[open('x'), settle, open('y')],
    ],
    expect: { values: ['idle', 'loading', 'idle', 'loading', 'loading', 'loading', 'loaded'], context: { result: 2 } },
  },
  {
    name: 'invocations: re-entered, the old promise is forgotten',
    logic: fetching,
    script: [
      send('GO', { gate: 'x', result: 1 }),
      send('AGAIN', { gate: 'y', result: 2 }),
      open('x'),
      advance(4000),
      open('y'),
    ],
    expect: { value: 'loaded', context: { result: 2, log: ['done@4000'] } },
  },
  {
    name: 'invocations: a result with values that JSON cannot hold',
    logic: fetching,
    script: [send('GO', { gate: 'x', result: new Map([['a', new Set([undefined, new Date(0)])]]) }), open('x')],
    expect: {
      context: {
        result: {
          $map: [['a', { $set: [{ $undefined: true }, { $date: '1970-01-01T00:00:00.000Z' }] }]],
        },
      },
    },
  },
  {
    name: 'invocations: one after another, some at once',
    logic: chain,
    script: [open('free'), settle, open('held')],
    expect: { status: 'done', output: ['one', 'two'] },
  },
  {
    name: 'invocations: several side by side, done in another order',
    logic: race,
    script: [open('c'), advance(10), open('b'), send('DONE'), advance(10), open('a')],
    expect: { status: 'done', context: { log: ['c@0', 'b@10', 'a@20'] } },
  },
  {
    name: 'invocations: spawned promises and their done events',
    logic: spawnedPromises,
    script: [send('START', { id: 'p' }), send('START', { id: 'q' }), open('q'), advance(10), open('p')],
    expect: {
      context: {
        log: [
          ['xstate.done.actor.q', { got: 'q' }],
          ['xstate.done.actor.p', { got: 'p' }],
        ],
      },
    },
  },
  {
    name: 'invocations: a machine with deadlines, watched, hurried by id and by systemId',
    logic: launch,
    script: [send('GO'), advance(1500), send('SKIP'), send('HURRY'), advance(1)],
    expect: {
      value: 'flying',
      context: { log: ['done@1500', { left: 0, lift: 'off' }] },
      emitted: [[1500, { type: 'flying' }]],
    },
  },
  {
    name: 'invocations: a machine that is left and entered anew',
    logic: launch,
    script: [send('GO'), advance(1500), send('ABORT'), advance(5000), send('GO'), advance(2999), advance(1)],
    expect: { value: 'flying', context: { log: ['done@9500', { left: 0, lift: 'off' }] } },
  },
  {
    name: 'invocations: a machine that throws',
    logic: keeper,
    script: [send('BREAK')],
    expect: { value: 'told', context: { log: [{ name: 'RangeError', message: 'broken' }] } },
  },
  {
    name: 'invocations: transition logic, watched',
    logic: reducerInvoked,
    script: [send('ADD', { by: 2 }), send('ADD', { by: 3 })],
    expect: { children: { counter: { context: { n: 10 } } } },
  },
  {
    name: 'invocations: a callback that answers',
    logic: pinging,
    script: [send('PING', { n: 1 }), send('OFF'), send('PING', { n: 2 }), send('ON'), send('PING', { n: 3 })],
    expect: { context: { log: [1, 'nobody', 3] } },
  },
  {
    name: 'invocations: a promise within an invoked machine',
    logic: nestedInvocation,
    script: [advance(30_000), open('deep')],
    expect: { status: 'done', context: { answers: [42] } },
  },
];
