import { and, assign, createMachine, not, or, setup, stateIn } from 'xstate';
import { now } from '../../../src/machine/ambient.ts';
import { advance, log, MINUTE, send } from '../steps.ts';
import { type Case, START } from '../subject.ts';

const typed = setup({
  types: {
    context: {} as { level: number; admin: boolean },
    events: {} as
      | { type: 'ENTER'; age: number }
      | { type: 'PROMOTE' }
      | { type: 'RAISE'; by: number }
      | { type: 'BACK' },
  },
  guards: {
    isAdmin: ({ context }: any) => context.admin,
    atLeast: (_, params: { age: number; min: number }) => params.age >= params.min,
    hasLevel: ({ context }, { level }: { level: number }) => context.level >= level,
  },
  actions: {
    raiseLevel: assign({ level: ({ context }, { by }: { by: number }) => context.level + by }),
  },
});

const door = typed.createMachine({
  context: { level: 0, admin: false },
  initial: 'outside',
  states: {
    outside: {
      on: {
        ENTER: [
          { guard: and(['isAdmin', { type: 'hasLevel', params: { level: 2 } }]), target: 'vault' },
          {
            guard: or([
              'isAdmin',
              and([
                not('isAdmin'),
                { type: 'atLeast', params: ({ event }: any) => ({ age: event.age, min: 18 }) } as never,
              ]),
            ]),
            target: 'hall',
          },
          { target: 'refused' },
        ],
        PROMOTE: { actions: assign({ admin: true }) },
        RAISE: { actions: { type: 'raiseLevel', params: ({ event }: any) => ({ by: event.by }) } },
      },
    },
    hall: { on: { BACK: 'outside' } },
    vault: { on: { BACK: 'outside' } },
    refused: { on: { BACK: 'outside' } },
  },
});

const lights = createMachine({
  type: 'parallel',
  context: { log: [] },
  states: {
    power: { initial: 'off', states: { off: { on: { POWER: 'on' } }, on: { id: 'powered', on: { POWER: 'off' } } } },
    lamp: {
      initial: 'dark',
      states: {
        dark: { on: { SWITCH: [{ guard: stateIn('#powered'), target: 'lit' }, { actions: log('no power') }] } },
        lit: {
          always: { guard: not(stateIn({ power: 'on' })), target: 'dark', actions: log('power cut') },
          initial: 'dim',
          states: {
            dim: {
              on: { BRIGHTEN: { guard: and([stateIn('#powered'), stateIn({ lamp: 'lit' })]), target: 'bright' } },
            },
            bright: {},
          },
        },
      },
    },
  },
});

const officeHours = createMachine({
  initial: 'waiting',
  context: { calls: 0 },
  states: {
    waiting: {
      on: {
        CALL: [
          { guard: () => now() - START >= 10 * MINUTE, target: 'open' },
          { actions: assign({ calls: ({ context }: any) => context['calls'] + 1 }) },
        ],
      },
    },
    open: {},
  },
});

export const cases: Case[] = [
  {
    name: 'guards: named, with params, combined by and, or, not',
    logic: door,
    script: [
      ...[send('ENTER', { age: 12 }), send('BACK'), send('ENTER', { age: 18 }), send('BACK'), send('PROMOTE')],
      ...[send('ENTER', { age: 3 }), send('BACK'), send('RAISE', { by: 2 }), send('ENTER', { age: 3 })],
    ],
    expect: {
      values: [
        ...['outside', 'refused', 'outside', 'hall', 'outside', 'outside', 'hall', 'outside', 'outside', 'vault'],
      ],
      context: { level: 2, admin: true },
    },
  },
  {
    name: 'guards: stateIn by id and by value, in transitions and in always',
    logic: lights,
    script: [send('SWITCH'), send('POWER'), send('SWITCH'), send('BRIGHTEN'), send('POWER')],
    expect: { value: { power: 'off', lamp: 'dark' }, context: { log: ['no power', 'power cut'] } },
  },
  {
    name: 'guards: one that reads the time',
    logic: officeHours,
    script: [send('CALL'), advance(10 * MINUTE - 1), send('CALL'), advance(1), send('CALL')],
    expect: { value: 'open', context: { calls: 2 } },
  },
];
