/** An approval: it is delegated to actors that are spawned by name, each with a deadline of its own, and goes up where nobody answers. */
import { assign, emit, sendTo, setup, stopChild } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const delegate = setup({
  types: {} as {
    context: { name: string; reminded: number };
    input: { name: string };
    events: { type: 'remind' } | { type: 'answer'; yes: boolean };
    output: { name: string; yes: boolean };
  },
}).createMachine({
  context: ({ input }) => ({ name: input.name, reminded: 0 }),
  initial: 'asked',
  output: ({ context, event }) => ({ name: context.name, yes: (event as any).output?.yes === true }),
  states: {
    asked: {
      on: {
        remind: { actions: assign({ reminded: ({ context }) => context.reminded + 1 }) },
        answer: [{ guard: ({ event }) => event.yes, target: 'yes' }, { target: 'no' }],
      },
      after: { 86400000: { actions: assign({ reminded: ({ context }) => context.reminded + 1 }) } },
    },
    yes: { type: 'final', output: { yes: true } },
    no: { type: 'final', output: { yes: false } },
  },
});

const LEVELS = ['clerk', 'manager', 'director'];

const machine = setup({
  types: {} as {
    context: { level: number; answers: { name: string; yes: boolean }[] };
    events: { type: 'submit' } | { type: 'remind' } | { type: 'answer'; yes: boolean } | { type: 'withdraw' };
  },
  actors: { delegate },
  actions: {
    ask: assign(({ context, spawn }) => {
      spawn('delegate', {
        id: 'delegate',
        systemId: `the ${LEVELS[context.level]}`,
        input: { name: LEVELS[context.level]! },
      });
      return {};
    }),
    goUp: assign({ level: ({ context }) => context.level + 1 }),
    keep: assign({ answers: ({ context, event }) => [...context.answers, (event as any).output] }),
    dismiss: stopChild('delegate'),
  },
  guards: {
    isLast: ({ context }) => context.level === LEVELS.length - 1,
    saysYes: ({ event }) => (event as any).output.yes,
  },
}).createMachine({
  id: 'approval',
  context: { level: 0, answers: [] },
  initial: 'draft',
  states: {
    draft: { on: { submit: 'asking' } },
    asking: {
      entry: 'ask',
      on: {
        remind: { actions: sendTo('delegate', { type: 'remind' }) },
        answer: { actions: sendTo('delegate', ({ event }) => event) },
        withdraw: { target: 'draft', actions: ['dismiss', assign({ level: 0 })] },
        ...({
          'xstate.done.actor.delegate': [
            { guard: 'saysYes', target: 'approved', actions: 'keep' },
            { target: 'declined', actions: 'keep' },
          ],
        } as object),
      },
      after: {
        259200000: [
          { guard: 'isLast', target: 'declined', actions: 'dismiss' },
          { target: 'asking', reenter: true, actions: ['dismiss', 'goUp', emit(message('It goes up.'))] },
        ],
      },
    },
    approved: { type: 'final', entry: emit(message('Approved.')) },
    declined: { type: 'final', entry: emit(message('Declined.')) },
  },
});

export const approval = subject({
  flow: defineFlow({ type: 'approval', version: 1, logic: machine }),
  script: [
    { send: { type: 'submit' } },
    { send: { type: 'remind' } },
    { advance: '4d' },
    { send: { type: 'withdraw' } },
    { send: { type: 'submit' } },
    { advance: '1d' },
    { send: { type: 'answer', yes: true } },
  ],
  ends: 'approved',
  explore: {
    events: [
      { type: 'submit' },
      { type: 'remind' },
      { type: 'answer', yes: true },
      { type: 'answer', yes: false },
      { type: 'withdraw' },
    ],
    depth: 8,
    coverage: { states: 1, transitions: 1 },
  },
});
