import { assign, createMachine } from 'xstate';
import { log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const wildcards = createMachine({
  initial: 'listening',
  context: { log: [] },
  states: {
    listening: {
      on: {
        'order.created': { actions: log('exact') },
        'order.*': { actions: log(({ event }: any) => `order.*: ${event.type}`) },
        'order.item.*': { actions: log(({ event }: any) => `order.item.*: ${event.type}`) },
        '*': { actions: log(({ event }: any) => `*: ${event.type}`) },
        DEAF: 'deaf',
      },
    },
    deaf: { on: { '*': undefined, 'order.*': { actions: log('even deaf') } } },
  },
});

const tagged = createMachine({
  initial: 'red',
  states: {
    red: { tags: ['stop', 'warm'], on: { NEXT: 'amber' } },
    amber: {
      tags: 'slow',
      initial: 'steady',
      on: { NEXT: 'green' },
      states: { steady: { tags: ['steady'], on: { BLINK: 'blinking' } }, blinking: { tags: ['blink', 'slow'] } },
    },
    green: { on: { NEXT: 'red' } },
  },
});

const withMeta = createMachine({
  initial: 'ask',
  context: { answers: [] } as Record<string, any>,
  states: {
    ask: {
      meta: { prompt: 'How are you?' },
      description: 'Asks.',
      on: {
        ANSWER: {
          target: 'thank',
          meta: { kind: 'reply' },
          description: 'A reply.',
          actions: assign({ answers: ({ context, event }: any) => [...context['answers'], event['text'] ?? null] }),
        },
      },
    },
    thank: { meta: { prompt: 'Thanks.' }, on: { AGAIN: 'ask' } },
  },
});

const payloads = createMachine({
  context: { last: null, count: 0 } as Record<string, any>,
  on: {
    '*': { actions: assign({ last: ({ event }: any) => event, count: ({ context }: any) => context['count'] + 1 }) },
  },
});

const multiple = createMachine({
  context: { n: 1, log: [] },
  on: {
    GO: {
      actions: [
        assign({ n: ({ context }: any) => context['n'] * 10 }),
        log(({ context }: any) => `after times ten: ${context['n']}`),
        assign(({ context }: any) => ({ n: context['n'] + 1 })),
        log(({ context }: any) => `after plus one: ${context['n']}`),
      ],
    },
  },
});

export const cases: Case[] = [
  {
    name: 'events: exact, partial and full wildcards by precedence',
    logic: wildcards,
    script: [
      ...[send('order.created'), send('order.paid'), send('order.item.added'), send('order'), send('orders')],
      ...[send('DEAF'), send('whatever'), send('order.paid')],
    ],
    expect: {
      value: 'deaf',
      context: {
        log: [
          'exact',
          'order.*: order.paid',
          'order.item.*: order.item.added',
          'order.*: order',
          '*: orders',
          'even deaf',
        ],
      },
    },
  },
  {
    name: 'events: tags come and go with their states',
    logic: tagged,
    script: [send('NEXT'), send('BLINK'), send('NEXT'), send('NEXT')],
    expect: { value: 'red', tags: ['stop', 'warm'] },
  },
  {
    name: 'events: meta and descriptions of states and transitions',
    logic: withMeta,
    script: [send('ANSWER', { text: 'fine' }), send('AGAIN'), send('ANSWER')],
    expect: { value: 'thank', context: { answers: ['fine', null] } },
  },
  {
    name: 'events: rich payloads go into the context as they are',
    logic: payloads,
    script: [
      send('none'),
      send('nested', { list: [1, { two: [3] }], nothing: undefined, not: Number.NaN }),
      send('rich', { at: new Date(0), seen: new Set(['a']), byId: new Map([[1n, { n: -0 }]]) }),
    ],
    expect: {
      context: {
        count: 3,
        last: {
          type: 'rich',
          at: { $date: '1970-01-01T00:00:00.000Z' },
          seen: { $set: ['a'] },
          byId: { $map: [[{ $bigint: '1' }, { n: { $number: '-0' } }]] },
        },
      },
    },
  },
  {
    name: 'events: each action sees what the one before it assigned',
    logic: multiple,
    script: [send('GO'), send('GO')],
    expect: {
      context: {
        n: 111,
        log: ['after times ten: 10', 'after plus one: 11', 'after times ten: 110', 'after plus one: 111'],
      },
    },
  },
];
