/** Pauses before another attempt, and what ends them. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import type { Cell } from '../../src/engine/cell.ts';
import { Pauses } from '../../src/engine/pauses.ts';
import { Phase } from '../../src/engine/phase.ts';

const tick = () => new Promise(setImmediate);

function begin(now: Phase['now'] = 'running') {
  const clock = new SimulatedClock(0);
  const phase = new Phase();
  phase.now = now;
  const pauses = new Pauses(clock, phase);
  const cell = { onPause: [], trouble: undefined, endPause: undefined } as unknown as Cell;
  return { clock, pauses, cell, trouble: new Error('the disk is gone') };
}

describe('the pause of an actor', () => {
  it('says why, tells who waits for it that it began, and leaves nothing when it is over', async () => {
    const { clock, pauses, cell, trouble } = begin();
    const heard: string[] = [];
    pauses.began = () => heard.push('began');
    cell.onPause.push(() => heard.push('told'));
    const pause = pauses.of(cell, 1_000, trouble).then(() => heard.push('over'));
    expect([heard, [...pauses.actors], cell.trouble, cell.onPause]).toEqual([['told', 'began'], [cell], trouble, []]);
    clock.moveTo(999);
    await tick();
    expect(heard).not.toContain('over');
    clock.moveTo(1_000);
    await pause;
    expect([pauses.actors.size, cell.trouble]).toEqual([0, undefined]);
  });

  it('can be ended by a stop of the actor only where it is said so', async () => {
    const { clock, pauses, cell, trouble } = begin();
    const pause = pauses.of(cell, 1_000, trouble, true);
    cell.endPause!();
    await pause;
    expect([cell.endPause, clock.nextTimer()]).toEqual([undefined, undefined]);
    void pauses.of(cell, 1_000, trouble);
    expect(cell.endPause).toBeUndefined();
  });

  it('ends with the engine, and is none where the engine does not run', async () => {
    const { clock, pauses, cell, trouble } = begin();
    const both = [pauses.of(cell, 1_000, trouble), pauses.wait(5_000)];
    pauses.endAll();
    await Promise.all(both);
    expect([pauses.actors.size, clock.nextTimer()]).toEqual([0, undefined]);
    for (const now of ['new', 'draining', 'stopped'] as const) {
      const late = begin(now);
      await Promise.all([late.pauses.of(late.cell, 1_000, trouble), late.pauses.wait(1_000)]);
      expect([late.pauses.actors.size, late.clock.nextTimer()]).toEqual([0, undefined]);
    }
  });
});
