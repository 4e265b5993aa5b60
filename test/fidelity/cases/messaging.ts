import { assign, createMachine, enqueueActions, forwardTo, sendParent, sendTo, setup } from 'xstate';
import { advance, log, logAt, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const echo = createMachine({
  context: { log: [] },
  on: {
    '*': {
      actions: [
        log(({ event }: any) => event.type),
        sendParent(({ event }: any) => ({ type: `echo.${event.type}`, n: event.n })),
      ],
    },
  },
});

const relay = setup({ actors: { echo } }).createMachine({
  context: { log: [] },
  initial: 'on',
  on: { 'echo.*': { actions: log(({ event }: any) => `${event.type} ${event.n}`) } },
  states: {
    on: {
      invoke: { src: 'echo', id: 'echo' },
      on: {
        SEND: { actions: sendTo('echo', ({ event }: any) => ({ type: 'sent', n: event['n'] })) },
        FORWARD: { actions: forwardTo('echo') },
        TWICE: { actions: [sendTo('echo', { type: 'one' }), log('between'), sendTo('echo', { type: 'two' })] },
      },
    },
  },
});

const player = createMachine({
  context: ({ input }: any) => ({ name: input.name, other: input.other, referee: input.referee, hits: 0 }),
  on: {
    MEET: { actions: assign({ other: ({ event }: any) => event['other'] }) },
    BALL: [
      {
        guard: ({ event }: any) => event['left'] > 0,
        actions: [
          assign({ hits: ({ context }: any) => context.hits + 1 }),
          sendTo(
            ({ context }: any) => context.other,
            ({ event }: any) => ({ type: 'BALL', left: event['left'] - 1 }),
          ),
        ],
      },
      {
        actions: sendTo(
          ({ context }: any) => context.referee,
          ({ context }: any) => ({ type: 'OUT', by: context.name }),
        ),
      },
    ],
  },
});

const slowPlayer = createMachine({
  context: ({ input }: any) => ({ ...input, hits: 0 }),
  on: {
    MEET: { actions: assign({ other: ({ event }: any) => event['other'] }) },
    BALL: [
      {
        guard: ({ event }: any) => event['left'] > 0,
        actions: [
          assign({ hits: ({ context }: any) => context.hits + 1 }),
          sendTo(
            ({ context }: any) => context.other,
            ({ event }: any) => ({ type: 'BALL', left: event['left'] - 1 }),
            { delay: 1000 },
          ),
        ],
      },
      {
        actions: sendTo(
          ({ context }: any) => context.referee,
          ({ context }: any) => ({ type: 'OUT', by: context.name }),
          { delay: 500 },
        ),
      },
    ],
  },
});

const gameOf = (of: typeof player | typeof slowPlayer) =>
  setup({ actors: { player: of } }).createMachine({
    context: ({ spawn, self }: any) => {
      const a = spawn('player', { id: 'a', input: { name: 'a', referee: self } });
      const b = spawn('player', { id: 'b', input: { name: 'b', referee: self, other: a } });
      return { players: { a, list: [a, b] }, log: [] } as Record<string, any>;
    },
    entry: sendTo('a', ({ context }: any) => ({ type: 'MEET', other: context.players.list[1] })),
    on: {
      SERVE: {
        actions: sendTo(
          ({ context }: any) => context.players.list[0],
          ({ event }: any) => ({ type: 'BALL', left: event.left }),
        ),
      },
      OUT: { actions: log(({ event }: any) => `out: ${event.by}`) },
    },
  });

const logger = createMachine({
  context: { lines: [] } as Record<string, any>,
  on: { LINE: { actions: assign({ lines: ({ context, event }: any) => [...context['lines'], event['text']] }) } },
});

const deep = createMachine({
  on: {
    WORK: {
      actions: sendTo(
        ({ system }: any) => system.get('logger'),
        ({ event }: any) => ({ type: 'LINE', text: `deep ${event['n']}` }),
      ),
    },
  },
});

const middle = setup({ actors: { deep } }).createMachine({
  invoke: { src: 'deep', id: 'deep', systemId: 'deep' },
  on: {
    WORK: {
      actions: [
        sendTo(({ system }: any) => system.get('logger'), { type: 'LINE', text: 'middle' } as any),
        forwardTo('deep'),
      ],
    },
  },
});

const office = setup({ actors: { logger, middle, deep } }).createMachine({
  context: { log: [] },
  initial: 'open',
  invoke: { src: 'logger', id: 'log', systemId: 'logger' },
  states: {
    open: {
      invoke: { src: 'middle', id: 'middle' },
      on: {
        WORK: { actions: forwardTo('middle') },
        SKIP: {
          actions: sendTo(
            ({ system }: any) => system.get('deep'),
            ({ event }: any) => ({ type: 'WORK', n: event['n'] }),
          ),
        },
        CLOSE: 'closed',
      },
    },
    closed: {
      entry: log('closed'),
      on: {
        ASK: {
          actions: enqueueActions(({ enqueue, system }: any) =>
            enqueue(log(system.get('deep') === undefined ? 'gone' : 'still there')),
          ),
        },
        OPEN: 'open',
        WORK: { actions: sendTo(({ system }: any) => system.get('logger'), { type: 'LINE', text: 'closed' } as any) },
      },
    },
  },
});

const child = createMachine({
  context: ({ input }: any) => ({ boss: input.boss, nested: { list: [input.boss, { again: input.boss }] } }),
  on: { REPORT: { actions: sendTo(({ context }: any) => context.nested.list[1].again, { type: 'REPORTED' }) } },
  after: { 1000: { actions: sendTo(({ context }: any) => context.boss, { type: 'LATE' }) } },
});

const boss = setup({ actors: { child } }).createMachine({
  context: { log: [] },
  initial: 'on',
  states: {
    on: {
      invoke: { src: 'child', id: 'child', input: ({ self }: any) => ({ boss: self }) as never },
      on: { GO: { actions: sendTo('child', { type: 'REPORT' }) } },
    },
  },
  on: { REPORTED: { actions: logAt('reported') }, LATE: { actions: logAt('late') } },
});

export const cases: Case[] = [
  {
    name: 'messaging: sendTo, forwardTo and the answers by sendParent',
    logic: relay,
    script: [send('SEND', { n: 1 }), send('FORWARD', { n: 2 }), send('TWICE')],
    expect: {
      context: { log: ['echo.sent 1', 'echo.FORWARD 2', 'between', 'echo.one undefined', 'echo.two undefined'] },
      children: { echo: { context: { log: ['sent', 'FORWARD', 'one', 'two'] } } },
    },
  },
  {
    name: 'messaging: siblings that know each other, refs in arrays and objects of contexts',
    logic: gameOf(player),
    script: [send('SERVE', { left: 5 }), send('SERVE', { left: 4 })],
    expect: {
      context: { players: { a: { ref: 'a' }, list: [{ ref: 'a' }, { ref: 'b' }] }, log: ['out: b', 'out: a'] },
      children: {
        a: { context: { hits: 5, other: { ref: 'b' }, referee: { ref: '' } } },
        b: { context: { hits: 4, other: { ref: 'a' } } },
      },
    },
  },
  {
    name: 'messaging: siblings that send to each other with delay',
    logic: gameOf(slowPlayer),
    script: [send('SERVE', { left: 3 }), advance(1000), send('SERVE', { left: 1 }), advance(1500), advance(1000)],
    expect: {
      context: { log: ['out: b', 'out: b'] },
      children: { a: { context: { hits: 3 } }, b: { context: { hits: 1 } } },
    },
  },
  {
    name: 'messaging: system.get from every level, before and after its actor is gone',
    logic: office,
    script: [
      ...[
        send('WORK', { n: 1 }),
        send('SKIP', { n: 2 }),
        send('CLOSE'),
        send('ASK'),
        send('WORK', { n: 3 }),
        send('OPEN'),
      ],
      ...[send('WORK', { n: 4 }), send('SKIP', { n: 5 })],
    ],
    expect: {
      context: { log: ['closed', 'gone'] },
      children: {
        log: {
          systemId: 'logger',
          context: { lines: ['middle', 'deep 1', 'deep 2', 'closed', 'middle', 'deep 4', 'deep 5'] },
        },
        middle: { children: { deep: { systemId: 'deep' } } },
      },
    },
  },
  {
    name: 'messaging: a ref to the parent by input, nested in the context',
    logic: boss,
    script: [send('GO'), advance(999), send('GO'), advance(1)],
    expect: {
      context: { log: ['reported@0', 'reported@999', 'late@1000'] },
      children: { child: { context: { boss: { ref: '' }, nested: { list: [{ ref: '' }, { again: { ref: '' } }] } } } },
    },
  },
];
