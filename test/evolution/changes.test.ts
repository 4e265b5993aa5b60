/** What a change of a machine under its version means for somebody who is in it: every harmful one is told of, no harmless one. */
import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, assign, createMachine, emit, fromCallback, fromPromise, raise, setup } from 'xstate';
import { LiveActor, type Stimulus } from '../../src/actor/live-actor.ts';
import { onlooker } from '../../src/actor/onlooker.ts';
import { shapeOf } from '../../src/actor/shape.ts';
import { verdictOf } from '../../src/evolution/index.ts';
import { versionsOf } from '../../src/flow/versions.ts';
import { defineFlow } from '../../src/index.ts';

const inner = (states: object = { x: { on: { go: 'y' }, after: { 50: 'y' } }, y: { type: 'final' } }) =>
  createMachine({ id: 'inner', initial: Object.keys(states)[0], states } as never);
const machine = (config: object, actors: object = {}): AnyStateMachine =>
  setup({
    types: { context: {} as any },
    actors: { work: fromPromise(async () => 1), listen: fromCallback(() => {}), inner: inner(), ...actors } as never,
    guards: { yes: () => true, no: () => false, many: ({ context }) => context.n > 5 },
    actions: { note: () => {}, count: assign({ n: ({ context }) => context.n + 1 }) },
    delays: { soon: 10, later: 20 },
  }).createMachine({ id: 'm', context: { n: 0 }, ...config } as never) as never;
const states = (a: object, more: object = {}) => ({ initial: 'a', states: { a, b: {}, ...more } });
const go = { on: { go: 'b' } };

/** Somebody goes through `events` under the machine of before; what is told of them under the one of after. */
function told(before: AnyStateMachine, after: AnyStateMachine, events: readonly string[] = []): string[] {
  const ambient = { now: () => 0, random: () => 0 };
  const host = onlooker({ flowType: 'f', participantId: 'p' });
  const { actor } = LiveActor.spawn(before, undefined, host, ambient);
  for (const type of events) actor.perform({ kind: 'event', event: { type } } as Stimulus, ambient);
  const [versions] = versionsOf([defineFlow({ type: 'f', version: 1, logic: after })]).values();
  versions!.recorded.set(1, [shapeOf(before)]);
  const row = {
    participant_id: 'p',
    flow_type: 'f',
    flow_version: 1,
    state_data: actor.encode(),
    updated_at: new Date(0).toISOString(),
  };
  return verdictOf(versions!, row, 0).misfits.map(({ reason }) => reason);
}

type Change = [what: string, before: AnyStateMachine, after: AnyStateMachine, events?: readonly string[]];
const invoking = (more: object, src = 'work') => machine(states({ invoke: { id: 'job', src, ...more }, ...go }));
const regions = (one: object, two: object = { initial: 'i', states: { i: go, b: {} } }) =>
  machine({ type: 'parallel', states: { one: { initial: 'i', states: one }, two } });
const asked = machine(states({ on: { go: 'b' }, after: { soon: 'b' } }));
const nested = (p: any) =>
  machine({ initial: 'p', states: { p, out: { on: { back: p.states.hist ? 'p.hist' : 'p' } }, end: {} } });
const withHistory = {
  initial: 'a',
  on: { away: 'out' },
  states: { a: { on: { go: 'z' } }, z: {}, hist: { type: 'history' } },
};

describe('of a harmful change is told', () => {
  it.each<Change>([
    ['a state is gone', asked, machine({ initial: 'x', states: { x: go, b: {} } })],
    ['a state has another name', asked, machine({ initial: 'c', states: { c: go, b: {} } })],
    ['its deadline is gone', asked, machine(states(go))],
    ['its deadline has another name', asked, machine(states({ on: { go: 'b' }, after: { later: 'b' } }))],
    ['a deadline is new', machine(states(go)), asked],
    ['the machine has another id', asked, machine({ id: 'n', ...states({ on: { go: 'b' }, after: { soon: 'b' } }) })],
    ['a leaf has inner states now', machine(states(go)), machine(states({ ...go, initial: 'i', states: { i: {} } }))],
    ['a parent is a leaf now', machine(states({ ...go, initial: 'i', states: { i: {} } })), machine(states(go))],
    [
      'a parent is parallel now',
      machine(states({ ...go, initial: 'i', states: { i: {}, j: {} } })),
      machine(states({ ...go, type: 'parallel', states: { i: {}, j: {} } })),
    ],
    [
      'a region is new',
      regions({ i: go, b: {} }),
      machine({
        type: 'parallel',
        states: {
          one: { initial: 'i', states: { i: go, b: {} } },
          two: { initial: 'i', states: { i: {} } },
          three: {},
        },
      }),
    ],
    ['a state is final now', machine(states(go)), machine(states({ type: 'final' }))],
    [
      'a leaf is final inside its parent',
      nested({ initial: 'a', states: { a: { on: { go: 'z' } }, z: { type: 'final' } }, onDone: 'end' }),
      nested({ initial: 'a', states: { a: { type: 'final' }, z: { type: 'final' } }, onDone: 'end' }),
    ],
    [
      'the end of a region is none any more',
      machine({
        type: 'parallel',
        states: {
          one: { initial: 'i', states: { i: { on: { go: 'e' } }, e: { type: 'final' } } },
          two: { initial: 'i', states: { i: { on: { next: 'e' } }, e: { type: 'final' } } },
        },
      }),
      machine({
        type: 'parallel',
        states: {
          one: { initial: 'i', states: { i: { on: { go: 'e' } }, e: { on: { go: 'i' } } } },
          two: { initial: 'i', states: { i: { on: { next: 'e' } }, e: { type: 'final' } } },
        },
      }),
      ['go'],
    ],
    ['a state is left at once now', machine(states(go)), machine(states({ always: 'b' }))],
    [
      'a state is left at once now, by a guard',
      machine(states(go)),
      machine(states({ ...go, always: { guard: 'yes', target: 'b' } })),
    ],
    ['nothing leads on any more', asked, machine(states({}))],
    ['nothing leads on in a region', regions({ i: go, b: {} }), regions({ i: {}, b: {} })],
    [
      'a history has another name',
      nested(withHistory),
      machine({
        initial: 'p',
        states: {
          p: {
            initial: 'a',
            on: { away: 'out' },
            states: { a: { on: { go: 'z' } }, z: {}, last: { type: 'history' } },
          },
          out: { on: { back: 'p.last' } },
          end: {},
        },
      }),
      ['go', 'away'],
    ],
    [
      'a remembered state is gone',
      nested(withHistory),
      nested({ ...withHistory, states: { a: {}, hist: { type: 'history' } } }),
      ['go', 'away'],
    ],
    ['an invocation is new', machine(states(go)), invoking({})],
    ['an invocation is another one', invoking({}), invoking({}, 'listen')],
    ['an invocation has another id', invoking({}), machine(states({ invoke: { id: 'task', src: 'work' }, ...go }))],
    ['an invocation is gone', invoking({}), machine(states(go))],
    ['nobody hears the result', invoking({ onDone: 'b' }), invoking({})],
    ['nobody hears the error', invoking({ onDone: 'b', onError: 'b' }), invoking({ onDone: 'b' })],
    [
      'a delayed event is taken by nobody',
      machine(states({ entry: raise({ type: 'poke' }, { delay: 10 }), on: { poke: 'b' } })),
      machine(states(go)),
    ],
    [
      'a delayed event is taken elsewhere only',
      machine(states({ entry: raise({ type: 'poke' }, { delay: 10 }), on: { poke: 'b' } })),
      machine(states({ ...go }, { b: { on: { poke: 'a' } } })),
    ],
    [
      'a field of the context is new',
      asked,
      machine({ ...states({ on: { go: 'b' }, after: { soon: 'b' } }), context: { n: 0, fresh: 1 } }),
    ],
    [
      "a child's state is gone",
      invoking({}, 'inner'),
      machine(states({ invoke: { id: 'job', src: 'inner' }, ...go }), { inner: inner({ w: {} }) }),
    ],
    [
      "a child's deadline is gone",
      invoking({}, 'inner'),
      machine(states({ invoke: { id: 'job', src: 'inner' }, ...go }), {
        inner: inner({ x: { on: { go: 'y' } }, y: {} }),
      }),
    ],
    [
      'a child is no machine any more',
      invoking({}, 'inner'),
      machine(states({ invoke: { id: 'job', src: 'inner' }, ...go }), { inner: fromPromise(async () => 1) }),
    ],
  ])('%s', (_, before, after, events) => {
    expect(told(before, after, events)).not.toEqual([]);
  });
});

describe('of a harmless change nothing is told', () => {
  it.each<Change>([
    ['nothing changed', asked, machine(states({ on: { go: 'b' }, after: { soon: 'b' } }))],
    ['a state is new', asked, machine(states({ on: { go: 'b' }, after: { soon: 'b' } }, { c: {} }))],
    [
      'a state is gone in which nobody is',
      asked,
      machine({ initial: 'a', states: { a: { on: { go: 'c' }, after: { soon: 'c' } }, c: {} } }),
    ],
    ['an event is taken besides', asked, machine(states({ on: { go: 'b', stay: {} }, after: { soon: 'b' } }))],
    ['an event leads elsewhere', asked, machine(states({ on: { go: 'c' }, after: { soon: 'b' } }, { c: {} }))],
    ['an event is taken no more, and the deadline leads on', asked, machine(states({ after: { soon: 'b' } }))],
    ['a deadline leads elsewhere', asked, machine(states({ on: { go: 'b' }, after: { soon: 'c' } }, { c: {} }))],
    [
      'a deadline has a guard',
      asked,
      machine(states({ on: { go: 'b' }, after: { soon: { guard: 'no', target: 'b' } } })),
    ],
    [
      'actions are others',
      machine(states({ entry: 'note', ...go })),
      machine(states({ entry: 'count', exit: 'note', ...go })),
    ],
    ['a message is said', machine(states(go)), machine(states({ entry: emit({ type: 'message' }), ...go }))],
    ['the initial state is another one', machine(states(go)), machine({ initial: 'b', states: { a: go, b: {} } })],
    ['tags and descriptions', machine(states(go)), machine(states({ ...go, tags: ['x'], description: 'y' }))],
    [
      'the order of keys',
      asked,
      machine({ states: { b: {}, a: { after: { soon: 'b' }, on: { go: 'b' } } }, initial: 'a' }),
    ],
    ['a state is left at once that nobody is in', machine(states(go)), machine(states(go, { b: { always: 'a' } }))],
    ['a guard that says no', machine(states(go)), machine(states({ ...go, always: { guard: 'many', target: 'b' } }))],
    [
      'a state was left at once before, too',
      machine(states({ ...go, always: { guard: 'many', target: 'b' } })),
      machine(states({ ...go, always: { guard: 'many', target: 'c' } }, { c: {} })),
    ],
    ['a dead end was one before', machine(states(go)), machine(states(go)), ['go']],
    ['a final state elsewhere', machine(states(go)), machine(states(go, { c: { type: 'final' } }))],
    [
      'a leaf is final, and nothing waits for that',
      nested({ initial: 'a', on: { leave: 'end' }, states: { a: { on: { go: 'z' } }, z: {} } }),
      nested({ initial: 'a', on: { leave: 'end' }, states: { a: { type: 'final' }, z: {} } }),
    ],
    [
      'a history is new',
      nested({ initial: 'a', on: { away: 'out' }, states: { a: {}, hist: { type: 'history' } } }),
      nested({
        ...withHistory,
        states: { a: {}, z: {}, hist: { type: 'history' }, deep: { type: 'history', history: 'deep' } },
      }),
      ['away'],
    ],
    ['onDone is new', invoking({}), invoking({ onDone: 'b' })],
    ['onDone does something else', invoking({ onDone: 'b' }), invoking({ onDone: { actions: 'note' } })],
    [
      'the machine hears the result in place of the state',
      invoking({ onDone: 'b' }),
      machine({ on: { 'xstate.done.actor.job': '.b' }, ...states({ invoke: { id: 'job', src: 'work' }, ...go }) }),
    ],
    ['an invocation is new elsewhere', machine(states(go)), machine(states(go, { b: { invoke: { src: 'work' } } }))],
    [
      'an actor is provided besides',
      invoking({}),
      machine(states({ invoke: { id: 'job', src: 'work' }, ...go }), { more: inner() }),
    ],
    [
      'a delayed event that nobody ever took',
      machine(states({ entry: raise({ type: 'poke' }, { delay: 10 }), ...go })),
      machine(states({ entry: raise({ type: 'poke' }, { delay: 10 }), ...go, exit: 'note' })),
    ],
    [
      'a wildcard takes what is pending',
      machine(states({ entry: raise({ type: 'poke' }, { delay: 10 }), on: { poke: 'b' } })),
      machine(states({ on: { '*': 'b' } })),
    ],
    ['a field of the context is gone', machine({ ...states(go), context: { n: 0, old: 1 } }), machine(states(go))],
    [
      "a child's event leads elsewhere",
      invoking({}, 'inner'),
      machine(states({ invoke: { id: 'job', src: 'inner' }, ...go }), {
        inner: inner({ x: { on: { go: 'z' }, after: { 50: 'y' } }, y: { type: 'final' }, z: {} }),
      }),
    ],
    [
      'a region at its end',
      machine({
        type: 'parallel',
        states: {
          one: { initial: 'i', states: { i: { on: { go: 'e' } }, e: { type: 'final' } } },
          two: { initial: 'i', states: { i: { on: { next: 'e' } }, e: { type: 'final' } } },
        },
      }),
      machine({
        type: 'parallel',
        states: {
          one: { initial: 'i', states: { i: { on: { go: 'e' } }, e: { type: 'final' } } },
          two: { initial: 'i', states: { i: { on: { next: 'e', stay: {} } }, e: { type: 'final' } } },
        },
      }),
      ['go'],
    ],
  ])('%s', (_, before, after, events) => {
    expect(told(before, after, events)).toEqual([]);
  });
});
