/** A job that is polled: each wait is longer than the one before, with jitter from `random()`, and there is an end to it. */
import { assign, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { random } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

type Status = { status: 'running' } | { status: 'finished'; result: { total: bigint } };

const machine = setup({
  types: {} as {
    context: { job: string; polls: number; jitter: number; result: { total: bigint } | undefined };
    input: { job: string };
    events: { type: 'abort' };
    output: { polls: number };
  },
  actors: { poll: fromPromise<Status, { job: string; nth: number }>(async () => ({ status: 'running' })) },
  actions: {
    count: assign({ polls: ({ context }) => context.polls + 1, jitter: () => random() }),
    keep: assign({ result: ({ event }) => (event as any).output.result }),
  },
  guards: {
    isFinished: ({ event }) => (event as any).output?.status === 'finished',
    isEnough: ({ context }) => context.polls >= 4,
  },
  delays: { backoff: ({ context }) => 1_000 * 2 ** context.polls * (0.5 + context.jitter / 2) },
}).createMachine({
  id: 'poll',
  context: ({ input }) => ({ job: input.job, polls: 0, jitter: 0, result: undefined }),
  output: ({ context }) => ({ polls: context.polls }),
  initial: 'asking',
  on: { abort: '.aborted' },
  states: {
    asking: {
      entry: 'count',
      invoke: {
        src: 'poll',
        input: ({ context }) => ({ job: context.job, nth: context.polls }),
        onDone: [{ guard: 'isFinished', target: 'finished', actions: 'keep' }, { target: 'deciding' }],
        onError: 'deciding',
      },
    },
    deciding: { always: [{ guard: 'isEnough', target: 'gaveUp' }, { target: 'waiting' }] },
    waiting: { after: { backoff: 'asking' } },
    finished: { type: 'final' },
    gaveUp: { type: 'final' },
    aborted: { type: 'final' },
  },
});

export const poll = subject({
  flow: defineFlow({ type: 'poll', version: 1, logic: machine }),
  options: { input: { job: 'J1' } },
  script: [
    { resolve: 'poll', with: { status: 'running' } },
    { advance: '2s' },
    { reject: 'poll', with: new TypeError('not reachable') },
    { advance: '4s' },
    { resolve: 'poll', with: { status: 'finished', result: { total: 2n ** 70n } } },
  ],
  ends: 'finished',
  explore: {
    events: [{ type: 'abort' }],
    outcomes: { poll: { resolve: [{ status: 'running' }, { status: 'finished', result: { total: 1n } }] } },
    depth: 7,
    serializeState: ({ value, context }) => [value, context.polls],
    coverage: { states: 0.85, transitions: 1, outcomes: 1 },
  },
});
