/** Small flows that the tests of the guarantees share. */
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';

/** Counts; speaks; throws where it is told to; asks again after an hour. */
export const counterMachine = setup({
  types: {
    context: {} as { count: number; log: string[] },
    events: {} as
      | { type: 'inc' }
      | { type: 'say'; text: string; to?: string }
      | { type: 'throw' }
      | { type: 'note'; text: string }
      | { type: 'throw later' }
      | { type: 'reply'; text: string },
    emitted: {} as { type: 'message'; text: string; to?: string },
  },
}).createMachine({
  id: 'counter',
  context: { count: 0, log: [] },
  on: {
    inc: { actions: assign({ count: ({ context }) => context.count + 1 }) },
    say: {
      actions: emit(({ event }) => ({ type: 'message', text: event.text, ...(event.to && { to: event.to }) })),
    },
    note: { actions: assign({ log: ({ context, event }) => [...context.log, event.text] }) },
    throw: {
      guard: () => {
        throw new Error('the guard threw');
      },
    },
    reply: [
      {
        guard: ({ event }) => event.text === 'throw',
        actions: assign(() => {
          throw new Error('the reply threw');
        }),
      },
      {
        guard: ({ event }) => event.text !== 'nothing',
        actions: [
          assign({ log: ({ context, event }) => [...context.log, event.text] }),
          emit(({ event }) => ({ type: 'message', text: `you said ${event.text}` })),
        ],
      },
    ],
  },
  initial: 'calm',
  states: {
    calm: { on: { 'throw later': 'doomed' } },
    doomed: {
      after: {
        1000: {
          target: 'calm',
          guard: () => {
            throw new Error('the deadline threw');
          },
        },
      },
    },
  },
});

export const counter = defineFlow({ type: 'counter', version: 1, logic: counterMachine });
