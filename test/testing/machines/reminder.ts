/** A reminder that becomes more urgent, can be snoozed, and comes back to where it was. */
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const machine = setup({
  types: {} as {
    context: { task: string; reminders: number };
    input: { task: string };
    events: { type: 'reply'; text: string };
  },
  guards: {
    isDone: ({ event }) => event.type === 'reply' && event.text === 'done',
    isLater: ({ event }) => event.type === 'reply' && event.text === 'later',
    isEnough: ({ context }) => context.reminders >= 3,
  },
  actions: {
    remind: emit(({ context }) => message(`Reminder: ${context.task}`)),
    count: assign({ reminders: ({ context }) => context.reminders + 1 }),
  },
}).createMachine({
  id: 'reminder',
  context: ({ input }) => ({ task: input.task, reminders: 0 }),
  initial: 'active',
  states: {
    active: {
      initial: 'gentle',
      on: {
        reply: [
          { guard: 'isDone', target: 'done' },
          { guard: 'isLater', target: 'snoozed' },
          { actions: emit(message('Write "done" or "later".')) },
        ],
      },
      states: {
        gentle: {
          entry: ['remind', 'count'],
          after: {
            86400000: [
              { guard: 'isEnough', target: 'urgent' },
              { target: 'gentle', reenter: true },
            ],
          },
        },
        urgent: {
          entry: emit(({ context }) => message(`Now, please: ${context.task}`)),
          after: { 3600000: '#reminder.escalated' },
        },
        before: { type: 'history' },
      },
    },
    snoozed: { after: { 7200000: 'active.before' } },
    escalated: {
      entry: emit({ type: 'escalation', level: 1 } as never),
      on: { reply: { guard: 'isDone', target: 'done' } },
    },
    done: { type: 'final', entry: emit(message('Thank you.')) },
  },
});

export const reminder = subject({
  flow: defineFlow({ type: 'reminder', version: 1, logic: machine }),
  options: { input: { task: 'water the plants' }, phoneNumber: '+15551234567' },
  script: [
    { receive: 'what?' },
    { advance: '1d' },
    { receive: 'later' },
    { advance: '2h' },
    { advance: '1d' },
    { advance: '25h' },
    { receive: 'done' },
  ],
  ends: 'done',
  explore: {
    events: ['done', 'later', 'what?'].map((text) => ({ type: 'reply' as const, text })),
    depth: 7,
    coverage: { states: 0.85, transitions: 1 },
  },
});
