import { describe, expect, it } from 'vitest';
import type { AnyActorRef } from 'xstate';
import { type Timer, Timers } from '../../src/actor/timers.ts';

const [one, two] = [{ name: 'one' }, { name: 'two' }] as unknown as AnyActorRef[] as [AnyActorRef, AnyActorRef];

/** Counts how often it is looked at when it is due. */
let looks = 0;
const timer = (id: string | undefined, dueAt: number, source = one): Timer => ({
  id,
  event: { type: String(id) },
  get dueAt() {
    looks++;
    return dueAt;
  },
  source,
  target: source,
  stray: false,
});
const ids = (timers: Timers) => timers.all.map(({ id }) => id);

describe('the deadlines of an actor', () => {
  it('are in order of their instants, and of equal ones in the order in which they were added', () => {
    const timers = new Timers();
    for (const [id, dueAt] of [
      ['c', 3],
      ['a', 1],
      ['b', 2],
      ['a2', 1],
    ] as const)
      timers.add(timer(id, dueAt));
    expect(ids(timers)).toEqual(['a', 'a2', 'b', 'c']);
    expect(timers.shift()?.id).toBe('a');
    timers.add(timer('a3', 1));
    expect(ids(timers)).toEqual(['a2', 'a3', 'b', 'c']);
  });

  it('are cancelled by source and id, the last one that was scheduled under them alone', () => {
    const timers = new Timers();
    const schedule = (each: Timer) => {
      timers.disown(each.source, each.id);
      timers.add(each);
    };
    schedule(timer('a', 1));
    schedule(timer('a', 2));
    schedule(timer('a', 3, two));
    timers.cancel(one, 'a');
    timers.cancel(one, 'a');
    expect(timers.all.map(({ dueAt, stray, source }) => [dueAt, stray, source])).toEqual([
      [1, true, one],
      [3, false, two],
    ]);
    schedule(timer(undefined, 4));
    timers.cancelAll(one);
    expect(timers.all.map(({ dueAt }) => dueAt)).toEqual([1, 3]);
    timers.retain(({ source }) => source === two);
    timers.cancelAll(two);
    expect(timers.all).toEqual([]);
  });

  it('look at no more of each other for each one that is set, replaced or cancelled, however many there are', () => {
    const looksFor = (count: number) => {
      const timers = new Timers();
      looks = 0;
      for (let n = 0; n < count; n++) {
        timers.disown(one, `t${n}`);
        timers.add(timer(`t${n}`, count - n));
      }
      for (let n = 0; n < count; n += 2) timers.cancel(one, `t${n}`);
      expect(timers.all).toHaveLength(count / 2);
      expect(timers.all[0]!.id).toBe(`t${count - 1}`);
      return looks / count;
    };
    expect(looksFor(20_000)).toBeLessThan(2 * looksFor(200));
  });
});
