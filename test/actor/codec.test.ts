import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, keepable, parse, stringify } from '../../src/actor/codec.ts';
import { NotSerializableError } from '../../src/index.ts';

const key = fc.string().filter((text) => !['__proto__', 'constructor', 'prototype'].includes(text));
const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, undefined, -0, Number.NaN, Number.POSITIVE_INFINITY),
  fc.bigInt(),
  fc.date({ noInvalidDate: false }),
  fc.constantFrom(/a+/gi, /[/]\n/u),
  fc.nat(9).map((lastIndex) => Object.assign(/a/g, { lastIndex })),
  fc.constantFrom(Error, TypeError, RangeError).map((Type) => new Type('no', { cause: new Error('inner') })),
  fc.uint8Array({ minLength: 4, maxLength: 8 }).map((bytes) => bytes.subarray(1, 3)),
  fc.webUrl().map((url) => new URL(url)),
  fc.uint8Array({ maxLength: 4 }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: false }),
    fc.sparseArray(tie('value'), { maxLength: 5, noTrailingHole: false }),
    fc.array(fc.tuple(leaf, tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
}));

describe('lossless snapshots', () => {
  it('gives back any mixture of values', () => {
    fc.assert(
      fc.property(value, (before) => void expect(parse(stringify(before, 'value'))).toStrictEqual(before)),
      { numRuns: 2000 },
    );
  });

  /** Whatever it is made of: what has a flaw somewhere is refused, and everything else comes back as it was. */
  const flawed: [string, fc.Arbitrary<unknown>][] = [
    ['an instance of Scores', fc.constant(new (class Scores extends Map<string, number> {})([['ada', 3]]))],
    ['an instance of Tags', fc.constant(new (class Tags extends Set {})())],
    ['an instance of Day', fc.constant(new (class Day extends Date {})())],
    ['an instance of List', fc.constant(new (class List extends Array {})(1))],
    ['an instance of Pattern', fc.constant(new (class Pattern extends RegExp {})('a'))],
    ['an instance of Link', fc.constant(new (class Link extends URL {})('https://a.example'))],
    ['an instance of Bytes', fc.constant(new (class Bytes extends Uint8Array {})(2))],
    ['an instance of Buffer', fc.constant(Buffer.from('ab'))],
    ['an instance of Failure', fc.constant(new (class Failure extends Error {})('no'))],
    ['an instance of String', fc.constant(Object('boxed'))],
    ['an instance of Number', fc.constant(Object(1))],
    ['an instance of URLSearchParams', fc.constant(new URLSearchParams('a=1'))],
    ['an instance of ArrayBuffer', fc.constant(new ArrayBuffer(1))],
    ['an object with a prototype of its own', fc.constant(Object.create({ a: 1 }))],
    ['an object with a prototype of its own', fc.constant(Object.create(Object.create(null)))],
    ['an array with properties of its own (index, input, groups)', fc.constant('abc'.match(/(?<x>b)/))],
    ['a Map with properties of its own (best)', fc.constant(Object.assign(new Map(), { best: 1 }))],
    ['a Date with properties of its own (zone)', fc.constant(Object.assign(new Date(0), { zone: 'UTC' }))],
    ['a RegExp with properties of its own (at)', fc.constant(Object.assign(/a/, { at: 1 }))],
    ['a Uint8Array with properties of its own', fc.constant(Object.assign(new Uint8Array(1), { at: 1 }))],
    ['an object with symbol keys', fc.constant({ [Symbol('x')]: 1 })],
    [
      "an object whose 'total' is computed by a getter",
      fc.constant({
        a: 1,
        get total() {
          return this.a;
        },
      }),
    ],
    ["an object whose 'total' is computed by a getter", fc.constant({ set total(_: number) {} })],
    ["an object whose 'b' is hidden", fc.constant(Object.defineProperty({ a: 1 }, 'b', { value: 1 }))],
    ['an array with 999999 holes', fc.constant(Object.assign([], { 999999: 1 }))],
    ['a function', fc.constant(() => 1)],
    ['a symbol', fc.constant(Symbol.iterator)],
    ['an instance of Promise', fc.constant(Promise.resolve())],
  ];
  const wrapped: [string, (bad: unknown) => unknown][] = [
    ['.a.b', (bad) => ({ a: { b: bad } })],
    ['.list[1]', (bad) => ({ list: [1, bad] })],
    ['.rich[1].c', (bad) => ({ rich: [new Date(0), { c: bad }] })],
    ['.toJSON', (bad) => ({ toJSON: bad })],
    ['.get(k)', (bad) => ({ map: new Map([['k', bad]]) })],
  ];
  it.each(flawed)('refuses %s, and names its path', (what, bad) => {
    fc.assert(
      fc.property(bad, fc.constantFrom(...wrapped), value, (each, [path, wrap], beside) => {
        const attempt = () => stringify({ inner: wrap(each), beside }, 'value');
        expect(attempt).toThrow(NotSerializableError);
        expect(attempt).toThrow(`${path} is ${what}`);
      }),
      { numRuns: 20 },
    );
  });

  it('keeps what is frozen, without a prototype, sparse, or holds half of a surrogate pair', () => {
    const before = {
      frozen: Object.freeze({ a: Object.freeze([1]) }),
      groups: Object.assign(Object.create(null), { x: 'b' }),
      sparse: Object.assign(new Array(3), { 0: 1, 2: 3 }),
      text: 'half \ud800 of one',
      '\udc00': [undefined, -0],
      errors: new AggregateError([new TypeError('inner')], 'all'),
    };
    const after = parse(stringify(before, 'value')) as typeof before;
    expect(after).toStrictEqual(before);
    expect(Object.getPrototypeOf(after.groups)).toBe(null);
    expect(1 in after.sparse).toBe(false);
    expect(after.errors.errors).toStrictEqual([new TypeError('inner')]);
  });

  it('refuses what is nested so deep that nobody could read it', () => {
    let deep: unknown = 1;
    for (let n = 0; n < 900; n++) deep = n % 2 ? [deep] : { a: deep };
    expect(parse(stringify(deep, 'value'))).toStrictEqual(deep);
    expect(parse(stringify([deep, undefined], 'value'))).toStrictEqual([deep, undefined]);
    for (let n = 0; n < 9_000; n++) deep = { a: deep };
    expect(() => stringify(deep, 'value')).toThrow('nested more than 1000 levels deep');
  });

  it('reads the errors of rows that 0.1.0 wrote', () => {
    const text = JSON.stringify({
      $json: null,
      $lossless:
        '[["Error",1],{"type":2,"name":3,"message":4,"stack":5,"cause":6,"own":7},"TypeError","Mine","no","Mine: no\\n at x","why",{"code":8},"E1"]',
    });
    const error = parse(text) as Error & { code: string };
    expect(error).toBeInstanceOf(TypeError);
    const { name, message, stack, cause, code } = error;
    expect({ name, message, stack, cause, code }).toEqual({
      name: 'Mine',
      message: 'no',
      stack: 'Mine: no\n at x',
      cause: 'why',
      code: 'E1',
    });
    expect(Object.keys(error)).toEqual(['code']);
  });

  it('keeps of a failure what can be kept: its name, message, stack and cause, and what can be stored of the rest', () => {
    class HttpError extends TypeError {
      override name = 'HttpError';
      status = 404;
      request = { socket: () => {} };
    }
    const failure = new HttpError('not found', { cause: new HttpError('inner') });
    const kept = keepable(failure) as HttpError;
    expect(Object.getPrototypeOf(kept)).toBe(TypeError.prototype);
    expect(kept).toMatchObject({ name: 'HttpError', message: 'not found', stack: failure.stack, status: 404 });
    expect(kept.request).toBe(undefined);
    expect(kept.cause).toMatchObject({ name: 'HttpError', message: 'inner', status: 404 });
    expect(parse(stringify(kept, 'value'))).toStrictEqual(kept);
    const fine = new Error('fine');
    expect(keepable(fine)).toBe(fine);
    for (const odd of [
      () => {},
      Symbol('odd'),
      new (class Odd {})(),
      { send: () => {} },
      Object.assign(failure, { cause: failure }),
    ])
      expect(() => stringify(keepable(odd), 'value')).not.toThrow();
  });

  it('asks no member of a set or a map for its name', () => {
    const before = new Set([new Map([[{ toString: null }, { toString: new Map() }]])]);
    expect(parse(stringify(before, 'value'))).toStrictEqual(before);
  });

  it('keeps a plain value as plain JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false } as never), (before) => {
        const [plain] = [JSON.parse(JSON.stringify(before))];
        expect(encode(plain, 'value')).toEqual({ json: plain });
      }),
    );
  });

  it('keeps an error with its class, name, message, stack, cause and own properties', () => {
    const before = Object.assign(new TypeError('outer', { cause: new Error('inner', { cause: 'root' }) }), {
      code: 'E1',
      at: new Date(0),
    });
    const after = parse(stringify({ error: before }, 'value')) as { error: TypeError & { code: string; at: Date } };
    expect(after.error).toBeInstanceOf(TypeError);
    expect(after.error).toMatchObject({
      name: 'TypeError',
      message: 'outer',
      stack: before.stack,
      code: 'E1',
      at: new Date(0),
    });
    expect(after.error.cause).toBeInstanceOf(Error);
    expect((after.error.cause as Error).cause).toBe('root');
  });

  it('keeps what was made in another context of the process, as Node does in Jest', () => {
    const foreign = runInNewContext(`({
      error: Object.assign(new TypeError('no', { cause: new Error('inner') }), { code: 'E1' }),
      date: new Date(0), map: new Map([['a', { b: [1] }]]), set: new Set([1]), pattern: /a/g, plain: { c: [{}] },
    })`);
    const after = parse(stringify(foreign, 'value')) as typeof foreign;
    expect(after.error).toBeInstanceOf(TypeError);
    expect(after.error).toMatchObject({ message: 'no', code: 'E1' });
    expect(after.error.cause).toBeInstanceOf(Error);
    expect({ ...after, error: 0 }).toStrictEqual({
      error: 0,
      date: new Date(0),
      map: new Map([['a', { b: [1] }]]),
      set: new Set([1]),
      pattern: /a/g,
      plain: { c: [{}] },
    });
    expect(encode(foreign.plain, 'value')).toEqual({ json: { c: [{}] } });
    expect(() => encode(runInNewContext('new (class Socket {})'), 'value')).toThrow('an instance of Socket');
  });

  it('keeps shared and circular references', () => {
    const shared = { at: new Date(1) };
    const circular: Record<string, unknown> = { shared, again: shared };
    circular['self'] = circular;
    const after = parse(stringify(circular, 'value')) as typeof circular;
    expect(after['self']).toBe(after);
    expect(after['again']).toBe(after['shared']);
  });

  it.each([
    ['value.a.b', { a: { b: () => 1 } }, 'a function'],
    ['value.list[1]', { list: [1, Symbol('x')] }, 'a symbol'],
    ['value.map.get(k)', { map: new Map([['k', new WeakMap()]]) }, 'an instance of WeakMap'],
    ['value.point', { point: new (class Point {})() }, 'an instance of Point'],
    ['value.promise', { promise: Promise.resolve() }, 'an instance of Promise'],
  ])('names the path %s of what cannot be kept', (path, bad, what) => {
    const attempt = () => stringify(bad, 'value');
    expect(attempt).toThrow(NotSerializableError);
    expect(attempt).toThrow(`${path} is ${what}`);
  });
});
