/** When actors are woken at their deadlines, and what becomes of those that passed while nobody watched. */
import { afterEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Alarms, HORIZON } from '../../src/engine/deadlines.ts';
import { formatAddress } from '../../src/errors.ts';
import type { DueCursor, DueRow } from '../../src/store/rows.ts';
import type { Store } from '../../src/store/store.ts';

const tick = () => new Promise(setImmediate);
const at = (participantId: string) => ({ flowType: 'diary', participantId });

let stop = async () => {};
afterEach(() => stop());

/** Alarms over a table of deadlines; what fires is heard, and is due no more. */
function begin(due: Record<string, number>, over: { fire?: () => Promise<void>; sleeping?: string } = {}) {
  const clock = new SimulatedClock(0);
  const heard: string[] = [];
  const faults: unknown[] = [];
  const store = {
    due: async (until: number, after: DueCursor | undefined, limit: number) => {
      return Object.entries(due)
        .map(([participant_id, next_due_at], id) => ({ id, participant_id, flow_type: 'diary', next_due_at }))
        .filter(({ next_due_at }) => next_due_at <= until && (!after || next_due_at > after.next_due_at))
        .sort((a, b) => a.next_due_at - b.next_due_at)
        .slice(0, limit);
    },
  } as unknown as Store;
  const told = (how: string) => async (address: ReturnType<typeof at>) => {
    heard.push(`${how} ${address.participantId} ${clock.now()}`);
    await over.fire?.();
    delete due[address.participantId];
  };
  const alarms = new Alarms(
    store,
    clock,
    { rate: 10, jitter: 0, chance: () => 0.5 },
    told('fire'),
    told('pass'),
    (row: DueRow) => formatAddress(at(row.participant_id)) === over.sleeping,
    (error) => faults.push(error),
  );
  stop = () => alarms.stop();
  const start = async () => {
    alarms.begin();
    await alarms.start();
    await tick();
  };
  const until = async (instant: number) => {
    await tick();
    for (let next = clock.nextTimer(); next !== undefined && next <= instant; next = clock.nextTimer()) {
      clock.moveTo(next);
      for (let i = 0; i < 4; i++) await tick();
    }
    clock.moveTo(instant);
    for (let i = 0; i < 4; i++) await tick();
  };
  return { alarms, clock, due, heard, faults, start, until };
}

describe('alarms', () => {
  it('fire each deadline at its instant, also one from beyond the horizon', async () => {
    const { heard, start, until } = begin({ bob: 2_000, ada: 1_000, cy: 3 * HORIZON + 7 });
    await start();
    await until(4 * HORIZON);
    expect(heard).toEqual(['fire ada 1000', 'fire bob 2000', `fire cy ${3 * HORIZON + 7}`]);
  });

  it('ask an actor only at the deadline that it has now', async () => {
    const { alarms, heard, start, until } = begin({});
    await start();
    alarms.set(at('ada'), 1_000);
    alarms.set(at('ada'), 2_000);
    alarms.set(at('bob'), 3_000);
    alarms.set(at('bob'), 1_500);
    alarms.set(at('cy'), 1_000);
    alarms.set(at('cy'), undefined);
    await until(10_000);
    expect(heard).toEqual(['fire bob 1500', 'fire ada 2000']);
  });

  it('hold no deadline beyond the horizon, and find it in the database in time', async () => {
    const { alarms, due, heard, start, until } = begin({});
    await start();
    due['ada'] = 5 * HORIZON;
    alarms.set(at('ada'), 5 * HORIZON);
    delete due['ada']; // the row is the truth
    due['bob'] = 5 * HORIZON + 1;
    await until(6 * HORIZON);
    expect(heard).toEqual([`fire bob ${5 * HORIZON + 1}`]);
  });

  it('work off in passing, at their pace, what passed while nobody watched', async () => {
    const { heard, start, until } = begin({ ada: -3_000, bob: -2_000, cy: -1_000, dan: 50 });
    await start();
    await until(1_000);
    expect(heard).toEqual(['pass ada 0', 'fire dan 50', 'pass bob 100', 'pass cy 200']);
  });

  it('take it for a sleep of the machine where a timer comes much too late', async () => {
    const { alarms, clock, due, heard, start, until } = begin({ ada: 1_000, bob: 2_000 });
    await start();
    due['cy'] = 3_600_001;
    clock.moveTo(3_600_000);
    await until(3_600_500);
    expect(alarms.since).toBe(3_600_000);
    expect(heard.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(['pass ada', 'fire cy', 'pass bob']);
  });

  it('leave alone what no release here can read', async () => {
    const { heard, start, until } = begin({ ada: -1_000, bob: 1_000 }, { sleeping: 'diary/ada' });
    await start();
    await until(2_000);
    expect(heard).toEqual(['fire bob 1000']);
  });

  it('tell of one that could not be fired, and find it again', async () => {
    let failures = 1;
    const { heard, faults, start, until } = begin(
      { ada: 1_000 },
      {
        fire: async () => {
          if (failures-- > 0) throw new Error('the disk is gone');
        },
      },
    );
    await start();
    await until(HORIZON);
    expect(faults).toEqual([new Error('the disk is gone')]);
    expect(heard).toEqual(['fire ada 1000', 'fire ada 6000']);
  });

  it('stop once what is being fired has been, and fire nothing more', async () => {
    let finish = () => {};
    const { alarms, clock, heard, start, until } = begin(
      { ada: 1_000, bob: 2_000 },
      { fire: () => new Promise<void>((resolve) => (finish = resolve)) },
    );
    await start();
    await until(1_000);
    expect(alarms.idle).toBe(false);
    let stopped = false;
    const stopping = alarms.stop().then(() => (stopped = true));
    await until(10_000);
    expect([stopped, heard]).toEqual([false, ['fire ada 1000']]);
    finish();
    await stopping;
    expect([alarms.idle, clock.nextTimer()]).toEqual([true, undefined]);
  });
});
