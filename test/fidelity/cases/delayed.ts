import { assign, cancel, createMachine, enqueueActions, forwardTo, raise, sendParent, sendTo, setup } from 'xstate';
import { advance, DAY, log, logAt, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const reminders = createMachine({
  context: { log: [] },
  initial: 'on',
  states: {
    on: {
      on: {
        REMIND: {
          actions: enqueueActions(({ enqueue, event }: any) =>
            enqueue.raise({ type: 'DUE', n: event.n }, { delay: event.in, id: `r${event.n}` }),
          ),
        },
        CANCEL: { actions: cancel(({ event }: any) => `r${event.n}`) },
        DUE: { actions: logAt('due') },
        OFF: 'off',
      },
    },
    off: { on: { ON: 'on', DUE: { actions: logAt('due while off') } } },
  },
});

const anonymous = createMachine({
  context: { log: [] },
  entry: [
    raise({ type: 'A' }, { delay: 1000 }),
    raise({ type: 'B' }, { delay: 500 }),
    raise({ type: 'C' }, { delay: 1000 }),
  ],
  on: {
    '*': { actions: logAt('other') },
    A: { actions: [logAt('A'), raise({ type: 'A2' }, { delay: 0 }), raise({ type: 'NOW' })] },
    A2: { actions: logAt('A2') },
    B: { actions: logAt('B') },
    C: { actions: logAt('C') },
    NOW: { actions: logAt('NOW') },
  },
});

const sameId = createMachine({
  context: { log: [] },
  on: {
    ARM: { actions: raise(({ event }: any) => ({ type: 'DUE', n: event.n }), { id: 'it', delay: 1000 }) },
    REARM: {
      actions: [cancel('it'), raise(({ event }: any) => ({ type: 'DUE', n: event.n }), { id: 'it', delay: 1000 })],
    },
    CANCEL: { actions: cancel('it') },
    DUE: { actions: log(({ event }: any) => event.n) },
  },
});

const namedDelays = setup({
  types: { context: {} as { wait: number; log: string[] } },
  delays: { wait: ({ context }: any) => context.wait, fixed: 300 },
}).createMachine({
  context: { wait: 1000, log: [] },
  on: {
    GO: {
      actions: [
        raise({ type: 'WAITED' }, { delay: 'wait' as never }),
        raise({ type: 'FIXED' }, { delay: 'fixed' as never, id: 'fixed' }),
      ],
    },
    LONGER: { actions: assign({ wait: ({ context }: any) => context.wait * 2 }) },
    WAITED: { actions: logAt('waited') },
    FIXED: { actions: logAt('fixed') },
  },
} as never);

const lamp = createMachine({
  context: { log: [] },
  initial: 'off',
  states: {
    off: { on: { ON: { target: 'on', actions: logAt('on') } } },
    on: { on: { OFF: { target: 'off', actions: logAt('off') }, ON: { actions: logAt('still on') } } },
  },
});

const switchboard = setup({ actors: { lamp } }).createMachine({
  context: { log: [] },
  invoke: { src: 'lamp', id: 'lamp' },
  on: {
    LATER: { actions: sendTo('lamp', ({ event }: any) => ({ type: event['what'] }), { delay: 1000, id: 'later' }) },
    SELF: {
      actions: sendTo(({ self }: any) => self, { type: 'TICK' }, { delay: ({ event }: any) => event.in, id: 'tick' }),
    },
    TICK: { actions: logAt('tick') },
    CANCEL: { actions: cancel(({ event }: any) => event.id) },
  },
});

const egg = createMachine({
  context: { log: [] },
  entry: [sendParent({ type: 'DONE', what: 'egg' }, { delay: 3000, id: 'done' }), sendParent({ type: 'STARTED' })],
  on: {
    WAIT: { actions: [cancel('done'), sendParent({ type: 'DONE', what: 'hard egg' }, { delay: 5000, id: 'done' })] },
    FORGET: { actions: cancel('done') },
  },
});

const kitchen = setup({ actors: { egg } }).createMachine({
  context: { log: [] },
  initial: 'idle',
  on: { DONE: { actions: log(({ event }: any) => event.what) }, STARTED: { actions: logAt('started') } },
  states: {
    idle: { on: { COOK: 'cooking' } },
    cooking: {
      entry: logAt('cooking'),
      invoke: { src: 'egg', id: 'egg' },
      on: {
        STOP: 'idle',
        WAIT: { actions: forwardTo('egg') },
        FORGET: { actions: forwardTo('egg') },
        DONE: { target: 'idle', actions: [log(({ event }: any) => event.what), logAt('served')] },
      },
    },
  },
});

const counter = createMachine({
  context: { n: 0 },
  on: { INC: { actions: assign({ n: ({ context, event }: any) => context['n'] + (event['by'] ?? 1) }) } },
});

const reborn = setup({ actors: { counter } }).createMachine({
  context: { log: [] },
  on: {
    SPAWN: { actions: assign({ ref: ({ spawn }: any) => spawn('counter', { id: 'c' }) }) },
    STOP: { actions: enqueueActions(({ enqueue }: any) => enqueue.stopChild('c')) },
    LATER: { actions: sendTo('c', ({ event }: any) => ({ type: 'INC', by: event['by'] }), { delay: 1000, id: 'inc' }) },
    CANCEL: { actions: cancel('inc') },
  },
});

const conditional = createMachine({
  context: { log: [] },
  on: {
    START: {
      actions: enqueueActions(({ enqueue, event }: any) => {
        for (let i = 1; i <= event.times; i++) {
          enqueue.raise({ type: 'BEAT', i }, { delay: i * 100, id: `beat${i}` });
        }
      }),
    },
    BEAT: {
      actions: enqueueActions(({ enqueue, event }: any) => {
        enqueue(log(`beat ${event.i}`));
        if (event.i === 2) enqueue.cancel('beat3');
      }),
    },
  },
});

const crossing = createMachine({
  initial: 'a',
  context: { log: [] },
  states: {
    a: {
      entry: raise({ type: 'LATE' }, { delay: 2000, id: 'late' }),
      after: { 1000: 'b' },
      on: { LATE: { actions: logAt('LATE in a') } },
    },
    b: { on: { LATE: { target: 'c', actions: logAt('LATE in b') } } },
    c: { exit: cancel('late'), after: { 500: 'a' } },
  },
});

export const cases: Case[] = [
  {
    name: 'delayed: raise with id and computed delay, one of them cancelled',
    logic: reminders,
    script: [
      ...[send('REMIND', { n: 1, in: 3000 }), send('REMIND', { n: 2, in: 1000 }), send('REMIND', { n: 3, in: 2000 })],
      ...[advance(1500), send('CANCEL', { n: 3 }), send('OFF'), advance(5000)],
    ],
    expect: { value: 'off', context: { log: ['due@1000', 'due while off@3000'] } },
  },
  {
    name: 'delayed: cancel of an unknown and of a spent id does nothing',
    logic: reminders,
    script: [
      ...[send('CANCEL', { n: 9 }), send('REMIND', { n: 1, in: 100 }), advance(100), send('CANCEL', { n: 1 })],
      ...[send('REMIND', { n: 1, in: 100 }), advance(100)],
    ],
    expect: { context: { log: ['due@100', 'due@200'] } },
  },
  {
    name: 'delayed: raise beyond 24.8 days, cancelled after months',
    logic: reminders,
    script: [
      ...[send('REMIND', { n: 1, in: 90 * DAY }), send('REMIND', { n: 2, in: 90 * DAY }), advance(60 * DAY)],
      ...[send('CANCEL', { n: 1 }), advance(30 * DAY)],
    ],
    expect: { context: { log: [`due@${90 * DAY}`] } },
  },
  {
    name: 'delayed: without ids, equal deadlines in order of raising, zero delay after what is raised at once',
    logic: anonymous,
    script: [advance(400), advance(600)],
    expect: { context: { log: ['B@500', 'A@1000', 'NOW@1000', 'C@1000', 'A2@1000'] } },
  },
  {
    name: 'delayed: raised again under the same id, both come',
    logic: sameId,
    script: [send('ARM', { n: 1 }), advance(400), send('ARM', { n: 2 }), advance(600), advance(400)],
    expect: { context: { log: [1, 2] } },
  },
  {
    name: 'delayed: cancelled and raised again under the same id, only the second comes',
    logic: sameId,
    script: [
      send('ARM', { n: 1 }),
      advance(400),
      send('REARM', { n: 2 }),
      advance(900),
      send('REARM', { n: 3 }),
      advance(2000),
    ],
    expect: { context: { log: [3] } },
  },
  {
    name: 'delayed: cancel after raising twice under the same id takes only the second',
    logic: sameId,
    script: [send('ARM', { n: 1 }), advance(400), send('ARM', { n: 2 }), send('CANCEL'), advance(2000)],
    expect: { context: { log: [1] } },
    quirk: 'plain XState forgets the first timeout of an id when it is used again; SCXML cancels every one of that id',
  },
  {
    name: 'delayed: cancel after the first of two of the same id has come takes nothing',
    logic: sameId,
    script: [send('ARM', { n: 1 }), advance(400), send('ARM', { n: 2 }), advance(600), send('CANCEL'), advance(2000)],
    expect: { context: { log: [1, 2] } },
    quirk: 'in plain XState the first that fires also forgets the timeout of the second; SCXML would cancel it',
  },
  {
    name: 'delayed: raise with named delays',
    logic: namedDelays,
    script: [send('GO'), send('LONGER'), send('GO'), advance(300), advance(700), advance(1000)],
    expect: { context: { wait: 2000, log: ['fixed@300', 'fixed@300', 'waited@1000', 'waited@2000'] } },
  },
  {
    name: 'delayed: sendTo a child and to self, each cancelled once',
    logic: switchboard,
    script: [
      ...[send('LATER', { what: 'ON' }), advance(500), send('SELF', { in: 700 }), send('CANCEL', { id: 'later' })],
      ...[send('LATER', { what: 'ON' }), advance(1000), send('SELF', { in: 5 }), send('CANCEL', { id: 'tick' })],
      ...[send('LATER', { what: 'OFF' }), advance(1000)],
    ],
    expect: {
      context: { log: ['tick@1200'] },
      children: { lamp: { value: 'off', context: { log: ['on@1500', 'off@2500'] } } },
    },
  },
  {
    name: 'delayed: sendParent from a child, which may change its mind',
    logic: kitchen,
    script: [send('COOK'), advance(2999), send('WAIT'), advance(4999), advance(1), advance(1000)],
    expect: {
      value: 'idle',
      context: { log: ['cooking@0', 'started@0', 'hard egg', 'served@7999'] },
      children: {},
    },
  },
  {
    name: 'delayed: sendParent dies with the child, and is cancelled by it',
    logic: kitchen,
    script: [
      ...[send('COOK'), advance(2000), send('STOP'), advance(2000), send('COOK'), advance(1000), send('FORGET')],
      ...[advance(5000), send('STOP'), send('COOK'), advance(3000)],
    ],
    expect: {
      value: 'idle',
      context: {
        log: [
          ...['cooking@0', 'started@0', 'cooking@4000', 'started@4000', 'cooking@10000', 'started@10000'],
          ...['egg', 'served@13000'],
        ],
      },
    },
  },
  {
    name: 'delayed: an event for a stopped child does not reach the next one of the same id',
    logic: reborn,
    script: [
      ...[send('SPAWN'), send('LATER', { by: 10 }), advance(500), send('STOP'), send('SPAWN'), advance(500)],
      ...[send('LATER', { by: 1 }), advance(1000)],
    ],
    expect: { children: { c: { context: { n: 1 } } } },
  },
  {
    name: 'delayed: stopped, spawned again, and the old event cancelled or overtaken',
    logic: reborn,
    script: [
      ...[
        send('SPAWN'),
        send('LATER', { by: 10 }),
        send('STOP'),
        send('CANCEL'),
        send('SPAWN'),
        send('LATER', { by: 3 }),
      ],
      ...[advance(1000), send('STOP'), advance(1000), send('SPAWN'), advance(2000)],
    ],
    expect: { children: { c: { context: { n: 0 } } } },
  },
  {
    name: 'delayed: several from enqueueActions, one cancels the next',
    logic: conditional,
    script: [send('START', { times: 4 }), advance(150), advance(50), advance(300)],
    expect: { context: { log: ['beat 1', 'beat 2', 'beat 4'] } },
  },
  {
    name: 'delayed: a raised event outlives its state, after does not',
    logic: crossing,
    script: [advance(1500), advance(500), advance(500), advance(1000), advance(1000)],
    expect: { value: 'c', context: { log: ['LATE in b@2000', 'LATE in b@4500'] } },
  },
];
