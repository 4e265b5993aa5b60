import { and, assign, createMachine, raise } from 'xstate';
import { log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const chain = createMachine({
  context: ({ input }: any) => ({ n: (input as { n: number }).n, log: [] }),
  initial: 'sort',
  states: {
    sort: {
      always: [
        { guard: ({ context }: any) => context['n'] < 0, target: 'negative' },
        { guard: ({ context }: any) => context['n'] > 100, target: 'halve' },
        { target: 'rest' },
      ],
    },
    halve: {
      entry: [assign({ n: ({ context }: any) => Math.floor(context['n'] / 2) }), log('halve')],
      always: 'sort',
    },
    negative: { entry: log('negative'), always: { target: 'rest', actions: assign({ n: 0 }) } },
    rest: { on: { SET: { target: 'sort', actions: assign({ n: ({ event }: any) => event['n'] }) } } },
  },
});

const loop = createMachine({
  context: { n: 0 },
  initial: 'idle',
  states: {
    idle: { on: { COUNT: 'counting' } },
    counting: {
      always: [
        { guard: ({ context }: any) => context['n'] >= 50, target: 'idle' },
        { actions: assign({ n: ({ context }: any) => context['n'] + 1 }) },
      ],
    },
  },
});

const order = createMachine({
  initial: 'a',
  context: { log: [] },
  states: {
    a: { exit: log('-a'), on: { GO: { target: 'b', actions: [log('go'), raise({ type: 'RAISED' })] } } },
    b: {
      entry: [log('+b'), raise({ type: 'FROM_ENTRY' })],
      exit: log('-b'),
      always: { target: 'c', actions: log('b->c') },
      on: { RAISED: { actions: log('RAISED in b') } },
    },
    c: {
      entry: log('+c'),
      on: { RAISED: { actions: log('RAISED in c') }, FROM_ENTRY: { target: 'd', actions: log('FROM_ENTRY in c') } },
    },
    d: { entry: log('+d'), on: { RAISED: { actions: log('RAISED in d') } } },
  },
});

const watching = createMachine({
  type: 'parallel',
  context: { a: false, b: false },
  states: {
    inputs: {
      on: {
        A: { actions: assign({ a: true }) },
        B: { actions: assign({ b: true }) },
        NOT_A: { actions: assign({ a: false }) },
      },
    },
    watcher: {
      initial: 'closed',
      states: {
        closed: {
          always: {
            guard: and([({ context }: any) => context['a'], ({ context }: any) => context['b']]),
            target: 'open',
          },
        },
        open: { always: { guard: ({ context }: any) => !context['a'], target: 'closed' } },
      },
    },
  },
});

export const cases: Case[] = [
  {
    name: 'eventless: a chain of always with guards, from the start and after an event',
    logic: chain,
    input: { n: 350 },
    script: [send('SET', { n: -3 }), send('SET', { n: 101 })],
    expect: { value: 'rest', context: { n: 50, log: ['halve', 'halve', 'negative', 'halve'] } },
  },
  {
    name: 'eventless: an internal loop of many rounds',
    logic: loop,
    script: [send('COUNT'), send('COUNT')],
    expect: { value: 'idle', context: { n: 50 } },
  },
  {
    name: 'eventless: always comes before raised events',
    logic: order,
    script: [send('GO')],
    expect: {
      value: 'd',
      context: { log: ['-a', 'go', '+b', '-b', 'b->c', '+c', 'RAISED in c', 'FROM_ENTRY in c', '+d'] },
    },
  },
  {
    name: 'eventless: a region that watches the context',
    logic: watching,
    script: [send('B'), send('A'), send('NOT_A'), send('A')],
    expect: {
      values: [
        { inputs: {}, watcher: 'closed' },
        { inputs: {}, watcher: 'closed' },
        { inputs: {}, watcher: 'open' },
        { inputs: {}, watcher: 'closed' },
        { inputs: {}, watcher: 'open' },
      ],
    },
  },
];
