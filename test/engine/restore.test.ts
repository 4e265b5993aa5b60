/** Rows become live actors in the version in which they go on; what cannot be restored is put aside, and never guessed. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { onlooker } from '../../src/actor/onlooker.ts';
import { SimulatedClock } from '../../src/clock.ts';
import type { Cell } from '../../src/engine/cell.ts';
import { Cells } from '../../src/engine/cells.ts';
import type { Alarms } from '../../src/engine/deadlines.ts';
import { Loader } from '../../src/engine/loader.ts';
import { Phase } from '../../src/engine/phase.ts';
import { Restorer } from '../../src/engine/restore.ts';
import type { Rewriter } from '../../src/engine/rewrite.ts';
import type { TurnMaker } from '../../src/engine/turn-maker.ts';
import { EventChannel } from '../../src/events.ts';
import { FlowVersions } from '../../src/flow/versions.ts';
import { type AnyFlow, defineFlow, type Migration } from '../../src/index.ts';
import { Inspection } from '../../src/inspection/inspection.ts';
import type { ActorRow } from '../../src/store/rows.ts';

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);
/** What is started of actors, and stopped. */
const heard: string[] = [];
const logic = setup({
  types: { context: {} as { form: number }, events: {} as { type: 'end' } },
  actors: {
    job: fromPromise(({ signal }) => {
      heard.push('started');
      signal.addEventListener('abort', () => heard.push('stopped'));
      return new Promise(() => {});
    }),
  },
}).createMachine({
  context: { form: 1 },
  initial: 'working',
  states: {
    working: { invoke: { src: 'job' }, after: { 60000: 'over' }, on: { end: 'over' } },
    over: { type: 'final' },
  },
});
const v1 = defineFlow({ type: 'job', version: 1, logic });
const v2 = (migrate: Migration) => defineFlow({ type: 'job', version: 2, logic, migrate: { 1: migrate } });
const sameForm: Migration = (snapshot: any) => ({ ...snapshot, context: { form: 2 } });
/** Moves the deadline, by which the row is found. */
const later: Migration = (snapshot: any, { timers }: any) => ({
  snapshot,
  timers: timers.map((timer: any) => ({ ...timer, dueAt: timer.dueAt + MINUTE })),
});

const address = { flowType: 'job', participantId: 'ada' };
const { state_data: working, ...columns } = rowOf();

/** The row of an actor that has just begun. */
function rowOf(change: Partial<ActorRow> = {}): ActorRow {
  const ambient = { now: () => START, random: () => 0 };
  const { actor } = LiveActor.spawn(logic, undefined, onlooker(address), ambient, 'life');
  const at = new Date(START).toISOString();
  return {
    id: 1,
    participant_id: 'ada',
    flow_type: 'job',
    current_state: 'working',
    state_data: actor.encode(),
    created_at: at,
    updated_at: at,
    version: 1,
    flow_version: 1,
    status: 'active',
    next_due_at: START + MINUTE,
    lease_until: START + MINUTE,
    last_error: null,
    address: null,
    journal_id: null,
    ...change,
  };
}

describe('the restorer', () => {
  let clock: SimulatedClock;
  let cells: Cells;
  /** What the database has. */
  let row: ActorRow | undefined;
  let alarms: { set: ReturnType<typeof vi.fn> };
  let rewriter: { migrate: ReturnType<typeof vi.fn>; quarantine: ReturnType<typeof vi.fn> };
  /** Called whenever a row is read. */
  let onRead: () => void;

  const make = (...flows: AnyFlow[]) => {
    const options = { clock, events: new EventChannel(), inspection: new Inspection(() => {}) };
    const newest = new FlowVersions(flows).newest;
    cells = new Cells({
      ...options,
      flows: new Map([[newest.type, newest]]),
      phase: new Phase(),
      inspect: undefined,
      chance: () => 0,
      capacity: 1,
      push: () => {},
    });
    return new Restorer({
      ...options,
      cells,
      versions: new Map([[newest.type, new FlowVersions(flows)]]),
      loader: new Loader(async (addresses) => {
        const found = row && { ...row };
        onRead();
        return addresses.map(() => found);
      }),
      alarms: alarms as unknown as Alarms,
      maker: { ambient: () => ({ now: () => clock.now(), random: () => 0 }) } as unknown as TurnMaker,
      rewriter: rewriter as unknown as Rewriter,
    });
  };
  const hold = (): Cell => cells.hold(address);

  beforeEach(() => {
    clock = new SimulatedClock(START);
    row = { ...columns, state_data: working };
    heard.length = 0;
    alarms = { set: vi.fn() };
    rewriter = {
      migrate: vi.fn(async (from: ActorRow) => ({ version: from.version + 1, flow_version: 2, state_data: 'new' })),
      quarantine: vi.fn(async () => {}),
    };
    onRead = () => {};
  });

  it('starts nothing of an actor that is only looked at, and says of one that is nowhere', async () => {
    const restorer = make(v1);
    const { snapshot, timers } = await restorer.peek(address);
    expect([snapshot.value, timers.length, restorer.examine(row!).hasProcesses]).toEqual(['working', 1, true]);
    expect([heard, alarms.set.mock.calls]).toEqual([[], []]);
    row = undefined;
    expect(await restorer.exists(address)).toBe(false);
    for (const look of [restorer.row(address), restorer.peek(address)])
      await expect(look).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND', address });
  });

  it('gives a copy its own live actor and row, and leaves the actor in memory alone', async () => {
    const restorer = make(v1);
    const cell = hold();
    const copy = cells.copy(address);
    restorer.copy(copy, cell, row!);
    expect(copy.row).toEqual(columns);
    expect([copy.live!.snapshot.value, cell.live, cell.row]).toEqual(['working', undefined, undefined]);
  });

  describe('into memory', () => {
    it('reads the actor, and lets go on what it had under way', async () => {
      const restorer = make(v1);
      const cell = hold();
      await restorer.load(cell);
      expect(cell.row).toEqual(columns);
      expect(cell.committed).toBe(cell.live!.snapshot);
      expect(heard).toEqual(['started']);
      expect(alarms.set).toHaveBeenCalledExactlyOnceWith(address, START + MINUTE, 'job/ada');
    });

    it('starts nothing where a deadline has passed, which is the next turn, or where the actor has ended', async () => {
      const restorer = make(v1);
      clock.moveTo(START + MINUTE);
      await restorer.load(hold());
      row = rowOf({ status: 'stopped' });
      const cell = hold();
      cell.forget();
      await restorer.load(cell);
      expect(cell.row).toMatchObject({ status: 'stopped' });
      expect([heard, alarms.set.mock.calls]).toEqual([[], []]);
    });

    it('stops what runs of an actor that was deleted, or put aside, elsewhere', async () => {
      const restorer = make(v1);
      for (const now of [undefined, rowOf({ status: 'quarantined', state_data: 'broken' })]) {
        row = rowOf();
        heard.length = 0;
        const cell = hold();
        await restorer.load(cell);
        cell.forget();
        row = now;
        if (now) await restorer.load(cell);
        else await expect(restorer.load(cell)).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
        expect([heard, cell.live, cell.row?.status]).toEqual([['started', 'stopped'], undefined, now?.status]);
      }
    });

    it('takes no row that a transaction has overtaken while it was read', async () => {
      const restorer = make(v1);
      const cell = hold();
      onRead = () => {
        onRead = () => {};
        cell.forget(); // the transaction has ended
        row = rowOf({ version: 2 });
      };
      await restorer.load(cell);
      expect(cell.row).toMatchObject({ version: 2 });
      cell.forget();
      const mine = { ...columns, version: 3 };
      onRead = () => cell.adopt(cells.copy(address), mine);
      await restorer.load(cell);
      expect(cell.row).toBe(mine);
    });

    it('puts aside what cannot be restored, also where its row says that it goes on, and its snapshot not', async () => {
      const { actor } = LiveActor.spawn(logic, undefined, onlooker(address), { now: () => START, random: () => 0 });
      actor.perform({ kind: 'event', event: { type: 'end' } }, { now: () => START, random: () => 0 });
      for (const state_data of ['broken', working.replaceAll('working', 'gone'), actor.encode()]) {
        row = rowOf({ state_data });
        rewriter.quarantine.mockClear();
        const restorer = make(v1);
        const cell = hold();
        await restorer.load(cell);
        const { state_data: _, ...rest } = row;
        const error = expect.objectContaining({ code: 'SNAPSHOT_INCOMPATIBLE' });
        expect(rewriter.quarantine).toHaveBeenCalledExactlyOnceWith(cell, rest, error);
        expect([heard, cell.live]).toEqual([[], undefined]);
        row.status = 'stopped'; // it takes no events anyway
        if (state_data === 'broken')
          await expect(restorer.load(cell)).rejects.toMatchObject({ code: 'SNAPSHOT_INCOMPATIBLE' });
      }
    });

    it('lets what a newer release has written sleep', async () => {
      row = rowOf({ flow_version: 2 });
      const restorer = make(v1);
      await expect(restorer.load(hold())).rejects.toMatchObject({ code: 'SNAPSHOT_NEWER' });
      expect(rewriter.quarantine).not.toHaveBeenCalled();
    });
  });

  describe('in another version', () => {
    it('goes on in it, and leaves it to the next turn to write what nothing is found by', async () => {
      const restorer = make(v2(sameForm));
      const cell = hold();
      await restorer.load(cell);
      expect([cell.flow.version, cell.live!.snapshot.context]).toEqual([2, { form: 2 }]);
      expect(cell.row).toEqual(columns);
      expect(rewriter.migrate).not.toHaveBeenCalled();
    });

    it('writes at once what the row is found by', async () => {
      const restorer = make(v2(later));
      const cell = hold();
      await restorer.load(cell);
      expect(rewriter.migrate).toHaveBeenCalledExactlyOnceWith(row, cell.flow, cell.live);
      expect(cell.row).toEqual({ ...columns, version: 2, flow_version: 2 });
      expect(alarms.set).toHaveBeenCalledExactlyOnceWith(address, START + 2 * MINUTE, 'job/ada');
    });

    it('has nothing in memory where that lost to somebody else, or failed', async () => {
      const restorer = make(v2(later));
      const cell = hold();
      rewriter.migrate.mockResolvedValueOnce(undefined);
      await restorer.load(cell);
      expect([cell.row, cell.live]).toEqual([undefined, undefined]);
      rewriter.migrate.mockRejectedValueOnce(new Error('the disk is full'));
      await expect(restorer.load(cell)).rejects.toThrow('the disk is full');
      expect([cell.row, cell.live, heard]).toEqual([undefined, undefined, []]);
    });

    it('is written where that is asked for: once, of an actor that goes on, and with its deadline', async () => {
      rewriter.migrate.mockImplementation(async () => ({ next_due_at: START + 2 * MINUTE }));
      expect(await make(v2(later)).migrate(row!)).toBe(true);
      expect(alarms.set).toHaveBeenCalledExactlyOnceWith(address, START + 2 * MINUTE, 'job/ada');
      rewriter.migrate.mockResolvedValueOnce(undefined);
      expect(await make(v2(later)).migrate(row!)).toBe(false); // somebody else was faster
      expect(await make(v1).migrate(row!)).toBe(false);
      for (const status of ['done', 'quarantined'] as const)
        expect(await make(v2(later)).migrate(rowOf({ status }))).toBe(false);
      expect([rewriter.migrate.mock.calls.length, alarms.set.mock.calls.length, heard]).toEqual([2, 1, []]);
    });

    it('is not guessed: a row that fits no version stays as it is', async () => {
      const refused: Migration = () => {
        throw new Error('no idea');
      };
      const restorer = make(v2(refused));
      await expect(restorer.migrate(row!)).rejects.toMatchObject({
        code: 'SNAPSHOT_INCOMPATIBLE',
        message: expect.stringContaining('migrate[1] threw: no idea'),
      });
      expect(() => restorer.restore({ ...row!, flow_type: 'other' })).toThrow(
        expect.objectContaining({ code: 'UNKNOWN_FLOW' }),
      );
      expect(rewriter.migrate).not.toHaveBeenCalled();
    });
  });
});
