/**
 * More of what the types promise, in the ways in which an application may be built. `npm run types` compiles it here, and
 * test/package/package.test.ts as a consumer of the package, under each resolution and with the strictest options.
 */
import {
  type AnyStateMachine,
  assign,
  createMachine,
  type EventFromLogic,
  fromPromise,
  fromTransition,
  setup,
} from 'xstate';
import {
  type AnyFlow,
  createRuntime,
  defineFlow,
  type EventOf,
  type Flow,
  type InputOf,
  type InvocationPolicy,
  type Migration,
  type PersistedSnapshot,
  type Runtime,
  type SnapshotOf,
  type SpawnArguments,
} from '../../src/index.ts';
import { crashEverywhere, type Script } from '../../src/testing/index.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => {};

/** Made without `setup()`. */
const machine = createMachine({
  types: {} as {
    context: { n: number };
    events: { type: 'go'; by: number } | { type: 'end' };
    input: { n: number };
    emitted: { type: 'message'; text: string };
  },
  context: ({ input }) => ({ n: input.n }),
  initial: 'open',
  states: {
    open: { on: { go: { actions: assign({ n: ({ context, event }) => context.n + event.by }) }, end: 'closed' } },
    closed: {},
  },
});

const plain = defineFlow({
  type: 'plain',
  version: 2,
  logic: machine,
  receive: ({ snapshot, message }) =>
    snapshot.context.n > 1 ? { type: 'end' } : { type: 'go', by: message.text.length },
  project: ({ before, after, participantId }) => ({
    table: 'sums',
    where: { participantId, n: before?.context.n },
    set: { n: after.context.n },
  }),
  record: (emitted) => ({ table: 'said', row: { text: emitted.text } }),
  migrate: { 1: (persisted, { timers }) => ({ snapshot: { ...persisted, context: { n: 0 } }, timers }) },
  optOut: { withdraw: { type: 'end' }, rejoin: { type: 'go', by: 0 } },
});
/** Of which nothing is said. */
const untyped = defineFlow({
  type: 'untyped',
  version: 1,
  logic: createMachine({ initial: 'a', states: { a: { on: { x: 'b' } }, b: {} } }),
});
same<EventOf<typeof plain>, { type: 'go'; by: number } | { type: 'end' }>(true);
same<InputOf<typeof plain>, { n: number }>(true);
same<SnapshotOf<typeof plain>['context'], { n: number }>(true);

const flows = [plain, untyped];
const runtime = createRuntime({ database: ':memory:', flows });

export async function plainMachines() {
  const actor = await runtime.spawn(plain, 'p_1', { input: { n: 1 } });
  same<Awaited<ReturnType<typeof actor.send>>['context'], { n: number }>(true);
  await actor.send({ type: 'go', by: 1 });
  // @ts-expect-error by how much?
  await actor.send({ type: 'go' });
  // @ts-expect-error there is no such event
  await actor.send({ type: 'gone' });
  // @ts-expect-error the machine needs its input
  await runtime.spawn(plain, 'p_1');
  await (await runtime.spawn(untyped, 'u_1')).send({ type: 'x' });
}

export async function flowsInCollections() {
  for (const flow of flows) await runtime.actor(flow, 'p_1').describe();
  const byType = new Map<string, AnyFlow>(flows.map((flow) => [flow.type, flow]));
  await runtime.remove(byType.get('plain')!, 'p_1');
  const readonly: readonly AnyFlow[] = [plain, untyped] as const;
  createRuntime({ database: ':memory:', flows: readonly });
  // @ts-expect-error a machine is no flow yet
  createRuntime({ database: ':memory:', flows: [machine] });
}

const pay = fromPromise<{ receipt: string }>(async () => ({ receipt: '1' }));
const checkout = defineFlow({
  type: 'checkout',
  version: 1,
  logic: setup({ types: { events: {} as { type: 'go' } }, actors: { pay } }).createMachine({}),
});
const trip = defineFlow({
  type: 'trip',
  version: 1,
  logic: setup({ actors: { checkout: checkout.logic, warn: fromPromise(async () => {}) } }).createMachine({}),
});

export async function scripts(any: AnyFlow) {
  const answers: Script<typeof checkout> = [
    { resolve: 'pay', with: { receipt: '2' } },
    { reject: 'pay', with: 'no' },
  ];
  const apart = [{ advance: '6d' }, { resolve: 'pay', with: { receipt: '2' } }] satisfies Script<typeof checkout>;
  await crashEverywhere(checkout, apart);
  await crashEverywhere(checkout, [{ send: { type: 'go' } }, { inState: 'paid' }, { advance: '1h' }, ...answers]);
  await crashEverywhere(trip, [
    { resolve: 'warn' },
    { resolve: 'pay', with: { receipt: '2' } },
    { inState: { a: 'b' } },
  ]);
  for (const free of [untyped, any]) await crashEverywhere(free, [{ resolve: 'anything', with: 1 }, { reject: 'x' }]);
  // @ts-expect-error there is no such event
  await crashEverywhere(checkout, [{ send: { type: 'gone' } }]);
  // @ts-expect-error it invokes no such promise
  await crashEverywhere(checkout, [{ resolve: 'pya', with: { receipt: '2' } }]);
  // @ts-expect-error a receipt is a text
  await crashEverywhere(checkout, [{ resolve: 'pay', with: { receipt: 2 } }]);
  // @ts-expect-error nor does a machine that it invokes
  await crashEverywhere(trip, [{ reject: 'pya' }]);
  // @ts-expect-error a machine is not answered for
  await crashEverywhere(trip, [{ resolve: 'checkout' }]);
}

/** An application's own function of any flow. */
function begin<F extends AnyFlow>(on: Runtime, flow: F, id: string, ...options: SpawnArguments<F>) {
  return on.spawn(flow, id, ...options);
}
/** An application's own way to make flows. */
function flowOf<M extends AnyStateMachine>(type: string, logic: M): Flow<M> {
  return defineFlow({ type, version: 1, logic });
}

export async function generics() {
  same<Awaited<ReturnType<Awaited<ReturnType<typeof begin<typeof plain>>>['getSnapshot']>>['context']['n'], number>(
    true,
  );
  await begin(runtime, plain, 'p_1', { input: { n: 1 } });
  // @ts-expect-error n is a number
  await begin(runtime, plain, 'p_1', { input: { n: '1' } });
  // @ts-expect-error the machine needs its input
  await begin(runtime, plain, 'p_1');
  await begin(runtime, untyped, 'u_1');
  const actor = await runtime.spawn(flowOf('other', machine), 'p_1', { input: { n: 1 } });
  // @ts-expect-error there is no such event
  await actor.send({ type: 'gone' });
  const counted = (name: string) =>
    defineFlow({
      type: name,
      version: 1,
      logic: setup({
        types: { context: {} as { name: string }, events: {} as { type: 'rename'; to: string } },
      }).createMachine({
        context: { name },
      }),
    });
  // @ts-expect-error to what?
  await (await runtime.spawn(counted('x'), 'p_1')).send({ type: 'rename' });
}

export async function joined() {
  const { knex } = runtime;
  await knex.transaction(async (trx) => {
    const { actor, ensure, spawn } = await runtime.join(trx, { timeout: '1s' });
    await trx('orders').insert({ id: 1 });
    same<Awaited<ReturnType<ReturnType<typeof actor<typeof plain>>['send']>>['context'], { n: number }>(true);
    // @ts-expect-error there is no such event
    await actor(plain, 'p_1').send({ type: 'gone' });
    // @ts-expect-error the machine needs its input
    await spawn(plain, 'p_1');
    // @ts-expect-error the machine needs its input
    await ensure(plain, 'p_1');
    same<Awaited<ReturnType<typeof ensure<typeof plain>>>['created'], boolean>(true);
    // @ts-expect-error nobody can wait in a transaction
    actor(plain, 'p_1').waitFor(() => true);
  });
  // @ts-expect-error a Knex instance is no transaction
  await runtime.join(knex);
}

export function wrongFlows() {
  const given = { type: 'plain', version: 1, logic: machine } as const;
  // @ts-expect-error undefined is no event
  defineFlow({ ...given, receive: () => undefined });
  // @ts-expect-error what a message means is not asked of the outside
  defineFlow({ ...given, receive: async () => ({ type: 'end' }) });
  // @ts-expect-error the machine knows no such event
  defineFlow({ ...given, receive: ({ message }) => (message.text === 'no' ? { type: 'end' } : { type: 'reply' }) });
  // @ts-expect-error by is a number
  defineFlow({ ...given, receive: ({ message }) => ({ type: 'go', by: message.text }) });
  // @ts-expect-error by how much?
  defineFlow({ ...given, receive: () => ({ type: 'go' }) });
  // @ts-expect-error the event has no such property
  defineFlow({ ...given, receive: () => ({ type: 'end', wrong: 1 }) });
  // @ts-expect-error the event has no such property
  defineFlow({ ...given, receive: ({ message }) => ({ ...message, type: 'end' }) });
  // @ts-expect-error another event has it
  defineFlow({ ...given, receive: ({ message }) => ({ type: 'end', by: message.text.length }) });
  // @ts-expect-error the event has no such property
  defineFlow({ ...given, receive: ({ message }) => (message.text === '' ? null : { type: 'go', by: 1, wrong: 1 }) });
  // @ts-expect-error nor of two events
  defineFlow({ ...given, receive: ({ message: m }) => (m.text ? { type: 'go', by: 1 } : { type: 'end', wrong: 1 }) });
  // @ts-expect-error nor where it is the only event
  defineFlow({ ...given, logic: survey, receive: () => ({ type: 'answer', words: [], mood: 'good', wrong: 1 }) });
  // @ts-expect-error the context has no such key
  defineFlow({ ...given, receive: ({ snapshot }) => (snapshot.context.m ? null : null) });
  // @ts-expect-error a row, or what to set
  defineFlow({ ...given, project: () => ({ table: 'sums' }) });
  // @ts-expect-error before the first turn there is nothing
  defineFlow({ ...given, project: ({ before }) => ({ table: 'sums', row: { n: before.context.n } }) });
  // @ts-expect-error the context has no such key
  defineFlow({ ...given, project: ({ after }) => ({ table: 'sums', row: { n: after.context.m } }) });
  // @ts-expect-error it emits nothing of that type
  defineFlow({ ...given, record: (emitted) => (emitted.type === 'metric' ? null : null) });
  // @ts-expect-error the machine knows no such event
  defineFlow({ ...given, optOut: { withdraw: { type: 'leave' }, rejoin: { type: 'end' } } });
  // @ts-expect-error a migration is a function
  defineFlow({ ...given, migrate: { 1: { context: { n: 0 } } } });
  // @ts-expect-error and its key the version that it leads from
  defineFlow({ ...given, migrate: { one: (persisted: unknown) => persisted as never } });
  // @ts-expect-error that is no duration
  defineFlow({ ...given, handlerTtl: '48 of them' });
  // @ts-expect-error there is no such option
  defineFlow({ ...given, recieve: () => null });
  // @ts-expect-error that is no logic
  defineFlow({ ...given, logic: { states: {} } });
}

/** What it invokes has a name, and so has what a machine in it invokes. */
const inner = setup({ actors: { pay: fromPromise(async () => 1) } }).createMachine({ invoke: { src: 'pay' } });
const shop = setup({ actors: { pack: fromPromise(async () => 2), inner } }).createMachine({ invoke: { src: 'inner' } });
const open = setup({ actors: { any: inner as AnyStateMachine } }).createMachine({ invoke: { src: 'any' } });

export function invocations() {
  const given = { type: 'shop', version: 1, logic: shop } as const;
  defineFlow({ ...given, invocations: { pack: { attempts: 2 }, pay: { timeout: '1s' } } });
  defineFlow({ ...given, invocations: {} });
  const all: Record<string, InvocationPolicy> = { pay: { attempts: 2 } };
  defineFlow({ ...given, invocations: all });
  defineFlow({ ...given, logic: open, invocations: { whatever: { attempts: 2 } } });
  defineFlow({ ...given, logic: untyped.logic, invocations: { whatever: { attempts: 2 } } });
  defineFlow({ ...given, logic: shop as AnyStateMachine, invocations: { whatever: { attempts: 2 } } });
  // @ts-expect-error it invokes no such thing
  defineFlow({ ...given, invocations: { pak: { attempts: 2 } } });
  // @ts-expect-error nor with these beside it
  defineFlow({ ...given, invocations: { pack: { attempts: 2 }, pai: { attempts: 2 } } });
  // @ts-expect-error a policy has no such field
  defineFlow({ ...given, invocations: { pack: { retries: 2 } } });
}

/** A context with what TypeScript would widen, and an event with what it would make readonly. */
interface Survey {
  language: 'en' | 'de';
  answers: string[];
  place: [number, number];
  last?: { kind: 'text'; text: string } | { kind: 'none' };
}
const survey = setup({
  types: {
    context: {} as Survey,
    events: {} as { type: 'answer'; words: string[]; mood: 'good' | 'bad'; at?: { hours: number[] } },
  },
}).createMachine({ context: { language: 'en', answers: [], place: [0, 0] } });

/** An application's own way to make flows that take messages. */
function answering<M extends AnyStateMachine>(logic: M, receive: () => EventFromLogic<M> | null): Flow<M> {
  return defineFlow({ type: 'answering', version: 1, logic, receive });
}

export function received() {
  const given = { type: 'survey', version: 1, logic: survey } as const;
  defineFlow({ ...given, receive: () => ({ type: 'answer', words: ['a'], mood: 'good' }) });
  defineFlow({
    ...given,
    receive: ({ message }) => {
      if (message.text === '') return null;
      const words = message.text.split(' ');
      return words.length > 1
        ? { type: 'answer', words, mood: 'bad', at: { hours: [1] } }
        : { type: 'answer', words: [message.text], mood: 'good' };
    },
  });
  const found = (): EventOf<typeof untyped> => ({ type: 'x', anything: 1 });
  defineFlow({ type: 'untyped', version: 1, logic: untyped.logic, receive: found });
  defineFlow({ type: 'untyped', version: 1, logic: untyped.logic, receive: () => ({ type: 'x', anything: 1 }) });
  defineFlow({ ...given, receive: ({ message }) => JSON.parse(message.text) });
  answering(survey, (): EventOf<Flow<typeof survey>> => ({ type: 'answer', words: [], mood: 'good' }));
}

interface FormerSurvey {
  answers: string;
}

export function migrations() {
  const given = { type: 'survey', version: 2, logic: survey } as const;
  const whole = { language: 'en', answers: [], place: [0, 0] } satisfies Survey;
  const declared: Migration = (persisted) => persisted;
  defineFlow({ ...given, migrate: { 1: (persisted) => persisted } });
  defineFlow({ ...given, migrate: { 1: declared } });
  defineFlow({ ...given, migrate: { 1: (persisted: any) => ({ ...persisted, context: 1 }) } });
  defineFlow({
    ...given,
    migrate: { 1: (persisted) => ({ ...persisted, context: { ...persisted.context, language: 'en' } }) },
  });
  defineFlow({
    ...given,
    migrate: {
      1: (persisted, { timers, at }) => {
        const { dropped, ...kept } = persisted.context;
        if (dropped) return { ...persisted, context: kept };
        return {
          snapshot: {
            ...persisted,
            value: persisted.value === 'a' ? 'b' : persisted.value,
            context: { language: 'de', answers: [kept['answer']], place: [1, 2], last: { kind: 'none' } },
          },
          timers: [...timers, { state: 'b', after: 'patience', dueAt: at + 1 }],
        };
      },
    },
  });
  defineFlow({
    ...given,
    migrate: {
      1: (persisted: PersistedSnapshot<FormerSurvey>) => ({
        ...persisted,
        context: { ...whole, language: 'de', answers: [persisted.context.answers] },
      }),
    },
  });
  // What steps on the way return, their machines know; the last one has to fit.
  defineFlow({
    ...given,
    version: 11,
    migrate: {
      9: (persisted) => ({ ...persisted, context: { anything: 1 } }),
      10: (persisted) => ({ ...persisted, context: whole }),
    },
  });
  const counter = { type: 'counter', version: 2, logic: fromTransition((n: number) => n, 0) } as const;
  defineFlow({ ...counter, migrate: { 1: (persisted) => ({ ...persisted, context: persisted.context + 1 }) } });
  defineFlow({
    type: 'untyped',
    version: 2,
    logic: untyped.logic,
    migrate: { 1: (p) => ({ ...p, context: { x: 1 } }) },
  });
  const version: number = 3;
  defineFlow({ ...given, version, migrate: { 2: (persisted) => ({ ...persisted, context: { unchecked: true } }) } });

  // @ts-expect-error answers and place are missing
  defineFlow({ ...given, migrate: { 1: (persisted) => ({ ...persisted, context: { language: 'en' } }) } });
  // @ts-expect-error that is no language
  defineFlow({ ...given, migrate: { 1: (p) => ({ ...p, context: { ...p.context, language: 'it' } }) } });
  // @ts-expect-error the context has no such field
  defineFlow({ ...given, migrate: { 1: (p) => ({ ...p, context: { ...p.context, langauge: 'en' } }) } });
  // @ts-expect-error answers are a list
  defineFlow({ ...given, migrate: { 1: (p) => ({ ...p, context: { ...whole, answers: 'none' } }) } });
  // @ts-expect-error a place has two numbers
  defineFlow({ ...given, migrate: { 1: (p) => ({ snapshot: { ...p, context: { ...p.context, place: [1] } } }) } });
  // @ts-expect-error a context is an object
  defineFlow({ ...given, migrate: { 1: (p) => ({ ...p, context: null }) } });
  // @ts-expect-error the former context is none of the machine
  defineFlow({ ...given, migrate: { 1: (p: PersistedSnapshot<FormerSurvey>) => p } });
  // @ts-expect-error one way out of two is wrong
  defineFlow({ ...given, migrate: { 1: (p) => (p.value ? p : { ...p, context: { ...whole, place: 1 } }) } });
  // @ts-expect-error so is one of these
  defineFlow({ ...given, migrate: { 1: (p) => (p.value ? p : { ...p, context: { ...p.context, place: 1 } }) } });
  // @ts-expect-error it is the last step that has to fit
  defineFlow({ ...given, version: 11, migrate: { 9: (p) => p, 10: (p) => ({ ...p, context: { anything: 1 } }) } });
  // @ts-expect-error a counter's context is a number
  defineFlow({ ...counter, migrate: { 1: (p) => ({ ...p, context: String(p.context) }) } });
  // @ts-expect-error a snapshot has a status
  defineFlow({ ...given, migrate: { 1: () => ({ value: 'a', context: whole }) } });
  // @ts-expect-error nothing is no snapshot
  defineFlow({ ...given, migrate: { 1: () => undefined } });
  // @ts-expect-error it must answer at once
  defineFlow({ ...given, migrate: { 1: async (persisted) => persisted } });
  // @ts-expect-error a deadline has an instant
  defineFlow({ ...given, migrate: { 1: (p) => ({ snapshot: p, timers: [{ state: 'a', after: 'patience' }] }) } });
}
