import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, parse, stringify } from '../../src/actor/codec.ts';
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
  fc.webUrl().map((url) => new URL(url)),
  fc.uint8Array({ maxLength: 4 }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
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
