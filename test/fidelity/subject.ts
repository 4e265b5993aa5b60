/**
 * Fidelity: the durable runtime must do what XState does.
 *
 * A case is actor logic and a script of steps. It is run on two subjects, plain XState and the durable runtime, and what
 * can be observed after each step must be equal. A {@link Trace} is plain JSON: every value that JSON cannot hold is
 * written down as a tagged object, so that equal traces mean equal values, and a difference can be read.
 */
import type { AnyActorLogic, AnyActorRef, EventObject } from 'xstate';
import { Names, normalise, pathOf } from './normalise.ts';

/** Every case starts at this instant, in ms since the epoch. */
export const START = Date.UTC(2026, 0, 1);

/** What `random()` gives inside of machines, always. */
export const RANDOM = 0.5;

export type Step =
  | { send: EventObject & Record<string, unknown> }
  /** Milliseconds. */
  | { advance: number }
  /** Lets promises that are due finish. */
  | { settle: true }
  /** Lets pass the promises that wait at the gate of this name (see gates.ts), then settles. */
  | { open: string };

export interface Case {
  name: string;
  logic: AnyActorLogic;
  input?: unknown;
  script: Step[];
  /** What plain XState must have done, written by hand. */
  expect: Expectation;
  /** Why this behaviour of plain XState may be held an oddity; the durable runtime may deviate on purpose. */
  quirk?: string;
}

/** Facts about a trace; of objects only what is named is compared. Values are in the trace's own form. */
export interface Expectation {
  /** Of the last observation. Default: 'active'. */
  status?: 'active' | 'done';
  value?: unknown;
  context?: Record<string, unknown>;
  tags?: string[];
  output?: unknown;
  children?: Record<string, unknown>;
  /** The state values after the start and after each step. */
  values?: unknown[];
  /** Everything that was emitted, in order: [ms since the start, event]. */
  emitted?: [at: number, event: Record<string, unknown>][];
}

export interface ActorObservation {
  status: string;
  value?: unknown;
  context?: unknown;
  tags?: string[];
  output?: unknown;
  error?: unknown;
  systemId?: string;
  children: Record<string, ActorObservation>;
}

export interface Emission {
  /** Milliseconds since {@link START}. */
  at: number;
  /** Path of child ids of the actor that emitted; the root is the empty string. */
  from: string;
  event: unknown;
}

export interface Observation extends ActorObservation {
  /** What the root and its descendants emitted since the last observation. */
  emitted: Emission[];
}

export interface Trace {
  name: string;
  /** After the start, then after each step. */
  observations: Observation[];
}

/**
 * Something that runs a case. Each method resolves once nothing is under way any more: all that is due at this very
 * instant, timers and promises that need no time, has happened.
 */
export interface Subject {
  send(event: EventObject): Promise<void>;
  /** Moves time from deadline to deadline, each at its own instant. */
  advance(ms: number): Promise<void>;
  settle(): Promise<void>;
  observe(): Observation;
  end(): Promise<void>;
}

/** Starts a case; what {@link Subject} says of its methods holds for this too. */
export interface SubjectFactory {
  name: string;
  start(subjectOf: Case): Promise<Subject>;
}

/** The trace without who emitted what, for a subject that cannot tell. */
export function withoutEmitters(trace: Trace): unknown {
  return {
    ...trace,
    observations: trace.observations.map((observation) => ({
      ...observation,
      emitted: observation.emitted.map(({ at, event }) => ({ at, event })),
    })),
  };
}

/** What a subject collects of an emitted event: the instant in ms since the epoch, and, if known, who emitted it. */
export interface RawEmission {
  at: number;
  by?: AnyActorRef | undefined;
  event: EventObject;
}

/** Makes the observations of one run. Use one for the whole run: it keeps the names of generated ids. */
export class Observer {
  readonly #names = new Names();

  /**
   * @param snapshot the root's live snapshot, whose children are live actors
   * @param root the root actor
   */
  observe(root: AnyActorRef, emissions: RawEmission[]): Observation {
    const observation = {
      ...observeActor(root, root),
      emitted: emissions.map(({ at, by, event }) => ({
        at: at - START,
        from: by ? pathOf(by).join('/') : '',
        event: normalise(event, root),
      })),
    };
    return this.#names.apply(observation);
  }
}

function observeActor(ref: AnyActorRef, root: AnyActorRef): ActorObservation {
  const snapshot = ref.getSnapshot() as Record<string, any>;
  const observation: ActorObservation = { status: snapshot['status'], children: {} };
  if (snapshot['value'] !== undefined) observation.value = snapshot['value'];
  if ('context' in snapshot) observation.context = normalise(snapshot['context'], root);
  if (snapshot['tags']) observation.tags = [...snapshot['tags']].sort();
  if (snapshot['output'] !== undefined) observation.output = normalise(snapshot['output'], root);
  if (snapshot['error'] !== undefined) observation.error = normalise(snapshot['error'], root);
  const { systemId } = ref as { systemId?: string };
  if (systemId !== undefined) observation.systemId = systemId;
  for (const [id, child] of Object.entries<AnyActorRef | undefined>(snapshot['children'] ?? {})) {
    if (child) observation.children[id] = observeActor(child, root);
  }
  return observation;
}
