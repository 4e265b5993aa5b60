/** Values as plain data that can be compared and printed, without loss of what distinguishes them. */
import type { AnyActorRef } from 'xstate';

/** A value as plain data; what JSON cannot hold becomes a tagged object, an actor its id and what became of it. */
export function plain(value: unknown, ancestors: readonly object[] = []): unknown {
  switch (typeof value) {
    case 'undefined':
      return { $undefined: true };
    case 'bigint':
      return { $bigint: String(value) };
    case 'number':
      if (Object.is(value, -0)) return { $number: '-0' };
      return Number.isFinite(value) ? value : { $number: String(value) };
    case 'function':
      return { $function: value.name };
    case 'symbol':
      return { $symbol: String(value) };
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (isActorRef(value)) return { $actor: value.id, status: value.getSnapshot()?.status };
  if (ancestors.includes(value)) return { $up: ancestors.length - ancestors.indexOf(value) };
  const inner = (part: unknown) => plain(part, [...ancestors, value]);
  if (Array.isArray(value)) return Array.from(value, inner);
  const prototype = Object.getPrototypeOf(value);
  const name = prototype === null ? 'Object' : prototype.constructor?.name || 'a class';
  if (value instanceof Date) return { $Date: Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString() };
  if (value instanceof Map) return { [`$${name}`]: [...value].map(([key, item]) => [inner(key), inner(item)]) };
  if (value instanceof Set) return { [`$${name}`]: [...value].map(inner) };
  if (value instanceof RegExp || value instanceof URL) return { [`$${name}`]: String(value) };
  if (value instanceof Error) {
    const own = Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'name' && key !== 'message'));
    return {
      $Error: value.name,
      class: name,
      message: value.message,
      ...(Object.keys(own).length > 0 && { own: inner(own) }),
    };
  }
  if (ArrayBuffer.isView(value)) return { [`$${name}`]: [...(value as Uint8Array)] };
  const entries = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inner(item)]));
  return prototype === Object.prototype || prototype === null ? entries : { $class: name, ...entries };
}

const isActorRef = (value: object): value is AnyActorRef =>
  'sessionId' in value && 'send' in value && 'getSnapshot' in value;
