/** Logic that is no machine: transition functions and stores, as the root and as children. */
import { fromStore } from '@xstate/store';
import { assign, createMachine, fromTransition, sendTo, setup } from 'xstate';
import { now } from '../../../src/machine/ambient.ts';
import { advance, send } from '../steps.ts';
import { type Case, START } from '../subject.ts';

const tally = fromTransition(
  (state: Record<string, any>, event: any) => {
    switch (event.type) {
      case 'ADD':
        return { ...state, total: state['total'] + event.by, at: now() - START };
      case 'REMEMBER':
        return { ...state, seen: new Map([...(state['seen'] ?? []), [event.key, event.value]]) };
      default:
        return state;
    }
  },
  ({ input }: any) => ({ total: input.from }),
);

const emitting = fromTransition(
  (state: { n: number }, event: any, { emit }: any) => {
    if (event.type !== 'ADD') return state;
    emit({ type: 'added', n: state.n + 1 });
    return { n: state.n + 1 };
  },
  { n: 0 },
);

const account = fromStore({
  context: (input: { owner: string }) => ({ owner: input.owner, balance: 0, changes: new Set<number>() }),
  on: {
    deposit: (context: any, event: { amount: number }, enqueue: any) => {
      enqueue.emit['deposited']?.({ amount: event.amount, balance: context.balance + event.amount });
      return {
        ...context,
        balance: context.balance + event.amount,
        changes: new Set([...context.changes, event.amount]),
      };
    },
    rename: (context: any, event: { owner: string }) => ({ ...context, owner: event.owner }),
  },
  emits: { deposited: (_: { amount: number; balance: number }) => {} },
} as never);

const household = setup({ actors: { account: account as never, tally } }).createMachine({
  context: ({ spawn }: any) =>
    ({
      account: spawn('account' as never, { id: 'account', input: { owner: 'Ada' } as never }),
      balances: [],
    }) as Record<string, any>,
  invoke: {
    id: 'tally',
    src: 'tally',
    input: { from: 1 },
    onSnapshot: {
      actions: assign({ balances: ({ context, event }: any) => [...context.balances, event.snapshot.context.total] }),
    },
  },
  on: {
    PAY: {
      actions: [
        sendTo('account', ({ event }: any) => ({ type: 'deposit', amount: event.amount })),
        sendTo('tally', ({ event }: any) => ({ type: 'ADD', by: event.amount })),
      ],
    },
  },
});

const selfTicking = createMachine({
  context: { log: [] },
  initial: 'idle',
  states: { idle: { after: { 1000: 'over' } }, over: {} },
});

export const cases: Case[] = [
  {
    name: 'logics: a transition function with input and the time',
    logic: tally,
    input: { from: 10 },
    script: [send('ADD', { by: 5 }), advance(100), send('UNKNOWN'), send('ADD', { by: 1 })],
    expect: { context: { total: 16, at: 100 } },
  },
  {
    name: 'logics: a transition function whose state JSON cannot hold',
    logic: tally,
    input: { from: -0 },
    script: [send('REMEMBER', { key: 1n, value: undefined }), send('REMEMBER', { key: 'k', value: /x/g })],
    expect: {
      context: {
        total: { $number: '-0' },
        seen: {
          $map: [
            [{ $bigint: '1' }, { $undefined: true }],
            ['k', { $regexp: '/x/g' }],
          ],
        },
      },
    },
  },
  {
    name: 'logics: a transition function that emits',
    logic: emitting,
    script: [send('ADD'), advance(10), send('ADD')],
    expect: {
      context: { n: 2 },
      emitted: [
        [0, { type: 'added', n: 1 }],
        [10, { type: 'added', n: 2 }],
      ],
    },
  },
  {
    name: 'logics: a store with input, sets and emitted events',
    logic: account as never,
    input: { owner: 'Ada' },
    script: [send('deposit', { amount: 5 }), send('rename', { owner: 'Grace' }), send('deposit', { amount: 7 })],
    expect: { context: { owner: 'Grace', balance: 12, changes: { $set: [5, 7] } } },
  },
  {
    name: 'logics: a store and a transition function as children',
    logic: household,
    script: [send('PAY', { amount: 3 }), send('PAY', { amount: 4 })],
    expect: {
      children: { account: { context: { owner: 'Ada', balance: 7 } }, tally: { context: { total: 8 } } },
    },
  },
  {
    name: 'logics: a machine that only waits',
    logic: selfTicking,
    script: [advance(999), advance(1)],
    expect: { values: ['idle', 'idle', 'over'] },
  },
];
