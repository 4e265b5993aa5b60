/** What people call the parts of a machine: events, deadlines, guards and actions, as one line of text each. */
import type { AnyStateNode } from 'xstate';

/** A transition as the machine holds it, with its targets found. */
export interface Transition {
  eventType: string;
  target?: readonly AnyStateNode[] | undefined;
  guard?: unknown;
  actions: readonly unknown[];
  reenter?: boolean;
  description?: string | undefined;
}

export function* nodesOf(node: AnyStateNode): Generator<AnyStateNode> {
  yield node;
  for (const child of Object.values(node.states)) yield* nodesOf(child);
}

/** A state's transitions, in their order; those without an event come last. */
export const transitionsOf = (node: AnyStateNode): Transition[] => [
  ...[...node.transitions.values()].flat(),
  ...(node.always ?? []),
];

/** Where a history state goes while there is no history; nothing: to where its parent begins. */
export function historyTargets({ parent, config, machine }: AnyStateNode): AnyStateNode[] {
  return listed((config as { target?: string | string[] }).target).flatMap((target) => {
    const [first = '', ...path] = String(target).split('.');
    const start = first.startsWith('#') ? machine.getStateNodeById(first.slice(1)) : parent?.states[first];
    const found = path.reduce<AnyStateNode | undefined>((node, key) => node?.states[key], start);
    return found ? [found] : [];
  });
}

/** What a state does on entry or exit as its author wrote it, without what XState adds for deadlines. */
export const deedsOf = (node: AnyStateNode, when: 'entry' | 'exit'): unknown[] => listed(node.config[when]);

export const listed = (value: unknown): unknown[] => (value === undefined ? [] : [value].flat());

/** The deadline that a transition waits for, as the machine names it. */
export function delayOf(node: AnyStateNode, { eventType }: Transition): string | undefined {
  const suffix = `.${node.id}`;
  if (!eventType.startsWith('xstate.after.') || !eventType.endsWith(suffix)) return undefined;
  return eventType.slice('xstate.after.'.length, -suffix.length);
}

/** What a named delay comes to in ms, where that is known before the machine runs. */
export function delayInMs(node: AnyStateNode, delay: string): number | undefined {
  const known = /^\d+(\.\d+)?$/.test(delay) ? Number(delay) : node.machine.implementations.delays[delay];
  return typeof known === 'number' ? known : undefined;
}

/** An event as people call it: deadlines and results have technical types. */
export function eventText(node: AnyStateNode, transition: Transition): string {
  const { eventType } = transition;
  if (eventType === '') return 'always';
  const delay = delayOf(node, transition);
  if (delay !== undefined) {
    const ms = delayInMs(node, delay);
    if (ms === undefined) return `after ${delay}`;
    return delay === String(ms) ? `after ${duration(ms)}` : `after ${delay} (${duration(ms)})`;
  }
  const [, what, of, id] = /^xstate\.(done|error)\.(actor|state)\.(.*)$/s.exec(eventType) ?? [];
  if (what) return of === 'actor' && node.invoke.length > 1 ? `${what} ${actorName(node, id!)}` : what;
  if (eventType.startsWith('xstate.snapshot.')) return 'snapshot';
  return eventType === '*' ? 'any event' : eventType;
}

/** The id that the author gave an invocation, or else the actor's name. */
function actorName(node: AnyStateNode, id: string): string {
  const invoked = node.invoke.find((each) => each.id === id);
  return invoked && !isOwnId(invoked) ? actorText(invoked.src) : id;
}

/** The author gave the invocation an id, and another one than the actor's name. */
export const isOwnId = ({ id, src }: { id: string; src: unknown }) => id !== src && !/^(\d+\.|xstate\.)/.test(id);

/** A guard by its name, with the values that it is given: `chose question gotChance`, `and(brave, not(tired))`. */
export function guardText(guard: unknown): string {
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'function') {
    const { guards, stateValue, name } = guard as unknown as { guards?: unknown[]; stateValue?: unknown; name: string };
    if (stateValue !== undefined)
      return `in ${typeof stateValue === 'string' ? stateValue : JSON.stringify(stateValue)}`;
    return guards ? `${name}(${guards.map(guardText).join(', ')})` : name || '…';
  }
  return withValues(guard as { type?: string; params?: unknown });
}

/** An action by its name, with the values that it is given. */
export function actionText(action: unknown): string {
  if (typeof action === 'string') return action;
  if (typeof action !== 'function') return withValues(action as { type?: string; params?: unknown });
  const { type, event, sendId, to, src, name, delay } = action as unknown as BuiltIn;
  const word = (value: unknown) =>
    typeof value === 'string' ? value : ((value as { type?: string } | undefined)?.type ?? '…');
  const later = typeof delay === 'number' ? ` after ${duration(delay)}` : delay ? ` after ${word(delay)}` : '';
  switch (type) {
    case 'xstate.raise':
      return `raise ${word(event)}${later}`;
    case 'xstate.sendTo':
      return `send ${word(event)} to ${to === '#_parent' ? 'parent' : word(to)}${later}`;
    case 'xstate.emit':
      return `emit ${word(event)}${quote(event)}`;
    case 'xstate.cancel':
      return `cancel ${word(sendId)}`;
    case 'xstate.spawnChild':
      return `spawn ${word(src)}`;
    default:
      return type?.replace('xstate.', '') || name || '…';
  }
}

interface BuiltIn {
  type?: string;
  name: string;
  event?: unknown;
  sendId?: unknown;
  to?: unknown;
  src?: unknown;
  delay?: unknown;
}

/** What an emitted message says, as far as one line tells it. */
function quote(event: unknown): string {
  const { text } = Object(event) as { text?: unknown };
  if (typeof text !== 'string') return '';
  const [line = ''] = text.split('\n');
  const start = [...line].slice(0, LONGEST_QUOTE).join(''); // no half of an emoji
  return ` “${start === text ? text : `${start.trimEnd()}…`}”`;
}
const LONGEST_QUOTE = 40;

function withValues({ type = '…', params }: { type?: string; params?: unknown }): string {
  const values = typeof params === 'object' && params !== null ? Object.values(params).flat() : [params];
  return [type, ...values.filter((value) => typeof value === 'string' || typeof value === 'number')].join(' ');
}

/** The name alone. */
export const nameOf = (action: unknown): string =>
  typeof action === 'object' && action !== null ? ((action as { type?: string }).type ?? '…') : actionText(action);

/** An invoked actor by its name in `setup({ actors })`. */
export const actorText = (src: unknown): string => (typeof src === 'string' && !src.startsWith('xstate.') ? src : '…');

const UNITS: [ms: number, name: string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** `90_000` → `1.5 min` */
export function duration(ms: number): string {
  for (const [size, name] of UNITS) {
    if (ms >= size && (ms * 100) % size === 0) return `${ms / size} ${name}`;
  }
  return `${ms} ms`;
}
