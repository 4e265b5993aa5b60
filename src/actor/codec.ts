/**
 * Lossless snapshots. A value that is plain JSON is stored as plain JSON. One that holds more (undefined, NaN, -0, Date,
 * Map, Set, BigInt, RegExp, URL, Error, typed arrays, shared or circular references) is stored twice: as JSON for people
 * and for SQL, which may lose something, and beside it, under `lossless`, in devalue's encoding, from which it is read.
 * What cannot be kept is an error that names its path.
 */
import * as devalue from 'devalue';
import { NotSerializableError } from '../errors.ts';
import { errorOf } from '../thrown.ts';
import {
  ERRORS,
  errorTypeOf,
  flawOf,
  isDate,
  isError,
  isMap,
  isPlainObject,
  isRegExp,
  isSet,
  isURL,
} from './values.ts';

export interface Encoded {
  /** The value as far as JSON can hold it. */
  json: unknown;
  /** devalue's text, where that is not all of it. */
  lossless?: string;
}

/**
 * Encodes a value.
 * @param root what the value is called in error messages, e.g. `event` or `snapshot`
 * @throws {NotSerializableError} naming the path of a function, symbol, socket or class instance
 */
export function encode(value: unknown, root: string): Encoded {
  if (isPlain(value) || inspect(value, root, []) === 'plain') return { json: value };
  try {
    return { json: readable(value, []), lossless: devalue.stringify(value, REDUCERS) };
  } catch (cause) {
    throw new NotSerializableError(root, `a value that could not be encoded (${(cause as Error).message})`);
  }
}

/** The value that was encoded. */
export function decode({ json, lossless }: Encoded): unknown {
  return lossless === undefined ? json : devalue.parse(lossless, REVIVERS);
}

/** An object as the JSON text of `state_data`: its keys stay at the top, `lossless` comes beside them. */
export function encodeState(state: object): string {
  const { json, lossless } = encode(state, '');
  return JSON.stringify(lossless === undefined ? json : { ...(json as object), lossless });
}

/** The object of a text made by {@link encodeState}. */
export function decodeState(text: string): any {
  const { lossless, ...json } = JSON.parse(text);
  return decode({ json, ...(lossless !== undefined && { lossless }) });
}

/** {@link encode} as one JSON text. */
export function stringify(value: unknown, root: string): string {
  const { json, lossless } = encode(value, root);
  // The envelope is needed only where a plain value could be mistaken for one.
  return lossless !== undefined || isEnvelope(json)
    ? JSON.stringify({ $json: json, $lossless: lossless ?? null })
    : JSON.stringify(json);
}

/** The value of a text made by {@link stringify}. */
export function parse(text: string): unknown {
  const value = JSON.parse(text);
  if (!isEnvelope(value)) return value;
  return decode({ json: value.$json, ...(value.$lossless !== null && { lossless: value.$lossless }) });
}

function isEnvelope(value: unknown): value is { $json: unknown; $lossless: string | null } {
  return typeof value === 'object' && value !== null && '$json' in value && '$lossless' in value;
}

/** A value as JSON for people, also where JSON cannot hold all of it. */
export const asText = (value: unknown): string => JSON.stringify(readable(value, []));

/** A value as people read it in the database. */
function readable(value: unknown, ancestors: unknown[]): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value ?? null;
  if (ancestors.includes(value)) return '[circular]';
  const inner = (part: unknown) => readable(part, [...ancestors, value]);
  if (Array.isArray(value)) return value.map(inner);
  if (isMap(value)) return [...value].map((entry) => entry.map(inner));
  if (isSet(value)) return [...value].map(inner);
  if (isError(value)) return { name: value.name, message: value.message };
  if (isDate(value)) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (isRegExp(value) || isURL(value)) return String(value);
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, inner(part)]));
}

/** Beyond this depth a value is checked for cycles; real snapshots stay far below it. */
const DEEP = 64;

/** Beyond this depth nothing is kept: who reads it would run out of stack. */
const DEEPEST = 1_000;

const { __lookupGetter__: getterOf } = Object.prototype as unknown as {
  __lookupGetter__(this: object, key: string): unknown;
};

/** The hot path: nearly every snapshot is plain JSON, without actor references, and this says so without building paths. */
export function isPlain(value: unknown, depth = 0): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object' || depth > DEEP) return false;
  if (Array.isArray(value)) {
    // Its values are as many as its length, unless it has holes or properties of its own.
    if (Object.getPrototypeOf(value) !== Array.prototype || Object.values(value).length !== value.length) return false;
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
  let count = 0;
  for (const key in value) {
    count++;
    if (getterOf.call(value, key) !== undefined) return false;
    if (!isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return count === Object.getOwnPropertyNames(value).length;
}

type Kind = 'plain' | 'rich';

/** A member of a map or a set, in a path. An object may have a `toString` that is none. */
const labelOf = (value: unknown) => (typeof value === 'object' && value !== null ? '{…}' : String(value));

function inspect(value: unknown, path: string, ancestors: unknown[]): Kind {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return 'plain';
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? 'plain' : 'rich';
    case 'undefined':
    case 'bigint':
      return 'rich';
    case 'function':
      throw new NotSerializableError(path, `a function${value.name ? ` (${value.name})` : ''}`);
    case 'symbol':
      throw new NotSerializableError(path, 'a symbol');
    default:
  }
  if (value === null) return 'plain';
  const object = value as object;
  if (ancestors.length > DEEP && ancestors.includes(object)) return 'rich';
  if (ancestors.length > DEEPEST)
    throw new NotSerializableError(`${path.slice(0, 100)}…`, `nested more than ${DEEPEST} levels deep`);
  ancestors.push(object);
  const kind = inspectObject(object, path, ancestors);
  ancestors.pop();
  return kind;
}

function inspectObject(object: object, path: string, ancestors: unknown[]): Kind {
  const flaw = flawOf(object);
  if (flaw !== undefined) throw new NotSerializableError(path, flaw);
  let kind: Kind = 'plain';
  const visit = (value: unknown, key: string) => {
    if (inspect(value, key, ancestors) === 'rich') kind = 'rich';
  };
  if (Array.isArray(object)) {
    for (const key of Object.keys(object)) visit(object[key as never], `${path}[${key}]`);
    return Object.keys(object).length === object.length ? kind : 'rich';
  }
  if (isPlainObject(object)) {
    for (const [key, part] of Object.entries(object)) visit(part, `${path}.${key}`);
    return Object.getPrototypeOf(object) === null ? 'rich' : kind;
  }
  if (isMap(object)) {
    for (const [key, value] of object) {
      visit(key, `${path}.key(${labelOf(key)})`);
      visit(value, `${path}.get(${labelOf(key)})`);
    }
  } else if (isSet(object)) {
    for (const value of object) visit(value, `${path}.value(${labelOf(value)})`);
  } else if (isError(object)) {
    for (const key of Object.getOwnPropertyNames(object))
      visit((object as unknown as Record<string, unknown>)[key], `${path}.${key}`);
  }
  return 'rich';
}

/**
 * What can be kept of a failure: itself, or an error of the same name, message, stack and cause, with those of its properties
 * that can be stored. A process may throw anything, and what its actor has come to is stored all the same.
 */
export function keepable(failure: unknown, seen = new Set<unknown>()): unknown {
  if (seen.has(failure)) return undefined;
  seen.add(failure);
  try {
    inspect(failure, '', []);
    return failure;
  } catch {
    const error = errorOf(failure);
    const kept = new (ERRORS[nearestType(error)] ?? Error)();
    const define = (key: string, value: unknown) =>
      Object.defineProperty(kept, key, { value, configurable: true, writable: true });
    if (String(error.name) !== kept.name) define('name', String(error.name));
    define('message', error.message);
    if (typeof error.stack === 'string') define('stack', error.stack);
    if (error.cause !== undefined && error.cause !== failure) define('cause', keepable(error.cause, seen));
    if (error instanceof AggregateError)
      define(
        'errors',
        error.errors.map((each) => keepable(each, seen)),
      );
    for (const [key, value] of Object.entries(error)) {
      if (key in kept && key !== 'code') continue;
      try {
        inspect(value, '', []);
        (kept as unknown as Record<string, unknown>)[key] = value;
      } catch {
        // It cannot be stored.
      }
    }
    return kept;
  }
}

/** An event, with what can be kept of the errors that it brings. */
export const keepableEvent = <E extends object>(event: E): E =>
  Object.fromEntries(Object.entries(event).map(([key, part]) => [key, isError(part) ? keepable(part) : part])) as E;

/** The class of JavaScript's own that an error's class extends. */
function nearestType(error: Error): string {
  for (let at = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) {
    const name = at.constructor?.name;
    if (Object.hasOwn(ERRORS, name)) return name;
  }
  return 'Error';
}

const named = (error: object, enumerable: boolean) =>
  Object.fromEntries(
    Object.getOwnPropertyNames(error)
      .filter((key) => Object.getOwnPropertyDescriptor(error, key)!.enumerable === enumerable)
      .map((key) => [key, (error as Record<string, unknown>)[key]]),
  );

// devalue leaves errors to its users, and forgets where a regular expression stands.
const REDUCERS = {
  Error: (value: unknown) =>
    isError(value) && { type: errorTypeOf(value) ?? 'Error', own: named(value, true), hidden: named(value, false) },
  Pattern: (value: unknown) =>
    isRegExp(value) &&
    value.lastIndex !== 0 && { source: value.source, flags: value.flags, lastIndex: value.lastIndex },
};

const REVIVERS = {
  Error: ({ type, own, hidden, ...before }: any) => {
    const error = new (ERRORS[type] ?? Error)() as Error & Record<string, unknown>;
    // Rows of 0.1.0 have the hidden ones beside each other, and always a name.
    const { name, ...rest } = before;
    const concealed = hidden ?? { ...rest, ...(name !== error.name && { name }) };
    for (const key of Object.getOwnPropertyNames(error)) delete error[key];
    for (const [key, value] of Object.entries(concealed))
      Object.defineProperty(error, key, { value, configurable: true, writable: true });
    return Object.assign(error, own);
  },
  Pattern: ({ source, flags, lastIndex }: any) => Object.assign(new RegExp(source, flags), { lastIndex }),
};
