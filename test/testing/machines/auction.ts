/** An auction: bids must rise, and one shortly before the end puts the end off. Bids are kept in a Map. */
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message, now } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const HOUR = 3_600_000;
const GRACE = 5 * 60_000;

const machine = setup({
  types: {} as {
    context: { reserve: number; highest: number; winner: string | null; bids: Map<string, number>; endsAt: Date };
    input: { reserve: number };
    events: { type: 'bid'; by: string; amount: number } | { type: 'withdraw' };
    output: { winner: string | null; amount: number };
  },
  guards: {
    isHigher: ({ context, event }) => event.type === 'bid' && event.amount > context.highest,
    isLate: ({ context, event }) =>
      event.type === 'bid' && event.amount > context.highest && context.endsAt.getTime() - now() < GRACE,
    isSold: ({ context }) => context.highest >= context.reserve,
  },
  actions: {
    keep: assign(({ context, event }) =>
      event.type === 'bid'
        ? { highest: event.amount, winner: event.by, bids: new Map([...context.bids, [event.by, event.amount]]) }
        : {},
    ),
    putOff: assign({ endsAt: () => new Date(now() + GRACE) }),
  },
  delays: { untilTheEnd: ({ context }) => context.endsAt.getTime() - now() },
}).createMachine({
  id: 'auction',
  context: ({ input }) => ({
    reserve: input.reserve,
    highest: 0,
    winner: null,
    bids: new Map(),
    endsAt: new Date(now() + HOUR),
  }),
  output: ({ context }) => ({ winner: context.winner, amount: context.highest }),
  initial: 'open',
  states: {
    open: {
      after: { untilTheEnd: 'closing' },
      on: {
        bid: [
          { guard: 'isLate', target: 'open', reenter: true, actions: ['keep', 'putOff'] },
          { guard: 'isHigher', actions: ['keep', emit(({ context }) => message(`${context.highest} is bid.`))] },
          { actions: emit(({ context }) => message(`More than ${context.highest}, please.`)) },
        ],
        withdraw: 'withdrawn',
      },
    },
    closing: { always: [{ guard: 'isSold', target: 'sold' }, { target: 'unsold' }] },
    sold: { type: 'final', entry: emit(({ context }) => message(`Sold to ${context.winner}.`)) },
    unsold: { type: 'final', entry: emit(message('Not sold.')) },
    withdrawn: { type: 'final' },
  },
});

export const auction = subject({
  flow: defineFlow({ type: 'auction', version: 1, logic: machine }),
  options: { input: { reserve: 50 } },
  script: [
    { send: { type: 'bid', by: 'Ada', amount: 20 } },
    { send: { type: 'bid', by: 'Bob', amount: 15 } },
    { advance: '56m' },
    { send: { type: 'bid', by: 'Bob', amount: 60 } },
    { advance: '4m' },
    { send: { type: 'bid', by: 'Ada', amount: 70 } },
    { advance: '5m' },
  ],
  ends: 'sold',
  explore: {
    events: ({ context }) => [
      { type: 'bid' as const, by: 'Ada', amount: context.highest + 30 },
      { type: 'bid' as const, by: 'Bob', amount: 1 },
      { type: 'withdraw' as const },
    ],
    depth: 5,
    // A late bid comes between two deadlines, where the explorer does not go.
    coverage: { states: 1, transitions: 0.8 },
  },
});
