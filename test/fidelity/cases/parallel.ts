import { assign, createMachine, raise, stateIn } from 'xstate';
import { log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const keyboard = createMachine({
  type: 'parallel',
  context: { log: [] },
  states: {
    bold: {
      initial: 'off',
      states: {
        off: { on: { BOLD: { target: 'on', actions: log('bold on') }, ALL: 'on' } },
        on: { on: { BOLD: 'off', NONE: { target: 'off', actions: log('bold none') } } },
      },
    },
    italic: {
      initial: 'off',
      states: {
        off: { on: { ITALIC: 'on', ALL: { target: 'on', guard: stateIn({ bold: 'off' }) } } },
        on: { on: { ITALIC: 'off', NONE: { target: 'off', actions: log('italic none') } } },
      },
    },
    list: {
      initial: 'none',
      on: { RESET: '.none' },
      states: {
        none: { on: { LIST: 'kind' } },
        kind: {
          type: 'parallel',
          states: {
            mark: { initial: 'bullet', states: { bullet: { on: { NUMBER: 'number' } }, number: {} } },
            indent: {
              initial: 'i0',
              states: { i0: { on: { IN: 'i1' } }, i1: { on: { IN: 'i2', OUT: 'i0' } }, i2: {} },
            },
          },
        },
      },
    },
  },
});

const manyTargets = createMachine({
  initial: 'start',
  states: {
    start: { on: { JUMP: { target: ['#l2', '#r3'] } } },
    both: {
      type: 'parallel',
      entry: log('+both'),
      exit: log('-both'),
      on: { START: 'start' },
      states: {
        l: { initial: 'l1', states: { l1: { id: 'l1' }, l2: { id: 'l2', entry: log('+l2'), exit: log('-l2') } } },
        r: {
          initial: 'r1',
          states: { r1: {}, r2: {}, r3: { id: 'r3', entry: log('+r3'), exit: log('-r3'), on: { LEFT: '#l1' } } },
        },
      },
    },
  },
});

const conversation = createMachine({
  type: 'parallel',
  context: { rounds: 0 },
  states: {
    ping: {
      initial: 'idle',
      states: {
        idle: { on: { GO: { target: 'waiting', actions: raise({ type: 'PING' }) } } },
        waiting: {
          on: { PONG: { target: 'idle', actions: assign({ rounds: ({ context }: any) => context['rounds'] + 1 }) } },
        },
      },
    },
    pong: {
      initial: 'idle',
      states: {
        idle: { on: { PING: { target: 'answered', actions: raise({ type: 'PONG' }) } } },
        answered: { always: { target: 'idle', guard: stateIn({ ping: 'idle' }) } },
      },
    },
  },
});

export const cases: Case[] = [
  {
    name: 'parallel: regions change independently and together, a region nested in a region',
    logic: keyboard,
    script: [
      send('BOLD'),
      send('LIST'),
      send('NUMBER'),
      send('IN'),
      send('IN'),
      send('ALL'),
      send('ITALIC'),
      send('NONE'),
    ],
    expect: {
      value: { bold: 'off', italic: 'off', list: { kind: { mark: 'number', indent: 'i2' } } },
      context: { log: ['bold on', 'bold none', 'italic none'] },
    },
  },
  {
    name: 'parallel: guards of all regions see the state before the step',
    logic: keyboard,
    script: [send('ALL'), send('NONE'), send('BOLD'), send('ALL'), send('LIST'), send('RESET')],
    expect: { value: { bold: 'on', italic: 'off', list: 'none' } },
  },
  {
    name: 'parallel: a transition into several regions, and one across regions',
    logic: manyTargets,
    script: [send('JUMP'), send('LEFT'), send('START')],
    expect: {
      values: ['start', { both: { l: 'l2', r: 'r3' } }, { both: { l: 'l1', r: 'r1' } }, 'start'],
      context: { log: ['+both', '+l2', '+r3', '-r3', '-l2', '-both'] },
    },
  },
  {
    name: 'parallel: regions that raise events for one another',
    logic: conversation,
    script: [send('GO'), send('GO'), send('GO')],
    expect: { value: { ping: 'idle', pong: 'idle' }, context: { rounds: 3 } },
  },
];
