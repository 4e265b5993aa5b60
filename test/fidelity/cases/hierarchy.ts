import { assign, createMachine } from 'xstate';
import { log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const nested = createMachine({
  initial: 'a',
  entry: log('+root'),
  exit: log('-root'),
  on: { HOME: '.a', LOST: { actions: log('root:LOST') } },
  states: {
    a: { entry: log('+a'), exit: log('-a'), on: { DEEP: 'b.b2.b2y', NEXT: 'b' } },
    b: {
      entry: log('+b'),
      exit: log('-b'),
      initial: 'b1',
      on: { UP: 'a', OVER: { actions: log('b:OVER') } },
      states: {
        b1: { entry: log('+b1'), exit: log('-b1'), on: { NEXT: 'b2' } },
        b2: {
          entry: log('+b2'),
          exit: log('-b2'),
          initial: 'b2x',
          on: { ACROSS: { target: 'b1', actions: log('across') } },
          states: {
            b2x: { entry: log('+b2x'), exit: log('-b2x'), on: { NEXT: 'b2y' } },
            b2y: { entry: log('+b2y'), exit: log('-b2y'), on: { OVER: { actions: log('b2y:OVER') }, BYID: '#far' } },
          },
        },
      },
    },
    c: { initial: 'c1', states: { c1: {}, c2: { id: 'far', entry: log('+far') } } },
  },
});

const selfTransitions = createMachine({
  initial: 'p',
  states: {
    p: {
      entry: log('+p'),
      exit: log('-p'),
      initial: 'x',
      on: {
        INTERNAL: { target: '.y', actions: log('internal') },
        EXTERNAL: { target: '.y', reenter: true, actions: log('external') },
        SELF: { target: 'p', actions: log('self') },
        SELF_AGAIN: { target: 'p', reenter: true, actions: log('self again') },
        TARGETLESS: { actions: log('targetless') },
        REENTER_ONLY: { reenter: true, actions: log('reenter only') },
      },
      states: {
        x: { entry: log('+x'), exit: log('-x') },
        y: { entry: log('+y'), exit: log('-y') },
      },
    },
  },
});

const forbidden = createMachine({
  initial: 'open',
  context: { count: 0 },
  on: { PING: { actions: assign({ count: ({ context }: any) => context['count'] + 1 }) } },
  states: {
    open: { on: { LOCK: 'locked' } },
    locked: {
      initial: 'deaf',
      on: { UNLOCK: 'open' },
      states: { deaf: { on: { PING: {}, NEXT: 'hearing' } }, hearing: { on: { NEXT: 'undefined' } }, undefined: {} },
    },
  },
});

const initialActions = createMachine({
  context: { log: [] },
  initial: { target: 'one', actions: log('initial of root') } as never,
  states: {
    one: { on: { GO: 'two' } },
    two: {
      entry: log('+two'),
      initial: { target: 'inner', actions: log('initial of two') } as never,
      states: { inner: { entry: log('+inner') }, other: {} },
      on: { AGAIN: { target: 'two', reenter: true }, OTHER: { target: '.other' }, BACK: 'one' },
    },
  },
});

export const cases: Case[] = [
  {
    name: 'hierarchy: entry and exit in order, through deep targets, up and across',
    logic: nested,
    script: [send('DEEP'), send('ACROSS'), send('NEXT'), send('NEXT'), send('UP'), send('NEXT'), send('HOME')],
    expect: {
      values: [
        'a',
        { b: { b2: 'b2y' } },
        { b: 'b1' },
        { b: { b2: 'b2x' } },
        { b: { b2: 'b2y' } },
        'a',
        { b: 'b1' },
        'a',
      ],
      context: {
        log: [
          ...['+root', '+a', '-a', '+b', '+b2', '+b2y', '-b2y', '-b2', 'across', '+b1', '-b1', '+b2', '+b2x'],
          ...['-b2x', '+b2y', '-b2y', '-b2', '-b', '+a', '-a', '+b', '+b1', '-b1', '-b', '+a'],
        ],
      },
    },
  },
  {
    name: 'hierarchy: the deepest handler wins, others bubble up, unknown events change nothing',
    logic: nested,
    script: [send('DEEP'), send('OVER'), send('LOST'), send('NOBODY'), send('ACROSS'), send('OVER')],
    expect: {
      value: { b: 'b1' },
      context: {
        log: [
          ...['+root', '+a', '-a', '+b', '+b2', '+b2y', 'b2y:OVER', 'root:LOST'],
          ...['-b2y', '-b2', 'across', '+b1', 'b:OVER'],
        ],
      },
    },
  },
  {
    name: 'hierarchy: a target by id in another branch',
    logic: nested,
    script: [send('DEEP'), send('BYID'), send('HOME')],
    expect: { values: ['a', { b: { b2: 'b2y' } }, { c: 'c2' }, 'a'] },
  },
  {
    name: 'hierarchy: internal, external and targetless transitions of a compound state',
    logic: selfTransitions,
    script: ['INTERNAL', 'EXTERNAL', 'SELF', 'SELF_AGAIN', 'TARGETLESS', 'REENTER_ONLY'].map((type) => send(type)),
    expect: {
      value: { p: 'x' },
      context: {
        log: [
          ...['+p', '+x', '-x', 'internal', '+y', '-y', '-p', 'external', '+p', '+y'],
          ...['-y', 'self', '+x', '-x', '-p', 'self again', '+p', '+x', 'targetless', 'reenter only'],
        ],
      },
    },
  },
  {
    name: 'hierarchy: forbidden transitions stop an event from bubbling',
    logic: forbidden,
    script: [send('PING'), send('LOCK'), send('PING'), send('NEXT'), send('PING'), send('UNLOCK'), send('PING')],
    expect: { value: 'open', context: { count: 3 } },
  },
  {
    name: 'hierarchy: a state that is called "undefined"',
    logic: forbidden,
    script: [send('LOCK'), send('NEXT'), send('NEXT'), send('PING')],
    expect: { value: { locked: 'undefined' }, context: { count: 1 } },
  },
  {
    name: 'hierarchy: initial transitions with actions, run at every entry by default',
    logic: initialActions,
    script: [send('GO'), send('OTHER'), send('AGAIN'), send('BACK')],
    expect: {
      value: 'one',
      context: {
        log: ['initial of root', '+two', 'initial of two', '+inner', '+two', 'initial of two', '+inner'],
      },
    },
  },
];
