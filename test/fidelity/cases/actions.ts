import { assign, cancel, createMachine, emit, enqueueActions, raise, setup, stopChild } from 'xstate';
import { now, random } from '../../../src/machine/ambient.ts';
import { advance, log, logAt, say, send } from '../steps.ts';
import { type Case, START } from '../subject.ts';

const child = createMachine({
  context: { n: 0 },
  on: { INC: { actions: assign({ n: ({ context }: any) => context.n + 1 }) } },
});

const queue = setup({
  actors: { child },
  guards: { many: ({ context }: any) => context.n > 2, moreThan: ({ context }: any, than: number) => context.n > than },
  actions: {
    note: assign({ log: ({ context }: any, what: string) => [...context.log, what] } as never),
    plan: enqueueActions(({ enqueue, check, context, event }: any) => {
      enqueue.assign({ n: context.n + 1 });
      // The args are those of before; what is enqueued sees what was assigned.
      enqueue.assign({ twice: ({ context: later }: any) => later.n * 2 });
      if (check('many')) enqueue({ type: 'note', params: 'many' });
      if (check({ type: 'moreThan', params: 0 } as never)) enqueue({ type: 'note', params: `saw ${context.n}` });
      if (event.say) enqueue.emit({ type: 'said', what: event.say });
      if (event.spawn) enqueue.spawnChild('child', { id: event.spawn });
      if (event.poke) enqueue.sendTo(event.poke, { type: 'INC' });
      if (event.stop) enqueue.stopChild(event.stop);
      if (event.next) enqueue.raise({ type: 'NEXT' });
      if (event.later) enqueue.raise({ type: 'NEXT' }, { id: 'later', delay: event.later });
      if (event.never) enqueue.cancel('later');
    }),
  },
} as never).createMachine({
  context: { n: 0, twice: 0, log: [] } as Record<string, any>,
  on: { DO: { actions: 'plan' }, NEXT: { actions: logAt('next') } },
} as never);

const order = createMachine({
  context: { log: [] },
  entry: [log('root'), raise({ type: 'FIRST' }), say('born')],
  initial: 'a',
  states: {
    a: {
      entry: [log('+a'), raise({ type: 'SECOND' })],
      exit: [log('-a'), emit({ type: 'left' })],
      on: {
        FIRST: { actions: log('first') },
        SECOND: { target: 'b', actions: [log('to b'), raise({ type: 'THIRD' })] },
      },
    },
    b: {
      entry: log('+b'),
      on: { THIRD: { actions: log('third') }, BACK: { target: 'a', actions: raise({ type: 'FIRST' }) } },
    },
  },
});

const ambient = createMachine({
  context: { log: [], born: null, chance: [] } as Record<string, any>,
  entry: assign({ born: () => now() - START }),
  on: {
    DRAW: { actions: assign({ chance: ({ context }: any) => [...context.chance, random(), now() - START] }) },
  },
});

const emitter = setup({
  actors: {
    child: createMachine({ on: { SAY: { actions: say('child says', ({ event }) => ({ n: event.n })) } } }),
  },
}).createMachine({
  context: ({ spawn }: any) => ({ ref: spawn('child', { id: 'c' }) }),
  on: {
    SAY: { actions: say('root says', ({ event }) => ({ n: event.n })) },
    RICH: {
      actions: emit(({ event }: any) => ({ type: 'rich', big: 2n ** 70n, when: new Date(event.ms), none: undefined })),
    },
    LATER: { actions: raise(({ event }: any) => ({ type: 'SAY', n: event.n }), { delay: 1000 }) },
    FORGET: { actions: [stopChild('c'), assign({ ref: null })] },
    CHILD: { actions: enqueueActions(({ enqueue, event }: any) => enqueue.sendTo('c', { type: 'SAY', n: event.n })) },
  },
});

const assigning = createMachine({
  context: ({ input }: any) => ({ input, a: 1, b: { deep: [1, { x: 1 }] }, total: 0 }),
  on: {
    PARTIAL: { actions: assign({ a: 2 }) },
    WHOLE: { actions: assign(({ context, event }: any) => ({ total: context.total + event.n, added: event.n })) },
    CHAIN: {
      actions: [
        assign({ a: ({ context }: any) => context.a + 1 }),
        assign({ total: ({ context }: any) => context.a * 100 }),
        cancel('nothing'),
      ],
    },
    DEEP: { actions: assign({ b: ({ context }: any) => ({ deep: [...context.b.deep, { y: context.a }] }) }) },
    CLEAR: { actions: assign({ a: undefined }) },
  },
});

export const cases: Case[] = [
  {
    name: 'actions: enqueueActions with checks, params and every kind of action',
    logic: queue,
    script: [
      ...[send('DO'), send('DO', { say: 'hello' }), send('DO', { spawn: 'c', next: true }), send('DO', { poke: 'c' })],
      ...[send('DO', { later: 500 }), advance(500), send('DO', { later: 500 }), send('DO', { never: true })],
      ...[advance(1000), send('DO', { stop: 'c' })],
    ],
    expect: { context: { n: 8, twice: 16 }, children: {}, emitted: [[0, { type: 'said', what: 'hello' }]] },
  },
  {
    name: 'actions: in order of entry, transition, exit and what they raise',
    logic: order,
    script: [send('BACK')],
    expect: {
      value: 'b',
      emitted: [
        [0, { type: 'born' }],
        [0, { type: 'left' }],
        [0, { type: 'left' }],
      ],
    },
  },
  {
    name: 'actions: instant and chance of the turn',
    logic: ambient,
    script: [advance(1234), send('DRAW'), advance(1), send('DRAW')],
    expect: { context: { born: 0, chance: [0.5, 1234, 0.5, 1235] } },
  },
  {
    name: 'actions: emit from the root, from a child, with rich values, later',
    logic: emitter,
    script: [send('SAY', { n: 1 }), send('RICH', { ms: 5 }), send('LATER', { n: 2 }), advance(1000), send('FORGET')],
    expect: {
      context: { ref: null },
      emitted: [
        [0, { type: 'root says', n: 1 }],
        [
          0,
          {
            type: 'rich',
            big: { $bigint: '1180591620717411303424' },
            when: { $date: '1970-01-01T00:00:00.005Z' },
            none: { $undefined: true },
          },
        ],
        [1000, { type: 'root says', n: 2 }],
      ],
    },
  },
  {
    name: 'actions: assign by property, by function, one after another',
    logic: assigning,
    input: { from: 'outside' },
    script: [
      ...[send('PARTIAL'), send('WHOLE', { n: 5 }), send('CHAIN'), send('DEEP'), send('WHOLE', { n: 1 })],
      send('CLEAR'),
    ],
    expect: {
      context: {
        input: { from: 'outside' },
        a: { $undefined: true },
        b: { deep: [1, { x: 1 }, { y: 3 }] },
        total: 301,
        added: 1,
      },
    },
  },
];
