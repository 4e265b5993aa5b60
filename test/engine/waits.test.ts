/** Waits that end by the clock, one by one, or all at once. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Waits } from '../../src/engine/waits.ts';

const tick = () => new Promise(setImmediate);

function begin() {
  const clock = new SimulatedClock(0);
  const waits = new Waits(clock);
  const over: string[] = [];
  const told = (name: string, wait: Promise<void>) => void wait.then(() => over.push(name));
  return { clock, waits, over, told };
}

describe('waits', () => {
  it('end when the clock has come so far, each in its time', async () => {
    const { clock, waits, over, told } = begin();
    told('long', waits.wait(2_000));
    told('short', waits.wait(1_000));
    clock.moveTo(999);
    await tick();
    expect([over, waits.size]).toEqual([[], 2]);
    clock.moveTo(1_000);
    await tick();
    expect([over, waits.size]).toEqual([['short'], 1]);
    clock.moveTo(2_000);
    await tick();
    expect([over, waits.size]).toEqual([['short', 'long'], 0]);
  });

  it('of no time are over at once, and leave nothing', async () => {
    const { clock, waits } = begin();
    await waits.wait(0);
    await waits.wait(-1);
    expect([waits.size, clock.nextTimer()]).toEqual([0, undefined]);
  });

  it('can be ended alone, and leave no timer', async () => {
    const { clock, waits, over, told } = begin();
    const one = waits.begin(1_000);
    told('one', one.over);
    told('other', waits.wait(5_000));
    one.end();
    one.end();
    await tick();
    expect([over, waits.size, clock.nextTimer()]).toEqual([['one'], 1, 5_000]);
  });

  it('end all at once', async () => {
    const { clock, waits, over, told } = begin();
    told('one', waits.wait(1_000));
    told('other', waits.wait(5_000));
    waits.endAll();
    await tick();
    expect([over, waits.size, clock.nextTimer()]).toEqual([['one', 'other'], 0, undefined]);
  });

  it('hold where the clock calls long before', async () => {
    const { clock, over, told } = begin();
    const early = Object.create(clock, {
      now: { value: () => clock.now() },
      setTimeout: { value: (fn: () => void, ms: number) => clock.setTimeout(fn, Math.min(ms, 300)) },
      clearTimeout: { value: (handle: unknown) => clock.clearTimeout(handle) },
    });
    const slow = new Waits(early);
    told('it', slow.wait(1_000));
    for (const instant of [300, 600, 900]) clock.moveTo(instant);
    await tick();
    expect([over, slow.size]).toEqual([[], 1]);
    clock.moveTo(1_000);
    await tick();
    expect(over).toEqual(['it']);
  });
});
