/**
 * A study of any size in a file: a few participants are brought by the real runtime to where people stand, and their rows
 * are multiplied by SQL, each with an id, a phone number and a deadline of its own.
 */
import type { Knex } from 'knex';
import { createConversationFlow } from '../src/study/conversation.ts';
import { microHealthInterventionFlow as intervention } from '../src/study/micro-health-intervention.ts';
import { Participants } from '../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../src/testing/index.ts';

const DAY = 86_400_000;

/** Its replies never come, so that whoever waits for one is orphaned with the process. */
export const conversation = createConversationFlow({ generate: () => new Promise<never>(() => {}) });
export const flows = [intervention, conversation];

/** The phone of the n-th participant, from 0. */
export const phoneOf = (n: number) => `+1555${String(n).padStart(7, '0')}`;

export interface StudyOptions {
  /** In the intervention, each with a deadline. */
  participants: number;
  /** Of them, so many were due while nobody ran, in the hour before. */
  overdue: number;
  /** Of them, so many have a message that was not sent. */
  unsent: number;
  /** In the conversation as well, each waiting for a reply when the process died. */
  orphans: number;
}

/** A study in the middle of its days; the deadlines that are not overdue are spread over the next 24 hours. */
export async function makeStudy(file: string, { participants, overdue, unsent, orphans }: StudyOptions): Promise<void> {
  const begin = Date.now();
  // Enrolled the day before: the first answers nothing, the second everything, the third is in the middle of it.
  const test = await createTestRuntime({ database: `sqlite:${file}`, flows, start: begin - DAY });
  const people = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind, and be brief.' });
  const templates: string[] = [];
  for (const i of [1, 2, 3])
    templates.push((await people.enrolInIntervention({ phone_number: `+1202555010${i}`, name: `Ada ${i}` })).id);
  const talker = await people.enrolInConversation({ phone_number: '+12025550104', background: 'Likes to walk.' });
  let id = 0;
  const say = (from: string, text: string) => test.receive({ channel: 'sms', id: `T${++id}`, from, text });
  for (const from of ['+12025550102', '+12025550103']) for (const text of ['Ready', '1', '2']) await say(from, text);
  await say('+12025550102', 'done');
  await say('+12025550104', 'Hello');
  const { knex } = test;
  await quickly(knex);
  await multiply(
    knex,
    templates,
    participants,
    `CASE WHEN n < ${overdue} THEN ${begin - 3_600_000} + n % 3600000
    ELSE ${begin + 120_000} + (n * 7919) % ${DAY} END`,
  );
  await knex.raw(`INSERT INTO outbox_messages SELECT ${await last(knex, 'outbox_messages')} + n + 1, clone.id, '${intervention.type}',
    phone, 'message', o.payload, 'pending', 0, NULL, 'bench:' || clone.id, NULL, o.created_at, o.updated_at
    FROM clone CROSS JOIN (SELECT * FROM outbox_messages LIMIT 1) AS o WHERE n % ${Math.ceil(participants / unsent)} = 1`);
  await multiply(knex, [talker.id], orphans, `${begin + 60_000} + n % 60000`);
  await finish(test);
}

/** So many participants, and one more, whose daily prompt is due at one instant. */
export async function makeRush(file: string, participants: number, dueAt: number): Promise<void> {
  const test = await createTestRuntime({ database: `sqlite:${file}`, flows, start: dueAt - 3 * 3_600_000 });
  const people = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind, and be brief.' });
  const { id } = await people.enrolInIntervention({ phone_number: '+12025550101' });
  await quickly(test.knex);
  await multiply(test.knex, [id], participants, String(dueAt));
  // Nor may the one that the others are made of be due before them.
  await test.knex.raw(
    `UPDATE flow_states SET state_data = replace(state_data, '"dueAt":' || next_due_at, '"dueAt":' || :dueAt), next_due_at = :dueAt
    WHERE participant_id = :id`,
    { id, dueAt },
  );
  await finish(test);
}

async function quickly(knex: Knex): Promise<void> {
  for (const pragma of ['synchronous = OFF', 'cache_size = -1000000']) await knex.raw(`PRAGMA ${pragma}`);
}

async function finish(test: TestRuntime): Promise<void> {
  await test.knex.raw('DROP TABLE IF EXISTS clone');
  await test.knex.raw('PRAGMA optimize');
  await test.crash();
}

const last = async (knex: Knex, table: string): Promise<number> =>
  Number((await knex(table).max('id as id').first())?.id ?? 0);

/** Makes `count` participants like these, by turns; `due` is the SQL of the deadline of the n-th. */
async function multiply(knex: Knex, templates: string[], count: number, due: string): Promise<void> {
  const list = templates.map((id) => `'${id}'`).join();
  const { flow_type: flowType } = await knex('flow_states').where({ participant_id: templates[0] }).first();
  const table = flowType === intervention.type ? 'intervention_participants' : 'conversation_participants';
  const columns = async (of: string, own: Record<string, string>) => {
    const names = Object.keys(await knex(of).columnInfo());
    return names.map((name) => own[name] ?? `t.${name}`).join(', ');
  };
  await knex.raw('DROP TABLE IF EXISTS clone');
  await knex.raw(`CREATE TABLE clone (n INTEGER PRIMARY KEY, id TEXT, phone TEXT, template TEXT, due INTEGER)`);
  await knex.raw(`WITH RECURSIVE count(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n < ${count - 1})
    INSERT INTO clone SELECT n, 'p_' || lower(hex(randomblob(8))), '+1555' || printf('%07d', n),
      json_extract('${JSON.stringify(templates)}', '$[' || (n % ${templates.length}) || ']'), ${due} FROM count`);
  const from = (of: string, key: string) => `FROM clone JOIN ${of} AS t ON t.${key} = clone.template`;
  const line = `${await last(knex, 'flow_journal')} + n + 1`;
  const message = `${await last(knex, 'outbox_messages')} + n + 1`;
  await knex.raw(`INSERT INTO outbox_messages SELECT ${await columns('outbox_messages', { id: message, participant_id: 'clone.id', recipient: 'phone', idempotency_key: "'first:' || clone.id" })}
    FROM clone CROSS JOIN (SELECT * FROM outbox_messages WHERE status = 'sent' LIMIT 1) AS t`);
  await knex.raw(`INSERT INTO flow_journal SELECT ${await columns('flow_journal', { id: line, previous_id: 'NULL', participant_id: 'clone.id', outbox_id: message })}
    ${from(`(SELECT * FROM flow_journal WHERE participant_id IN (${list}) AND version = 1)`, 'participant_id')}`);
  await knex.raw(
    `INSERT INTO flow_states SELECT ${await columns('flow_states', {
      id: `${await last(knex, 'flow_states')} + n + 1`,
      participant_id: 'clone.id',
      state_data: `replace(replace(t.state_data, t.participant_id, clone.id), '"dueAt":' || t.next_due_at, '"dueAt":' || due)`,
      next_due_at: 'due',
      address: 'phone',
      journal_id: line,
    })} ${from('flow_states', 'participant_id')} ORDER BY n`,
  );
  await knex.raw(`INSERT INTO response_handlers SELECT ${await columns('response_handlers', { phone_number: 'phone', participant_id: 'clone.id' })}
    ${from('response_handlers', 'participant_id')}`);
  await knex.raw(
    `INSERT INTO ${table} SELECT ${await columns(table, { id: 'clone.id', phone_number: 'phone' })} ${from(table, 'id')}`,
  );
}
