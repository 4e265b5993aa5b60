/**
 * Machines drawn by chance: of nested, parallel and final states, history, deadlines of every length, invoked promises and
 * machines, spawned children, messages, custom actions. Each turn leaves in the context which event it was, so that the
 * ledger can tell what a row came from.
 */
import { assign, cancel, emit, enqueueActions, fromPromise, type MachineContext, sendParent, setup } from 'xstate';
import { type AnyFlow, defineFlow, type InboundMessage } from '../../src/index.ts';
import { message, random, sendToActor } from '../../src/machine/index.ts';
import { Chance } from './chance.ts';
import { type Flaw, theOutside } from './outside.ts';

export const GENERATED = 'generated';

interface Context extends MachineContext {
  id: string;
  /** Tells this life of the actor from others. */
  name: string;
  peer: string;
  /** The serial of the last event, or what the last promise brought. */
  last: string;
  count: number;
  calls: number;
  hires: number;
  tells: number;
  luck: number;
  /** How often it has gone round in its cycle. */
  rounds: number;
  /** How many entries it has made. */
  entries: number;
}

/** What a promise of the outside brings, or rejects with. */
const broughtBy = (event: any): string | undefined => {
  if (event.serial !== undefined) return event.serial;
  if (event.output?.tag !== undefined) return event.output.tag;
  if (event.error !== undefined) return event.error?.message ?? String(event.error);
  return undefined;
};

const work = fromPromise<{ tag: string }, { actor: string; key: string }>(
  ({ input, signal }) => theOutside().call(input.actor, input.key, signal) as Promise<{ tag: string }>,
);

const poison = ({ context, event }: { context: Context; event: any }): true => {
  if (event.poison && theOutside().poisons()) throw new Error('a guard with a bug');
  assertSound(context.id, 'guard');
  return true;
};

function assertSound(actor: string, part: Flaw): void {
  if (theOutside().fails(actor, part)) throw new Error(`a ${part} with a bug`);
}

const child = setup({
  types: { context: {} as { actor: string; key: string; last: string }, input: {} as { actor: string; key: string } },
  actors: { work },
  actions: { note: assign({ last: ({ context, event }) => broughtBy(event) ?? context.last }) },
}).createMachine({
  id: 'child',
  context: ({ input }) => ({ ...input, last: '' }),
  initial: 'waiting',
  states: {
    waiting: { after: { 61000: 'working' } },
    working: {
      invoke: {
        src: 'work',
        input: ({ context }) => ({ actor: context.actor, key: context.key }),
        onDone: { target: 'resting', actions: 'note' },
        onError: { target: 'resting', actions: 'note' },
      },
    },
    resting: { entry: sendParent({ type: 'child' }), after: { 3600000: 'over' } },
    over: { type: 'final' },
  },
});

const base = setup({
  types: {
    context: {} as Context,
    events: {} as { type: string; serial?: string },
    input: {} as { id: string; name: string; peer: string },
  },
  actors: { work, child },
  guards: {
    sound: poison as never,
    even: ({ context }) => context.count % 2 === 0,
    lucky: ({ context }) => context.luck < 0.5,
    turning: ({ context }) => context.rounds < ROUNDS,
  },
  delays: {
    soon: 1_000,
    minute: 61_000,
    quarter: 900_000,
    hours: 10_800_000,
    month: 2_592_000_000,
    luck: ({ context }) => 60_000 + context.luck * 600_000,
  },
  actions: {
    note: assign({ last: ({ context, event }) => broughtBy(event) ?? context.last }),
    begin: assign({ rounds: 0 }),
    turn: assign({ rounds: ({ context }) => context.rounds + 1 }),
    add: assign({ count: ({ context }) => context.count + 1 }),
    call: assign({ calls: ({ context }) => context.calls + 1 }),
    roll: assign({ luck: () => random() }),
    say: emit(({ context }) => message(`${context.id} says ${context.count} after ${context.last}`)),
    sayMore: enqueueActions(({ context, enqueue }) => {
      for (const part of ['one', 'two']) enqueue.emit(message(`${context.id} ${part} ${context.count}`));
    }),
    act: ({ context }) => theOutside().act(context.id, `act:${context.count}:${context.last}`),
    actBadly: ({ context }) => theOutside().act(context.id, `actBadly:${context.count}:${context.last}`),
    // Not for ever: a machine may wake itself in circles.
    later: enqueueActions(({ context, enqueue }) => {
      if (context.count < 20) enqueue.raise({ type: 'later' }, { delay: 95_000, id: 'later' });
    }),
    forget: cancel('later'),
    // Two that tell each other would never be silent.
    tell: enqueueActions(({ context, enqueue }) => {
      if (context.tells === 5) return;
      enqueue.assign({ tells: context.tells + 1 });
      const to = { flowType: GENERATED, participantId: context.peer };
      enqueue.emit(sendToActor(to, { type: 'a', serial: `${context.id}:${context.tells}` }));
    }),
    hire: enqueueActions(({ context, enqueue }) => {
      if (context.hires === 3) return;
      const hires = context.hires + 1;
      enqueue.assign({ hires });
      enqueue.spawnChild('child', {
        id: `hired${hires}`,
        input: { actor: context.id, key: `${context.name}/hired/${hires}` },
      } as never);
    }),
    // Two rows of one turn: there are both, or neither.
    enter: enqueueActions(({ context, enqueue }) => {
      const entries = context.entries + 1;
      enqueue.assign({ entries });
      for (const part of ['one', 'two'])
        enqueue.emit({ type: 'entry', id: `${context.name}/${entries}`, part, text: context.last } as never);
    }),
    dismiss: enqueueActions(({ context, enqueue }) => enqueue.stopChild(`hired${context.hires}`)),
  },
});

/** So often goes an actor round in a cycle of `after: 0`, once it was told to. */
const ROUNDS = 30;
/** Leads an actor into its cycle. */
export const SPIN = 'spin';

type Config = Record<string, any>;

const ACTIONS = ['say', 'say', 'sayMore', 'act', 'actBadly', 'later', 'forget', 'tell', 'roll', 'hire', 'dismiss'];
/** Of machines whose flow writes to tables of the application. */
const ALL_ACTIONS = [...ACTIONS, 'enter', 'enter', 'enter'];
export const EVENTS = ['a', 'b', 'c'];

/** Draws a machine. */
function draw(chance: Chance, known: readonly string[]) {
  const size = chance.between(3, 6);
  const name = (i: number) => `s${i}`;
  const actions = (...before: string[]) => {
    const some = [...before];
    for (let i = chance.below(3); i > 0; i--) some.push(chance.pick(known));
    return some;
  };
  const somewhere = () => `#${name(chance.below(size))}`;
  const transition = (from: number) => ({
    ...(chance.happens(0.85) && { target: somewhere() }),
    ...(chance.happens(0.2) && { guard: chance.pick(['even', 'lucky']) }),
    ...(chance.happens(0.2) && { reenter: true }),
    actions: actions('note', 'add'),
    from,
  });
  const without = (config: Config, action: string) => ({
    ...config,
    actions: config['actions'].filter((each: string) => each !== action),
  });
  const clean = ({ from, ...rest }: Config) => rest;
  const state = (i: number, depth: number): Config => {
    const on: Config = {};
    for (const type of EVENTS) {
      if (!chance.happens(0.7)) continue;
      on[type] = [{ ...clean(transition(i)), guard: 'sound' }, ...(chance.happens(0.3) ? [clean(transition(i))] : [])];
    }
    if (chance.happens(0.5)) on['later'] = without(clean(transition(i)), 'later');
    if (chance.happens(0.5)) on['child'] = without(clean(transition(i)), 'hire');
    const after: Config = {};
    for (const delay of ['soon', 'minute', 'quarter', 'hours', 'month', 'luck', 0]) {
      if (!chance.happens(0.2)) continue;
      const quick = delay === 0 || ['soon', 'minute', 'luck'].includes(delay as string);
      // A short deadline only leads on, so that no machine runs in circles.
      const target = quick ? (i + 1 < size ? `#${name(chance.between(i + 1, size - 1))}` : undefined) : somewhere();
      if (quick && target === undefined) continue;
      after[delay] = { target, actions: actions('add'), ...(chance.happens(0.15) && { guard: 'sound' }) };
    }
    const config: Config = { id: name(i), on, after, entry: chance.happens(0.3) ? ['roll', 'say'] : [] };
    if (depth > 0) delete config['id'];
    else if (chance.happens(0.35)) {
      config['entry'] = ['call', ...config['entry']];
      const src = chance.happens(0.7) ? 'work' : 'child';
      config['invoke'] = {
        id: `invoked${i}`,
        src,
        input: ({ context }: { context: Context }) => ({
          actor: context.id,
          key: `${context.name}/${i}/${context.calls}`,
        }),
        onDone: clean(transition(i)),
        // An error that nothing takes is the end of an actor.
        ...(src === 'work' && { onError: { ...clean(transition(i)), guard: undefined } }),
      };
    } else if (chance.happens(0.4)) {
      const inner = () => ({ x: state(i, 1), y: state(i, 1) });
      if (chance.happens(0.5)) {
        Object.assign(config, { initial: 'x', states: { ...inner(), back: { type: 'history', history: 'deep' } } });
        on['c'] = [{ target: chance.happens(0.5) ? `#${name(i)}.back` : `#${name(i)}.y`, actions: ['note', 'add'] }];
      } else {
        Object.assign(config, {
          type: 'parallel',
          states: { left: { initial: 'x', states: inner() }, right: { initial: 'y', states: inner() } },
        });
      }
    }
    return config;
  };
  const states: Config = {};
  for (let i = 0; i < size; i++) states[name(i)] = state(i, 0);
  if (chance.happens(0.2)) states[name(size - 1)] = { id: name(size - 1), type: 'final' };
  // A deadline that is always due, for a while.
  states['cycle'] = {
    id: 'cycle',
    after: {
      0: [{ target: '#cycle', reenter: true, guard: 'turning', actions: 'turn' }, { target: `#${name(0)}` }],
    },
    on: { a: { actions: ['note', 'add'] }, b: { target: `#${name(0)}`, actions: ['note', 'add'] } },
  };
  return base.createMachine({
    id: 'generated',
    context: ({ input }: { input: { id: string; name: string; peer: string } }) => ({
      ...input,
      last: '',
      count: 0,
      calls: 0,
      hires: 0,
      tells: 0,
      luck: 0.5,
      rounds: 0,
      entries: 0,
    }),
    initial: name(0),
    on: { [SPIN]: { target: '#cycle', actions: ['note', 'begin'] } },
    states,
  } as never);
}

const flows = new Map<string, AnyFlow>();

/** How many machines there are of each kind; a schedule draws one of them. */
const MACHINES = 1_000;

/** What a flow that keeps books writes beside its turns: an entry for each of its events, and where it stands. */
const BOOKS = {
  record: ({ type, id, part, text }: any, { participantId: owner, at }: { participantId: string; at: number }) => {
    if (type !== 'entry') return null;
    assertSound(owner, 'record');
    const twin = theOutside().fails(owner, 'twin');
    const lacks = theOutside().fails(owner, 'null');
    return { table: 'entries', row: { id: twin ? id : `${id}/${part}`, owner, text: lacks ? null : text, at } };
  },
  project: ({ participantId, before, after }: { participantId: string; before: any; after: any }) => {
    assertSound(participantId, 'project');
    const { name, count, last } = after.context;
    return before
      ? { table: 'standings', where: { name }, set: { count, last } }
      : { table: 'standings', row: { name, count, last } };
  },
};

/** A flow with a machine drawn by chance; its version may be 1 or 2, which migrates from 1. */
export function generatedFlow(number: number, version: number, keepsBooks: boolean): AnyFlow {
  const key = `${number % MACHINES}:${version}:${keepsBooks}`;
  let flow = flows.get(key);
  if (!flow) {
    const chance = new Chance(number % MACHINES);
    const logic = draw(chance, keepsBooks ? ALL_ACTIONS : ACTIONS);
    const strategy = chance.pick(['restart', 'restart', 'resume', 'stop', 'escalate'] as const);
    const overdue = chance.pick([
      'fire',
      'fire',
      'fire',
      'skip',
      ({ dueAt }: { dueAt: number }) => (dueAt % 2 === 0 ? 'fire' : dueAt + 400 * 86_400_000),
    ] as const);
    flow = defineFlow({
      type: GENERATED,
      version,
      logic,
      receive: ({ message: { id, text } }: { message: InboundMessage }) => ({
        type: text.split(' ')[0],
        serial: id,
        ...(text.endsWith('poison') && { poison: true }),
      }),
      supervision: { strategy, ...(keepsBooks && drawIntensity(chance)) },
      ...(keepsBooks && BOOKS),
      overdue,
      uncertain: chance.pick(['resend', 'hold']),
      invocations: chance.happens(0.5) ? { work: { attempts: 3, timeout: '2m' } } : {},
      ...(version === 2 && {
        migrate: {
          1: (persisted: any) => ({
            ...persisted,
            context: { ...persisted.context, generation: (persisted.context.generation ?? 1) + 1 },
          }),
        },
      }),
    } as never) as AnyFlow;
    flows.set(key, flow);
  }
  return flow;
}

/** How often it is tried again, and after which pauses: never for so long that it is not put aside in the end. */
const drawIntensity = (chance: Chance) =>
  ({
    maxRestarts: chance.below(4),
    within: chance.pick(['1m', '10m']),
    backoff: { initial: chance.pick(['1s', '5s']), max: '10s' },
  }) as const;
