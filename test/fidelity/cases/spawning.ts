import { assign, createMachine, enqueueActions, sendParent, sendTo, setup, spawnChild, stopChild } from 'xstate';
import { advance, log, logAt, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const worker = createMachine({
  context: ({ input }: any) => ({ job: input?.job ?? 'none', n: 0 }),
  initial: 'busy',
  states: {
    busy: {
      on: { INC: { actions: assign({ n: ({ context }: any) => context.n + 1 }) }, END: 'ended' },
      after: { 10000: 'ended' },
    },
    ended: { type: 'final' },
  },
  output: ({ context }: any) => ({ job: context.job, n: context.n }),
});

const crew = setup({ actors: { worker } }).createMachine({
  context: { workers: [], last: null, log: [] } as Record<string, any>,
  on: {
    HIRE: {
      actions: assign(({ context, event, spawn }: any) => {
        const ref = spawn('worker', { input: { job: event['job'] } } as never);
        return { workers: [...context['workers'], ref], last: ref, log: [...context['log'], `hired ${ref.id}`] };
      }),
    },
    HIRE_AS: {
      actions: assign({
        last: ({ event, spawn }: any) => spawn('worker', { id: event.id, input: { job: event.job } }),
      }),
    },
    INC_ALL: {
      actions: enqueueActions(({ enqueue, context }: any) => {
        for (const ref of context.workers) enqueue.sendTo(ref, { type: 'INC' });
      }),
    },
    INC_LAST: { actions: sendTo(({ context }: any) => context.last, { type: 'INC' }) },
    FIRE_FIRST: {
      actions: [
        stopChild(({ context }: any) => context.workers[0]),
        assign({ workers: ({ context }: any) => context.workers.slice(1) }),
      ],
    },
    FIRE_KEEPING_REF: { actions: stopChild(({ context }: any) => context.last) },
    FIRE: { actions: stopChild(({ event }: any) => event.id) },
    'xstate.done.actor.*': { actions: log(({ event }: any) => ['done', event.output]) },
  },
});

const statically = setup({ actors: { worker } }).createMachine({
  context: { log: [] },
  initial: 'idle',
  states: {
    idle: { on: { GO: 'working' } },
    working: {
      entry: spawnChild('worker', { id: 'w', input: { job: 'static' } as never, systemId: 'theWorker' }),
      exit: stopChild('w'),
      on: {
        BACK: 'idle',
        INC: { actions: sendTo('w', { type: 'INC' }) },
        BY_SYSTEM: { actions: sendTo(({ system }: any) => system.get('theWorker'), { type: 'INC' }) },
        AGAIN: { target: 'working', reenter: true },
      },
      after: { 3000: 'idle' },
    },
  },
});

const leaf = createMachine({
  context: ({ input }: any) => ({ depth: input?.depth ?? 0, log: [] }),
  after: { 1000: { actions: [logAt('leaf'), sendParent({ type: 'RUSTLE' })] } },
});

const branch = setup({ actors: { leaf } }).createMachine({
  context: ({ spawn, input }: any) => ({ leaf: spawn('leaf', { input: { depth: input?.depth ?? 1 } }), rustles: 0 }),
  on: {
    RUSTLE: {
      actions: [assign({ rustles: ({ context }: any) => context.rustles + 1 }), sendParent({ type: 'RUSTLE' })],
    },
    GROW: { actions: assign({ second: ({ spawn }: any) => spawn('leaf', { input: { depth: 2 } }) }) },
  },
});

const tree = setup({ actors: { branch } }).createMachine({
  context: { branches: {}, rustles: 0, log: [] } as Record<string, any>,
  on: {
    BRANCH: {
      actions: assign({
        branches: ({ context, event, spawn }: any) => ({ ...context.branches, [event.name]: { ref: spawn('branch') } }),
      }),
    },
    GROW: { actions: sendTo(({ context, event }: any) => context.branches[event.name].ref, { type: 'GROW' }) },
    CUT: {
      actions: [
        stopChild(({ context, event }: any) => context.branches[event.name].ref),
        assign({ branches: ({ context, event }: any) => ({ ...context.branches, [event.name]: null }) }),
      ],
    },
    RUSTLE: { actions: assign({ rustles: ({ context }: any) => context.rustles + 1 }) },
  },
});

const anonymous = setup({ actors: { worker } }).createMachine({
  context: { log: [] },
  on: { SPAWN: { actions: spawnChild('worker', { input: { job: 'nameless' } as never }) } },
});

const syncing = setup({ actors: { worker } }).createMachine({
  context: { seen: [] } as Record<string, any>,
  on: {
    START: { actions: spawnChild('worker', { id: 'w', syncSnapshot: true } as never) },
    INC: { actions: sendTo('w', { type: 'INC' }) },
    'xstate.snapshot.w': {
      actions: assign({ seen: ({ context, event }: any) => [...context.seen, event.snapshot.context.n] }),
    },
  },
});

const refsInMaps = setup({ actors: { worker } }).createMachine({
  context: { byName: new Map(), all: new Set() } as Record<string, any>,
  on: {
    HIRE: {
      actions: assign(({ context, event, spawn }: any) => {
        const ref = spawn('worker', { id: event.id });
        return {
          byName: new Map([...context.byName, [event.id, { ref, since: new Date(0) }]]),
          all: new Set([...context.all, ref]),
        };
      }),
    },
    INC: { actions: sendTo(({ context, event }: any) => context.byName.get(event.id).ref, { type: 'INC' }) },
    HAS: {
      guard: ({ context }: any) => context.all.has(context.byName.get('a')?.ref),
      actions: assign({ known: true }),
    },
  },
});

export const cases: Case[] = [
  {
    name: 'spawning: ids that XState generates, several generations',
    logic: crew,
    script: [
      ...[send('HIRE', { job: 'a' }), send('HIRE', { job: 'b' }), send('INC_ALL'), send('FIRE_FIRST')],
      ...[send('HIRE', { job: 'c' }), send('INC_ALL'), send('HIRE', { job: 'd' }), send('INC_LAST')],
    ],
    expect: {
      context: {
        log: ['hired x#1', 'hired x#2', 'hired x#3', 'hired x#4'],
        workers: [{ ref: 'x#2' }, { ref: 'x#3' }, { ref: 'x#4' }],
        last: { ref: 'x#4' },
      },
      children: {
        'x#2': { context: { job: 'b', n: 2 } },
        'x#3': { context: { job: 'c', n: 1 } },
        'x#4': { context: { job: 'd', n: 1 } },
      },
    },
  },
  {
    name: 'spawning: children with an id of their own, their deadlines and outputs',
    logic: crew,
    script: [
      ...[send('HIRE_AS', { id: 'one', job: 'a' }), advance(4000), send('HIRE_AS', { id: 'two', job: 'b' })],
      ...[send('INC_LAST'), advance(6000), advance(3999), advance(1)],
    ],
    expect: {
      context: {
        log: [
          ['done', { job: 'a', n: 0 }],
          ['done', { job: 'b', n: 1 }],
        ],
      },
    },
  },
  {
    name: 'spawning: a ref kept after its actor was stopped; sending to it does nothing',
    logic: crew,
    script: [send('HIRE_AS', { id: 'w', job: 'a' }), send('FIRE_KEEPING_REF'), send('INC_LAST'), advance(20_000)],
    expect: { context: { last: { ref: 'w', gone: true }, log: [] }, children: {} },
  },
  {
    name: 'spawning: stopped and spawned again under the same id, the old deadline is gone',
    logic: crew,
    script: [
      ...[send('HIRE_AS', { id: 'w', job: 'a' }), advance(9000), send('INC_LAST'), send('FIRE', { id: 'w' })],
      ...[send('HIRE_AS', { id: 'w', job: 'b' }), advance(1000), send('INC_LAST'), advance(9000)],
    ],
    expect: { context: { log: [['done', { job: 'b', n: 1 }]] } },
  },
  {
    name: 'spawning: spawnChild on entry, stopChild on exit, with a systemId that is free again',
    logic: statically,
    script: [
      ...[send('GO'), send('INC'), send('BY_SYSTEM'), send('AGAIN'), send('BY_SYSTEM'), send('BACK'), send('GO')],
      ...[advance(2999), send('BY_SYSTEM'), send('INC'), send('INC')],
    ],
    expect: { value: 'working', children: { w: { systemId: 'theWorker', context: { job: 'static', n: 3 } } } },
  },
  {
    name: 'spawning: grandchildren with generated ids and deadlines',
    logic: tree,
    script: [
      ...[send('BRANCH', { name: 'l' }), advance(500), send('BRANCH', { name: 'r' }), send('GROW', { name: 'l' })],
      ...[advance(500), send('CUT', { name: 'r' }), advance(500), send('BRANCH', { name: 'r' }), advance(1000)],
    ],
    expect: {
      context: { rustles: 3, branches: { l: { ref: { ref: 'x#1' } }, r: { ref: { ref: 'x#6' } } } },
    },
  },
  {
    name: 'spawning: spawnChild without an id',
    logic: anonymous,
    script: [send('SPAWN'), advance(3000), advance(7000)],
    expect: { children: { undefined: { status: 'done' } } },
    quirk: 'plain XState keeps such a child under the key "undefined"',
  },
  {
    name: 'spawning: snapshots of a spawned child that are synced to its parent',
    logic: syncing,
    script: [send('START'), send('INC'), send('INC')],
    expect: { children: { w: { context: { n: 2 } } } },
  },
  {
    name: 'spawning: refs in Maps and Sets',
    logic: refsInMaps,
    script: [
      send('HIRE', { id: 'a' }),
      send('INC', { id: 'a' }),
      send('HIRE', { id: 'b' }),
      send('INC', { id: 'b' }),
      send('HAS'),
    ],
    expect: {
      context: { known: true, all: { $set: [{ ref: 'a' }, { ref: 'b' }] } },
      children: { a: { context: { n: 1 } }, b: { context: { n: 1 } } },
    },
  },
];
