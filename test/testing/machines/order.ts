/** An order, whose shipment is a machine of its own: it is invoked, told of changes, and tells of its progress. */
import { assign, emit, fromPromise, sendParent, sendTo, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const shipment = setup({
  types: {} as {
    context: { address: string; attempts: number };
    input: { address: string };
    events: { type: 'redirect'; address: string } | { type: 'delivered' };
    output: { address: string };
  },
  actors: { callCarrier: fromPromise<{ tracking: string }, { address: string }>(async () => ({ tracking: '' })) },
  actions: { tell: sendParent((_, { text }: { text: string }) => ({ type: 'progress', text })) },
}).createMachine({
  context: ({ input }) => ({ address: input.address, attempts: 0 }),
  output: ({ context }) => ({ address: context.address }),
  initial: 'calling',
  on: { redirect: { actions: assign({ address: ({ event }) => event.address }) } },
  states: {
    calling: {
      entry: assign({ attempts: ({ context }) => context.attempts + 1 }),
      invoke: {
        src: 'callCarrier',
        input: ({ context }) => ({ address: context.address }),
        onDone: 'underWay',
        onError: 'waiting',
      },
    },
    waiting: { after: { 600000: 'calling' } },
    underWay: {
      entry: { type: 'tell', params: { text: 'It is under way.' } },
      on: { delivered: 'there' },
      after: { 172800000: { target: 'calling', actions: { type: 'tell', params: { text: 'It got lost.' } } } },
    },
    there: { type: 'final' },
  },
});

const machine = setup({
  types: {} as {
    context: { address: string; log: string[] };
    input: { address: string };
    events:
      | { type: 'pay' }
      | { type: 'cancel' }
      | { type: 'redirect'; address: string }
      | { type: 'delivered' }
      | { type: 'progress'; text: string };
  },
  actors: { shipment },
}).createMachine({
  id: 'order',
  context: ({ input }) => ({ address: input.address, log: [] }),
  initial: 'cart',
  states: {
    cart: { on: { pay: 'shipping', cancel: 'cancelled' }, after: { 1800000: 'cancelled' } },
    shipping: {
      invoke: {
        id: 'shipment',
        src: 'shipment',
        input: ({ context }) => ({ address: context.address }),
        onDone: { target: 'delivered', actions: assign({ address: ({ event }) => event.output.address }) },
      },
      on: {
        redirect: { actions: sendTo('shipment', ({ event }) => event) },
        delivered: { actions: sendTo('shipment', { type: 'delivered' }) },
        progress: {
          actions: [
            assign({ log: ({ context, event }) => [...context.log, event.text] }),
            emit(({ event }) => message(event.text)),
          ],
        },
        cancel: 'cancelled',
      },
    },
    delivered: { type: 'final', entry: emit(({ context }) => message(`Delivered to ${context.address}.`)) },
    cancelled: { type: 'final' },
  },
});

export const order = subject({
  flow: defineFlow({ type: 'order', version: 1, logic: machine }),
  options: { input: { address: 'Main St 1' } },
  script: [
    { send: { type: 'pay' } },
    { reject: 'callCarrier', with: 'closed' },
    { send: { type: 'redirect', address: 'Side St 2' } },
    { advance: '10m' },
    { resolve: 'callCarrier', with: { tracking: 'T1' } },
    { advance: '2d' },
    { resolve: 'callCarrier', with: { tracking: 'T2' } },
    { send: { type: 'delivered' } },
  ],
  ends: 'delivered',
  explore: {
    events: [{ type: 'pay' }, { type: 'cancel' }, { type: 'redirect', address: 'Side St 2' }, { type: 'delivered' }],
    depth: 5,
    coverage: { states: 1, transitions: 1, outcomes: 1 },
  },
});
