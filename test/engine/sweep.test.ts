/** When it is looked for what a failed step left behind. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Phase } from '../../src/engine/phase.ts';
import { Sweeper } from '../../src/engine/sweep.ts';

const tick = () => new Promise(setImmediate);

function begin(how: { look?: () => Promise<void>; quiet?: boolean; phase?: Phase['now'] } = {}) {
  const clock = new SimulatedClock(0);
  const phase = new Phase();
  phase.now = how.phase ?? 'running';
  phase.quiet = how.quiet ?? false;
  const heard: string[] = [];
  const sweeper = new Sweeper({
    clock,
    phase,
    every: 60_000,
    probe: async () => void heard.push(`probe ${clock.now()}`),
    look: async () => {
      heard.push(`look ${clock.now()}`);
      await how.look?.();
    },
    failed: (error) => heard.push(`failed: ${(error as Error).message}`),
  });
  sweeper.start();
  const until = async (instant: number) => {
    for (let next = clock.nextTimer(); next !== undefined && next <= instant; next = clock.nextTimer()) {
      clock.moveTo(next);
      await tick();
    }
    clock.moveTo(instant);
  };
  return { clock, phase, sweeper, heard, until };
}

describe('the sweeper', () => {
  it('looks every so often, and asks for no write while nothing has failed', async () => {
    const { heard, until } = begin();
    await until(120_000);
    expect(heard).toEqual(['look 60000', 'look 120000']);
  });

  it('looks soon and twice after a failure, tries a write each time, and is then as before', async () => {
    const { sweeper, heard, until } = begin();
    await until(1_000);
    sweeper.suspect();
    await until(4_000);
    sweeper.suspect(); // does not put off the look that is coming
    await until(71_000);
    expect(heard).toEqual(['probe 6000', 'look 6000', 'probe 11000', 'look 11000', 'look 71000']);
  });

  it('goes on looking soon for as long as a look fails, and tells of it', async () => {
    let fails = 2;
    const { heard, until } = begin({
      look: async () => {
        if (fails-- > 0) throw new Error('the disk is gone');
      },
    });
    await until(140_000);
    expect(heard.filter((line) => !line.startsWith('probe'))).toEqual([
      'look 60000',
      'failed: the disk is gone',
      'look 65000',
      'failed: the disk is gone',
      'look 70000',
      'look 75000',
      'look 135000',
    ]);
  });

  it('looks at nothing where the engine only takes commands, or does not run', async () => {
    for (const how of [{ quiet: true }, { phase: 'draining' }, { phase: 'stopped' }] as const) {
      const { clock, sweeper, heard } = begin(how);
      sweeper.suspect();
      expect([clock.nextTimer(), heard]).toEqual([undefined, []]);
    }
  });

  it('stops after the look that is under way, and looks no more', async () => {
    let finish = () => {};
    const { clock, phase, sweeper, heard, until } = begin({
      look: () => new Promise<void>((resolve) => (finish = resolve)),
    });
    await until(60_000);
    expect(sweeper.idle).toBe(false);
    phase.now = 'draining';
    let stopped = false;
    const stopping = sweeper.stop().then(() => (stopped = true));
    await tick();
    expect(stopped).toBe(false);
    finish();
    await stopping;
    await tick();
    expect([sweeper.idle, clock.nextTimer(), heard]).toEqual([true, undefined, ['look 60000']]);
  });
});
