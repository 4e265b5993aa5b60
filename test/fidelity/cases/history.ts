import { createMachine } from 'xstate';
import { log, send } from '../steps.ts';
import type { Case } from '../subject.ts';

const player = createMachine({
  initial: 'off',
  states: {
    off: { on: { SHALLOW: 'on.shallow', DEEP: 'on.deep', FALLBACK: 'on.fallback', ON: 'on' } },
    on: {
      initial: 'radio',
      on: { OFF: 'off', AGAIN: '.deep', AGAIN_OUTSIDE: { target: '.deep', reenter: true, actions: log('again') } },
      entry: log('+on'),
      states: {
        radio: {
          initial: 'fm',
          entry: log('+radio'),
          states: { fm: { on: { NEXT: 'am' } }, am: { entry: log('+am'), on: { NEXT: '#disc' } } },
        },
        disc: {
          id: 'disc',
          initial: 'first',
          entry: log('+disc'),
          states: { first: { on: { NEXT: 'second' } }, second: { entry: log('+second') } },
        },
        shallow: { type: 'history' },
        deep: { type: 'history', history: 'deep' },
        fallback: { type: 'history', history: 'shallow', target: 'disc.second' },
      },
    },
  },
});

const regions = createMachine({
  initial: 'work',
  states: {
    work: {
      type: 'parallel',
      on: { PAUSE: 'paused' },
      states: {
        l: {
          initial: 'l1',
          states: {
            l1: { on: { L: 'l2' } },
            l2: { initial: 'l2a', states: { l2a: { on: { L: 'l2b' } }, l2b: {} } },
            lh: { type: 'history' },
          },
          on: { L_LEAVE_AND_BACK: '.lh' },
        },
        r: { initial: 'r1', states: { r1: { on: { R: 'r2' } }, r2: { on: { R: 'r3' } }, r3: {} } },
        deep: { type: 'history', history: 'deep' },
        shallow: { type: 'history' },
      },
    },
    paused: { on: { RESUME: 'work.deep', RESUME_SHALLOW: 'work.shallow', RESTART: 'work' } },
  },
});

const twoLevels = createMachine({
  initial: 'outside',
  states: {
    outside: { on: { OUTER: 'outer.h', INNER: 'outer.mid.h' } },
    outer: {
      initial: 'first',
      on: { LEAVE: 'outside' },
      states: {
        first: { on: { MID: 'mid' } },
        mid: {
          initial: 'm1',
          states: {
            m1: { on: { NEXT: 'm2' } },
            m2: { on: { NEXT: 'm3' } },
            m3: {},
            h: { type: 'history', target: 'm2' },
          },
          on: { FIRST: 'first' },
        },
        h: { type: 'history' },
      },
    },
  },
});

export const cases: Case[] = [
  {
    name: 'history: shallow restores the child, not the grandchild',
    logic: player,
    script: [send('ON'), send('NEXT'), send('OFF'), send('SHALLOW')],
    expect: { value: { on: { radio: 'fm' } }, context: { log: ['+on', '+radio', '+am', '+on', '+radio'] } },
  },
  {
    name: 'history: deep restores the grandchild, again and again',
    logic: player,
    script: [
      send('ON'),
      send('NEXT'),
      send('OFF'),
      send('DEEP'),
      send('NEXT'),
      send('NEXT'),
      send('OFF'),
      send('DEEP'),
    ],
    expect: {
      values: [
        'off',
        { on: { radio: 'fm' } },
        { on: { radio: 'am' } },
        'off',
        { on: { radio: 'am' } },
        { on: { disc: 'first' } },
        { on: { disc: 'second' } },
        'off',
        { on: { disc: 'second' } },
      ],
    },
  },
  {
    name: 'history: without a memory the initial state is entered, or the default target',
    logic: player,
    script: [send('DEEP'), send('OFF')],
    expect: { values: ['off', { on: { radio: 'fm' } }, 'off'] },
  },
  {
    name: 'history: a default target counts only until there is a memory',
    logic: player,
    script: [send('FALLBACK'), send('OFF'), send('FALLBACK'), send('OFF'), send('ON'), send('OFF'), send('FALLBACK')],
    expect: {
      values: [
        'off',
        { on: { disc: 'second' } },
        'off',
        { on: { disc: 'first' } },
        'off',
        { on: { radio: 'fm' } },
        'off',
        { on: { radio: 'fm' } },
      ],
    },
  },
  {
    name: 'history: entered from within its own parent',
    logic: player,
    script: [send('ON'), send('NEXT'), send('AGAIN_OUTSIDE'), send('OFF'), send('DEEP'), send('AGAIN')],
    expect: { value: { on: { radio: 'am' } } },
  },
  {
    name: 'history: deep over parallel regions',
    logic: regions,
    script: [send('L'), send('L'), send('R'), send('PAUSE'), send('RESUME'), send('R'), send('PAUSE'), send('RESUME')],
    expect: { value: { work: { l: { l2: 'l2b' }, r: 'r3' } } },
  },
  {
    name: 'history: shallow over parallel regions, and a restart which does not look at it',
    logic: regions,
    script: [
      ...[send('L'), send('L'), send('R'), send('PAUSE'), send('RESUME_SHALLOW'), send('PAUSE'), send('RESTART')],
      ...[send('L'), send('L_LEAVE_AND_BACK'), send('PAUSE'), send('RESUME')],
    ],
    expect: { value: { work: { l: 'l1', r: 'r1' } } },
  },
  {
    name: 'history: two levels keep separate memories',
    logic: twoLevels,
    script: [
      ...[send('INNER'), send('NEXT'), send('FIRST'), send('LEAVE'), send('INNER'), send('LEAVE')],
      ...[send('OUTER'), send('LEAVE'), send('INNER')],
    ],
    expect: {
      values: [
        'outside',
        { outer: { mid: 'm2' } },
        { outer: { mid: 'm3' } },
        { outer: 'first' },
        'outside',
        { outer: { mid: 'm3' } },
        'outside',
        { outer: { mid: 'm1' } },
        'outside',
        { outer: { mid: 'm1' } },
      ],
    },
  },
];
