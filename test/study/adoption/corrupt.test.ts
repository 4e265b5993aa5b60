import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdoptedRow, type AdoptionReport, adopt } from '../../../src/study/adoption/index.ts';
import { AT, DAY, goTime, history, LegacyFile, LOOSE_SCHEMA, MINUTE } from './promptpipe.ts';
import { type Study, startStudy } from './study.ts';

const NOW = AT + DAY;

let legacy: LegacyFile;
let study: Study | undefined;
let rows: AdoptedRow[];
beforeEach(async () => {
  legacy = await LegacyFile.create(`${LOOSE_SCHEMA}
    CREATE TABLE receipts (id INTEGER PRIMARY KEY, recipient TEXT, status TEXT, time INTEGER);`);
  study = undefined;
  rows = [];
});
afterEach(async () => {
  await study?.test.stop();
  legacy.remove();
});

async function adopted(): Promise<AdoptionReport> {
  await legacy.close();
  return adopt({ file: legacy.file, clock: { now: () => NOW }, onRow: (row) => void rows.push(row) });
}

const intervention = (subject: Parameters<LegacyFile['intervention']>[0]) => (file: LegacyFile) =>
  file.intervention({ id: 'p_bad', state: 'FEELING_PROMPT', ...subject });
const conversation =
  (data: Record<string, unknown>, participant = {}) =>
  (file: LegacyFile) =>
    file.conversation({ id: 'p_bad', data, participant });

/** What is wrong, how it comes about, and what the operator reads. */
const corruptions: [name: string, spoil: (file: LegacyFile) => Promise<unknown>, reason: RegExp][] = [
  ['state_data that is no JSON', intervention({ row: { state_data: '{"feelingResponse":' } }), /state_data is no JSON/],
  ['state_data that is a list', intervention({ row: { state_data: '[1]' } }), /JSON array/],
  ['state_data that is a number', intervention({ row: { state_data: '42' } }), /JSON 42, and no object/],
  ['state_data that is null', intervention({ row: { state_data: 'null' } }), /JSON null, and no object/],
  ['state_data that is NULL', intervention({ row: { state_data: null } }), /state_data is missing/],
  ['state_data with a NUL', intervention({ row: { state_data: '{"a":"\0"}' } }), /state_data is no JSON/],
  [
    'state_data that is not UTF-8',
    intervention({ row: { state_data: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) } }),
    /state_data holds bytes that are not UTF-8/,
  ],
  ['an answer that is an object', intervention({ data: { feelingResponse: {} } }), /\{\} as feelingResponse/],
  ['a count that is none', intervention({ data: { timesCompletedToday: 'twice' } }), /"twice" as timesCompletedToday/],
  ['a flag that is none', intervention({ data: { hasSeenOrientation: 'maybe' } }), /"maybe" as hasSeenOrientation/],
  [
    'a date that is none',
    intervention({ data: { lastCommitmentDate: '2026-02-30' } }),
    /lastCommitmentDate .* no instant/,
  ],
  ['a week to come', intervention({ data: { weekStartDate: '2999-01-01' } }), /weekStartDate is "2999-01-01", after/],
  [
    'a state that nobody knows',
    intervention({ state: 'HABIT_REMINDERS' }),
    /"HABIT_REMINDERS", which the intervention/,
  ],
  ['a state of Object.prototype', intervention({ state: 'constructor' }), /"constructor", which the intervention/],
  ['a state of the other flow', intervention({ state: 'CONVERSATION_ACTIVE' }), /which the intervention does not know/],
  ['no state', intervention({ row: { current_state: null } }), /no current_state/],
  ['an unknown flow', intervention({ row: { flow_type: 'smoking_cessation' } }), /no flow "smoking_cessation"/],
  ['no flow', intervention({ row: { flow_type: null } }), /no flow_type/],
  ['no participant_id', intervention({ row: { participant_id: null } }), /no participant_id/],
  [
    'a row without participant',
    intervention({ participant: null }),
    /no participant "p_bad" in intervention_participants/,
  ],
  ['a participant without row', intervention({ state: null }), /no row in flow_states/],
  ['a bad time zone', intervention({ participant: { timezone: 'Mars/Olympus' } }), /Unknown time zone "Mars\/Olympus"/],
  ['a bad prompt time', intervention({ participant: { daily_prompt_time: '25:00' } }), /Malformed time "25:00"/],
  ['a bad phone number', intervention({ participant: { phone_number: '12' } }), /'12' is not a phone number/],
  ['no phone number', intervention({ participant: { phone_number: null } }), /phone number is missing/],
  ['an unknown status', intervention({ participant: { status: 'enrolled' } }), /status is "enrolled"/],
  ['no status', intervention({ participant: { status: null } }), /status is null/],
  ['no id', intervention({ participant: { id: null } }), /it has no id/],
  ['an id with control characters', intervention({ id: 'p_\0bad' }), /control characters/],
  ['a reset that is none', intervention({ participant: { weekly_reset: 'Monday' } }), /weekly_reset is "Monday"/],
  ['a reset in another age', intervention({ participant: { weekly_reset: '9999-12-31' } }), /more than a year away/],
  ['no updated_at', intervention({ row: { updated_at: null } }), /no updated_at/],
  [
    'an updated_at that is none',
    intervention({ row: { updated_at: 'yesterday' } }),
    /"yesterday", which is no instant/,
  ],
  [
    'an updated_at with only the name of a zone',
    intervention({ row: { updated_at: '2026-07-15 08:30:00 EDT' } }),
    /08:30:00 EDT", which is no instant/,
  ],
  [
    'an updated_at of a twelve-hour clock',
    intervention({ row: { updated_at: '2026-07-15 08:30:00 PM' } }),
    /08:30:00 PM", which is no instant/,
  ],
  ['an updated_at to come', intervention({ row: { updated_at: goTime(NOW + 10 * MINUTE) } }), /still to come/],
  ['an updated_at of 1970', intervention({ row: { updated_at: '1970-01-01T00:00:00Z' } }), /before 2000/],
  ['an updated_at of 9999', intervention({ row: { updated_at: '9999-12-31 23:59:59' } }), /still to come/],
  ['an updated_at of Go’s zero', intervention({ row: { updated_at: '0001-01-01 00:00:00+00:00' } }), /no updated_at/],
  [
    'a history that is no JSON',
    conversation({ conversationHistory: '{"messages":[' }),
    /conversationHistory is no JSON/,
  ],
  ['a history that is a list', conversation({ conversationHistory: '[]' }), /conversationHistory is a JSON array/],
  ['messages that are none', conversation({ conversationHistory: '{"messages":[7]}' }), /holds 7, which is no message/],
  [
    'a message without content',
    conversation({ conversationHistory: '{"messages":[{"role":"user"}]}' }),
    /without content/,
  ],
];

describe('a row that cannot be read', () => {
  it.each(corruptions)('%s: put aside with the reason and what it held; the others go on', async (_, spoil, reason) => {
    const first = await legacy.intervention({ id: 'p_first', state: 'MOOD_QUESTION', at: NOW - MINUTE });
    await spoil(legacy);
    const last = await legacy.conversation({
      id: 'p_last',
      data: { conversationHistory: history(['assistant', 'hi']) },
    });
    const report = await adopted();

    expect(report.ok).toBe(false);
    expect(report.exceptions.map((row) => row.reason)).toEqual(expect.arrayContaining([expect.stringMatching(reason)]));
    for (const { table, rows: total } of report.tables.filter(({ fate }) => fate === 'adopted'))
      expect(
        rows.filter((row) => row.table === table),
        table,
      ).toHaveLength(total);

    study = await startStudy(legacy.file, NOW);
    const { runtime } = study.test;
    const aside = await runtime.quarantine.list();
    expect(aside.map(({ error }) => error)).toEqual(expect.arrayContaining([expect.stringMatching(reason)]));
    for (const { address } of aside) {
      expect((await runtime.quarantine.get(address)).stateData).toContain('promptpipe');
      await expect(runtime.quarantine.retry(address)).rejects.toThrow();
      await runtime.quarantine.discard(address, 'of no use');
    }
    expect(await runtime.quarantine.list()).toEqual([]);
    expect(await study.test.outbox()).toEqual([]);
    expect((await runtime.actor('micro_health_intervention', first).describe()).state).toContain('MOOD_QUESTION');
    expect((await runtime.actor('conversation', last).describe()).status).toBe('active');
  });

  it('is in recovery’s report', async () => {
    await legacy.intervention({ id: 'p_bad', row: { state_data: '{' } });
    await adopted();
    study = await startStudy(legacy.file, NOW);
    const [component] = study.test.runtime.recovery.report!.components;
    expect(component).toMatchObject({ skipped: { quarantined: 1 }, notices: [{ participantId: 'p_bad' }] });
  });

  it('is kept to the byte, columns and keys that we do not know among it', async () => {
    await legacy.exec("ALTER TABLE flow_states ADD COLUMN cohort; UPDATE flow_states SET cohort = 'A'");
    const bytes = Buffer.from([0x22, 0xff, 0x00, 0xfe]);
    await legacy.intervention({ id: 'p_bad', row: { state_data: bytes, cohort: 'B' } });
    await adopted();
    study = await startStudy(legacy.file, NOW);
    const { knex } = study.test;
    expect(await knex('promptpipe_flow_states').select('state_data', 'cohort')).toEqual([
      { state_data: bytes, cohort: 'B' },
    ]);
  });

  it('does not keep who withdrew from being left alone', async () => {
    await legacy.intervention({
      participant: { status: 'withdrawn', phone_number: '15551234567' },
      row: { state_data: '{' },
    });
    const report = await adopted();
    expect(report.optOuts).toBe(1);
    study = await startStudy(legacy.file, NOW);
    await expect(study.test.runtime.sendTo({ to: '15551234567', text: 'hello' })).rejects.toThrow(/STOP/);
  });
});

describe('several rows for one', () => {
  it('of one participant and flow: the one written last counts, the others are put aside', async () => {
    await legacy.intervention({ id: 'p_1', state: 'MOOD_QUESTION', at: NOW - 2 * MINUTE });
    await legacy.intervention({ id: 'p_1', state: 'CONTEXT_QUESTION', at: NOW - MINUTE, participant: null });
    await legacy.intervention({ id: 'p_1', state: 'FEELING_PROMPT', at: NOW - 3 * MINUTE, participant: null });
    const report = await adopted();
    expect(report.exceptions).toMatchObject([
      { row: 1, participantId: 'p_1 (flow_states row 1)', reason: expect.stringContaining('written later') },
      { row: 3, participantId: 'p_1 (flow_states row 3)' },
    ]);
    study = await startStudy(legacy.file, NOW);
    expect((await study.test.runtime.actor('micro_health_intervention', 'p_1').describe()).state).toContain('CONTEXT');
    expect(await study.test.runtime.quarantine.list()).toHaveLength(2);
  });

  it('those put aside are deleted with the participant, and none of another', async () => {
    const row = { participant: null, at: NOW - DAY };
    for (const id of ['p_1', 'p_10']) {
      await legacy.intervention({ id, at: NOW - MINUTE });
      await legacy.intervention({ id, ...row });
    }
    await adopted();
    study = await startStudy(legacy.file, NOW);
    expect(await study.test.runtime.quarantine.list()).toHaveLength(2);
    await study.participants.remove('intervention_participants', 'p_1');
    const { knex } = study.test;
    for (const table of ['flow_states', 'flow_journal'])
      expect(await knex(table).distinct('participant_id').orderBy('participant_id').pluck('participant_id')).toEqual([
        'p_10',
        'p_10 (flow_states row 4)',
      ]);
  });

  it('two active participants with one number: who was active last keeps it, the other is put aside', async () => {
    await legacy.intervention({ id: 'p_old', participant: { phone_number: '15551234567' }, at: NOW - DAY });
    await legacy.intervention({
      id: 'p_new',
      participant: { phone_number: '+1 (555) 123-4567' },
      at: NOW - MINUTE,
      state: 'END_OF_DAY',
    });
    // In the other flow, the number is free.
    await legacy.conversation({
      id: 'p_talk',
      participant: { phone_number: '15551234567' },
      data: { conversationHistory: history(['assistant', 'hi']) },
    });
    const report = await adopted();
    expect(report.exceptions).toMatchObject([{ participantId: 'p_old', reason: expect.stringContaining('p_new') }]);
    study = await startStudy(legacy.file, NOW);
    const { address } = await study.test.receive({ channel: 'sms', id: 'SM1', from: '15551234567', text: 'ready' });
    expect(address).toMatchObject({ participantId: 'p_new' });
  });

  it('two rows of one participant’s id: the first counts', async () => {
    await legacy.intervention({ id: 'p_1' });
    await legacy.intervention({ id: 'p_1', state: null });
    const report = await adopted();
    expect(report.exceptions).toMatchObject([{ participantId: 'p_1 (row 2)', reason: expect.stringContaining('p_1') }]);
  });
});

describe('what can be read although it is odd', () => {
  const stateAt = async (updated_at: unknown) => {
    await legacy.intervention({ id: 'p_1', state: 'FEELING_PROMPT', row: { updated_at } });
    await adopted();
    study = await startStudy(legacy.file, NOW - DAY);
    const [timer] = await study.test.runtime.actor('micro_health_intervention', 'p_1').timers();
    return timer!.dueAt - 15 * MINUTE;
  };

  it.each([
    ['2026-07-15 08:30:00.123456789-04:00', AT],
    ['2026-07-15 08:30:00.123456 -0400 EDT m=+0.012', AT],
    ['2026-07-15T12:30:00.123Z', AT],
    ['2026-07-15 18:15:00.123 +0545 +0545 m=+12.5', AT],
    ['2026-07-15 12:30:00.123 GMT', AT],
    ['2026-07-15 12:30:00', AT - 123],
    [AT, AT],
    [Math.floor(AT / 1000), AT - 123],
  ])('updated_at %s', async (written, instant) => {
    expect(await stateAt(written)).toBe(instant);
  });

  it('numbers in national form, with a default country', async () => {
    await legacy.intervention({ id: 'p_1', participant: { phone_number: '030 12345678' } });
    await legacy.close();
    const options = { file: legacy.file, clock: { now: () => NOW } };
    expect((await adopt({ ...options, dryRun: true })).ok).toBe(false);
    expect((await adopt({ ...options, defaultCountry: 'DE' })).ok).toBe(true);
    study = await startStudy(legacy.file, NOW);
    expect(await study.participants.get('intervention_participants', 'p_1')).toMatchObject({
      phone_number: '+493012345678',
    });
  });

  it('a binding that would have expired leads to its participant, as long as they take part; one of nobody is kept and told', async () => {
    const id = await legacy.intervention({ participant: { phone_number: '15551234567' }, at: NOW - MINUTE });
    const expires_at = goTime(NOW - 7 * MINUTE);
    await legacy.insert('response_handlers', { phone_number: '15551234567', participant_id: id, expires_at });
    await legacy.insert('response_handlers', { phone_number: '15551234568', participant_id: 'p_gone', expires_at });
    const report = await adopted();
    expect(report.exceptions).toMatchObject([{ table: 'response_handlers', outcome: 'kept' }]);
    study = await startStudy(legacy.file, NOW);
    await study.test.advance('30d');
    expect(await study.test.receive({ from: '+15551234567', text: 'ready' })).toMatchObject({
      address: { participantId: id },
    });
  });

  it('answers keep their words and get ISO instants; one of nobody is kept', async () => {
    const answer = { state: 'FEELING_PROMPT', response_text: '3 🙂', response_type: 'feeling', timestamp: goTime(AT) };
    const id = await legacy.intervention();
    await legacy.insert('intervention_responses', { id: 'r1', participant_id: id, ...answer });
    await legacy.insert('intervention_responses', { id: 'r2', participant_id: null, ...answer });
    const report = await adopted();
    expect(report.exceptions).toMatchObject([{ table: 'intervention_responses', row: 2, outcome: 'kept' }]);
    study = await startStudy(legacy.file, NOW);
    expect(await study.test.knex('intervention_responses')).toEqual([
      { id: 1, participant_id: id, ...answer, timestamp: new Date(AT).toISOString() },
    ]);
  });

  it('an empty file of PromptPipe', async () => {
    const before = readFileSync(legacy.file).length;
    expect(await adopted()).toMatchObject({ ok: true, status: 'adopted', exceptions: [] });
    expect(before).toBeGreaterThan(0);
  });
});
