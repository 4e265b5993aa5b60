/** A credit check: several bureaus are asked side by side, and what they say is put together. */
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

const bureau = () => fromPromise<{ score: number }, { ssn: string }>(async () => ({ score: 0 }));

const asking = <const S extends 'askEqui' | 'askGavi' | 'askUnion'>(src: S) => ({
  initial: 'asking' as const,
  states: {
    asking: {
      invoke: {
        id: src,
        src,
        input: ({ context }: { context: { ssn: string } }) => ({ ssn: context.ssn }),
        onDone: { target: 'known' as const, actions: { type: 'keep' as const, params: { bureau: src } } },
        onError: 'unknown' as const,
      },
      after: { 60000: 'unknown' as const },
    },
    known: { type: 'final' as const },
    unknown: { type: 'final' as const },
  },
});

const machine = setup({
  types: {} as {
    context: { ssn: string; scores: Record<string, number> };
    input: { ssn: string };
    events: { type: 'apply' } | { type: 'again' };
  },
  actors: { askEqui: bureau(), askGavi: bureau(), askUnion: bureau() },
  actions: {
    keep: assign(({ context, event }, { bureau: name }: { bureau: string }) => ({
      scores: { ...context.scores, [name]: (event as any).output.score },
    })),
  },
  guards: {
    isKnown: ({ context }) => Object.keys(context.scores).length >= 2,
    isGood: ({ context }) => {
      const scores = Object.values(context.scores);
      return scores.length >= 2 && scores.reduce((sum, score) => sum + score, 0) / scores.length >= 600;
    },
  },
}).createMachine({
  id: 'creditCheck',
  context: ({ input }) => ({ ssn: input.ssn, scores: {} }),
  initial: 'waiting',
  states: {
    waiting: { on: { apply: 'checking' } },
    checking: {
      entry: assign({ scores: {} }),
      type: 'parallel',
      states: { equi: asking('askEqui'), gavi: asking('askGavi'), union: asking('askUnion') },
      onDone: [
        { guard: 'isGood', target: 'granted' },
        { guard: 'isKnown', target: 'declined' },
        { target: 'undecided' },
      ],
    },
    undecided: { entry: emit(message('We could not tell. Try again?')), on: { again: 'checking' } },
    granted: { type: 'final', entry: emit(message('Granted.')) },
    declined: { type: 'final', entry: emit(message('Declined.')) },
  },
});

const scores = { resolve: [{ score: 500 }, { score: 700 }] };

export const creditCheck = subject({
  flow: defineFlow({ type: 'credit_check', version: 1, logic: machine }),
  options: { input: { ssn: '123' } },
  script: [
    { send: { type: 'apply' } },
    { resolve: 'askGavi', with: { score: 700 } },
    { reject: 'askEqui', with: 'no such person' },
    { advance: '1m' },
    { send: { type: 'again' } },
    { resolve: 'askUnion', with: { score: 650 } },
    { resolve: 'askGavi', with: { score: 700 } },
    { resolve: 'askEqui', with: { score: 700 } },
  ],
  ends: 'granted',
  explore: {
    events: [{ type: 'apply' }, { type: 'again' }],
    outcomes: { askEqui: scores, askGavi: scores, askUnion: scores },
    depth: 5,
    coverage: { states: 1, transitions: 1, outcomes: 1 },
  },
});
