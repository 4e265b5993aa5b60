/** A traffic light with a pedestrian crossing: nested states, a deadline in each, and a fault that it comes back from. */
import { emit, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const machine = setup({
  types: {} as { events: { type: 'fault' } | { type: 'repaired' } | { type: 'button' } },
  delays: { long: 30_000, short: 5_000 },
}).createMachine({
  id: 'light',
  initial: 'working',
  states: {
    working: {
      initial: 'green',
      on: { fault: 'blinking' },
      states: {
        green: { after: { long: 'yellow' }, on: { button: 'yellow' } },
        yellow: { after: { short: 'red' } },
        red: {
          initial: 'walk',
          onDone: 'green',
          states: {
            walk: { after: { short: 'wait' } },
            wait: { after: { short: 'stop' } },
            stop: { after: { short: 'over' } },
            over: { type: 'final' },
          },
        },
        last: { type: 'history', history: 'deep' },
      },
    },
    blinking: {
      entry: emit(message('The light blinks.')),
      on: { repaired: 'working.last' },
      after: { long: { target: 'blinking', reenter: true } },
    },
  },
});

export const trafficLight = subject({
  flow: defineFlow({ type: 'traffic_light', version: 1, logic: machine }),
  script: [
    { advance: '10s' },
    { send: { type: 'button' } },
    { advance: '12s' },
    { send: { type: 'fault' } },
    { advance: '65s' },
    { send: { type: 'repaired' } },
    { advance: '10s' },
  ],
  ends: 'working.green',
  explore: {
    events: [{ type: 'fault' }, { type: 'repaired' }, { type: 'button' }],
    depth: 7,
    coverage: { states: 0.9, transitions: 1 },
  },
});
