/**
 * Whether a stored actor fits a machine other than the one that wrote it. XState restores a snapshot as soon as it finds
 * the states that are named in it: it fills in what is not named (a new region, the inner states of what was a leaf), and
 * has no idea of deadlines and invocations that the snapshot should have, and would then wait for ever. Here all of that
 * is looked for before anything is restored.
 *
 * What a state should have and the snapshot has not may be missing by right: a deadline that fired and whose guard said no,
 * one that was cancelled, an invocation that is done. So it counts only where the machine that wrote the snapshot did not
 * have it in that state, or where nothing is known of that machine.
 */
import type { AnyActorLogic, AnyStateMachine, StateNode } from 'xstate';
import type { Misfit } from '../errors.ts';
import type { StoredTimer } from './live-actor.ts';
import { isMachine, kindOf, resolveActor } from './logic.ts';
import { contextFields, deadlineOf, knowsEvent, pathOfNode, type Shape, shapeOf } from './shape.ts';

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

interface Stored {
  snapshot: any;
  timers?: readonly StoredTimer[];
}

/** What does not fit; nothing, where all does. */
export function misfitsOf(logic: AnyActorLogic, { snapshot, timers = [] }: Stored, options: FitOptions): Misfit[] {
  if (snapshot.status !== 'active') return [];
  const misfits = misfitsOfContext(logic, snapshot.context, options.context);
  if (isMachine(logic)) misfits.push(...misfitsOfMachine(logic, snapshot, timers, options.formers, options.waived, ''));
  return misfits;
}

function misfitsOfMachine(
  machine: AnyStateMachine,
  snapshot: any,
  timers: readonly StoredTimer[],
  formers: readonly (Shape | undefined)[],
  waived: ReadonlySet<string> | undefined,
  whose: string,
): Misfit[] {
  const misfits: Misfit[] = [];
  const add = (kind: Misfit['kind'], reason: string) => misfits.push({ kind, reason: whose + reason });
  const active: StateNode[] = [];
  const wrong = enter(machine.root, snapshot.value, active);
  if (wrong) add('state', wrong);
  else if (isAtEnd(machine.root, active))
    add('state', 'it stands where the machine ends, and has not ended: it would wait for ever');
  for (const { id } of Object.values<{ id: string }[]>(snapshot.historyValue ?? {}).flat()) {
    if (!(machine as unknown as { idMap: Map<string, unknown> }).idMap.has(id))
      add('state', `the state '${id}', which its history remembers, is gone`);
  }
  if (misfits.length > 0) return misfits; // what else does not fit follows from that

  const had = (has: (shape: Shape) => boolean) =>
    formers.length > 0 && formers.every((shape) => shape !== undefined && has(shape));
  const mine = timers.filter(({ target = [] }) => target.length === 0);
  for (const { event, source = [] } of mine) {
    const deadline = deadlineOf(event.type);
    if (deadline && source.length === 0) {
      if (!active.some((node) => node.after.some(({ eventType }) => eventType === event.type)))
        add(
          'deadline',
          `its pending deadline '${deadline.delay}' of the state '${deadline.node}' does not exist any more`,
        );
    } else if (
      !knowsEvent(shapeOf(machine), event.type) &&
      !(formers.length > 0 && !had((shape) => knowsEvent(shape, event.type)))
    ) {
      add('deadline', `its pending deadline brings the event '${event.type}', which no state takes any more`);
    }
  }
  for (const node of active) {
    for (const type of new Set(node.after.map(({ eventType }) => eventType))) {
      const { delay } = deadlineOf(type, node.id)!;
      if (mine.some(({ event }) => event.type === type) || waived?.has(type)) continue;
      if (!had(({ states }) => states?.[node.id]?.after?.[delay] !== undefined))
        add('deadline', `${named(node)} has a deadline '${delay}', which the snapshot has not: it would wait for ever`);
    }
    for (const { id, src } of node.invoke) {
      const child = snapshot.children?.[id];
      if (!child) {
        if (!had(({ states }) => states?.[node.id]?.invoke?.[id] !== undefined))
          add('invocation', `${named(node)} invokes '${id}', which the snapshot has not: it would wait for ever`);
      } else if (child.src !== src) {
        add('invocation', `${named(node)} invokes '${src}' as '${id}', and in the snapshot that is '${child.src}'`);
      }
    }
  }
  for (const [key, child] of Object.entries<any>(snapshot.children ?? {})) {
    const src = String(child?.src);
    const logic = resolveActor(machine, src);
    if (!logic) {
      add('child', `its child '${key}' runs '${src}', which the machine does not provide`);
      continue;
    }
    const invoked = active.some((node) => node.invoke.some(({ id }) => id === key));
    if (!invoked && had(({ states }) => Object.values(states ?? {}).some(({ invoke }) => invoke?.[key] !== undefined)))
      add('invocation', `its invocation '${key}' is not invoked by any state that it is in`);
    const stored = 'value' in Object(child.snapshot);
    if (stored !== isMachine(logic)) {
      add(
        'child',
        `its child '${key}' is ${stored ? 'a' : 'no'} machine in the snapshot, and '${src}' is a ${kindOf(logic)}`,
      );
      continue;
    }
    if (!isMachine(logic) || child.snapshot.status !== 'active') continue;
    for (const { kind, reason } of misfitsOfContext(logic, child.snapshot.context, undefined))
      add(kind, `in its child '${key}', ${reason}`);
    const inner = timers.flatMap(({ source = [], target = [], ...timer }) =>
      target[0] === key ? [{ ...timer, source: source.slice(1), target: target.slice(1) }] : [],
    );
    const shapes = formers.map((shape) => shape?.actors?.[src]);
    misfits.push(...misfitsOfMachine(logic, child.snapshot, inner, shapes, waived, `${whose}in its child '${key}', `));
  }
  return misfits;
}

/** Collects the active nodes of a value; tells what the value names and the machine has not, or the other way round. */
function enter(node: StateNode, value: unknown, active: StateNode[]): string | undefined {
  active.push(node);
  const inner: Record<string, unknown> =
    typeof value === 'string' ? { [value]: undefined } : ((value as Record<string, unknown> | undefined) ?? {});
  const keys = Object.keys(inner);
  for (const key of keys) {
    const path = [...node.path, key].join('.');
    if (!node.states[key]) return `the state '${path}' is gone`;
    if (node.states[key].type === 'history') return `the state '${path}' is a history, in which nobody can be`;
  }
  if (node.type === 'parallel') {
    const missing = Object.keys(node.states).find((key) => !keys.includes(key));
    if (missing !== undefined)
      return `${named(node)} has a region '${missing}', and the snapshot does not say where that stands`;
  } else if (node.type === 'compound' && keys.length !== 1) {
    return `${named(node)} has inner states, and the snapshot does not say which of them it is in`;
  }
  for (const key of keys) {
    const wrong = enter(node.states[key]!, inner[key], active);
    if (wrong) return wrong;
  }
  return undefined;
}

/** A machine ends when it enters such states; one that is restored in them never does. */
function isAtEnd(node: StateNode, active: readonly StateNode[]): boolean {
  const inner = active.filter(({ parent }) => parent === node);
  if (node.type === 'compound') return inner.some(({ type }) => type === 'final');
  return node.type === 'final' || (node.type === 'parallel' && inner.every((region) => isAtEnd(region, active)));
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

const named = (node: StateNode) => (node.path.length === 0 ? 'the machine' : `the state '${pathOfNode(node)}'`);
