import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMachine, fromPromise } from 'xstate';
import { type AnyFlow, createRuntime, defineFlow, type Migration } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime, type TestRuntimeOptions } from '../../src/testing/index.ts';
import { bookingV1, bookingV2, machineV1, machineV2, toV2 } from './booking.ts';

const START = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const PHONE = '+15551234567';

let knex: Knex;
let test: TestRuntime;
let now = START;
beforeEach(() => {
  now = START;
  knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
});
afterEach(async () => {
  await test.stop();
  await knex.destroy();
});

/** Runs these flows on the database, in place of what ran before. */
async function deploy(flows: AnyFlow[], options: Partial<TestRuntimeOptions> = {}) {
  if (test) {
    now = Math.max(now, test.clock.now());
    await test.stop();
  }
  test = await createTestRuntime({ flows, database: knex, start: now, ...options });
  return test;
}
const fresh = async (flows: AnyFlow[]) => {
  test = undefined as never;
  return deploy(flows);
};
const row = (id: string) => knex('flow_states').where({ participant_id: id }).first();
const message = (text: string, id = text) => ({ channel: 'sms', id, from: PHONE, text });

describe('old versions that stay registered', () => {
  it('finish what is under way on the old machine, with its deadlines and its receive, and keep their version', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1', { phoneNumber: PHONE });
    const v2 = bookingV2();
    await deploy([bookingV1, v2]);
    await test.advance('1h');
    expect(await row('p_1')).toMatchObject({ current_state: 'reminded', flow_version: 1, status: 'active' });
    await test.receive(message('monday'));
    await test.settle();
    expect(await row('p_1')).toMatchObject({ current_state: 'booked', flow_version: 1 });
    expect((await test.actor(v2, 'p_1').getSnapshot()).context).toEqual({ slots: ['v1 monday'] });
    expect((await test.outbox('p_1')).map(({ text }) => text)).toEqual([
      'When would you come?',
      'Just a reminder.',
      'You are booked.',
    ]);
  });

  it('are for those who are in them: new actors start on the newest, whichever is named', async () => {
    const v2 = bookingV2();
    await fresh([v2, bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    expect(await row('p_1')).toMatchObject({ flow_version: 2 });
    expect(test.runtime.registry.get().context.flows['booking']).toMatchObject({ version: 2, formerVersions: [1] });
  });

  it('are told by flowVersion, beside the count of what was written', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_old', { phoneNumber: PHONE });
    await test.receive(message('monday'));
    await deploy([bookingV2(), bookingV1]);
    await test.spawn(bookingV1, 'p_new');
    expect(await test.actor(bookingV1, 'p_old').describe()).toMatchObject({ version: 3, flowVersion: 1 });
    expect(await test.actor(bookingV1, 'p_new').describe()).toMatchObject({ version: 1, flowVersion: 2 });
  });

  it('give way to migrate, where both are there', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    await deploy([bookingV2(toV2), bookingV1]);
    await test.actor(bookingV1, 'p_1').getSnapshot();
    expect(await row('p_1')).toMatchObject({ flow_version: 2 });
  });

  it('may be led to one between', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    const v3 = defineFlow({ type: 'booking', version: 3, logic: createMachine({ id: 'other' }) });
    await deploy([v3, bookingV2(toV2)]);
    await test.actor(v3, 'p_1').send({ type: 'reply', text: 'friday' } as never);
    expect(await row('p_1')).toMatchObject({ flow_version: 2, current_state: 'confirming' });
  });

  it('take nothing from the new one: neither its receive nor its project', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1', { phoneNumber: PHONE });
    const failing = () => {
      throw new Error('This is not for version 1.');
    };
    await deploy([bookingV2(undefined, { receive: failing, project: failing }), bookingV1]);
    expect(await test.receive(message('monday'))).toMatchObject({ status: 'applied' });
    await test.actor(bookingV1, 'p_1').send({ type: 'cancel' });
    expect(await row('p_1')).toMatchObject({ status: 'done', flow_version: 1 });
  });

  it('need a number of their own', () => {
    test = { stop: async () => {} } as never;
    expect(() => createRuntime({ database: ':memory:', flows: [bookingV1, bookingV1] })).toThrow(
      "Two flows have the type 'booking' and the version 1",
    );
  });
});

describe('a migration', () => {
  it('is made at the first touch; a new deadline counts from then on, and is kept at once', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    await test.advance('30m');
    const v2 = bookingV2(toV2);
    await deploy([v2]);
    expect(await row('p_1')).toMatchObject({ flow_version: 1, next_due_at: START + HOUR });
    expect((await test.actor(v2, 'p_1').getSnapshot()).context).toEqual({ slots: [], language: 'de' });
    expect(await row('p_1')).toMatchObject({ flow_version: 2, next_due_at: START + HOUR / 2 + 24 * HOUR });
    expect((await test.journal('p_1')).at(-1)).toMatchObject({
      event: 'perdure.migrated',
      note: 'from version 1 to 2',
    });
    await test.crash();
    await test.restart();
    await test.advance('1d');
    expect(await row('p_1')).toMatchObject({ current_state: 'lapsed', status: 'done' });
  });

  it('that changes no deadline is written with the next turn, as it is', async () => {
    await fresh([bookingV1]);
    const actor = await test.spawn(bookingV1, 'p_1');
    await actor.send({ type: 'reply', text: 'monday' });
    await test.settle();
    const v2 = bookingV2(toV2);
    await deploy([v2]);
    expect((await test.actor(v2, 'p_1').getSnapshot()).context.language).toBe('de');
    expect(await row('p_1')).toMatchObject({ flow_version: 1 });
    await test.actor(v2, 'p_1').send({ type: 'thanks' });
    expect(await row('p_1')).toMatchObject({ flow_version: 2, current_state: 'booked' });
  });

  it('goes on with an invocation that was under way', async () => {
    const confirm = fromPromise<string, { slot: string }>(() => new Promise(() => {}));
    const slow = defineFlow({ type: 'booking', version: 1, logic: machineV1.provide({ actors: { confirm } }) });
    await fresh([slow]);
    const actor = await test.spawn(slow, 'p_1');
    await actor.send({ type: 'reply', text: 'monday' });
    expect(await row('p_1')).toMatchObject({ current_state: 'confirming' });
    await deploy([bookingV2(toV2)]);
    await test.settle();
    expect(await row('p_1')).toMatchObject({ current_state: 'booked', flow_version: 2 });
  });

  it('may give a child to a state that invokes one now', async () => {
    await fresh([bookingV1]);
    const actor = await test.spawn(bookingV1, 'p_1');
    await actor.send({ type: 'reply', text: 'monday' });
    await test.settle();
    const confirm = { src: 'confirm', snapshot: { status: 'active', input: { slot: 'again' } } };
    const v2 = bookingV2((persisted) => ({
      ...persisted,
      value: 'confirming',
      context: { ...persisted.context, language: 'fr' },
      children: { confirm },
    }));
    await deploy([v2]);
    await test.actor(v2, 'p_1').getSnapshot();
    await test.settle();
    expect(await row('p_1')).toMatchObject({ current_state: 'booked', flow_version: 2 });
    expect((await test.journal('p_1')).map(({ event }) => event)).toContain('perdure.migrated');
  });

  it('goes step by step, each from what the one before gave', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    const seen: unknown[] = [];
    const v3 = defineFlow({
      type: 'booking',
      version: 3,
      logic: machineV2,
      migrate: {
        1: (persisted, actor) => ({
          snapshot: { ...persisted, context: { ...persisted.context, language: 'it' } },
          timers: actor.timers.map((timer) => ('after' in timer ? { ...timer, after: 'patience' } : timer)),
        }),
        2: (persisted, actor) => {
          seen.push(persisted.context.language, actor.timers, actor.participantId, actor.updatedAt);
          return persisted;
        },
      },
    });
    await deploy([v3]);
    expect(await test.actor(v3, 'p_1').timers()).toMatchObject([
      { event: { type: 'xstate.after.patience.booking.asking' }, dueAt: START + HOUR },
    ]);
    expect(seen.slice(0, 4)).toEqual([
      'it',
      [{ state: 'asking', after: 'patience', dueAt: START + HOUR }],
      'p_1',
      START,
    ]);
  });

  it('may leave a state without its deadline, if it says so', async () => {
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    const v2 = bookingV2((persisted) => ({
      snapshot: { ...persisted, context: { ...persisted.context, language: 'de' } },
      timers: [{ state: 'asking', after: 'patience', dueAt: Number.POSITIVE_INFINITY }],
    }));
    await deploy([v2]);
    await test.actor(v2, 'p_1').send({ type: 'thanks' });
    expect(await row('p_1')).toMatchObject({ status: 'active', next_due_at: null });
  });

  it('does not miss a deadline that had fired in vain, or was cancelled, before', async () => {
    await fresh([bookingV1]);
    const actor = await test.spawn(bookingV1, 'p_1');
    await actor.cancelTimer(START + HOUR);
    const same = defineFlow({
      ...bookingV1,
      version: 2,
      migrate: { 1: (persisted: unknown) => persisted },
    } as never) as AnyFlow;
    await deploy([same]);
    await test.actor(same, 'p_1').send({ type: 'reply', text: 'monday' } as never);
    await test.settle();
    expect(await row('p_1')).toMatchObject({ current_state: 'booked', flow_version: 2 });
  });

  const language = (persisted: any) => ({ ...persisted.context, language: 'de' });
  const bad: Record<string, [Migration | undefined, RegExp]> = {
    missing: [undefined, /no migrate\[1\], and version 1 is not registered/],
    'that throws': [
      () => {
        throw new Error('who is this?');
      },
      /migrate\[1\] threw: who is this\?/,
    ],
    'that gives nothing': [() => undefined, /migrate\[1\] did not return a snapshot/],
    'that gives another shape': [() => ({ slots: [] }), /did not return a snapshot/],
    'that gives a promise': [async (persisted) => persisted, /returned a promise/],
    'that gives a function': [
      (persisted, { timers }) => ({
        snapshot: { ...persisted, context: { ...language(persisted), later: () => 1 } },
        timers: timers.map((timer) => ({ ...timer, after: 'patience' })),
      }),
      /returned what cannot be stored: .*context\.later/,
    ],
    'that lacks a field': [
      (persisted, { timers }) => ({ snapshot: persisted, timers: timers.map((t) => ({ ...t, after: 'patience' })) }),
      /its context has no 'language'/,
    ],
    'that names a state that is not there': [
      (persisted) => ({ ...persisted, value: 'reminded', context: language(persisted) }),
      /the state 'reminded' is gone/,
    ],
    'that keeps a deadline that is gone': [
      (persisted) => ({ ...persisted, context: language(persisted) }),
      /pending deadline 'reminder' of the state 'booking.asking' does not exist any more/,
    ],
    'that leaves out a deadline': [
      (persisted) => ({ snapshot: { ...persisted, context: language(persisted) }, timers: [] }),
      /'asking' has a deadline 'patience', which the snapshot has not: it would wait for ever/,
    ],
    'that leaves out an invocation': [
      (persisted) => ({ snapshot: { ...persisted, value: 'confirming', context: language(persisted) }, timers: [] }),
      /'confirming' invokes 'confirm', which the snapshot has not/,
    ],
    'that gives a deadline without an instant': [
      (persisted) => ({
        snapshot: { ...persisted, context: language(persisted) },
        timers: [{ state: 'asking', after: 'patience' } as never],
      }),
      /gave a deadline without dueAt/,
    ],
    'that gives a deadline whose instant is null': [
      (persisted) => ({
        snapshot: { ...persisted, context: language(persisted) },
        timers: [{ state: 'asking', after: 'patience', dueAt: null as never }],
      }),
      /gave a deadline without dueAt/,
    ],
    'that gives a deadline of a state that is not there': [
      (persisted) => ({
        snapshot: { ...persisted, context: language(persisted) },
        timers: [{ state: 'nowhere', after: 'patience', dueAt: 1 }],
      }),
      /a deadline of the state 'nowhere', which does not exist/,
    ],
  };
  it.each(Object.entries(bad))(
    '%s puts the actor aside with a clear reason; its row stays',
    async (_, [migrate, why]) => {
      await fresh([bookingV1]);
      await test.spawn(bookingV1, 'p_1');
      const before = (await row('p_1')).state_data;
      // Nothing is known of the first machine: its shape was never recorded.
      await knex('runtime_settings').where('key', 'like', 'shape:%').delete();
      const v2 = bookingV2(migrate);
      await deploy([v2]);
      await expect(test.actor(v2, 'p_1').send({ type: 'cancel' })).rejects.toThrow('quarantined');
      const after = await row('p_1');
      expect(after).toMatchObject({ status: 'quarantined', flow_version: 1, state_data: before });
      expect(after.last_error).toMatch(why);
      expect(after.last_error).toContain('of version 1, the flow of version 2');
      // Mended, it goes on.
      const mended = bookingV2(toV2);
      await deploy([mended]);
      await test.actor(mended, 'p_1').retry();
      await test.actor(mended, 'p_1').send({ type: 'cancel' });
      expect(await row('p_1')).toMatchObject({ status: 'done', flow_version: 2 });
    },
  );

  it('is held against the schema of the context, where the flow has one', async () => {
    const context = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: any) =>
          ['en', 'fr'].includes(value.language) ? { value } : { issues: [{ message: 'en or fr', path: ['language'] }] },
      },
    } as const;
    await fresh([bookingV1]);
    await test.spawn(bookingV1, 'p_1');
    const v2 = bookingV2(toV2, { context });
    await deploy([v2]);
    await expect(test.actor(v2, 'p_1').getSnapshot()).rejects.toThrow();
    expect((await row('p_1')).last_error).toContain("its context does not fit at 'language': en or fr");
  });

  it('of a row of a newer version is refused', async () => {
    const v2 = bookingV2();
    await fresh([v2]);
    await test.spawn(v2, 'p_1');
    await deploy([bookingV1]);
    await expect(test.actor(bookingV1, 'p_1').send({ type: 'cancel' })).rejects.toThrow('start the release');
  });
});
