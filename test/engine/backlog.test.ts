/** The pace at which a backlog is worked off, and where it begins and ends. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Backlog } from '../../src/engine/backlog.ts';

const tick = () => new Promise(setImmediate);

/** A backlog of numbers, and what becomes of it. */
function backlogOf(
  items: number[],
  rate: number,
  over: Partial<ConstructorParameters<typeof Backlog<number>>[0]> = {},
) {
  const clock = new SimulatedClock(0);
  const taken: number[] = [];
  const failures: unknown[] = [];
  const backlog = new Backlog<number>({
    clock,
    pace: { rate, jitter: 0, chance: () => 0.5 },
    page: async (after, limit) => items.filter((item) => item > (after ?? 0)).slice(0, limit),
    take: async (item) => void taken.push(item),
    failed: (error) => failures.push(error),
    ...over,
  });
  /** Lets time pass from timer to timer. */
  const until = async (instant: number) => {
    await tick();
    for (let next = clock.nextTimer(); next !== undefined && next <= instant; next = clock.nextTimer()) {
      clock.moveTo(next);
      await tick();
    }
    clock.moveTo(instant);
    await tick();
  };
  return { backlog, clock, taken, failures, until };
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('a backlog', () => {
  it('is worked off in order, no more than so many a second, and then rests', async () => {
    const { backlog, clock, taken, until } = backlogOf(upTo(50), 20);
    backlog.start();
    await until(1_000);
    expect(taken).toEqual(upTo(22));
    await until(10_000);
    expect(taken).toEqual(upTo(50));
    expect(clock.nextTimer()).toBeUndefined();
    expect(backlog.idle).toBe(true);
  });

  it('takes one at a time, so many ms apart, at a rate of less than one in a beat', async () => {
    const { backlog, taken, until } = backlogOf(upTo(3), 0.5);
    backlog.start();
    await until(1_999);
    expect(taken).toEqual([1]);
    await until(2_000);
    expect(taken).toEqual([1, 2]);
  });

  it('waits longer or shorter by the jitter, as chance has it', async () => {
    const drawn = [1, 0];
    const { backlog, taken, until } = backlogOf(upTo(3), 1, {
      pace: { rate: 1, jitter: 0.5, chance: () => drawn.shift() ?? 0.5 },
    });
    backlog.start();
    await until(1_499);
    expect(taken).toEqual([1]);
    await until(1_500);
    expect(taken).toEqual([1, 2]);
    await until(2_000);
    expect(taken).toEqual(upTo(3));
  });

  it('goes through once more where it is started while under way', async () => {
    const { backlog, taken, until } = backlogOf(upTo(3), 10);
    backlog.start();
    await tick();
    backlog.start();
    await until(10_000);
    expect(taken).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('tells of a page that could not be read, and goes on where it stood', async () => {
    let reads = 0;
    const { backlog, taken, failures, until } = backlogOf([], 10, {
      page: async (after, limit) => {
        if (++reads === 2) throw new Error('the disk is gone');
        return upTo(3)
          .filter((item) => item > (after ?? 0))
          .slice(0, limit);
      },
    });
    backlog.start();
    await until(5_000);
    expect([taken, failures]).toEqual([[1], [new Error('the disk is gone')]]);
    await until(10_000);
    expect(taken).toEqual([1, 2, 3]);
  });

  it('stops after what is being taken up, and begins from the first item when it is started again', async () => {
    let finish = () => {};
    const { backlog, taken, until } = backlogOf(upTo(3), 10, {
      take: (item) => {
        taken.push(item);
        return new Promise<void>((resolve) => (finish = resolve));
      },
    });
    backlog.start();
    await tick();
    let stopped = false;
    const stopping = backlog.stop().then(() => (stopped = true));
    await until(10_000);
    expect([taken, stopped]).toEqual([[1], false]);
    finish();
    await stopping;
    backlog.start();
    await tick();
    expect(taken).toEqual([1, 1]);
  });
});
