/** Contexts that JSON cannot hold, in the root, in children, in history and in pending events. */
import { assign, createMachine, raise, sendTo, setup } from 'xstate';
import { advance, log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const rich = () => ({
  nothing: undefined,
  nan: Number.NaN,
  infinite: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  minusZero: -0,
  date: new Date(1234),
  invalid: new Date(Number.NaN),
  map: new Map<unknown, unknown>([[{ key: 'object' }, new Map([[1, new Set(['x', undefined])]])]]),
  big: -(2n ** 64n),
  regexp: /a\/b+/giu,
  url: new URL('https://example.org/path?q=1#f'),
  error: new TypeError('outer', { cause: new RangeError('inner') }),
  bytes: new Uint8Array([0, 1, 255]),
  text: 'quotes " \\ \u2028 \u0000 \ud83d\ude00',
  sparse: { a: [undefined, null, 0] },
  'key.with "quotes"': { __proto__: null, constructor: 'own' },
});

const holder = createMachine({
  context: { held: null, n: 0, log: [] } as Record<string, any>,
  on: {
    HOLD: { actions: assign({ held: rich }) },
    COUNT: { actions: assign({ n: ({ context }: any) => context.n + 1 }) },
    KEEP: { actions: assign({ held: ({ event }: any) => event.value }) },
    CHECK: {
      actions: log(({ context }: any) => [
        context.held.date instanceof Date,
        context.held.map.size,
        context.held.error instanceof TypeError,
        Object.is(context.held.minusZero, -0),
        context.held.url.hostname,
        context.held.bytes.length,
        typeof context.held.big,
        context.held.regexp.test('A/BB'),
      ]),
    },
    LATER: { actions: raise(({ event }: any) => ({ ...event, type: 'KEEP' }), { delay: 1000 }) },
  },
});

const parent = setup({ actors: { holder } }).createMachine({
  context: ({ input }: any) => ({ given: input, log: [] }),
  invoke: { id: 'holder', src: 'holder' },
  on: {
    HOLD: { actions: sendTo('holder', { type: 'HOLD' }) },
    CHECK: { actions: sendTo('holder', { type: 'CHECK' }, { delay: 500 }) },
  },
});

const shared = createMachine({
  context: () => {
    const one = { n: 1 };
    return { a: one, b: one, list: [one] } as Record<string, any>;
  },
  on: {
    CYCLE: {
      actions: assign({
        loop: () => {
          const loop: Record<string, any> = { name: 'loop' };
          loop['self'] = loop;
          return loop;
        },
      }),
    },
    ROUND: { actions: assign({ round: ({ context }: any) => context.loop.self.self === context.loop }) },
  },
});

export const cases: Case[] = [
  {
    name: 'values: every kind, restored again and again',
    logic: holder,
    script: [send('HOLD'), send('COUNT'), send('CHECK'), advance(1)],
    expect: {
      context: {
        n: 1,
        log: [[true, 1, true, true, 'example.org', 3, 'bigint', true]],
        held: { nan: { $number: 'NaN' }, minusZero: { $number: '-0' }, bytes: { $Uint8Array: [0, 1, 255] } },
      },
    },
  },
  {
    name: 'values: from an event, at once and later',
    logic: holder,
    script: [
      send('KEEP', { value: new Set([new Map([[-0, Number.NaN]])]) }),
      send('LATER', { value: [1n, new Date(0), undefined] }),
      advance(999),
      advance(1),
    ],
    expect: { context: { held: [{ $bigint: '1' }, { $date: '1970-01-01T00:00:00.000Z' }, { $undefined: true }] } },
  },
  {
    name: 'values: in the input and in a child',
    logic: parent,
    input: { since: new Date(5), all: new Map([['a', { b: undefined }]]) },
    script: [send('HOLD'), send('CHECK'), advance(500)],
    expect: {
      context: {
        given: { since: { $date: '1970-01-01T00:00:00.005Z' }, all: { $map: [['a', { b: { $undefined: true } }]] } },
      },
      children: { holder: { context: { log: [[true, 1, true, true, 'example.org', 3, 'bigint', true]] } } },
    },
  },
  {
    name: 'values: an object at several places, and a cycle',
    logic: shared,
    script: [send('CYCLE'), send('ROUND')],
    expect: { context: { round: true } },
  },
];
