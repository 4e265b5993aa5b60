import { assign, createMachine, setup } from 'xstate';
import { advance, log, logAt, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const form = createMachine({
  initial: 'filling',
  context: { name: '', log: [] } as Record<string, any>,
  output: ({ context, event }: any) => ({ name: context['name'], done: event.output, log: context['log'].length }),
  exit: log('-root'),
  states: {
    filling: {
      initial: 'name',
      onDone: { target: 'filled', actions: log(({ event }: any) => event.output) },
      states: {
        name: { on: { NAME: { target: 'check', actions: assign({ name: ({ event }: any) => event['name'] }) } } },
        check: { on: { YES: 'ok', NO: 'name' } },
        ok: {
          type: 'final',
          output: ({ context }: any) => ({ hello: context.name }),
          entry: log('+ok'),
          exit: log('-ok'),
        },
      },
    },
    filled: { on: { SUBMIT: 'sent', AGAIN: 'filling' }, after: { 5000: 'sent' } },
    sent: { type: 'final', output: ({ context }: any) => context.name.length, entry: log('+sent') },
  },
});

const exam = createMachine({
  initial: 'running',
  context: { log: [] },
  states: {
    running: {
      type: 'parallel',
      onDone: { target: 'graded', actions: [logAt('all done'), log(({ event }: any) => event.output ?? 'no output')] },
      states: {
        writing: {
          initial: 'open',
          onDone: { actions: logAt('writing done') },
          states: { open: { on: { HAND_IN: 'closed' }, after: { 3000: 'closed' } }, closed: { type: 'final' } },
        },
        talking: {
          initial: 'first',
          onDone: { actions: logAt('talking done') },
          states: {
            first: { on: { SAY: 'second' } },
            second: {
              initial: 'a',
              onDone: 'third',
              states: { a: { on: { SAY: 'z' } }, z: { type: 'final' } },
            },
            third: { type: 'final' },
          },
        },
      },
    },
    graded: {},
  },
});

const allRegions = createMachine({
  type: 'parallel',
  context: { n: 3 },
  output: ({ context }: any) => ({ total: context.n }),
  states: {
    x: { initial: 'x1', states: { x1: { on: { X: 'x2' } }, x2: { type: 'final' } } },
    y: { initial: 'y1', states: { y1: { after: { 100: 'y2' } }, y2: { type: 'final' } } },
  },
});

const atOnce = createMachine({
  context: ({ input }: any) => ({ n: (input as { n: number }).n }),
  initial: 'deciding',
  output: ({ context }: any) => context.n * 2,
  states: {
    deciding: { always: [{ guard: ({ context }: any) => context.n > 10, target: 'done' }, { target: 'waiting' }] },
    waiting: { on: { SET: { target: 'deciding', actions: assign({ n: ({ event }: any) => event['n'] }) } } },
    done: { type: 'final' },
  },
});

const parentOfFinals = setup({ actors: { atOnce, allRegions } }).createMachine({
  initial: 'first',
  context: { log: [] },
  states: {
    first: {
      invoke: {
        src: 'atOnce',
        input: { n: 21 },
        onDone: { target: 'second', actions: log(({ event }: any) => event.output) },
      },
    },
    second: {
      invoke: {
        id: 'regions',
        src: 'allRegions',
        onDone: { target: 'third', actions: log(({ event }: any) => event.output.total) },
      },
    },
    third: { type: 'final' },
  },
});

const staticOutput = createMachine({
  initial: 'a',
  output: { fixed: [1, undefined, Number.NaN] },
  states: { a: { on: { END: 'z' } }, z: { type: 'final' } },
});

export const cases: Case[] = [
  {
    name: 'finals: nested final states with output, onDone, and the output of the machine',
    logic: form,
    script: [send('NAME', { name: 'Ada' }), send('NO'), send('NAME', { name: 'Grace' }), send('YES'), send('SUBMIT')],
    expect: {
      status: 'done',
      value: 'sent',
      output: { name: 'Grace', done: 5, log: 4 },
      context: { log: ['+ok', '-ok', { hello: 'Grace' }, '+sent', '-root'] },
    },
  },
  {
    name: 'finals: a machine that is done takes no more events and no more time',
    logic: form,
    script: [
      send('NAME', { name: 'A' }),
      send('YES'),
      advance(5000),
      send('AGAIN'),
      advance(5000),
      send('NAME', { name: 'B' }),
    ],
    expect: { status: 'done', value: 'sent', context: { name: 'A' } },
  },
  {
    name: 'finals: onDone of regions, of a parallel state, and of states within',
    logic: exam,
    script: [send('SAY'), send('SAY'), advance(2000), advance(1000)],
    expect: {
      value: 'graded',
      context: { log: ['talking done@0', 'writing done@3000', 'all done@3000', 'no output'] },
    },
  },
  {
    name: 'finals: onDone of a parallel state by an event, its deadline gone',
    logic: exam,
    script: [send('HAND_IN'), send('SAY'), send('SAY'), advance(3000)],
    expect: { value: 'graded', context: { log: ['writing done@0', 'talking done@0', 'all done@0', 'no output'] } },
  },
  {
    name: 'finals: a parallel machine is done when all of its regions are',
    logic: allRegions,
    script: [send('X'), advance(99), advance(1)],
    expect: { status: 'done', value: { x: 'x2', y: 'y2' }, output: { total: 3 } },
  },
  {
    name: 'finals: done after an eventless chain',
    logic: atOnce,
    input: { n: 1 },
    script: [send('SET', { n: 5 }), send('SET', { n: 12 })],
    expect: { status: 'done', values: ['waiting', 'waiting', 'done'], output: 24 },
  },
  {
    name: 'finals: a child that is done from its start',
    logic: parentOfFinals,
    script: [advance(200), send('X')],
    expect: { value: 'second', context: { log: [42] }, children: { regions: { value: { x: 'x1', y: 'y2' } } } },
  },
  {
    name: 'finals: static output with values that JSON cannot hold',
    logic: staticOutput,
    script: [send('END')],
    expect: { status: 'done', output: { fixed: [1, { $undefined: true }, { $number: 'NaN' }] } },
  },
];
