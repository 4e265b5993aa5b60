/**
 * A daily check-in: asks, reminds once after two hours, gives up after four, and asks again the next day. Every delay is a
 * deadline in the database: kill the process in the middle of one, start it again, and it is where it was.
 */
import { choose, type Message, message } from 'perdure/machine';
import { assign, emit, setup } from 'xstate';
import { moods, texts } from './texts.ts';

export const checkIn = setup({
  types: {
    context: {} as { name: string; answers: string[] },
    input: {} as { name: string },
    events: {} as { type: 'reply'; text: string },
    emitted: {} as Message,
    tags: {} as 'asking',
  },
  delays: { reminderDelay: 2 * 3_600_000, patience: 4 * 3_600_000, oneDay: 24 * 3_600_000 },
  guards: { isMood: ({ event }) => choose(event.text, moods) !== undefined },
}).createMachine({
  id: 'check_in',
  context: ({ input }) => ({ name: input.name, answers: [] }),
  initial: 'asking',
  states: {
    asking: {
      tags: 'asking',
      entry: emit(({ context }) => message(texts.ask(context.name), moods)),
      on: {
        reply: [
          {
            guard: 'isMood',
            target: 'answered',
            actions: assign({
              answers: ({ context, event }) => [...context.answers, choose(event.text, moods)!],
            }),
          },
          { actions: emit(message(texts.unclear)) },
        ],
      },
      after: { patience: { target: 'resting', actions: emit(message(texts.missed)) } },
      initial: 'patient',
      states: {
        patient: { after: { reminderDelay: { target: 'reminded', actions: emit(message(texts.remind)) } } },
        reminded: {},
      },
    },
    answered: {
      entry: emit(({ context }) => {
        const mood = moods.find(({ id }) => id === context.answers.at(-1))!;
        return message(texts.thanks(mood.label));
      }),
      always: 'resting',
    },
    resting: { after: { oneDay: 'asking' } },
  },
});
