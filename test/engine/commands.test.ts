/** What operators do with single actors, and what is left where that fails. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { LEASE } from '../../src/engine/composer.ts';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const PHONE = '+15551234567';

let broken = false;
let stubborn = false;
let asked = 0;
let withdrawn = 0;

const logic = setup({
  types: { context: {} as { log: string[] }, events: {} as { type: 'wait' | 'ask' | 'go' | 'ring' | 'end' } },
  actors: {
    ask: fromPromise(({ signal }) => {
      asked++;
      signal.addEventListener('abort', () => withdrawn++);
      return new Promise(() => {});
    }),
  },
  guards: {
    check: () => {
      if (broken) throw new Error('the check is broken');
      return true;
    },
  },
}).createMachine({
  context: { log: [] },
  initial: 'calm',
  on: { ring: { actions: assign({ log: ({ context }) => [...context.log, 'ring'] }) }, end: '.over' },
  states: {
    calm: { on: { wait: 'waiting', ask: 'asking', go: 'busy' } },
    waiting: { after: { [MINUTE]: { guard: 'check', target: 'calm' } } },
    asking: { invoke: { src: 'ask' }, after: { [MINUTE]: { guard: 'check', target: 'calm' } } },
    busy: { initial: 'early', states: { early: {} } },
    over: { type: 'final' },
  },
});
const desk = defineFlow({
  type: 'desk',
  version: 1,
  logic,
  supervision: { strategy: 'restart', maxRestarts: 1, backoff: { initial: '1s', max: '1s' } },
  project: ({ after }) => {
    if (stubborn && after.status === 'stopped') throw new Error('I will not go');
    return null;
  },
});
const ada = { flowType: 'desk', participantId: 'ada' };

let test: TestRuntime;
const heard: string[] = [];
beforeEach(async () => {
  broken = stubborn = false;
  asked = withdrawn = heard.length = 0;
  test = await createTestRuntime({
    flows: [desk],
    start: START,
    prepare: (runtime) => {
      for (const type of ['restarting', 'quarantined', 'retried', 'discarded', 'removed'] as const)
        runtime.on(type, () => heard.push(type));
    },
  });
});
afterEach(() => test.stop());

const row = () => test.knex('flow_states').where({ participant_id: 'ada' }).first();
const change = async (columns: object) => {
  await test.crash();
  await test.knex('flow_states').where({ participant_id: 'ada' }).update(columns);
  await test.restart();
  heard.length = 0;
};
/** In that state, put aside, as if by a former process. */
const aside = async (event: 'wait' | 'ask' | 'end', columns: object = {}) => {
  const actor = await test.spawn(desk, 'ada', { phoneNumber: PHONE });
  await actor.send({ type: event });
  await change({ status: 'quarantined', last_error: 'It fell.', next_due_at: null, lease_until: null, ...columns });
  asked = withdrawn = 0;
  return test.actor(desk, 'ada');
};
/** From now on the database refuses to delete of this table. */
const guard = (table: string) =>
  test.knex.raw(`CREATE TRIGGER guarded BEFORE DELETE ON ${table} BEGIN SELECT RAISE(ABORT, 'guarded'); END`);

describe('a retry', () => {
  it('gives the row its deadline and its lease again, and lets the invocation run', async () => {
    const actor = await aside('ask');
    await test.runtime.quarantine.retry(ada);
    await test.settle();
    expect(await row()).toMatchObject({
      status: 'active',
      last_error: null,
      next_due_at: START + MINUTE,
      lease_until: START + LEASE,
    });
    expect([asked, heard]).toEqual([1, ['retried']]);
    expect((await actor.journal()).at(-1)).toMatchObject({ event: 'perdure.retried', from: 'asking', to: 'asking' });
  });

  it('lets an actor fail as often again as it may: what it failed with before is forgiven', async () => {
    const actor = await test.spawn(desk, 'ada');
    await actor.send({ type: 'wait' });
    broken = true;
    await test.advance('2m');
    expect(heard.splice(0)).toEqual(['restarting', 'quarantined']);
    await test.runtime.quarantine.retry(ada);
    await test.advance('2s');
    expect(heard).toEqual(['retried', 'restarting', 'quarantined']);
  });

  it('ends one whose state has ended', async () => {
    await aside('end');
    await test.runtime.quarantine.retry(ada);
    expect(await row()).toMatchObject({ status: 'done', next_due_at: null, lease_until: null, last_error: null });
  });

  it('changes nothing of one that is not put aside, and says how it stands', async () => {
    await test.spawn(desk, 'ada');
    const before = await row();
    expect(await test.runtime.engine.retry(ada)).toBe('active');
    expect(await row()).toEqual(before);
    expect(heard).toEqual([]);
  });

  it('changes nothing of one that still cannot be restored', async () => {
    await aside('wait', { state_data: '{"snapshot": tru' });
    const before = await row();
    await expect(test.runtime.engine.retry(ada)).rejects.toMatchObject({ code: 'SNAPSHOT_INCOMPATIBLE' });
    expect(await row()).toEqual(before);
  });
});

describe('a discard', () => {
  it('ends one in a turn of its own, with the reason for both', async () => {
    await aside('ask');
    await test.runtime.quarantine.discard(ada);
    expect(await row()).toMatchObject({
      status: 'stopped',
      last_error: 'Discarded. It was quarantined: It fell.',
      state_data: expect.stringContaining('"status":"stopped"'),
      lease_until: null,
    });
  });

  it('ends one without the rows of the application where its flow throws at its end, and says so', async () => {
    await aside('wait');
    stubborn = true;
    const { version } = await row();
    await test.runtime.quarantine.discard(ada, 'enough');
    expect(await row()).toMatchObject({
      status: 'stopped',
      last_error: 'Discarded: enough. It was quarantined: It fell.',
      state_data: expect.stringContaining('"status":"stopped"'),
      version: version + 1,
    });
    expect((await test.journal(ada)).at(-1)).toMatchObject({
      event: 'xstate.stop',
      note: 'discarded: enough; not recorded: I will not go',
    });
  });

  it('ends one as it is that cannot be restored', async () => {
    await aside('wait', { state_data: '{"snap' });
    await test.runtime.quarantine.discard(ada);
    expect(await row()).toMatchObject({ status: 'stopped', state_data: '{"snap' });
    expect((await test.journal(ada)).at(-1)).toMatchObject({ event: 'xstate.stop', note: 'discarded' });
  });

  it('ends one as it is whose flow nobody knows', async () => {
    await aside('wait', { flow_type: 'gone' });
    await test.runtime.quarantine.discard({ ...ada, flowType: 'gone' });
    expect(await row()).toMatchObject({
      status: 'stopped',
      current_state: 'waiting',
      last_error: 'Discarded. It was quarantined: It fell.',
    });
  });

  it.each(['in a turn', 'as it is'])(
    'leaves all as it was where the database refuses its other part (%s)',
    async (how) => {
      await aside('wait', how === 'as it is' ? { state_data: '{"snap' } : {});
      await guard('response_handlers');
      const before = await row();
      await expect(test.runtime.quarantine.discard(ada)).rejects.toThrow('guarded');
      expect(await row()).toEqual(before);
      expect(heard).toEqual([]);
    },
  );

  it('changes nothing of one that is not put aside', async () => {
    await test.spawn(desk, 'ada');
    expect(await test.runtime.engine.discard(ada, undefined, [])).toMatchObject({ status: 'active' });
    expect([await row(), heard]).toMatchObject([{ status: 'active', version: 1 }, []]);
  });
});

describe('a removal', () => {
  const left = async () => {
    const tables = ['flow_states', 'flow_journal', 'response_handlers'];
    return Promise.all(tables.map(async (table) => (await test.knex(table)).length));
  };

  it.each<[string, () => Promise<unknown>]>([
    ['is put aside', () => aside('ask')],
    ['has ended', () => aside('end', { status: 'done' })],
    ['can no longer be read, which nobody knew', () => aside('ask', { status: 'active', state_data: '{"snap' })],
    [
      'is put aside and throws at its end',
      async () => {
        await aside('ask');
        stubborn = true;
      },
    ],
  ])('leaves nothing of an actor that %s', async (_, make) => {
    await make();
    await test.runtime.remove(desk, 'ada');
    expect(await left()).toEqual([0, 0, 0]);
    const again = await test.spawn(desk, 'ada');
    expect((await again.send({ type: 'ring' })).context.log).toEqual(['ring']);
  });

  it('ends what runs for the actor, and tells who waits for it', async () => {
    const actor = await test.spawn(desk, 'ada');
    await actor.send({ type: 'ask' });
    const waits = expect(
      test.runtime.actor(desk, 'ada').waitFor((snapshot) => snapshot.value === 'over'),
    ).rejects.toMatchObject({ code: 'ACTOR_ENDED', address: ada });
    await actor.getSnapshot();
    await test.runtime.remove(desk, 'ada');
    await waits;
    expect([asked, withdrawn]).toEqual([1, 1]);
    await expect(actor.getSnapshot()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' }); // nor is it in memory
    await test.advance('1h');
    expect(heard).toEqual(['removed']);
  });

  it('ends what runs also for one that throws at its end', async () => {
    const actor = await test.spawn(desk, 'ada');
    await actor.send({ type: 'ask' });
    stubborn = true;
    await test.runtime.remove(desk, 'ada');
    expect([asked, withdrawn]).toEqual([1, 1]);
    expect(await left()).toEqual([0, 0, 0]);
  });

  it('that the database refuses leaves an actor that goes on, with its deadline', async () => {
    const actor = await test.spawn(desk, 'ada');
    await actor.send({ type: 'wait' });
    await guard('flow_states');
    const before = await row();
    await expect(test.runtime.remove(desk, 'ada')).rejects.toThrow('guarded');
    expect(await row()).toEqual(before);
    expect(heard).toEqual([]);
    await actor.send({ type: 'ring' });
    await test.advance('1m');
    expect(await actor.getSnapshot()).toMatchObject({ value: 'calm', context: { log: ['ring'] } });
  });

  it('of one that is not there is refused', async () => {
    await expect(test.runtime.engine.remove(ada, [])).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
  });
});

describe('a deadline that is put in', () => {
  const ring = (changes: object = {}) => ({ event: { type: 'ring' }, dueAt: START + 5_000, ...changes }) as never;
  const schedule = (timer: unknown, state = 'calm') => test.runtime.engine.schedule(ada, timer as never, state);

  it('is put in once, and fires, also after a crash', async () => {
    const actor = await test.spawn(desk, 'ada');
    expect([await schedule(ring()), await schedule(ring()), await schedule(ring({ dueAt: START + 6_000 }))]).toEqual([
      true,
      false,
      true,
    ]);
    expect(await row()).toMatchObject({ next_due_at: START + 5_000 });
    await test.crash();
    await test.restart();
    await test.advance('10s');
    expect((await actor.getSnapshot()).context.log).toEqual(['ring', 'ring']);
  });

  it('is for the state and those within it, and for no other', async () => {
    const actor = await test.spawn(desk, 'ada');
    await actor.send({ type: 'go' });
    const states = ['busy', 'busy.early', 'bus', 'busy.early.later', 'calm', ''];
    const taken = [];
    for (const [i, state] of states.entries()) taken.push(await schedule(ring({ dueAt: START + i + 1 }), state));
    expect(taken).toEqual([true, true, false, false, false, false]);
  });

  it.each(['wait', 'end'] as const)('is for an actor that takes events (%s)', async (event) => {
    await aside(event, event === 'end' ? { status: 'done' } : {});
    const before = await row();
    expect(await schedule(ring(), before.current_state)).toBe(false);
    expect(await row()).toEqual(before);
  });

  it.each([
    ['no event', { event: undefined }],
    ['an event without a type', { event: {} }],
    ['no instant', { dueAt: undefined }],
    ['an instant that is none', { dueAt: Number.NaN }],
    ['an instant that is infinite', { dueAt: Number.POSITIVE_INFINITY }],
    ['an instant that no date can hold', { dueAt: 8.65e15 }],
  ])('is refused with %s', async (_, changes) => {
    await test.spawn(desk, 'ada');
    await expect(schedule(ring(changes))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', address: ada });
    expect(await row()).toMatchObject({ version: 1 });
  });

  it('is refused for one that is not there', async () => {
    await expect(schedule(ring())).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
  });
});
