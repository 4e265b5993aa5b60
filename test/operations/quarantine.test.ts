import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { StoreError } from '../../src/errors.ts';
import { defineFlow } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

let broken = false;
let asked = 0;
let answer = () => {};
const check = () => {
  if (broken) throw new Error('the check is broken');
  return true;
};

/** Asks once a minute, which may throw; looks something up on demand. */
const flow = defineFlow({
  type: 'watched',
  version: 1,
  logic: setup({
    types: {
      context: {} as { log: string[] },
      events: {} as { type: 'note'; text: string } | { type: 'look up' | 'search' } | { type: 'reply'; text: string },
      emitted: {} as { type: 'message'; text: string },
    },
    actors: {
      lookUp: fromPromise(async () => {
        asked++;
        return new Promise<string>((resolve) => {
          answer = () => resolve('found');
        });
      }),
    },
    guards: { check },
  }).createMachine({
    context: { log: [] },
    initial: 'waiting',
    on: { note: { actions: assign({ log: ({ context, event }) => [...context.log, event.text] }) } },
    states: {
      waiting: {
        on: { 'look up': 'looking', search: 'searching' },
        after: {
          60000: {
            target: 'waiting',
            reenter: true,
            guard: 'check',
            actions: emit({ type: 'message', text: 'still there?' }),
          },
        },
      },
      looking: {
        invoke: { src: 'lookUp', onDone: 'waiting' },
        after: { 60000: { target: 'waiting', guard: 'check' } },
      },
      searching: {
        invoke: { src: 'lookUp', onDone: 'waiting' },
        after: { 60000: { guard: 'check', actions: emit({ type: 'message', text: 'still searching' }) } },
      },
    },
  }),
  supervision: { strategy: 'escalate' },
  project: ({ participantId, after }) => ({
    table: 'app_rows',
    where: { id: participantId },
    set: { status: after.status },
  }),
});
const PHONE = '+15551234567';
const START = Date.UTC(2026, 0, 1);

describe('the quarantine', () => {
  let test: TestRuntime;
  const heard: string[] = [];
  const listen = () => {
    for (const type of ['quarantined', 'retried', 'discarded'] as const) test.runtime.on(type, () => heard.push(type));
  };
  beforeEach(async () => {
    broken = false;
    asked = 0;
    heard.length = 0;
    test = await createTestRuntime({ flows: [flow], start: START });
    await test.knex.schema.createTable('app_rows', (table) => {
      table.text('id');
      table.text('status');
    });
    listen();
  });
  afterEach(() => test.stop());

  const crash = async () => {
    await test.crash();
    await test.restart();
    listen();
  };
  const address = (participantId: string) => ({ flowType: 'watched', participantId });
  const spawn = async (id: string, phoneNumber?: string) => {
    const actor = await test.spawn(flow, id, phoneNumber ? { phoneNumber } : {});
    await test.knex('app_rows').insert({ id, status: 'active' });
    return actor;
  };
  /** Makes an actor's deadline throw, so that it is put aside. */
  const putAside = async (id: string, phoneNumber?: string) => {
    const actor = await spawn(id, phoneNumber);
    await actor.send({ type: 'note', text: 'remember this' });
    broken = true;
    await test.advance('1m');
    return actor;
  };
  const spoil = async (id: string) => {
    await test.crash();
    await test.restart();
    listen();
    await test.knex('flow_states').where({ participant_id: id }).update({ state_data: '{"snapshot": tru' });
    await test
      .actor(flow, id)
      .send({ type: 'note', text: 'x' })
      .catch(() => {});
  };
  const row = (id: string) => test.knex('flow_states').where({ participant_id: id }).first();
  const ids = (list: { address: { participantId: string } }[]) => list.map((each) => each.address.participantId);

  it('lists who was put aside, where, why and when', async () => {
    expect(await test.runtime.quarantine.list()).toEqual([]);
    await putAside('ada');
    await test.advance('1h');
    expect(await test.runtime.quarantine.list()).toEqual([
      {
        id: expect.any(Number),
        address: address('ada'),
        state: 'waiting',
        error: expect.stringContaining('the check is broken'),
        since: START + 60_000,
        version: 3,
        flowVersion: 1,
      },
    ]);
    await crash();
    expect(ids(await test.runtime.quarantine.list())).toEqual(['ada']);
  });

  it('lists a page at a time, and those of one flow or participant, with the help of the index', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await spawn(id);
    broken = true;
    await test.advance('1m');
    const { quarantine } = test.runtime;
    const first = await quarantine.list({ limit: 2 });
    const second = await quarantine.list({ limit: 2, after: first.at(-1)!.id });
    const third = await quarantine.list({ limit: 2, after: second.at(-1)!.id });
    expect([first, second, third].map((page) => page.length)).toEqual([2, 2, 1]);
    expect(ids([...first, ...second, ...third]).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(ids(await quarantine.list({ participantId: 'c' }))).toEqual(['c']);
    expect(await quarantine.list({ flowType: 'another' })).toEqual([]);
    for (const page of [{ limit: 0 }, { limit: 1.5 }, { limit: 1001 }, { after: -1 }])
      await expect(quarantine.list(page)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const plan = await test.knex.raw(
      "EXPLAIN QUERY PLAN SELECT * FROM flow_states AS f WHERE f.status = 'quarantined' AND f.id > 0 ORDER BY f.id LIMIT 100",
    );
    expect(plan[0].detail).toContain('flow_states_quarantined');
  });

  it('shows the last good state, and the deadlines that are pending', async () => {
    await putAside('ada');
    expect(await test.runtime.quarantine.get(address('ada'))).toMatchObject({
      address: address('ada'),
      state: 'waiting',
      value: 'waiting',
      context: { log: ['remember this'] },
      timers: [{ dueAt: START + 60_000, event: { type: expect.stringContaining('xstate.after') } }],
      stateData: undefined,
    });
  });

  it('shows the raw text of a row that cannot be read', async () => {
    await spawn('ada');
    await spoil('ada');
    expect(await test.runtime.quarantine.get(address('ada'))).toMatchObject({
      value: undefined,
      context: undefined,
      timers: [],
      stateData: '{"snapshot": tru',
      error: expect.stringContaining('not readable'),
    });
    expect(await test.actor(flow, 'ada').describe()).toMatchObject({ status: 'quarantined', state: 'waiting' });
  });

  it('shows the raw text of a row with a deadline that is none, and lists one that does not say since when', async () => {
    await spawn('ada');
    const row = () => test.knex('flow_states').where({ participant_id: 'ada' });
    const { state_data } = await row().first();
    const stored = JSON.parse(state_data);
    stored.timers = [{ dueAt: 'tomorrow', event: { type: 'x' } }];
    const spoiled = { state_data: JSON.stringify(stored), status: 'quarantined', journal_id: null, updated_at: '' };
    await row().update(spoiled);
    expect(await test.runtime.quarantine.get(address('ada'))).toMatchObject({
      value: 'waiting',
      timers: [],
      stateData: spoiled.state_data,
    });
    expect(await test.runtime.quarantine.list()).toMatchObject([{ address: address('ada'), since: Number.NaN }]);
  });

  it('lets an actor go on, its overdue deadline first', async () => {
    const actor = await putAside('ada');
    await test.advance('1h');
    broken = false;
    await test.runtime.quarantine.retry(address('ada'));
    await test.settle();
    expect(await actor.describe()).toMatchObject({ status: 'active', lastError: null });
    expect((await test.outbox('ada')).map(({ text }) => text)).toEqual(['still there?']);
    expect(await test.runtime.quarantine.list()).toEqual([]);
    expect(heard).toEqual(['quarantined', 'retried']);
    const journal = await test.journal('ada');
    expect(journal.map(({ event }) => event)).toEqual([
      'xstate.init',
      'note',
      'perdure.quarantined',
      'perdure.retried',
      expect.stringContaining('xstate.after'),
    ]);
    expect(journal.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5]);
    expect(journal[2]!.note).toContain('the check is broken');
  });

  it('asks again what was asked for, also where nobody heard that the actor was put aside', async () => {
    const actor = await spawn('ada');
    await actor.send({ type: 'search' });
    const { commit } = SqliteStore.prototype;
    SqliteStore.prototype.commit = async function (group) {
      const outcomes = await commit.call(this, group);
      if (!group.some(({ journal }) => journal?.event_type === 'perdure.quarantined')) return outcomes;
      SqliteStore.prototype.commit = commit;
      return group.map(() => ({ result: 'failed', error: new StoreError('io', 'the line broke') }));
    };
    broken = true;
    await test.advance('65s');
    answer();
    await test.settle();
    expect(await actor.describe()).toMatchObject({ status: 'quarantined', state: 'searching' });
    broken = false;
    await test.runtime.quarantine.retry(address('ada'));
    await test.settle();
    expect(asked).toBe(2);
    answer();
    await test.settle();
    expect(await actor.describe()).toMatchObject({ status: 'active', state: 'waiting' });
  });

  it('lets an actor go on although the process dies right after', async () => {
    await putAside('ada');
    broken = false;
    await test.runtime.quarantine.retry(address('ada'));
    await crash();
    await test.settle();
    expect(await test.actor(flow, 'ada').describe()).toMatchObject({ status: 'active' });
    expect(await test.outbox('ada')).toHaveLength(1);
  });

  it('lets an invocation that was under way run again, also when the process dies right after', async () => {
    const actor = await spawn('ada');
    await actor.send({ type: 'look up' });
    broken = true;
    await test.advance('1m');
    expect(asked).toBe(1);
    broken = false;
    // The deadline has passed as well; it must not fire first, or nothing is left to look up.
    const { state_data } = await row('ada');
    const state = JSON.parse(state_data);
    state.timers[0].dueAt += 3_600_000;
    await test
      .knex('flow_states')
      .where({ participant_id: 'ada' })
      .update({ state_data: JSON.stringify(state) });
    await test.runtime.quarantine.retry(address('ada'));
    await test.settle();
    expect(asked).toBe(2);
    await crash();
    await test.settle();
    expect(asked).toBe(3);
  });

  it('keeps an actor aside that still cannot be restored', async () => {
    await spawn('ada');
    await spoil('ada');
    await expect(test.runtime.quarantine.retry(address('ada'))).rejects.toMatchObject({
      code: 'SNAPSHOT_INCOMPATIBLE',
    });
    expect(ids(await test.runtime.quarantine.list())).toEqual(['ada']);
  });

  it('discards an actor: it ends, its number is free, nothing is deleted', async () => {
    const actor = await putAside('ada', PHONE);
    await test.runtime.quarantine.discard(address('ada'), 'a test participant');
    expect(await actor.describe()).toMatchObject({
      status: 'stopped',
      state: 'waiting',
      lastError: expect.stringMatching(/^Discarded: a test participant\. It was quarantined: .*the check is broken/s),
    });
    expect((await actor.getSnapshot()).context.log).toEqual(['remember this']);
    expect(await actor.timers()).toEqual([]);
    expect((await test.journal('ada')).at(-1)).toMatchObject({
      event: 'xstate.stop',
      note: 'discarded: a test participant',
    });
    expect(await test.knex('response_handlers')).toEqual([]);
    expect(await test.knex('app_rows').where({ id: 'ada' }).first()).toEqual({ id: 'ada', status: 'stopped' });
    expect(heard).toEqual(['quarantined', 'discarded']);
    expect(await test.receive({ channel: 'sms', id: '1', from: PHONE, text: 'hello?' })).toMatchObject({
      status: 'unrouted',
    });
    const next = await test.spawn(flow, 'ada-again', { phoneNumber: PHONE });
    expect(next.address.participantId).toBe('ada-again');
    await crash();
    await test.advance('1d');
    expect(await test.actor(flow, 'ada').describe()).toMatchObject({ status: 'stopped' });
    expect(heard.filter((type) => type === 'discarded')).toHaveLength(1);
  });

  it('discards an actor whose row cannot be read, and keeps the row as it is', async () => {
    await spawn('ada', PHONE);
    await spoil('ada');
    await test.runtime.quarantine.discard(address('ada'));
    expect(await row('ada')).toMatchObject({
      status: 'stopped',
      state_data: '{"snapshot": tru',
      last_error: expect.stringMatching(/^Discarded\. It was quarantined: .*not readable/),
      next_due_at: null,
    });
    expect((await test.journal('ada')).at(-1)).toMatchObject({ event: 'xstate.stop', note: 'discarded' });
    expect(await test.knex('response_handlers')).toEqual([]);
    // It stays discarded, whoever looks at it.
    await test
      .actor(flow, 'ada')
      .send({ type: 'note', text: 'x' })
      .catch(() => {});
    await crash();
    await test
      .actor(flow, 'ada')
      .send({ type: 'note', text: 'x' })
      .catch(() => {});
    expect(await row('ada')).toMatchObject({ status: 'stopped' });
    expect(await test.runtime.quarantine.list()).toEqual([]);
  });

  it('stays ended when it is written to', async () => {
    await putAside('ada');
    await test.runtime.quarantine.discard(address('ada'), 'enough');
    await test.runtime.receiveFor(flow, 'ada', { channel: 'sms', id: '1', from: PHONE, text: 'hello?' });
    expect(await row('ada')).toMatchObject({ status: 'stopped', last_error: expect.stringContaining('enough') });
  });

  it.each(['whose table refuses its rows', 'whose row could not be read, and is mended'])(
    'discards an actor %s, and starts nothing for it again, whoever writes',
    async (what) => {
      const actor = await spawn('ada', PHONE);
      await actor.send({ type: 'search' });
      expect(asked).toBe(1);
      broken = true;
      await test.advance('1m');
      const { state_data } = await row('ada');
      const store = (state_data: string) =>
        test.knex('flow_states').where({ participant_id: 'ada' }).update({ state_data });
      const spoils = what.includes('could not be read');
      if (spoils) await store('{"snapshot": tru');
      else await test.knex.schema.dropTable('app_rows');
      await test.runtime.quarantine.discard(address('ada'), 'hopeless');
      if (spoils) await store(state_data);
      expect(await actor.describe()).toMatchObject({ status: 'stopped', state: 'searching' });
      expect((await test.journal('ada')).at(-1)).toMatchObject({
        event: 'xstate.stop',
        note: spoils
          ? 'discarded: hopeless'
          : "discarded: hopeless; not recorded: The database refused an update of 'app_rows': SQLITE_ERROR: no such table: app_rows.",
      });
      await test.runtime.receiveFor(flow, 'ada', { channel: 'sms', id: '1', from: PHONE, text: 'hello?' });
      await test.advance('1h');
      expect(asked).toBe(1);
      expect(await actor.describe()).toMatchObject({ status: 'stopped', state: 'searching' });
    },
  );

  it('removes an actor that was put aside, also where its table refuses its rows', async () => {
    await putAside('ada', PHONE);
    await test.knex.schema.dropTable('app_rows');
    await test.runtime.remove(flow, 'ada');
    expect(await row('ada')).toBeUndefined();
  });

  it.each(['retry', 'discard'] as const)('does a %s once, however many ask for it at the same time', async (what) => {
    await putAside('ada');
    broken = false;
    const answers = await Promise.allSettled([1, 2, 3].map(() => test.runtime.quarantine[what](address('ada'))));
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const answer of answers)
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: 'INVALID_ARGUMENT' });
    await test.settle();
    const lines = (await test.journal('ada')).filter(
      ({ event }) => event === (what === 'retry' ? 'perdure.retried' : 'xstate.stop'),
    );
    expect(lines).toHaveLength(1);
    expect(heard.filter((type) => type !== 'quarantined')).toHaveLength(1);
  });

  it('says what is wrong with an actor that is not there, or not put aside', async () => {
    await spawn('ada');
    for (const what of ['get', 'retry', 'discard'] as const) {
      await expect(test.runtime.quarantine[what](address('nobody'))).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
      await expect(test.runtime.quarantine[what](address('ada'))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining("its status is 'active'"),
      });
    }
    await expect(test.runtime.quarantine.discard(address('ada'), {} as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
