import { describe, expect, it } from 'vitest';
import { createMachine, fromPromise, setup } from 'xstate';
import { keepPending } from '../../src/actor/keep-pending.ts';
import type { StoredTimer } from '../../src/actor/live-actor.ts';

const inner = createMachine({ id: 'inner', initial: 'x', states: { x: { after: { 5: 'y' } }, y: {} } });
const logic = setup({ actors: { work: fromPromise(async () => 1), inner } }).createMachine({
  id: 'm',
  initial: 'a',
  invoke: { id: 'job', src: 'work' },
  states: { a: { after: { 10: 'b' }, on: { poke: 'b' } }, b: {}, c: { invoke: { id: 'kid', src: 'inner' } } },
});
const at = (value: unknown, children: object = {}) => ({ status: 'active', value, context: {}, children });
const ten: StoredTimer = { event: { type: 'xstate.after.10.m.a' }, dueAt: 7 };
const poke: StoredTimer = { event: { type: 'poke' }, dueAt: 3 };
const job = { src: 'work', snapshot: { status: 'active', input: 1 } };

/** The types of what is pending after a migration that gave `snapshot` and no deadlines. */
const kept = (before: any, snapshot: any, timers: StoredTimer[], waived: string[] = [], given: StoredTimer[] = []) =>
  keepPending(logic, { snapshot: before, timers }, { snapshot, timers: given }, new Set(waived)).map((it) => it.dueAt);

describe('a migration that leaves out what is pending', () => {
  it('does not lose the deadline, or the delayed event, of a state in which the actor stays', () => {
    expect(kept(at('a'), at('a'), [ten, poke])).toEqual([3, 7]);
  });

  it('loses those of a state in which it is not any more', () => {
    expect(kept(at('a'), at('b'), [ten, poke])).toEqual([]);
  });

  it('loses what it says that there is not to be, and moves what it moves', () => {
    expect(kept(at('a'), at('a'), [ten, poke], ['poke'])).toEqual([7]);
    expect(kept(at('a'), at('a'), [ten], [], [{ ...ten, dueAt: 9 }])).toEqual([9]);
  });

  it('does not lose an invocation that is under way, unless it says so', () => {
    const made = { status: 'active', value: 'a', context: {} };
    kept(at('a', { job }), made, []);
    expect(made).toMatchObject({ children: { job } });
    const without = at('a', { job: undefined });
    kept(at('a', { job }), without, []);
    expect(without.children).toEqual({ job: undefined });
    const ended = at('a');
    kept(at('a', { job: { ...job, snapshot: { status: 'done' } } }), ended, []);
    expect(ended.children).toEqual({});
  });

  it('does not lose the deadlines of its children', () => {
    const kid = { src: 'inner', snapshot: at('x') };
    const five: StoredTimer = { event: { type: 'xstate.after.5.inner.x' }, dueAt: 4, source: ['kid'], target: ['kid'] };
    expect(kept(at('c', { kid }), at('c'), [five])).toEqual([4]);
    expect(kept(at('c', { kid }), at('c', { kid: { ...kid, snapshot: at('y') } }), [five])).toEqual([]);
  });
});
