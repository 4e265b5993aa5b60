import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime, type Runtime } from '../../src/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { offlineResponder } from '../../src/study/generator.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';

const PHONE = '+15551234567';

describe('who is deleted is deleted from the tables of the flows, and from no other', () => {
  let knex: Knex;
  let runtime: Runtime;
  let people: Participants;
  beforeEach(() => {
    knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
  });
  afterEach(async () => {
    await runtime.stop();
    await knex.destroy();
  });
  const start = async () => {
    const conversation = createConversationFlow({ generate: offlineResponder });
    runtime = createRuntime({ database: knex, flows: [microHealthInterventionFlow, conversation] });
    await runtime.start();
    people = new Participants({ runtime, conversation, systemPrompt: 'x' });
  };
  const enrolAndDelete = async () => {
    const { id } = await people.enrolInIntervention({ phone_number: PHONE });
    for (const table of ['promptpipe_sessions']) await knex(table).insert({ participant_id: id, flow_type: 'x' });
    expect(await people.remove('intervention_participants', id)).toBe(true);
  };
  /** What an application might have, or a shop: the columns that PromptPipe had, or none of them. */
  const APPLICATION = [
    'CREATE TABLE receipts (id INTEGER PRIMARY KEY, recipient TEXT, status TEXT, time INTEGER)',
    'CREATE TABLE promptpipe_sessions (participant_id TEXT, flow_type TEXT)',
    "INSERT INTO receipts VALUES (1, '+15551234567', 'paid', 5)",
  ];

  it.each([
    ['tables', 'CREATE TABLE responses (id INTEGER PRIMARY KEY, amount INTEGER)'],
    ['a view', 'CREATE VIEW responses AS SELECT 1 AS sender'],
    [
      'a table of the same columns',
      'CREATE TABLE responses (id INTEGER PRIMARY KEY, sender TEXT, body TEXT, time INTEGER)',
    ],
  ])('receipts and responses of the application: %s', async (_, responses) => {
    for (const sql of [...APPLICATION, responses]) await knex.raw(sql);
    await start();
    await enrolAndDelete();
    expect(await knex('receipts')).toHaveLength(1);
    expect(await knex('promptpipe_sessions')).toHaveLength(1);
  });

  it('nor where there are none, before or after', async () => {
    await knex.raw(APPLICATION[1]!);
    await start();
    expect(await knex.schema.hasTable('receipts')).toBe(false);
    await enrolAndDelete();
    await knex.raw(APPLICATION[0]!);
    await knex.raw(APPLICATION[2]!);
    await enrolAndDelete();
    expect(await knex('receipts')).toHaveLength(1);
  });

  it('but those that an adoption took over are: also one by 0.1.0, which noted no tables', async () => {
    for (const sql of APPLICATION) await knex.raw(sql);
    await start();
    await knex('runtime_settings').insert({
      key: 'adoption',
      value: '{"at":"2026-11-01T00:00:00.000Z","file":"promptpipe.db"}',
    });
    await enrolAndDelete();
    expect(await knex('receipts')).toEqual([]);
  });

  it('but of an adoption that noted its tables, only those', async () => {
    for (const sql of APPLICATION) await knex.raw(sql);
    await start();
    await knex('runtime_settings').insert({ key: 'adoption', value: '{"kept":[],"logs":["responses"]}' });
    await enrolAndDelete();
    expect([await knex('receipts'), await knex('promptpipe_sessions')].flat()).toHaveLength(2);
  });
});
