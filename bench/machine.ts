/** The flow that is measured: 14 states, a deadline in each, one message a turn; a snapshot of about 600 bytes. */
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../src/index.ts';
import { now } from '../src/machine/index.ts';

const names = Array.from({ length: 14 }, (_, i) => `step${i}`);

export const benchMachine = setup({
  types: {
    context: {} as { count: number; name: string; answers: Record<string, string>; note: string },
    events: {} as { type: 'reply'; text: string },
    emitted: {} as { type: 'message'; text: string },
  },
  actions: {
    answer: assign(({ context, event }) => ({
      count: context.count + 1,
      answers: { ...context.answers, [`q${context.count % 14}`]: event.text },
    })),
    ask: emit(({ context }) => ({
      type: 'message' as const,
      text: `Question ${context.count}: how do you feel today?`,
    })),
  },
  delays: { patience: 12 * 3_600_000 },
}).createMachine({
  id: 'bench',
  context: {
    count: 0,
    name: 'Ada Lovelace',
    answers: Object.fromEntries(names.map((_, i) => [`q${i}`, 'a plain answer'])),
    note: 'enrolled in the study of short habits',
  },
  initial: 'step0',
  states: Object.fromEntries(
    names.map((name, i) => [
      name,
      {
        on: { reply: { target: names[(i + 1) % names.length]!, actions: ['answer', 'ask'] } },
        after: { patience: names[0]! },
      },
    ]),
  ) as never,
});

export const benchFlow = defineFlow({ type: 'bench', version: 1, logic: benchMachine });

/** One deadline at a given instant. */
export const deadlineFlow = defineFlow({
  type: 'deadline',
  version: 1,
  logic: setup({
    types: { context: {} as { dueAt: number }, input: {} as { dueAt: number } },
    delays: { due: ({ context }) => context.dueAt - now() },
  }).createMachine({
    id: 'deadline',
    context: ({ input }) => input,
    initial: 'waiting',
    states: { waiting: { after: { due: 'fired' } }, fired: {} },
  }),
});
