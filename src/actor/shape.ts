/**
 * The shape of a machine: what its stored snapshots rely on. Its states, what leads from where to where, the names of
 * guards, actions and delays, what is invoked, and the fields of the context with which it begins. Function bodies,
 * descriptions, tags and the order of keys are no part of it.
 */
import { createHash } from 'node:crypto';
import type { AnyActorLogic, StateNode } from 'xstate';
import { isMachine, kindOf, type LogicKind, resolveActor } from './logic.ts';
import { nodesOf } from './nodes.ts';

export interface Shape {
  kind: LogicKind;
  /** Fields of the first context; left out where that cannot be told without an input. */
  context?: string[];
  /** By the id of the state node. */
  states?: Record<string, StateShape>;
  /** What it invokes or spawns, by name. */
  actors?: Record<string, Shape>;
}

export interface StateShape {
  type: string;
  initial?: string;
  /** What is done with an event, in the order of its guards. */
  on?: Record<string, string[]>;
  /** Likewise with a deadline, by its delay. */
  after?: Record<string, string[]>;
  always?: string[];
  entry?: string[];
  exit?: string[];
  /** What is invoked, by the id of the child. */
  invoke?: Record<string, string>;
}

const shapes = new WeakMap<AnyActorLogic, Shape>();

export function shapeOf(logic: AnyActorLogic): Shape {
  const known = shapes.get(logic);
  if (known) return known;
  const shape = describe(logic, new Set());
  shapes.set(logic, shape);
  return shape;
}

/** A short name of the shape: the same one for the same shape, on every machine. */
export const fingerprintOf = (shape: Shape): string =>
  createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 16);

/** Fields of the context with which the logic begins; `undefined` where it cannot be told without an input. */
export function contextFields(logic: AnyActorLogic): string[] | undefined {
  if (!isMachine(logic)) return undefined;
  const { context = {} } = logic.config as { context?: unknown };
  try {
    const first =
      typeof context === 'function'
        ? context({ input: {}, spawn: () => ({ send() {} }), self: { send() {} } })
        : context;
    return Object.keys(first as object).sort();
  } catch {
    return undefined;
  }
}

/**
 * The event of a deadline declared with `after`, taken apart.
 * @param of the id of the state node that has it, where that is known: names of delays, and ids, may have dots in them
 */
export function deadlineOf(eventType: string, of?: string): { delay: string; node: string } | undefined {
  if (of !== undefined && eventType.startsWith(AFTER) && eventType.endsWith(`.${of}`))
    return { delay: eventType.slice(AFTER.length, -of.length - 1), node: of };
  const [, delay, node] = /^xstate\.after\.([^.]+)\.(.+)$/s.exec(eventType) ?? [];
  return delay === undefined ? undefined : { delay, node: node! };
}

const AFTER = 'xstate.after.';

function describe(logic: AnyActorLogic, seen: Set<AnyActorLogic>): Shape {
  const kind = kindOf(logic);
  if (!isMachine(logic) || seen.has(logic)) return { kind };
  seen.add(logic);
  const context = contextFields(logic);
  const nodes = nodesOf(logic);
  const inline = nodes
    .flatMap((node) => node.invoke.map(({ src }) => String(src)))
    .filter((src) => src.startsWith('xstate.invoke.'));
  const actors = [...Object.keys(logic.implementations.actors), ...inline].flatMap((name): [string, Shape][] => {
    const actor = resolveActor(logic, name);
    return actor ? [[name, describe(actor, seen)]] : [];
  });
  seen.delete(logic);
  return {
    kind,
    ...(context && { context }),
    states: sorted(nodes.map((node) => [node.id, stateShape(node)])),
    ...(actors.length > 0 && { actors: sorted(actors) }),
  };
}

function stateShape(node: StateNode): StateShape {
  const on: [string, string[]][] = [];
  const after: [string, string[]][] = [];
  for (const [event, transitions] of node.transitions) {
    const delay = deadlineOf(event, node.id)?.delay;
    if (delay === undefined) on.push([event, transitions.map(transition)]);
    else after.push([delay, transitions.map(transition)]);
  }
  const always = (node.always ?? []).map(transition);
  const [entry, exit] = [actions(node.entry), actions(node.exit)];
  const initial = node.type === 'compound' ? node.initial.target.map(({ key }) => key).join() : undefined;
  return {
    type: node.type,
    ...(initial !== undefined && { initial }),
    ...(on.length > 0 && { on: sorted(on) }),
    ...(after.length > 0 && { after: sorted(after) }),
    ...(always.length > 0 && { always }),
    ...(entry.length > 0 && { entry }),
    ...(exit.length > 0 && { exit }),
    ...(node.invoke.length > 0 && { invoke: sorted(node.invoke.map(({ id, src }) => [id, String(src)])) }),
  };
}

/** What a transition without a target does. */
const STAYS = '→ stays';

/** e.g. `[isAdult] → booking.asking / note, xstate.emit` */
function transition(of: StateNode['on'][string][number]): string {
  const done = actions(of.actions as unknown[]);
  return [
    of.guard === undefined ? '' : `[${guard(of.guard)}]`,
    of.target === undefined ? STAYS : `→ ${of.target.map(({ id }) => id).join(', ')}`,
    of.reenter ? '(reenters)' : '',
    done.length > 0 ? `/ ${done.join(', ')}` : '',
  ]
    .filter(Boolean)
    .join(' ');
}

function guard(it: unknown): string {
  if (typeof it === 'string') return it;
  const { type, guards, check, name } = it as { type?: string; guards?: unknown[]; check?: unknown; name: string };
  // and(), or(), not() and stateIn() of XState are functions with a `check`.
  if (check && guards) return `${name}(${guards.map(guard).join(', ')})`;
  return type ?? 'inline';
}

/** What a state does besides arming and cancelling its own deadlines, which `after` tells already. */
const actions = (all: readonly unknown[]): string[] =>
  all.filter((it) => !deadlineOf(String((it as any)?.event?.type ?? (it as any)?.sendId ?? ''))).map(action);

const action = (it: unknown): string => (typeof it === 'string' ? it : ((it as { type?: string })?.type ?? 'inline'));

const sorted = <T>(entries: [string, T][]): Record<string, T> =>
  Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));

/** What tells one shape from another, a line each, for people. */
export function differences(before: Shape, after: Shape, whose = ''): string[] {
  if (before.kind !== after.kind) return [`${whose}it is a ${after.kind}, and was a ${before.kind}`];
  const lines: string[] = [];
  const [was, is] = [before.states ?? {}, after.states ?? {}];
  for (const id of both(was, is)) {
    const state = `${whose}state '${id}'`;
    if (!is[id]) lines.push(`${state} was removed`);
    else if (!was[id]) lines.push(`${state} is new`);
    else lines.push(...stateDifferences(was[id], is[id], state));
  }
  const [had, has] = [before.context ?? [], after.context ?? []];
  for (const field of had) if (!has.includes(field)) lines.push(`${whose}the context no longer begins with '${field}'`);
  for (const field of has)
    if (!had.includes(field)) lines.push(`${whose}the context begins with '${field}', which is new`);
  const [knew, knows] = [before.actors ?? {}, after.actors ?? {}];
  for (const name of both(knew, knows)) {
    if (!knows[name]) lines.push(`${whose}the actor '${name}' was removed`);
    else if (!knew[name]) lines.push(`${whose}the actor '${name}' is new`);
    else lines.push(...differences(knew[name], knows[name], `${whose}in '${name}', `));
  }
  return lines;
}

function stateDifferences(before: StateShape, after: StateShape, state: string): string[] {
  const lines: string[] = [];
  if (before.type !== after.type) lines.push(`${state} is ${after.type}, and was ${before.type}`);
  if (before.initial !== after.initial)
    lines.push(`${state} begins with '${after.initial}', and began with '${before.initial}'`);
  const compare = (what: string, was: object = {}, is: object = {}) => {
    for (const key of both(was, is)) {
      const [old, now] = [(was as any)[key], (is as any)[key]];
      if (now === undefined) lines.push(`${state} has no ${what} '${key}' any more`);
      else if (old === undefined) lines.push(`${state} has a new ${what} '${key}'`);
      else if (JSON.stringify(old) !== JSON.stringify(now))
        lines.push(`${state} does something else on the ${what} '${key}'`);
    }
  };
  compare('event', before.on, after.on);
  compare('deadline', before.after, after.after);
  compare('invocation', before.invoke, after.invoke);
  for (const part of ['entry', 'exit', 'always'] as const)
    if (JSON.stringify(before[part]) !== JSON.stringify(after[part])) lines.push(`${state} has another '${part}'`);
  return lines;
}

const both = (a: object, b: object) => [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();

/** Whether some state of the shape does something with the event. */
export const knowsEvent = (shape: Shape, type: string): boolean =>
  Object.values(shape.states ?? {}).some((state) => takes(state, type));

/** Whether the state does something with the event. */
export const takes = ({ on = {} }: StateShape, type: string): boolean =>
  Object.keys(on).some((it) => matches(it, type));

/** Whether something leads from the state to another one. */
export const leadsOn = ({ on = {}, after = {}, always = [] }: StateShape): boolean =>
  [...Object.values(on), ...Object.values(after), always].flat().some((text) => !text.includes(STAYS));

const matches = (descriptor: string, type: string) =>
  descriptor === type ||
  descriptor === '*' ||
  (descriptor.endsWith('.*') && (type === descriptor.slice(0, -2) || type.startsWith(descriptor.slice(0, -1))));
