/**
 * Which objects can be kept exactly: those of JavaScript's own classes, with nothing besides what their class keeps. Where
 * code runs in a context of its own, as in Jest, what Node itself makes has other constructors; so a class is known by its
 * name and by its place right above `Object`, not by `instanceof`.
 */
import { types } from 'node:util';

export const { isMap, isSet, isDate, isRegExp } = types;
export const isError = (value: unknown): value is Error => types.isNativeError(value) || value instanceof Error;

/** The errors that JavaScript has, by name. */
export const ERRORS: Record<string, new () => Error> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  // It wants its errors at once.
  AggregateError: class {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: this stands for the class
      return new AggregateError([]);
    }
  } as never,
};

const TYPED_ARRAYS = new Set([
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
]);

/** More holes than this in an array are an accident, which would fill the memory of who reads it. */
const MOST_HOLES = 10_000;

/** What a reference to an actor of another system is. */
export const OUTSIDER = 'an actor that belongs to another one: after a restart nobody would know it';

/** Why an object cannot be given back as it is, apart from what is in it; `undefined`: it can. */
export function flawOf(object: object): string | undefined {
  if (Array.isArray(object)) return isOf(object, 'Array') ? flawOfArray(object) : instance(object);
  if (isPlainObject(object)) return flawOfProperties(object, Reflect.ownKeys(object));
  if (isMap(object) || isSet(object) || isDate(object) || isURL(object)) {
    const name = isMap(object) ? 'Map' : isSet(object) ? 'Set' : isDate(object) ? 'Date' : 'URL';
    return isOf(object, name) ? flawOfBuiltIn(object, Reflect.ownKeys(object)) : instance(object);
  }
  if (isRegExp(object)) {
    const extras = Reflect.ownKeys(object).filter((key) => key !== 'lastIndex');
    return isOf(object, 'RegExp') ? flawOfBuiltIn(object, extras) : instance(object);
  }
  if (isError(object)) {
    if (errorTypeOf(object) === undefined) return instance(object);
    return Reflect.ownKeys(object).some((key) => typeof key === 'symbol') ? 'an error with symbol keys' : undefined;
  }
  if (ArrayBuffer.isView(object) && TYPED_ARRAYS.has(nameOf(object)) && isOf(object, nameOf(object), 2)) {
    const length = (object as Uint8Array).length;
    return Reflect.ownKeys(object).length > length ? `a ${nameOf(object)} with properties of its own` : undefined;
  }
  return instance(object);
}

/** Where an object has nothing but what its class keeps: `{…}` of any context, or without a prototype. */
export function isPlainObject(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || prototype === Object.prototype || isOf(object, 'Object', 0);
}

/** The name of the class of errors of JavaScript's own that an error is of; `undefined`: it is of another class. */
export function errorTypeOf(error: Error): string | undefined {
  const name = nameOf(error);
  const isOwn =
    types.isNativeError(error) && Object.hasOwn(ERRORS, name) && isOf(error, name, name === 'Error' ? 1 : 2);
  return isOwn && /\[native code\]/.test(String(error.constructor)) ? name : undefined;
}

export const isURL = (value: object): value is URL =>
  value instanceof URL || (nameOf(value) === 'URL' && isOf(value, 'URL') && 'searchParams' in value);

const nameOf = (object: object): string => Object.getPrototypeOf(object)?.constructor?.name ?? '';

/** Whether an object's class has that name, and so many classes above it. */
function isOf(object: object, name: string, above = 1): boolean {
  const prototype = Object.getPrototypeOf(object);
  if (!Object.hasOwn(prototype, 'constructor') || nameOf(object) !== name) return false;
  let count = 0;
  for (let at = Object.getPrototypeOf(prototype); at !== null; at = Object.getPrototypeOf(at)) count++;
  return count === above;
}

function instance(object: object): string {
  if ('sessionId' in object && 'send' in object && 'ref' in object) return OUTSIDER;
  const name = nameOf(object);
  return name === '' || name === 'Object' ? 'an object with a prototype of its own' : `an instance of ${name}`;
}

function flawOfArray(array: unknown[]): string | undefined {
  const keys = Reflect.ownKeys(array);
  const extras = keys.filter((key) => key !== 'length' && !isIndex(key));
  if (extras.length > 0) return `an array with properties of its own (${extras.map(String).join(', ')})`;
  const holes = array.length - (keys.length - 1);
  if (holes > MOST_HOLES) return `an array with ${holes} holes`;
  return flawOfProperties(array, keys.slice(0, -1));
}

const isIndex = (key: string | symbol) => typeof key === 'string' && /^(0|[1-9]\d*)$/.test(key);

const flawOfBuiltIn = (object: object, extras: (string | symbol)[]) =>
  extras.length > 0 ? `a ${nameOf(object)} with properties of its own (${extras.map(String).join(', ')})` : undefined;

function flawOfProperties(object: object, keys: (string | symbol)[]): string | undefined {
  for (const key of keys) {
    if (typeof key === 'symbol') return 'an object with symbol keys';
    if (key === '__proto__') return 'an object with a property of the name __proto__';
    const { enumerable, get, set } = Object.getOwnPropertyDescriptor(object, key)!;
    if (get || set) return `an object whose '${key}' is computed by a getter`;
    if (!enumerable) return `an object whose '${key}' is hidden (not enumerable)`;
  }
  return undefined;
}
