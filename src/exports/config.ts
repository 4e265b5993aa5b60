/**
 * The config of a machine as its author wrote it, made plain: names stay names, a built-in action or guard becomes an
 * object with its type and what it was made of, and what is only known when the machine runs is {@link COMPUTED}.
 */
import type { AnyStateMachine } from 'xstate';

/** In place of a function that computes a value: the context or an invocation's input from the input, and the like. */
export const COMPUTED = Symbol('computed');

export function plainConfig({ config }: AnyStateMachine): Record<string, unknown> {
  const { schemas: _, ...rest } = config as unknown as Record<string, unknown>;
  return plain(rest) as Record<string, unknown>;
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return builtIn(value as never) ?? COMPUTED;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      if (inner === undefined) return [];
      return [[key, plain(key === 'on' ? forbidding(inner) : inner)]];
    }),
  );
}

/** `{ EVENT: undefined }` forbids the event, which would be lost in JSON; `{ EVENT: {} }` says the same. */
const forbidding = (on: unknown): unknown =>
  typeof on === 'object' && on !== null && !Array.isArray(on)
    ? Object.fromEntries(Object.entries(on).map(([event, transition]) => [event, transition ?? {}]))
    : on;

/** A built-in action or guard: how it is called in code, and its arguments. */
export interface BuiltIn {
  type: `xstate.${string}`;
  params: Record<string, unknown>;
}

export const isBuiltIn = (value: unknown): value is BuiltIn =>
  typeof (value as BuiltIn)?.type === 'string' && (value as BuiltIn).type.startsWith('xstate.');

const ARGUMENTS = [
  'event',
  'delay',
  'id',
  'to',
  'sendId',
  'actorRef',
  'src',
  'input',
  'systemId',
  'value',
  'label',
  'assignment',
  'collect',
];

/** What a built-in action was made of, by name. */
export const argumentsOf = (action: Record<string, unknown>): [name: string, value: unknown][] => [
  ...ARGUMENTS.flatMap((name): [string, unknown][] => (action[name] === undefined ? [] : [[name, action[name]]])),
  // XState says of every spawned actor whether its snapshots are told.
  ...(action.syncSnapshot === true ? [['syncSnapshot', true] as [string, unknown]] : []),
];

function builtIn(value: Record<string, unknown> & { name: string }): BuiltIn | undefined {
  const { type, guards, stateValue, name } = value;
  if (guards) return { type: `xstate.${name}`, params: { guards: plain(guards) } };
  if (stateValue !== undefined) return { type: 'xstate.stateIn', params: { stateValue } };
  if (typeof type !== 'string' || !type.startsWith('xstate.')) return undefined;
  const params = argumentsOf(value).map(([key, given]) => [key, plain(given)]);
  return { type: type as BuiltIn['type'], params: Object.fromEntries(params) };
}
