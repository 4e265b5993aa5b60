import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from './machines.ts';

/** What the database refuses while a test runs: real failures, made by triggers. */
const refuse = (test: TestRuntime, table: string, when: string) =>
  test.knex.raw(
    `CREATE TRIGGER refusal BEFORE INSERT ON ${table} WHEN ${when} BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`,
  );

describe('atomic: a turn commits all that it writes, or nothing', () => {
  let test: TestRuntime;
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [counter] });
    for (const id of ['p_1', 'p_2', 'p_3']) await test.spawn(counter, id, { phoneNumber: `+1555123400${id.at(-1)}` });
  });
  afterEach(() => test.stop());

  const everything = async () => ({
    states: await test.knex('flow_states').orderBy('id'),
    inbox: await test.knex('inbox').orderBy('id'),
    outbox: await test.knex('outbox_messages').orderBy('id'),
    journal: await test.knex('flow_journal').orderBy('id'),
  });

  for (const [table, when] of [
    ['flow_journal', `new.participant_id = 'p_2'`],
    ['outbox_messages', `new.participant_id = 'p_2'`],
  ] as const) {
    it(`undoes a turn whose last write fails in ${table}, and commits the others of its group`, async () => {
      const before = await everything();
      await refuse(test, table, when);
      const sent = await Promise.allSettled(
        ['p_1', 'p_2', 'p_3'].map((id, i) =>
          test.receive({ channel: 'sms', id: `m${i}`, from: `+1555123400${id.at(-1)}`, text: 'hello' }),
        ),
      );
      expect(sent.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((sent[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'STORE_ERROR', reason: 'constraint' });
      await test.settle();
      const after = await everything();
      expect(after.states.find(({ participant_id }) => participant_id === 'p_2')).toEqual(
        before.states.find(({ participant_id }) => participant_id === 'p_2'),
      );
      expect(after.inbox.map(({ message_id }) => message_id)).toEqual(['m0', 'm2']);
      expect(after.outbox.map(({ participant_id }) => participant_id)).toEqual(['p_1', 'p_3']);
      expect(after.journal.filter(({ participant_id }) => participant_id === 'p_2')).toHaveLength(1);

      // Repeated once the reason is gone, it is applied: nothing of the failed attempt is in the way.
      await test.knex.raw('DROP TRIGGER refusal');
      const again = await test.receive({ channel: 'sms', id: 'm1', from: '+15551234002', text: 'hello' });
      expect(again).toMatchObject({ status: 'applied', snapshot: { context: { log: ['hello'] } } });
    });
  }

  it('leaves the actor as it was when its commit fails, in memory too', async () => {
    const actor = test.actor(counter, 'p_2');
    await refuse(test, 'flow_journal', '1');
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'STORE_ERROR' });
    expect((await actor.getSnapshot()).context.count).toBe(0);
    await test.knex.raw('DROP TRIGGER refusal');
    expect((await actor.send({ type: 'inc' })).context.count).toBe(1);
  });
});
