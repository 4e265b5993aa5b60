/** The flow that the tests of the testing kit share: it asks, waits, books, and ends. */
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { message } from '../../src/machine/index.ts';

export const appointmentMachine = setup({
  types: {
    context: {} as { day: string; reminded: number; room: number | null },
    input: {} as { day: string },
    events: {} as { type: 'reply'; text: string } | { type: 'fail' },
    emitted: {} as ReturnType<typeof message>,
    output: {} as { room: number | null },
  },
  actors: { bookRoom: fromPromise<{ room: number }, { day: string }>(async () => ({ room: 12 })) },
  delays: { reminder: 15 * 60_000 },
  guards: { isYes: (_, { text }: { text: string }) => text === '1' },
}).createMachine({
  id: 'appointment',
  context: ({ input }) => ({ day: input.day, reminded: 0, room: null }),
  output: ({ context }) => ({ room: context.room }),
  initial: 'asking',
  states: {
    asking: {
      entry: emit(({ context }) =>
        message(`Will you come on ${context.day}?`, [
          { id: '1', label: 'Yes' },
          { id: '2', label: 'No' },
        ]),
      ),
      on: {
        reply: [
          { guard: { type: 'isYes', params: ({ event }) => ({ text: event.text }) }, target: 'booking' },
          { target: 'over' },
        ],
        fail: {
          guard: () => {
            throw new Error('the guard threw');
          },
        },
      },
      after: {
        reminder: {
          target: 'asking',
          reenter: true,
          guard: ({ context }) => context.reminded < 2,
          actions: assign({ reminded: ({ context }) => context.reminded + 1 }),
        },
        86400000: 'over',
      },
    },
    booking: {
      invoke: {
        id: 'room',
        src: 'bookRoom',
        input: ({ context }) => ({ day: context.day }),
        onDone: {
          target: 'over',
          actions: [
            assign({ room: ({ event }) => event.output.room }),
            emit(({ event }) => message(`It is room ${event.output.room}.`)),
          ],
        },
      },
    },
    over: { type: 'final' },
  },
});

export const appointment = defineFlow({ type: 'appointment', version: 1, logic: appointmentMachine });
