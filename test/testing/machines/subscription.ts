/** A subscription: a trial and a year, both longer than a timeout of Node's can be, and payments that fail. */
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const DAY = 86_400_000;

const machine = setup({
  types: {} as {
    context: { plan: 'month' | 'year'; payments: string[]; failures: number };
    input: { plan: 'month' | 'year' };
    events: { type: 'cancel' } | { type: 'resume' };
  },
  actors: { charge: fromPromise<string, { plan: string; nth: number }>(async () => '') },
  delays: { trial: 30 * DAY, period: ({ context }) => (context.plan === 'year' ? 365 : 31) * DAY, grace: 3 * DAY },
  guards: { mayTryAgain: ({ context }) => context.failures < 2 },
}).createMachine({
  id: 'subscription',
  context: ({ input }) => ({ plan: input.plan, payments: [], failures: 0 }),
  initial: 'trial',
  states: {
    trial: { after: { trial: 'charging' }, on: { cancel: 'ended' } },
    charging: {
      invoke: {
        src: 'charge',
        input: ({ context }) => ({ plan: context.plan, nth: context.payments.length + 1 }),
        onDone: {
          target: 'paid',
          actions: assign({
            payments: ({ context, event }) => [...context.payments, event.output],
            failures: 0,
          }),
        },
        onError: [
          {
            guard: 'mayTryAgain',
            target: 'overdue',
            actions: assign({ failures: ({ context }) => context.failures + 1 }),
          },
          { target: 'ended' },
        ],
      },
    },
    paid: { entry: emit(message('Thank you.')), after: { period: 'charging' }, on: { cancel: 'leaving' } },
    leaving: { after: { period: 'ended' }, on: { resume: 'paid' } },
    overdue: {
      entry: emit(message('We could not charge you.')),
      after: { grace: 'charging' },
      on: { cancel: 'ended' },
    },
    ended: { type: 'final', entry: emit(message('Good-bye.')) },
  },
});

export const subscription = subject({
  flow: defineFlow({ type: 'subscription', version: 1, logic: machine }),
  options: { input: { plan: 'year' } },
  script: [
    { advance: '30d' },
    { reject: 'charge', with: 'card expired' },
    { advance: '3d' },
    { resolve: 'charge', with: 'R1' },
    { send: { type: 'cancel' } },
    { advance: '10d' },
    { send: { type: 'resume' } },
    { send: { type: 'cancel' } },
    { advanceTo: '2027-03-01T00:00Z' },
  ],
  ends: 'ended',
  explore: {
    events: [{ type: 'cancel' }, { type: 'resume' }],
    outcomes: { charge: { resolve: ['R1'] } },
    depth: 6,
    coverage: { states: 1, transitions: 1, outcomes: 1 },
  },
});
