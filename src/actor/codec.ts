/**
 * Lossless snapshots. A value that is plain JSON is stored as plain JSON. One that holds more (undefined, NaN, -0, Date,
 * Map, Set, BigInt, RegExp, URL, Error, typed arrays, shared or circular references) is stored twice: as JSON for people
 * and for SQL, which may lose something, and beside it, under `lossless`, in devalue's encoding, from which it is read.
 * What cannot be kept is an error that names its path.
 */
import { types } from 'node:util';
import * as devalue from 'devalue';
import { NotSerializableError } from '../errors.ts';

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
  if (isRegExp(value) || value instanceof URL) return String(value);
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, inner(part)]));
}

/** Beyond this depth a value is checked for cycles; real snapshots stay far below it. */
const DEEP = 64;

/** The hot path: nearly every snapshot is plain JSON, without actor references, and this says so without building paths. */
export function isPlain(value: unknown, depth = 0): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object' || depth > DEEP) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
  for (const key in value) if (!isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
  return true;
}

// Not `instanceof`: where code runs in a context of its own, as in Jest, what Node itself makes has other constructors.
const { isMap, isSet, isDate, isRegExp } = types;
const isError = (value: unknown): value is Error => types.isNativeError(value) || value instanceof Error;

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
  ancestors.push(object);
  const kind = inspectObject(object, path, ancestors);
  ancestors.pop();
  return kind;
}

function inspectObject(object: object, path: string, ancestors: unknown[]): Kind {
  let kind: Kind = 'plain';
  const visit = (value: unknown, key: string) => {
    if (inspect(value, key, ancestors) === 'rich') kind = 'rich';
  };
  if (Array.isArray(object)) {
    for (let i = 0; i < object.length; i++) visit(object[i], `${path}[${i}]`);
    return kind;
  }
  const prototype = Object.getPrototypeOf(object);
  if (prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null) {
    if (Object.getOwnPropertySymbols(object).length > 0)
      throw new NotSerializableError(path, 'an object with symbol keys');
    for (const key in object) visit((object as Record<string, unknown>)[key], `${path}.${key}`);
    return kind;
  }
  if (isMap(object)) {
    for (const [key, value] of object) {
      visit(key, `${path}.key(${labelOf(key)})`);
      visit(value, `${path}.get(${labelOf(key)})`);
    }
    return 'rich';
  }
  if (isSet(object)) {
    for (const value of object) visit(value, `${path}.value(${labelOf(value)})`);
    return 'rich';
  }
  if (isError(object)) {
    if (object.cause !== undefined) visit(object.cause, `${path}.cause`);
    for (const key of Object.keys(object)) visit((object as unknown as Record<string, unknown>)[key], `${path}.${key}`);
    return 'rich';
  }
  if (isDate(object) || isRegExp(object) || object instanceof URL) return 'rich';
  if (TYPED_ARRAYS.has(prototype)) return 'rich';
  throw new NotSerializableError(path, `an instance of ${object.constructor?.name || 'a class'}`);
}

const TYPED_ARRAYS = new Set(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
  ].map((type) => type.prototype as unknown),
);

const ERRORS: Record<string, ErrorConstructor> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** The built-in class that an error is of; of one that extends such a class, `Error`. */
function typeOf(error: Error): string {
  const { name } = Object.getPrototypeOf(error)?.constructor ?? Error;
  return types.isNativeError(error) && Object.hasOwn(ERRORS, name) ? name : 'Error';
}

// devalue leaves errors to its users: here with class, name, message, stack, cause and own properties.
const REDUCERS = {
  Error: (value: unknown) =>
    isError(value) && {
      type: typeOf(value),
      name: value.name,
      message: value.message,
      stack: value.stack,
      ...('cause' in value && { cause: value.cause }),
      own: Object.fromEntries(Object.entries(value).filter(([key]) => key !== 'cause' && key !== 'name')),
    },
};

const REVIVERS = {
  Error: ({ type, name, message, stack, own, ...rest }: any) => {
    const error = new (ERRORS[type] ?? Error)(message, 'cause' in rest ? { cause: rest.cause } : undefined);
    const define = (key: string, value: unknown) =>
      Object.defineProperty(error, key, { value, configurable: true, writable: true });
    if (error.name !== name) define('name', name);
    define('stack', stack);
    return Object.assign(error, own);
  },
};
