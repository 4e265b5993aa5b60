/** Rows are written outside of turns only where nobody has changed them meanwhile, and each time with a line in the journal. */
import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { onlooker } from '../../src/actor/onlooker.ts';
import { SimulatedClock } from '../../src/clock.ts';
import type { Commits } from '../../src/engine/after-commit.ts';
import type { Cell } from '../../src/engine/cell.ts';
import { Cells } from '../../src/engine/cells.ts';
import { Composer } from '../../src/engine/composer.ts';
import type { Alarms } from '../../src/engine/deadlines.ts';
import type { Outbox } from '../../src/engine/outbox.ts';
import { Pacer } from '../../src/engine/pacer.ts';
import { Phase } from '../../src/engine/phase.ts';
import { keptResults } from '../../src/engine/results.ts';
import { Rewriter } from '../../src/engine/rewrite.ts';
import { StoreError } from '../../src/errors.ts';
import { EventChannel } from '../../src/events.ts';
import { defineFlow } from '../../src/index.ts';
import { Inspection } from '../../src/inspection/inspection.ts';
import { Observers } from '../../src/inspection/observers.ts';
import type { ActorRow, Commit, Outcome } from '../../src/store/rows.ts';
import { migrate } from '../../src/store/sqlite/schema.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';

const START = Date.UTC(2026, 0, 1);
const logic = setup({
  types: { events: {} as { type: 'end' } },
  actors: { job: fromPromise(() => new Promise(() => {})) },
}).createMachine({
  initial: 'working',
  states: {
    working: { invoke: { src: 'job' }, after: { 60000: 'over' }, on: { end: 'over' } },
    over: { type: 'final' },
  },
});
const flow = defineFlow({ type: 'job', version: 2, logic, supervision: { strategy: 'escalate' } });
const address = { flowType: 'job', participantId: 'ada' };
const ambient = { now: () => START, random: () => 0 };
const bug = new Error('a bug');

describe('the rewriter', () => {
  let knex: Knex;
  let store: SqliteStore;
  let events: EventChannel;
  let cells: Cells;
  let cell: Cell;
  let observers: Observers;
  let row: ActorRow;
  let heard: unknown[];
  /** Called before a commit; what it gives is the outcome in place of it. */
  let before: (commit: Commit) => Outcome | undefined;

  const make = (journal = true) => {
    const write = async (commit: Commit) => before(commit) ?? (await store.commit([commit]))[0]!;
    const once = async (commit: Commit) => {
      const outcome = await write(commit);
      if (outcome.result === 'failed') throw outcome.error;
      return outcome.result;
    };
    return new Rewriter({
      clock: new SimulatedClock(START + 1_000),
      events,
      cells,
      composer: new Composer(store, {} as Outbox, journal),
      alarms: { set: (_: unknown, dueAt: unknown) => heard.push(['alarm', dueAt]) } as unknown as Alarms,
      commits: { write, once } as Pick<Commits, 'write' | 'once'> as Commits,
      observers,
      pacer: new Pacer(events),
    });
  };
  beforeEach(async () => {
    knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
    await migrate(knex);
    store = await SqliteStore.open(knex);
    heard = [];
    before = () => undefined;
    events = new EventChannel();
    events.on('quarantined', ({ error, escalated }) => heard.push(['quarantined', error.message, escalated]));
    observers = new Observers(events);
    observers.add(
      address,
      () => {},
      ({ code }) => heard.push(['observer', code]),
    );
    cells = new Cells({
      flows: new Map([[flow.type, flow]]),
      clock: new SimulatedClock(START),
      phase: new Phase(),
      events,
      inspection: new Inspection(() => {}),
      inspect: undefined,
      chance: () => 0,
      capacity: 10,
      push: () => {},
    });
    const at = new Date(START).toISOString();
    row = {
      id: store.nextId('flow_states'),
      participant_id: 'ada',
      flow_type: 'job',
      current_state: 'working',
      state_data: live().encode(),
      created_at: at,
      updated_at: at,
      version: 1,
      flow_version: 1,
      status: 'active',
      next_due_at: START + 60_000,
      lease_until: START + 60_000,
      last_error: null,
      address: null,
      journal_id: null,
    };
    await store.commit([{ insert: row }]);
    cell = cells.hold(address);
    cell.row = row;
  });
  afterEach(() => knex.destroy());

  const live = () => LiveActor.spawn(logic, undefined, onlooker(address), ambient, 'life').actor;
  const stored = () => knex<ActorRow>('flow_states').where({ id: row.id }).first() as unknown as Promise<ActorRow>;
  const journal = () =>
    knex('flow_journal').orderBy('id').select('event_type', 'version', 'note', 'from_state', 'to_state');
  const elsewhere = () => knex('flow_states').where({ id: row.id }).update({ version: 2 });

  describe('changes columns', () => {
    it('in another version of the row, with a line that is the last one of the actor', async () => {
      const changed = await make().change(row, 'perdure.retried', 'by hand', { last_error: 'before' });
      expect(changed).toEqual({ ...row, version: 2, last_error: 'before', journal_id: expect.any(Number) });
      expect(await stored()).toEqual(changed);
      expect(await journal()).toEqual([
        { event_type: 'perdure.retried', version: 2, note: 'by hand', from_state: 'working', to_state: 'working' },
      ]);
    });

    it('not at all where somebody else has changed the row: neither the line is there, nor what goes with it', async () => {
      await elsewhere();
      const also = [{ kind: 'setting', key: 'beside', value: 1 }] as const;
      expect(await make().change(row, 'perdure.retried', null, { status: 'stopped' }, also)).toBeUndefined();
      expect(await stored()).toMatchObject({ version: 2, status: 'active' });
      expect([await journal(), await store.setting('beside')]).toEqual([[], undefined]);
      expect(cell.row).toBe(row); // whoever has it in hand loses the swap
    });

    it('and trusts nothing in memory where it is not known whether that was written', async () => {
      const error = new StoreError('io', 'the disk is gone');
      before = () => ({ result: 'failed', error });
      await expect(make().change(row, 'perdure.retried', null, {})).rejects.toBe(error);
      expect(cell.row).toBeUndefined();
    });

    it('so that they say what the snapshot says, and the next turn reads them', async () => {
      await make().realign(row, { next_due_at: null });
      expect(await stored()).toMatchObject({ version: 2, next_due_at: null, lease_until: row.lease_until });
      expect(await journal()).toMatchObject([{ event_type: 'perdure.realigned' }]);
      expect(cell.row).toBeUndefined();
    });
  });

  describe('puts an actor aside', () => {
    it('without what would wake it, says so to who waits, and keeps the results that a retry applies', async () => {
      const results = [{ sessionId: 'x:1', event: { type: 'xstate.promise.resolve', data: 'paid' } }];
      await make().quarantine(cell, row, bug, results);
      const kept = await stored();
      expect(kept).toMatchObject({
        version: 2,
        status: 'quarantined',
        last_error: 'a bug',
        next_due_at: null,
        lease_until: null,
      });
      expect(keptResults(kept.state_data)).toEqual(results);
      expect(JSON.parse(kept.state_data)).toMatchObject(JSON.parse(row.state_data));
      expect(await journal()).toMatchObject([{ event_type: 'perdure.quarantined', note: 'a bug' }]);
      expect([cell.row, cell.live]).toMatchObject([{ version: 2, status: 'quarantined' }, undefined]);
      expect(heard).toEqual([
        ['observer', 'ACTOR_QUARANTINED'],
        ['quarantined', 'a bug', true],
      ]);
    });

    it('not where somebody else has changed it, and reads it again', async () => {
      await elsewhere();
      await make().quarantine(cell, row, bug);
      expect([(await stored()).status, cell.row, heard]).toEqual(['active', undefined, []]);
    });

    it('without a line in the journal where that is refused, but not where the database takes nothing', async () => {
      const refused: Outcome = { result: 'failed', error: new StoreError('constraint', 'no such line') };
      before = (commit) => (commit.journal ? refused : undefined);
      await make().quarantine(cell, row, bug);
      expect([(await stored()).status, await journal()]).toEqual(['quarantined', []]);
      let attempts = 0;
      before = () => {
        attempts++;
        return { result: 'failed', error: new StoreError('full', 'the disk is full') };
      };
      cell.row = row;
      await expect(make().quarantine(cell, row, bug)).rejects.toMatchObject({ reason: 'full' });
      expect([attempts, heard.length]).toEqual([1, 2]); // of the first one
    });

    it('whom nobody has in hand, and disarms its alarm', async () => {
      cells.release(cell);
      await make(false).putAside(row, 'its columns lie');
      expect(await stored()).toMatchObject({ status: 'quarantined', last_error: 'its columns lie', journal_id: null });
      expect([await journal(), heard.at(-1)]).toEqual([[], ['alarm', undefined]]);
    });
  });

  describe('leads a row to another version', () => {
    it('with what it is found by, as if it had been so since its last turn', async () => {
      const actor = live();
      const written = await make().migrate(row, flow, actor);
      const { address: _, created_at, participant_id, flow_type, ...columns } = await stored();
      expect(columns).toEqual(written);
      expect(columns).toMatchObject({
        version: 2,
        flow_version: 2,
        updated_at: row.updated_at,
        next_due_at: START + 60_000,
        lease_until: row.lease_until,
      });
      expect(await journal()).toMatchObject([{ event_type: 'perdure.migrated', note: 'from version 1 to 2' }]);
    });

    it('which may begin what it invokes now, or have ended', async () => {
      expect(await make().migrate({ ...row, lease_until: null }, flow, live())).toMatchObject({
        lease_until: START + 1_000,
      });
      const ended = live();
      ended.perform({ kind: 'event', event: { type: 'end' } }, ambient);
      expect(await make().migrate({ ...row, version: 2 }, flow, ended)).toMatchObject({
        status: 'done',
        current_state: 'over',
        next_due_at: null,
        lease_until: null,
      });
      expect((await journal()).at(-1)).toMatchObject({ from_state: 'working', to_state: 'over' });
    });

    it('not where a turn was faster', async () => {
      await elsewhere();
      expect(await make().migrate(row, flow, live())).toBeUndefined();
      expect([(await stored()).flow_version, await journal()]).toEqual([1, []]);
    });
  });
});
