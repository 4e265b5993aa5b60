/** An appointment flow, and what becomes of it over its versions. */
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow, type FlowDefinition, type Migration } from '../../src/index.ts';

type Message = { type: 'message'; text: string };
const say = (text: string): Message => ({ type: 'message', text });

/** Asks, reminds once after an hour, confirms with the office. */
export const machineV1 = setup({
  types: {
    context: {} as { slots: string[] },
    events: {} as { type: 'reply'; text: string } | { type: 'cancel' },
    emitted: {} as Message,
  },
  actors: { confirm: fromPromise<string, { slot: string }>(async ({ input }) => `confirmed ${input.slot}`) },
  delays: { reminder: 3_600_000, patience: 86_400_000 },
}).createMachine({
  id: 'booking',
  context: { slots: [] },
  initial: 'asking',
  on: { cancel: '.lapsed' },
  states: {
    asking: {
      entry: emit(say('When would you come?')),
      on: {
        reply: {
          target: 'confirming',
          actions: assign({ slots: ({ context, event }) => [...context.slots, event.text] }),
        },
      },
      after: { reminder: 'reminded' },
    },
    reminded: {
      entry: emit(say('Just a reminder.')),
      on: {
        reply: {
          target: 'confirming',
          actions: assign({ slots: ({ context, event }) => [...context.slots, event.text] }),
        },
      },
      after: { patience: 'lapsed' },
    },
    confirming: {
      invoke: {
        id: 'confirm',
        src: 'confirm',
        input: ({ context }) => ({ slot: context.slots[0] ?? '' }),
        onDone: 'booked',
        onError: 'asking',
      },
    },
    booked: { entry: emit(say('You are booked.')) },
    lapsed: { type: 'final' },
  },
});

/** Has no reminder any more, but asks for patience from the start, and keeps the language. */
export const machineV2 = setup({
  types: {
    context: {} as { slots: string[]; language: string },
    events: {} as { type: 'reply'; text: string } | { type: 'cancel' } | { type: 'thanks' },
    emitted: {} as Message,
  },
  actors: { confirm: fromPromise<string, { slot: string }>(async ({ input }) => `confirmed ${input.slot}`) },
  delays: { patience: 86_400_000 },
}).createMachine({
  id: 'booking',
  context: { slots: [], language: 'en' },
  initial: 'asking',
  on: { cancel: '.lapsed' },
  states: {
    asking: {
      entry: emit(say('When would you like to come?')),
      on: {
        reply: {
          target: 'confirming',
          actions: assign({ slots: ({ context, event }) => [...context.slots, event.text] }),
        },
      },
      after: { patience: 'lapsed' },
    },
    confirming: {
      invoke: {
        id: 'confirm',
        src: 'confirm',
        input: ({ context }) => ({ slot: context.slots[0] ?? '' }),
        onDone: 'booked',
        onError: 'asking',
      },
    },
    booked: { entry: emit(say('You are booked!')), on: { thanks: { actions: emit(say('You are welcome.')) } } },
    lapsed: { type: 'final' },
  },
});

export const receive: NonNullable<FlowDefinition<typeof machineV1>['receive']> = ({ message }) =>
  ({ type: 'reply', text: `v1 ${message.text}` }) as const;

export const bookingV1 = defineFlow({ type: 'booking', version: 1, logic: machineV1, receive });

/** The right way from 1 to 2. */
export const toV2: Migration = (persisted, { timers, at }) => {
  const asking = persisted.value === 'asking' || persisted.value === 'reminded';
  return {
    snapshot: {
      ...persisted,
      value: asking ? 'asking' : persisted.value,
      context: { ...persisted.context, language: 'de' },
    },
    timers: asking ? [{ state: 'asking', after: 'patience', dueAt: at + 86_400_000 }] : timers,
  };
};

/** Version 2, with that way from version 1, or none. */
export const bookingV2 = (migrate?: Migration, more: Partial<FlowDefinition<typeof machineV2>> = {}) =>
  defineFlow({
    type: 'booking',
    version: 2,
    logic: machineV2,
    receive: ({ message }) => ({ type: 'reply', text: `v2 ${message.text}` }),
    ...(migrate && { migrate: { 1: migrate } }),
    ...more,
  });
