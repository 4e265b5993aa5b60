/**
 * Whether a stored actor fits a machine other than the one that wrote it. XState restores a snapshot as soon as it finds
 * the states that are named in it: it fills in what is not named (a new region, the inner states of what was a leaf), and
 * has no idea of deadlines and invocations that the snapshot should have, and would then wait for ever. Here all of that
 * is looked for before anything is restored: the states in fit-states.ts, what is pending in fit-pending.ts.
 */
import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import type { Misfit } from '../errors.ts';
import { FitCase, type StoredActorState } from './fit-case.ts';
import { misfitsOfPending } from './fit-pending.ts';
import { enter, misfitsOfHistory, misfitsOfStates } from './fit-states.ts';
import { isMachine, kindOf, resolveActor } from './logic.ts';
import { contextFields, type Shape } from './shape.ts';

/** A validator of any library that follows Standard Schema (zod, valibot, arktype, …); https://standardschema.dev */
export interface ContextSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** Gives `{ value }`, or `{ issues }`. */
    validate(value: unknown): unknown;
  };
}

export interface FitOptions {
  /** The shapes that the machine which wrote the snapshot may have had; none: nothing is known of it. */
  formers: readonly Shape[];
  /** What the context must be. Default: it has the fields with which the machine's context begins. */
  context?: ContextSchema | undefined;
  /** Events of deadlines that it is to be without. */
  waived?: ReadonlySet<string>;
}

/** What does not fit; nothing, where all does. */
export function misfitsOf(logic: AnyActorLogic, stored: StoredActorState, options: FitOptions): Misfit[] {
  const { snapshot } = stored;
  if (snapshot.status !== 'active') return [];
  const misfits = misfitsOfContext(logic, snapshot.context, options.context);
  if (isMachine(logic)) misfits.push(...misfitsOfMachine(logic, stored, options.formers, options));
  return misfits;
}

function misfitsOfMachine(
  machine: AnyStateMachine,
  stored: StoredActorState,
  formers: readonly (Shape | undefined)[],
  { waived }: FitOptions,
): Misfit[] {
  const { snapshot } = stored;
  const active = enter(machine, snapshot.value);
  const wrong = typeof active === 'string' ? [active] : misfitsOfHistory(machine, snapshot.historyValue ?? {});
  // What else does not fit follows from that.
  if (typeof active === 'string' || wrong.length > 0) return wrong.map((reason) => ({ kind: 'state', reason }));
  const it = new FitCase(machine, stored, active, formers, waived ?? new Set());
  return [...misfitsOfStates(it), ...misfitsOfPending(it), ...misfitsOfChildren(it, formers, waived)];
}

/** What the machine's children run, and whether they fit that. */
function misfitsOfChildren(
  { machine, stored, active, was }: FitCase,
  formers: readonly (Shape | undefined)[],
  waived: ReadonlySet<string> | undefined,
): Misfit[] {
  const misfits: Misfit[] = [];
  const add = (kind: Misfit['kind'], reason: string) => misfits.push({ kind, reason });
  for (const [key, child] of Object.entries<any>(stored.snapshot.children ?? {})) {
    const src = String(child?.src);
    const logic = resolveActor(machine, src);
    if (!logic) {
      add('child', `its child '${key}' runs '${src}', which the machine does not provide`);
      continue;
    }
    const invoked = active.some((node) => node.invoke.some(({ id }) => id === key));
    if (!invoked && was(({ states }) => Object.values(states ?? {}).some(({ invoke }) => invoke?.[key] !== undefined)))
      add('invocation', `its invocation '${key}' is not invoked by any state that it is in`);
    const isStored = 'value' in Object(child.snapshot);
    if (isStored !== isMachine(logic)) {
      add(
        'child',
        `its child '${key}' is ${isStored ? 'a' : 'no'} machine in the snapshot, and '${src}' is a ${kindOf(logic)}`,
      );
      continue;
    }
    if (!isMachine(logic) || child.snapshot.status !== 'active') continue;
    const shapes = formers.map((shape) => shape?.actors?.[src]);
    const inner = [
      ...misfitsOfContext(logic, child.snapshot.context, undefined),
      ...misfitsOfMachine(logic, childOf(stored, key), shapes, {
        formers: [],
        ...(waived && { waived }),
      }),
    ];
    for (const { kind, reason } of inner) add(kind, `in its child '${key}', ${reason}`);
  }
  return misfits;
}

/** What is stored of a child: its snapshot, and its deadlines as it sees them itself. */
function childOf({ snapshot, timers = [] }: StoredActorState, key: string): StoredActorState {
  const own = timers.flatMap(({ source = [], target = [], ...timer }) =>
    target[0] === key ? [{ ...timer, source: source.slice(1), target: target.slice(1) }] : [],
  );
  return { snapshot: snapshot.children[key].snapshot, timers: own };
}

/** What is wrong with a context. */
export function misfitsOfContext(logic: AnyActorLogic, context: any, schema: ContextSchema | undefined): Misfit[] {
  if (schema) {
    const result = schema['~standard'].validate(context) as { issues?: readonly Issue[] };
    if (result instanceof Promise)
      return [{ kind: 'context', reason: 'its context cannot be checked: the schema answers with a promise' }];
    return (result.issues ?? []).map(({ message, path = [] }) => {
      const where = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
      return { kind: 'context', reason: `its context does not fit${where && ` at '${where}'`}: ${message}` };
    });
  }
  const lacking = (contextFields(logic) ?? []).filter((field) => !(field in Object(context)));
  return lacking.map((field) => ({ kind: 'context', reason: `its context has no '${field}'` }));
}

interface Issue {
  message: string;
  path?: readonly (PropertyKey | { key: PropertyKey })[];
}
