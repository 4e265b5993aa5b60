/** A booking saga, after the travel agent of many a workflow engine: what was booked is undone, in reverse, if a later part fails. */
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const service = () =>
  fromPromise<{ reference: string }, { trip: string }>(async () => {
    throw new Error('not provided');
  });

const machine = setup({
  types: {} as {
    context: { trip: string; booked: { name: string; reference: string }[]; problem: string | null };
    input: { trip: string };
    events: { type: 'book' } | { type: 'cancel' };
    output: { booked: number };
  },
  actors: {
    bookHotel: service(),
    bookCar: service(),
    bookFlight: service(),
    cancelHotel: service(),
    cancelCar: service(),
  },
  actions: {
    keep: assign(({ context, event }, { name }: { name: string }) => ({
      booked: [...context.booked, { name, reference: (event as any).output.reference }],
    })),
    drop: assign(({ context }) => ({ booked: context.booked.slice(0, -1) })),
    noteProblem: assign(({ event }) => ({ problem: String((event as any).error?.message) })),
  },
  delays: { patience: 24 * 3_600_000 },
}).createMachine({
  id: 'booking',
  context: ({ input }) => ({ trip: input.trip, booked: [], problem: null }),
  initial: 'quoted',
  output: ({ context }) => ({ booked: context.booked.length }),
  states: {
    quoted: {
      entry: emit(message('Shall I book?')),
      on: { book: 'hotel', cancel: 'cancelled' },
      after: { patience: 'expired' },
    },
    hotel: {
      invoke: {
        src: 'bookHotel',
        input: ({ context }) => ({ trip: context.trip }),
        onDone: { target: 'car', actions: { type: 'keep', params: { name: 'hotel' } } },
        onError: { target: 'cancelled', actions: 'noteProblem' },
      },
    },
    car: {
      invoke: {
        src: 'bookCar',
        input: ({ context }) => ({ trip: context.trip }),
        onDone: { target: 'flight', actions: { type: 'keep', params: { name: 'car' } } },
        onError: { target: 'undoing.hotel', actions: 'noteProblem' },
      },
    },
    flight: {
      invoke: {
        src: 'bookFlight',
        input: ({ context }) => ({ trip: context.trip }),
        onDone: { target: 'booked', actions: { type: 'keep', params: { name: 'flight' } } },
        onError: { target: 'undoing.car', actions: 'noteProblem' },
      },
    },
    undoing: {
      initial: 'car',
      states: {
        car: {
          invoke: {
            src: 'cancelCar',
            input: ({ context }) => ({ trip: context.trip }),
            onDone: { target: 'hotel', actions: 'drop' },
            onError: 'stuck',
          },
        },
        hotel: {
          invoke: {
            src: 'cancelHotel',
            input: ({ context }) => ({ trip: context.trip }),
            onDone: { target: '#booking.cancelled', actions: 'drop' },
            onError: 'stuck',
          },
        },
        stuck: { entry: emit(message('Somebody has to look at this.')), after: { 3600000: 'car' } },
      },
    },
    booked: { type: 'final', entry: emit(message('All is booked.')) },
    cancelled: { type: 'final', entry: emit(({ context }) => message(`Nothing was booked: ${context.problem}`)) },
    expired: { type: 'final' },
  },
});

const reference = (text: string) => ({ resolve: [{ reference: text }] });

export const booking = subject({
  flow: defineFlow({ type: 'booking', version: 1, logic: machine }),
  options: { input: { trip: 'Lisbon' } },
  script: [
    { advance: '23h' },
    { send: { type: 'book' } },
    { resolve: 'bookHotel', with: { reference: 'H1' } },
    { resolve: 'bookCar', with: { reference: 'C1' } },
    { reject: 'bookFlight', with: 'fully booked' },
    { reject: 'cancelCar' },
    { advance: '1h' },
    { resolve: 'cancelCar' },
    { resolve: 'cancelHotel' },
  ],
  ends: 'cancelled',
  explore: {
    events: [{ type: 'book' }, { type: 'cancel' }],
    outcomes: { bookHotel: reference('H1'), bookCar: reference('C1'), bookFlight: reference('F1') },
    coverage: { states: 1, transitions: 1, outcomes: 1 },
  },
});
