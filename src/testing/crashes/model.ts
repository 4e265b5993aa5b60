/**
 * A flow's actor in memory, without a database: the model from which the explorer makes its scripts. Each configuration is a
 * stored actor, restored for every step that is tried from it, so that exploring is cheap and has no effects.
 */

import type { ActorLogic, AnyEventObject, InspectionEvent, Snapshot } from 'xstate';
import { getAdjacencyMap } from 'xstate/graph';
import { type Host, LiveActor, type Stimulus } from '../../actor/live-actor.ts';
import { onlooker } from '../../actor/onlooker.ts';
import { wantedProcesses } from '../../actor/processes.ts';
import { milliseconds } from '../../duration.ts';
import { chanceOf } from '../../engine/chance.ts';
import type { Address } from '../../errors.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import type { Ambient } from '../../machine/ambient.ts';
import { SEED } from '../kit/rehearsal.ts';
import { durationOf, failureOf, formatStep, instantOf, type Script, type ScriptStep } from '../kit/script.ts';
import type { Catalog } from './catalog.ts';
import { type OutcomesByName, outcomesOf } from './outcomes.ts';

export interface ModelOptions {
  participantId: string;
  input: unknown;
  start: number;
  events: readonly AnyEventObject[] | ((snapshot: any) => readonly AnyEventObject[]);
  outcomes: OutcomesByName;
  depth: number;
  limit: number;
  serializeState: (snapshot: any) => unknown;
  /** Each step is taken twice, and must lead to the same. */
  twice: boolean;
  /** Told of each script before its last step is tried. */
  trying: (script: Script) => void;
}

/** A step leads to something else when it is taken again. */
export class UnrepeatableStep extends Error {}

/** Deadlines that fire one after another at one instant; more are taken for a machine that never comes to rest. */
const MOST_AT_ONCE = 1_000;

/** Where the actor can stand. */
export interface Configuration {
  status: 'active';
  script: Script;
  /** What tells it from others. */
  key: string;
  /** The stored actor; undefined where the last step failed. */
  text: string | undefined;
  now: number;
  version: number;
  /** What can happen next. */
  next: readonly ScriptStep[];
  /** What the last step covered. */
  covers: readonly string[];
  /** Why the last step failed. */
  error: Error | undefined;
}

/** A step that is taken somewhere, and where it leads. */
export interface Edge {
  from: Configuration | undefined;
  to: Configuration;
  covers: readonly string[];
}

type StepEvent = { type: string; step: ScriptStep };

/** All configurations within reach, each by a shortest script, and the steps between them. */
export function exploreModel(
  flow: AnyFlow,
  catalog: Catalog,
  options: ModelOptions,
): { edges: Edge[]; truncated: boolean } {
  const model = new Model(flow, catalog, options);
  const first = model.begin();
  let visited = 0;
  let truncated = false;
  const edges: Edge[] = [{ from: undefined, to: first, covers: first.covers }];
  const logic: ActorLogic<Configuration & Snapshot<unknown>, StepEvent> = {
    getInitialSnapshot: () => first as never,
    transition: (from, { step }) => {
      const to = model.step(from, step);
      edges.push({ from, to, covers: to.covers });
      return to as never;
    },
    getPersistedSnapshot: (snapshot) => snapshot,
  };
  getAdjacencyMap(logic, {
    serializeState: ({ key }) => key,
    serializeEvent: ({ type }) => type,
    events: ({ next, script }) => {
      if (script.length >= options.depth || ++visited > options.limit) {
        truncated ||= next.length > 0;
        return [];
      }
      return next.map((step) => ({ type: formatStep(step), step }));
    },
  });
  return { edges, truncated };
}

class Model {
  readonly #flow: AnyFlow;
  readonly #catalog: Catalog;
  readonly #options: ModelOptions;

  constructor(flow: AnyFlow, catalog: Catalog, options: ModelOptions) {
    this.#flow = flow;
    this.#catalog = catalog;
    this.#options = options;
  }

  begin(): Configuration {
    const { start, input } = this.#options;
    return this.#make([], { now: start, version: 0 }, start, (inspect, version) => {
      const ambient = this.#ambient(start, version + 1);
      const { actor } = LiveActor.spawn(this.#flow.logic, input, this.#host(inspect), ambient);
      return { live: actor, version: version + 1 };
    });
  }

  step(from: Configuration, step: ScriptStep): Configuration {
    return this.#make([...from.script, step], from, targetOf(step, from.now), (inspect, version) => {
      const live = LiveActor.restore(this.#flow.logic, from.text!, this.#host(inspect));
      const stimulus = stimulusOf(step, live);
      if (!stimulus) return { live, version };
      return { live, version: version + this.#turn(live, stimulus, from.now, version) };
    });
  }

  /** How many turns are committed: one, or none where nothing has happened. */
  #turn(live: LiveActor, stimulus: Stimulus, at: number, version: number): 0 | 1 {
    const before = live.snapshot;
    const { handled, emitted, actions } = live.perform(stimulus, this.#ambient(at, version + 1));
    return handled || live.snapshot !== before || emitted.length > 0 || actions.length > 0 ? 1 : 0;
  }

  #make(
    script: Script,
    from: { now: number; version: number },
    now: number,
    perform: (inspect: (event: InspectionEvent) => void, version: number) => { live: LiveActor; version: number },
  ): Configuration {
    this.#options.trying(script);
    const covers = new Set<string>();
    const inspect = (event: InspectionEvent) => {
      const { states, transitions } = this.#catalog.covered(event);
      for (const state of states) covers.add(`state ${state}`);
      for (const transition of transitions) covers.add(`transition ${transition}`);
    };
    const last = script.at(-1);
    if (last && 'resolve' in last) covers.add(`outcome ${last.resolve} resolves`);
    if (last && 'reject' in last) covers.add(`outcome ${last.reject} fails`);
    const base = { status: 'active' as const, script, now };
    const arrive = (hear: typeof inspect) => {
      let { live, version } = perform(hear, from.version);
      for (let rounds = 0; (live.nextDueAt ?? Number.POSITIVE_INFINITY) <= now && rounds < MOST_AT_ONCE; rounds++) {
        live.perform({ kind: 'timer' }, this.#ambient(Math.max(live.nextDueAt!, from.now), ++version));
      }
      return { live, version, text: live.encode() };
    };
    try {
      // Both from one line: errors are stored with their stacks.
      const [arrived, again] = [inspect, ...(this.#options.twice ? [() => {}] : [])].map(arrive);
      const { live, version, text } = arrived!;
      if (again && again.text !== text) throw new UnrepeatableStep();
      const next = live.snapshot.status === 'active' ? this.#next(live, now) : [];
      const key = this.#key(live, now);
      // Of a logic without states there is nothing else to cover than where it gets to.
      if (live.snapshot.value === undefined) covers.add(`configuration ${key}`);
      return { ...base, version, text, next, covers: [...covers], error: undefined, key };
    } catch (cause) {
      const error = cause as Error;
      const key = `failed: ${error.message}`;
      return { ...base, version: 0, text: undefined, next: [], covers: [...covers], error, key };
    }
  }

  #next(live: LiveActor, now: number): ScriptStep[] {
    const { events, outcomes } = this.#options;
    const samples = typeof events === 'function' ? events(live.snapshot) : events;
    const steps: ScriptStep[] = samples.map((send) => ({ send }));
    if (live.nextDueAt !== undefined) steps.push({ advance: durationOf(live.nextDueAt - now) });
    for (const name of new Set(pending(live).map(({ src }) => src))) {
      for (const outcome of outcomesOf(outcomes, name)) {
        if ('error' in outcome) steps.push({ reject: name, with: outcome.error });
        else steps.push({ resolve: name, ...(outcome.output !== undefined && { with: outcome.output }) });
      }
    }
    return steps;
  }

  #key(live: LiveActor, now: number): string {
    // By how long they have still to wait: a deadline that comes again and again leads to one that is further away.
    const waits = live.timers.map(({ event, dueAt }) => [event.type, dueAt - now]);
    const invoked = pending(live).map(({ src }) => src);
    return JSON.stringify([this.#options.serializeState(live.snapshot), waits, invoked]);
  }

  /** As the engine has it. */
  #ambient(at: number, version: number): Ambient {
    return { now: () => at, random: chanceOf(SEED, this.#address, version) };
  }

  get #address(): Address {
    return { flowType: this.#flow.type, participantId: this.#options.participantId };
  }

  #host(inspect: (event: InspectionEvent) => void): Host {
    return { ...onlooker(this.#address), inspect };
  }
}

/** What guards are likely to ask, and what does not grow for ever: instants and long texts count as being there. */
export function likelyToDecide(snapshot: any): unknown {
  const { value, status, context, children = {} } = snapshot;
  const inner = Object.entries<any>(children).map(([id, child]) => {
    const of = child?.getSnapshot();
    return [id, of?.value ?? of?.status];
  });
  return [value ?? status, coarse(context, 0), inner];
}

function coarse(value: unknown, depth: number): unknown {
  if (typeof value === 'number') return Math.abs(value) <= 1_000 ? value : 'large';
  if (typeof value === 'string') return value.length <= 40 && Number.isNaN(Date.parse(value)) ? value : 'text';
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map || value instanceof Set) return value.size;
  if (Object.getPrototypeOf(value) !== Object.prototype || depth > 3) return 'object';
  return Object.entries(value).map(([key, part]) => [key, coarse(part, depth + 1)]);
}

/** Promises that wait for their outcome, the oldest first. */
function pending(live: LiveActor): { src: string; sessionId: string }[] {
  return wantedProcesses(live.root)
    .filter(({ kind, ref }) => kind === 'promise' && isNamed((ref as { src?: unknown }).src))
    .map(({ ref }) => ({ src: (ref as unknown as { src: string }).src, sessionId: ref.sessionId }))
    .sort((a, b) => Number(a.sessionId.slice(2)) - Number(b.sessionId.slice(2)));
}

/** One that was written in its place has a name of XState's making, and runs as it is. */
const isNamed = (src: unknown) => typeof src === 'string' && !src.startsWith('xstate.invoke.');

function stimulusOf(step: ScriptStep, live: LiveActor): Stimulus | undefined {
  if ('send' in step) return { kind: 'event', event: step.send as AnyEventObject };
  const name = 'resolve' in step ? step.resolve : 'reject' in step ? step.reject : undefined;
  const invocation = pending(live).find(({ src }) => src === name);
  if (!invocation) return undefined;
  const event =
    'resolve' in step
      ? { type: 'xstate.promise.resolve', data: step.with }
      : { type: 'xstate.promise.reject', data: failureOf(step as { reject: string }) };
  return { kind: 'relay', sessionId: invocation.sessionId, event };
}

function targetOf(step: ScriptStep, now: number): number {
  if ('advance' in step) return now + milliseconds(step.advance);
  return 'advanceTo' in step ? instantOf(step.advanceTo) : now;
}
