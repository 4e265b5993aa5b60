/**
 * Walks through a flow's states on the pure actor: no database, no waiting. Every event that is known, every deadline and
 * every outcome of an invocation is tried where it may happen, until each state has been reached.
 */
import type { AnyActorLogic, AnyEventObject } from 'xstate';
import { decodeState } from '../../actor/codec.ts';
import { LiveActor, type Stimulus } from '../../actor/live-actor.ts';
import { isMachine, kindOf, resolveActor } from '../../actor/logic.ts';
import { nodesOf } from '../../actor/nodes.ts';
import { onlooker } from '../../actor/onlooker.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import { failureOf } from '../kit/script.ts';
import { type OutcomesByName, outcomesOf } from './outcomes.ts';

/** What there is to try on a walk through a flow. */
export interface WalkOptions {
  /** Of new actors. */
  input?: unknown;
  /** Events to try, as many of one type as there are cases. Of types that are not among them, the bare type is tried. */
  events?: readonly AnyEventObject[];
  /** What invoked promises come to, by the name of what is invoked. Default: undefined, and an error. */
  outcomes?: OutcomesByName;
  /** The instant of the first turn, in ms since the epoch. Default: 2026-01-01T00:00:00Z. */
  start?: number;
  /** How many turns are tried at most. Default: 20,000. */
  limit?: number;
}

/** An actor on its way, as it would be stored. */
export interface Stop {
  text: string;
  at: number;
}

/** What can happen to an actor next. */
export interface Step {
  stimulus: Stimulus;
  at: number;
  /** It was given by the user, who then wants to know if it throws; what was made up may be nonsense. */
  given: boolean;
}

/** So many contexts of one state are followed: a counter in the context may be what opens a way. */
const CONTEXTS = 12;
const START = Date.UTC(2026, 0, 1);
const SECOND = 1_000;

/**
 * The states in which an actor of the flow can rest, as dotted paths; those that are left at once are not among them. Those of
 * machines that it invokes or spawns stand behind their names, as `payment/waiting`. A logic without states has one: `active`.
 */
export function restingStates(logic: AnyActorLogic, seen = new Set<unknown>()): string[] {
  if (!isMachine(logic)) return ['active'];
  seen.add(logic);
  const passing = (transitions: readonly { guard?: unknown }[] = []) => transitions.some(({ guard }) => !guard);
  const states = nodesOf(logic).filter(({ type, always, parent, key, machine }) => {
    if ((type !== 'atomic' && type !== 'final') || passing(always)) return false;
    const done = type === 'final' && parent?.transitions.get(`xstate.done.state.${parent.id}`);
    return machine !== undefined && key !== undefined && !(done && passing(done));
  });
  const inner = Object.entries(logic.implementations.actors as Record<string, AnyActorLogic>).flatMap(
    ([name, actor]) => {
      if (!isMachine(actor) || seen.has(actor)) return [];
      // A child that has ended fits any machine.
      const going = restingStates(actor, seen).filter((state) => actor.states[state]?.type !== 'final');
      return going.map((state) => `${name}/${state}`);
    },
  );
  return [...states.map(({ path }) => nameOf(path.join('.'))), ...inner];
}

const nameOf = (path: string) => path || 'active';

/** The resting states of the moment, without those of children. */
export function statesIn(snapshot: { value?: unknown }): string[] {
  const leaves = (value: unknown, path: string[]): string[] => {
    if (typeof value === 'string') return [[...path, value].join('.')];
    const inner = Object.entries((value ?? {}) as object);
    return inner.length === 0 ? [nameOf(path.join('.'))] : inner.flatMap(([key, each]) => leaves(each, [...path, key]));
  };
  return leaves(snapshot.value, []);
}

/** Those of the children that have not ended, likewise. */
const statesOfChildren = ({ children = {} }: any): string[] =>
  Object.values<any>(children).flatMap((child) => {
    const snapshot = child?.getSnapshot();
    if (snapshot?.status !== 'active') return [];
    return [...statesIn(snapshot), ...statesOfChildren(snapshot)].map((state) => `${child.src}/${state}`);
  });

/** What may open a way, besides the state. */
const contexts = ({ status, context, children = {} }: any): unknown => [
  status,
  context,
  Object.entries<any>(children).map(([id, { snapshot }]) => [id, contexts(snapshot)]),
];

/** The first stop in each of the wanted states, and what threw on the way. */
export function walk(
  flow: AnyFlow,
  wanted: ReadonlySet<string>,
  options: WalkOptions,
): { found: Map<string, Stop>; thrown: Map<string, Error> } {
  const { start = START, limit = 20_000 } = options;
  const found = new Map<string, Stop>();
  const thrown = new Map<string, Error>();
  const seen = new Set<string>();
  const visits = new Map<string, number>();
  /** By how often their state has been visited: the least known first. */
  const frontier: Stop[][] = [];
  const arrive = (live: LiveActor, at: number) => {
    const { snapshot } = live;
    const states = [...statesIn(snapshot), ...new Set(statesOfChildren(snapshot))];
    const text = live.encode();
    for (const state of states) if (wanted.has(state) && !found.has(state)) found.set(state, { text, at });
    const where = states.join();
    // By how long its deadlines have still to wait: one that only reminds leads to one that is further away.
    const waits = live.timers.map(({ event, dueAt }) => [event.type, dueAt - at]);
    const key = `${where} ${JSON.stringify([contexts(JSON.parse(text).snapshot), waits])}`;
    const times = visits.get(where) ?? 0;
    if (snapshot.status !== 'active' || seen.has(key) || times >= CONTEXTS) return;
    seen.add(key);
    visits.set(where, times + 1);
    frontier[times] = [...(frontier[times] ?? []), { text, at }];
  };
  for (const chance of [0, 0.999]) {
    const { actor } = LiveActor.spawn(flow.logic, options.input, anybody(flow), ambientOf(start, chance).ambient);
    arrive(actor, start);
  }
  for (let turns = 0; turns < limit && found.size < wanted.size; ) {
    const stop = frontier.find((queue) => queue?.length > 0)?.shift();
    if (!stop) break;
    for (const step of stepsFrom(flow, stop, options)) {
      turns++;
      const wrong = take(flow, stop, step, arrive);
      if (wrong && step.given) thrown.set(`'${nameOfStep(step)}' in '${statesOf(flow, stop)}'`, wrong);
    }
  }
  return { found, thrown };
}

/** All that may happen to an actor at a stop. */
export function stepsFrom(flow: AnyFlow, { text, at }: Stop, { events = [], outcomes = {} }: WalkOptions): Step[] {
  const live = restored(flow, text);
  if (live.snapshot.status !== 'active') return [];
  const next = at + SECOND;
  const event = (event: AnyEventObject, given: boolean): Step => ({
    stimulus: { kind: 'event', event },
    at: next,
    given,
  });
  const bare = typesOf(flow.logic).filter((type) => !events.some((each) => each.type === type));
  const steps = [
    ...events.map((each) => event(each, true)),
    ...bare.map((type) => event({ type }, false)),
    ...promisesIn(flow.logic, decodeState(text).snapshot).flatMap(({ src, sessionId }) =>
      outcomesOf(outcomes, src).map((outcome): Step => {
        const [type, data] =
          'output' in outcome
            ? ['xstate.promise.resolve', outcome.output]
            : ['xstate.promise.reject', withoutStack(failureOf({ reject: src, with: outcome.error }))];
        return {
          stimulus: { kind: 'relay', sessionId, event: { type, data } as never },
          at: next,
          given: outcome.given,
        };
      }),
    ),
  ];
  const due = live.nextDueAt;
  // A deadline goes first where it comes sooner.
  if (due !== undefined) steps.push({ stimulus: { kind: 'timer' }, at: Math.max(due, at), given: true });
  return steps;
}

/** The stack is of this machine, and would be stored. */
const withoutStack = (error: unknown) =>
  error instanceof Error ? Object.assign(error, { stack: `${error.name}: ${error.message}` }) : error;

/** Takes a step with either extreme of chance; what it threw. */
export function take(
  flow: AnyFlow,
  { text }: Stop,
  { stimulus, at }: Step,
  arrive: (live: LiveActor, at: number) => void,
): Error | undefined {
  for (const chance of [0, 0.999]) {
    const live = restored(flow, text);
    const { ambient, drawn } = ambientOf(at, chance);
    try {
      live.perform(stimulus, ambient);
      arrive(live, at);
    } catch (error) {
      return error as Error;
    }
    if (!drawn()) return undefined;
  }
  return undefined;
}

export const nameOfStep = ({ stimulus }: Step) => ('event' in stimulus ? stimulus.event.type : 'its deadline');

const statesOf = (flow: AnyFlow, { text }: Stop) => statesIn(restored(flow, text).snapshot).join();

const restored = (flow: AnyFlow, text: string) => LiveActor.restore(flow.logic, text, anybody(flow));

const typesOf = (logic: AnyActorLogic): string[] =>
  isMachine(logic)
    ? [...new Set<string>(logic.events)].filter((type) => !type.startsWith('xstate.') && !type.includes('*'))
    : [];

/** The promises that are under way, in the actor and in the machines that it invoked. */
function promisesIn(logic: AnyActorLogic, snapshot: any): { src: string; sessionId: string }[] {
  if (!isMachine(logic)) return [];
  return Object.values<any>(snapshot.children ?? {}).flatMap((child) => {
    const inner = child && resolveActor(logic, child.src);
    if (!inner || child.snapshot.status !== 'active') return [];
    return kindOf(inner) === 'promise'
      ? [{ src: child.src, sessionId: child.sessionId }]
      : promisesIn(inner, child.snapshot);
  });
}

function ambientOf(at: number, chance: number) {
  let draws = 0;
  const random = () => {
    draws++;
    return chance;
  };
  return { ambient: { now: () => at, random }, drawn: () => draws > 0 };
}

const anybody = ({ type }: AnyFlow) => onlooker({ flowType: type, participantId: 'golden' });
