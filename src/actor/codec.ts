/**
 * Lossless snapshots. A value that is plain JSON is stored as plain JSON. One that holds more (undefined, NaN, -0, Date,
 * Map, Set, BigInt, RegExp, URL, Error, typed arrays, shared or circular references) is stored as readable JSON with
 * superjson's annotations beside it, under `meta`. What cannot be kept is an error that names its path.
 */
import SuperJSON, { type SuperJSONResult } from 'superjson';
import { NotSerializableError } from '../errors.ts';

/** What JSON alone would lose goes in `meta`. */
export interface Encoded {
  json: unknown;
  meta?: NonNullable<SuperJSONResult['meta']>;
}

/**
 * Encodes a value.
 * @param root what the value is called in error messages, e.g. `event` or `snapshot`
 * @throws {NotSerializableError} naming the path of a function, symbol, socket or class instance
 */
export function encode(value: unknown, root: string): Encoded {
  if (isPlain(value) || inspect(value, root, []) === 'plain') return { json: value };
  try {
    return rich.serialize(value) as Encoded;
  } catch (cause) {
    throw new NotSerializableError(root, `a value that could not be encoded (${(cause as Error).message})`);
  }
}

/** The value that was encoded. */
export function decode({ json, meta }: Encoded): unknown {
  return meta ? rich.deserialize({ json, meta } as SuperJSONResult, { inPlace: true }) : json;
}

/** {@link encode} as one JSON text. */
export function stringify(value: unknown, root: string): string {
  const { json, meta } = encode(value, root);
  // The envelope is needed only where a plain value could be mistaken for one.
  return meta || isEnvelope(json) ? JSON.stringify({ $json: json, $meta: meta ?? null }) : JSON.stringify(json);
}

/** The value of a text made by {@link stringify}. */
export function parse(text: string): unknown {
  const value = JSON.parse(text);
  return isEnvelope(value) ? decode({ json: value.$json, ...(value.$meta && { meta: value.$meta }) }) : value;
}

function isEnvelope(value: unknown): value is { $json: unknown; $meta: Encoded['meta'] | null } {
  return typeof value === 'object' && value !== null && '$json' in value && '$meta' in value;
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

type Kind = 'plain' | 'rich';

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
  if (prototype === Object.prototype || prototype === null) {
    if (Object.getOwnPropertySymbols(object).length > 0)
      throw new NotSerializableError(path, 'an object with symbol keys');
    for (const key in object) visit((object as Record<string, unknown>)[key], `${path}.${key}`);
    return kind;
  }
  if (object instanceof Map) {
    for (const [key, value] of object) {
      visit(key, `${path}.key(${String(key)})`);
      visit(value, `${path}.get(${String(key)})`);
    }
    return 'rich';
  }
  if (object instanceof Set) {
    for (const value of object) visit(value, `${path}.value(${String(value)})`);
    return 'rich';
  }
  if (object instanceof Error) {
    if (object.cause !== undefined) visit(object.cause, `${path}.cause`);
    for (const key of Object.keys(object)) visit((object as unknown as Record<string, unknown>)[key], `${path}.${key}`);
    return 'rich';
  }
  if (object instanceof Date || object instanceof RegExp || object instanceof URL) return 'rich';
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

const rich = new SuperJSON();

const ERRORS: Record<string, ErrorConstructor> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

// superjson keeps an error's name and message only; the stack, the cause and own properties matter to whoever reads it later.
rich.registerCustom<Error, any>(
  {
    isApplicable: (value): value is Error => value instanceof Error,
    serialize: (error) => ({
      type: Object.keys(ERRORS).find((name) => Object.getPrototypeOf(error) === ERRORS[name]?.prototype) ?? 'Error',
      name: error.name,
      message: error.message,
      ...(error.stack !== undefined && { stack: error.stack }),
      ...('cause' in error && { cause: error.cause }),
      own: Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'cause' && key !== 'name')),
    }),
    deserialize: ({ type, name, message, stack, own, ...rest }) => {
      const error = new (ERRORS[type] ?? Error)(message, 'cause' in rest ? { cause: rest.cause } : undefined);
      if (error.name !== name)
        Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
      Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
      return Object.assign(error, own);
    },
  },
  'Error',
);

rich.registerCustom<Date, string>(
  {
    isApplicable: (value): value is Date => value instanceof Date && Number.isNaN(value.getTime()),
    serialize: () => 'Invalid Date',
    deserialize: () => new Date(Number.NaN),
  },
  'InvalidDate',
);
