/** A stopwatch: it ticks by a delayed event to itself, counts from instants, and keeps laps. */
import { assign, cancel, emit, raise, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message, now } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const machine = setup({
  types: {} as {
    context: { startedAt: number; elapsed: number; ticks: number; laps: number[] };
    events: { type: 'start' } | { type: 'stop' } | { type: 'lap' } | { type: 'reset' } | { type: 'tick' };
  },
  actions: {
    begin: assign({ startedAt: () => now() }),
    end: assign({ elapsed: ({ context }) => context.elapsed + now() - context.startedAt }),
    keepLap: assign({
      laps: ({ context }) => [...context.laps, context.elapsed + now() - context.startedAt],
    }),
    clear: assign({ elapsed: 0, ticks: 0, laps: [] }),
    tickSoon: raise({ type: 'tick' }, { delay: 1_000, id: 'tick' }),
  },
}).createMachine({
  id: 'stopwatch',
  context: { startedAt: 0, elapsed: 0, ticks: 0, laps: [] },
  initial: 'stopped',
  states: {
    stopped: { on: { start: 'running', reset: { actions: 'clear' } } },
    running: {
      entry: ['begin', 'tickSoon'],
      exit: ['end', cancel('tick')],
      on: {
        tick: { actions: [assign({ ticks: ({ context }) => context.ticks + 1 }), 'tickSoon'] },
        lap: {
          actions: ['keepLap', emit(({ context }) => message(`Lap ${context.laps.length}: ${context.laps.at(-1)} ms`))],
        },
        stop: 'stopped',
      },
    },
  },
});

export const stopwatch = subject({
  flow: defineFlow({ type: 'stopwatch', version: 1, logic: machine }),
  script: [
    { send: { type: 'start' } },
    { advance: '2500ms' },
    { send: { type: 'lap' } },
    { advance: '1s' },
    { send: { type: 'stop' } },
    { advance: '10s' },
    { send: { type: 'start' } },
    { advance: '1s' },
    { send: { type: 'lap' } },
    { send: { type: 'stop' } },
    { send: { type: 'reset' } },
  ],
  ends: 'stopped',
  explore: {
    events: [{ type: 'start' }, { type: 'stop' }, { type: 'lap' }, { type: 'reset' }],
    depth: 4,
    coverage: { states: 1, transitions: 1 },
  },
});
