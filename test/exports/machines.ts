/** The machines that the exports are tested with: those of the flows, and one that has one of everything. */

import type { AnyStateMachine } from 'xstate';
import {
  and,
  cancel,
  emit,
  fromCallback,
  fromPromise,
  log,
  not,
  or,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
} from 'xstate';
import { conversationMachine } from '../../machines/conversation.ts';
import { microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';

const kettle = setup({ delays: { boiling: 90_000 } }).createMachine({
  id: 'kettle',
  description: 'Boils water.',
  initial: 'cold',
  states: { cold: { after: { boiling: 'hot' } }, hot: { type: 'final' } },
});

export const kitchen = setup({
  types: {} as { context: { cups: number }; events: any; emitted: any },
  actors: { kettle, shop: fromPromise(async () => {}), doorbell: fromCallback(() => {}) },
  delays: { nap: 3_600_000, untilGuests: ({ context }) => context.cups * 1_000 },
  guards: { isThirsty: () => true, isLate: () => false, over: (_, __: { cups: number }) => true },
  actions: { pour: () => {}, greet: (_, __: { name: string }) => {} },
}).createMachine({
  id: 'kitchen sink',
  description: 'One of everything: <&> "quotes" – and -- dashes',
  context: { cups: 0 },
  initial: 'asleep',
  entry: spawnChild('doorbell', { id: 'bell' }),
  on: { ALARM: { target: '.asleep', actions: 'pour', description: 'Back to bed.' }, NOTE: { actions: log('noted') } },
  states: {
    asleep: {
      entry: [raise({ type: 'DREAM' }, { delay: 5_000, id: 'dream' }), 'pour'],
      exit: cancel('dream'),
      after: { nap: 'up', untilGuests: { target: 'up.back', guard: not('isLate') }, 500: { actions: 'pour' } },
    },
    up: {
      type: 'parallel',
      onDone: 'over',
      invoke: [
        { id: 'brew', src: 'kettle', onDone: { actions: 'pour' } },
        { src: 'shop', input: ({ context }) => context.cups, onError: '#over' },
      ],
      states: {
        hands: {
          initial: 'free',
          states: {
            free: {
              on: { 'TAKE CUP': { target: 'full', guard: and(['isThirsty', or([not('isLate'), 'isThirsty'])]) } },
            },
            full: {
              tags: ['busy', 'hot'],
              on: {
                DRINK: { target: 'full', reenter: true, actions: { type: 'greet', params: { name: "O'Neill" } } },
                SIP: { target: 'full', actions: sendTo('bell', { type: 'RING', loud: true }) },
                SPILL: [
                  { guard: { type: 'over', params: { cups: 3 } }, target: 'empty' },
                  { guard: stateIn('#radio on'), actions: emit({ type: 'splash' }) },
                ],
              },
            },
            empty: { type: 'final' },
          },
        },
        ears: {
          initial: 'off',
          states: {
            off: { always: { guard: 'isLate', target: 'on' } },
            on: { id: 'radio on', on: { '*': 'off' } },
            past: { type: 'history', history: 'deep', target: 'on' },
          },
        },
        back: { type: 'history' },
      },
      meta: { room: 'kitchen' },
    },
    over: { id: 'over', type: 'final', output: { cups: 1 } },
  },
});

export const machines: [name: string, machine: AnyStateMachine][] = [
  ['micro-health-intervention', microHealthInterventionMachine],
  ['conversation', conversationMachine],
  ['supervisor', supervisorMachine],
  ['kitchen-sink', kitchen],
];
