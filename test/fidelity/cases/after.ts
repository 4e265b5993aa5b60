import { assign, createMachine, setup } from 'xstate';
import { now } from '../../../src/machine/ambient.ts';
import { advance, DAY, logAt, MINUTE, say, send } from '../steps.ts';
import { type Case, START } from '../subject.ts';

const traffic = createMachine({
  initial: 'green',
  context: { log: [] },
  states: {
    green: { after: { 30000: 'amber' }, exit: logAt('-green') },
    amber: { after: { 3000: 'red' }, exit: logAt('-amber') },
    red: { after: { 20000: 'green' }, exit: logAt('-red'), on: { HURRY: 'green' } },
  },
});

const delays = setup({
  types: { context: {} as { factor: number; log: string[] } },
  delays: {
    short: 100,
    scaled: ({ context }: any) => context.factor * 1000,
    ofEvent: ({ event }: any) => (event as unknown as { ms?: number }).ms ?? 5000,
    untilTen: () => 10 * MINUTE - ((now() - START) % (10 * MINUTE)),
  },
}).createMachine({
  context: { factor: 2, log: [] },
  initial: 'idle',
  on: {
    FACTOR: { actions: assign({ factor: ({ event }: any) => (event as unknown as { to: number }).to }) },
    IDLE: '.idle',
  },
  states: {
    idle: { on: { SHORT: 'short', SCALED: 'scaled', EVENT: 'event', TEN: 'ten' } },
    short: { after: { short: { target: 'idle', actions: logAt('short') } } },
    scaled: { after: { scaled: { target: 'idle', actions: logAt('scaled') } } },
    event: { after: { ofEvent: { target: 'idle', actions: logAt('event') } } },
    ten: { after: { untilTen: { target: 'idle', actions: logAt('ten') } } },
  },
});

const several = createMachine({
  initial: 'waiting',
  context: { log: [], patient: true } as Record<string, any>,
  states: {
    waiting: {
      after: {
        1000: { actions: logAt('first') },
        2000: [{ guard: ({ context }: any) => !context['patient'], target: 'gone' }, { actions: logAt('patient at') }],
        3000: { actions: [logAt('third'), say('reminder')] },
        5000: 'gone',
      },
      on: { HURT: { actions: assign({ patient: false }) }, TOUCH: { target: 'waiting', reenter: true } },
    },
    gone: { entry: logAt('gone') },
  },
});

const reentry = createMachine({
  initial: 'typing',
  context: { log: [] },
  states: {
    typing: {
      initial: 'burst',
      after: { 2000: 'idle' },
      on: { KEY: { target: 'typing', reenter: true }, SHIFT: { target: '.shifted' }, NOTE: { actions: logAt('note') } },
      states: { burst: {}, shifted: { after: { 500: { target: 'burst', actions: logAt('unshift') } } } },
    },
    idle: { entry: logAt('idle'), on: { KEY: 'typing' } },
  },
});

const nested = createMachine({
  initial: 'outer',
  context: { log: [] },
  states: {
    outer: {
      after: { 3000: { target: 'late', actions: logAt('outer') }, 1000: { actions: logAt('outer early') } },
      initial: 'a',
      states: {
        a: { after: { 1000: { target: 'b', actions: logAt('a') } } },
        b: {
          after: { 1000: { target: 'c', actions: logAt('b') } },
          initial: 'b1',
          states: { b1: { after: { 400: 'b2' } }, b2: { entry: logAt('+b2') } },
        },
        c: { after: { 1000: { actions: logAt('c') } }, exit: logAt('-c') },
      },
    },
    late: { after: { 1: 'outer' } },
  },
});

const longWaits = createMachine({
  initial: 'trial',
  context: { log: [] },
  states: {
    trial: { after: { [30 * DAY]: { target: 'year', actions: [logAt('month'), say('month')] } } },
    year: {
      after: {
        [24.8 * DAY]: { actions: say('limit') },
        [2 ** 31]: { actions: say('beyond') },
        [365 * DAY]: { target: 'over', actions: say('year') },
      },
      on: { RENEW: { target: 'year', reenter: true } },
    },
    over: { after: { [100 * 365 * DAY]: 'never' } },
    never: {},
  },
});

const parallelTimers = createMachine({
  type: 'parallel',
  context: { log: [] },
  states: {
    fast: { initial: 'f', states: { f: { after: { 1000: { target: 'f', reenter: true, actions: logAt('tick') } } } } },
    slow: {
      initial: 's',
      states: { s: { after: { 2000: { target: 't', actions: logAt('slow') } } }, t: { on: { S: 's' } } },
    },
  },
});

const zero = createMachine({
  initial: 'a',
  context: { log: [] },
  states: {
    a: { after: { 0: 'b' }, exit: logAt('-a') },
    b: { on: { GO: 'c' } },
    c: { after: { 0: { target: 'd', actions: say('soon') } } },
    d: { after: { 0.5: 'e' } },
    e: { entry: say('half') },
  },
});

const leaving = createMachine({
  initial: 'idle',
  context: { log: [] },
  states: {
    idle: { on: { ASK: 'asking' } },
    asking: { after: { 1000: { target: 'idle', actions: say('timeout') } }, on: { ANSWER: 'answered', IDLE: 'idle' } },
    answered: { on: { ASK: 'asking' } },
  },
});

const history = createMachine({
  initial: 'on',
  context: { log: [] },
  states: {
    on: {
      initial: 'a',
      on: { OFF: 'off' },
      states: {
        a: { after: { 1000: { target: 'b', actions: logAt('a') } } },
        b: { after: { 1000: { target: 'a', actions: logAt('b') } } },
        h: { type: 'history' },
      },
    },
    off: { on: { ON: 'on.h' } },
  },
});

const infinite = setup({ delays: { forever: () => Number.POSITIVE_INFINITY, past: () => -500 } }).createMachine({
  context: { log: [] },
  initial: 'past',
  states: {
    past: { after: { past: { target: 'forever', actions: logAt('past') } } },
    forever: { after: { forever: 'over', 2000: { actions: logAt('still here') } }, on: { END: 'over' } },
    over: {},
  },
});

const guarded = createMachine({
  initial: 'a',
  context: { count: 0, log: [] } as Record<string, any>,
  states: {
    a: {
      after: { 1000: { target: 'b', guard: ({ context }: any) => context['count'] >= 2 } },
      on: { COUNT: { actions: assign({ count: ({ context }: any) => context['count'] + 1 }) } },
    },
    b: {
      always: { target: 'c', guard: ({ context }: any) => context['count'] > 2 },
      after: { 1000: { target: 'a', actions: assign({ count: 0 }) } },
    },
    c: {},
  },
});

export const cases: Case[] = [
  {
    name: 'after: a cycle of deadlines, many in one step',
    logic: traffic,
    script: [advance(29_999), advance(1), advance(2999), advance(1), send('HURRY'), advance(60_000)],
    expect: {
      values: ['green', 'green', 'amber', 'amber', 'red', 'green', 'green'],
      context: { log: ['-green@30000', '-amber@33000', '-red@33000', '-green@63000', '-amber@66000', '-red@86000'] },
    },
  },
  {
    name: 'after: named, computed from context, event and time; computed once at entry',
    logic: delays,
    script: [
      ...[send('SHORT'), advance(100), send('SCALED'), send('FACTOR', { to: 1 }), advance(1000), advance(1000)],
      ...[send('SCALED'), advance(1000), send('EVENT', { ms: 70 }), advance(70), send('EVENT'), advance(5000)],
      ...[send('TEN'), advance(10 * MINUTE)],
    ],
    expect: {
      value: 'idle',
      context: {
        log: ['short@100', 'scaled@2100', 'scaled@3100', 'event@3170', 'event@8170', `ten@${10 * MINUTE}`],
      },
    },
  },
  {
    name: 'after: several in one state, in order, with a guard at the deadline',
    logic: several,
    script: [advance(1500), advance(1500), advance(2000)],
    expect: {
      value: 'gone',
      context: { log: ['first@1000', 'patient at@2000', 'third@3000', 'gone@5000'] },
      emitted: [[3000, { type: 'reminder' }]],
    },
  },
  {
    name: 'after: the guard sees the context of the deadline, not of the entry',
    logic: several,
    script: [advance(1500), send('HURT'), advance(500), advance(10_000)],
    expect: { values: ['waiting', 'waiting', 'waiting', 'gone', 'gone'], emitted: [] },
  },
  {
    name: 'after: re-entry starts all deadlines of the state anew',
    logic: several,
    script: [advance(2500), send('TOUCH'), advance(2500), send('TOUCH'), advance(4999), advance(1)],
    expect: {
      value: 'gone',
      context: {
        log: [
          ...['first@1000', 'patient at@2000', 'first@3500', 'patient at@4500'],
          ...['first@6000', 'patient at@7000', 'third@8000', 'gone@10000'],
        ],
      },
      emitted: [[8000, { type: 'reminder' }]],
    },
  },
  {
    name: 'after: internal transitions leave the deadline of the parent alone, reenter does not',
    logic: reentry,
    script: [
      ...[
        advance(1500),
        send('KEY'),
        advance(1000),
        send('SHIFT'),
        send('NOTE'),
        advance(500),
        advance(499),
        advance(1),
      ],
      ...[send('KEY'), advance(1999), advance(1)],
    ],
    expect: {
      value: 'idle',
      context: { log: ['note@2500', 'unshift@3000', 'idle@3500', 'idle@5500'] },
    },
  },
  {
    name: 'after: nested states with deadlines of their own, some at the same instant',
    logic: nested,
    script: [advance(1000), advance(1400), advance(599), advance(1), advance(1), advance(3000)],
    expect: {
      value: 'late',
      context: {
        log: [
          ...['outer early@1000', 'a@1000', '+b2@1400', 'b@2000'],
          ...['-c@3000', 'outer@3000', 'outer early@4001', 'a@4001', '+b2@4401', 'b@5001', '-c@6001', 'outer@6001'],
        ],
      },
    },
  },
  {
    name: 'after: deadlines beyond 24.8 days',
    logic: longWaits,
    script: [
      ...[advance(24.9 * DAY), advance(5.1 * DAY), advance(100 * DAY), send('RENEW'), advance(20 * DAY)],
      ...[advance(340 * DAY), advance(5 * DAY), advance(DAY)],
    ],
    expect: {
      value: 'over',
      context: { log: [`month@${30 * DAY}`] },
      emitted: [
        [30 * DAY, { type: 'month' }],
        [54.8 * DAY, { type: 'limit' }],
        [30 * DAY + 2 ** 31, { type: 'beyond' }],
        [130 * DAY + 24.8 * DAY, { type: 'limit' }],
        [130 * DAY + 2 ** 31, { type: 'beyond' }],
        [495 * DAY, { type: 'year' }],
      ],
    },
  },
  {
    name: 'after: parallel regions, of equal deadlines the one set first fires first',
    logic: parallelTimers,
    script: [advance(2000), advance(1500), send('S'), advance(2500)],
    expect: {
      value: { fast: 'f', slow: 't' },
      context: {
        log: ['tick@1000', 'slow@2000', 'tick@2000', 'tick@3000', 'tick@4000', 'tick@5000', 'slow@5500', 'tick@6000'],
      },
    },
  },
  {
    name: 'after: zero and fractions of a millisecond',
    logic: zero,
    script: [send('GO'), advance(1)],
    expect: {
      values: ['b', 'd', 'e'],
      emitted: [
        [0, { type: 'soon' }],
        [1, { type: 'half' }],
      ],
    },
  },
  {
    name: 'after: a deadline is gone once its state was left, also when it is entered again',
    logic: leaving,
    script: [
      ...[send('ASK'), advance(999), send('ANSWER'), advance(5000), send('ASK'), advance(600), send('IDLE')],
      ...[send('ASK'), advance(600), advance(400)],
    ],
    expect: { value: 'idle', emitted: [[7599, { type: 'timeout' }]] },
  },
  {
    name: 'after: an event just before, and one exactly at the deadline',
    logic: leaving,
    script: [send('ASK'), advance(999), send('ANSWER'), advance(1), send('ASK'), advance(1000), send('ANSWER')],
    expect: {
      values: ['idle', 'asking', 'asking', 'answered', 'answered', 'asking', 'idle', 'idle'],
      emitted: [[2000, { type: 'timeout' }]],
    },
  },
  {
    name: 'after: a state entered by history waits its full time again',
    logic: history,
    script: [advance(1500), send('OFF'), advance(5000), send('ON'), advance(999), advance(1)],
    expect: { value: { on: 'a' }, context: { log: ['a@1000', 'b@7500'] } },
  },
  {
    name: 'after: a delay in the past fires at once, an infinite one never',
    logic: infinite,
    script: [advance(2000), advance(10 * MINUTE), send('END')],
    expect: { values: ['forever', 'forever', 'forever', 'over'], context: { log: ['past@0', 'still here@2000'] } },
  },
  {
    name: 'after: a deadline whose guard fails is spent',
    logic: guarded,
    script: [advance(1000), send('COUNT'), send('COUNT'), advance(10_000)],
    expect: { value: 'a', context: { count: 2 } },
  },
  {
    name: 'after: into a state with always, and round again',
    logic: guarded,
    script: [
      send('COUNT'),
      send('COUNT'),
      advance(1000),
      advance(1000),
      send('COUNT'),
      send('COUNT'),
      send('COUNT'),
      advance(1000),
    ],
    expect: { values: ['a', 'a', 'a', 'b', 'a', 'a', 'a', 'a', 'c'] },
  },
];
