import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import createKnex from 'knex';
import sqlite3 from 'sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRuntime } from '../../../src/index.ts';
import { type AdoptedRow, type AdoptionReport, adopt, formatAdoption } from '../../../src/study/adoption/index.ts';
import { microHealthInterventionFlow } from '../../../src/study/micro-health-intervention.ts';
import { AT, DAY, history, LegacyFile, MINUTE } from './promptpipe.ts';
import { startStudy } from './study.ts';

const NOW = AT + 5 * MINUTE;
const clock = { now: () => NOW };

let legacy: LegacyFile;
beforeEach(async () => {
  legacy = await LegacyFile.create();
  await legacy.intervention({ id: 'p_1', state: 'FEELING_PROMPT', participant: { phone_number: '15551234567' } });
  await legacy.intervention({ id: 'p_2', row: { state_data: '{' } });
  await legacy.conversation({ id: 'p_3', data: { conversationHistory: history(['assistant', 'hi']) } });
  await legacy.insert('receipts', { recipient: '15551234567', status: 'sent', time: 1_784_000_000 });
  await legacy.insert('responses', { sender: '15551234567', body: 'ready', time: 1_784_000_000 });
});
afterEach(() => legacy.remove());

const files = () => readdirSync(legacy.folder).sort();
const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const comparable = ({ durationMs: _, dryRun: __, into: ___, backup: ____, ...report }: AdoptionReport) => report;

async function query(file: string, sql: string): Promise<any[]> {
  const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
  try {
    return await knex.raw(sql);
  } finally {
    await knex.destroy();
  }
}

describe('adopting in place', () => {
  it('keeps the original beside it, and the tables that stay', async () => {
    await legacy.exec(
      'CREATE TABLE jobs (id TEXT); CREATE TABLE outbox_messages (id TEXT PRIMARY KEY, payload_json TEXT)',
    );
    await legacy.insert('jobs', { id: 'j1' });
    await legacy.insert('outbox_messages', { id: 'o1', payload_json: '{}' });
    await legacy.close();
    const report = await adopt({ file: legacy.file, clock });
    expect(report).toMatchObject({ status: 'adopted', backup: `${legacy.file}.promptpipe` });
    expect(await query(report.backup!, 'SELECT participant_id FROM flow_states')).toHaveLength(3);
    expect(await query(legacy.file, 'SELECT recipient FROM receipts')).toEqual([{ recipient: '15551234567' }]);
    expect(await query(legacy.file, 'SELECT body FROM responses')).toEqual([{ body: 'ready' }]);
    expect(await query(legacy.file, 'SELECT * FROM jobs')).toEqual([{ id: 'j1' }]);
    expect(await query(legacy.file, 'SELECT * FROM promptpipe_outbox_messages')).toEqual([
      { id: 'o1', payload_json: '{}' },
    ]);
    expect(report.tables.map(({ table, fate }) => `${table} ${fate}`)).toEqual(
      expect.arrayContaining(['receipts stays', 'jobs untouched', 'outbox_messages kept', 'flow_states adopted']),
    );
  });

  it('a second time changes nothing more', async () => {
    await legacy.close();
    await adopt({ file: legacy.file, clock });
    const [before, names] = [hash(legacy.file), files()];
    expect(await adopt({ file: legacy.file, clock })).toMatchObject({ status: 'already', ok: true });
    expect([hash(legacy.file), files()]).toEqual([before, names]);
  });

  it('takes what a write-ahead log holds along', async () => {
    await legacy.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
    await legacy.intervention({ id: 'p_4', state: 'MOOD_QUESTION' });
    // As a killed process leaves it: the log is not worked into the file.
    const copy = join(legacy.folder, 'killed.db');
    for (const end of ['', '-wal']) copyFileSync(legacy.file + end, copy + end);
    await legacy.close();
    expect((await adopt({ file: copy, clock, dryRun: true })).tables).toContainEqual(
      expect.objectContaining({ table: 'flow_states', rows: 4 }),
    );
    const report = await adopt({ file: copy, clock });
    expect(await query(report.backup!, 'SELECT participant_id FROM flow_states')).toHaveLength(4);
    expect(await query(copy, 'SELECT participant_id FROM flow_states')).toHaveLength(4);
  });

  it('adopts what only has participants, and tables without row numbers', async () => {
    await legacy.exec(`DROP TABLE flow_states; CREATE TABLE flow_states (participant_id TEXT, flow_type TEXT, current_state TEXT,
      state_data TEXT, created_at TEXT, updated_at TEXT, PRIMARY KEY (participant_id, flow_type)) WITHOUT ROWID`);
    await legacy.intervention({ id: 'p_5', state: 'MOOD_QUESTION' });
    await legacy.close();
    const report = await adopt({ file: legacy.file, clock });
    expect(report.exceptions.map(({ participantId }) => participantId)).toEqual(['p_1', 'p_2', 'p_3']);
    expect(report.states).toMatchObject([{ from: 'MOOD_QUESTION', rows: 1 }]);
  });
});

describe('adopting into a new file', () => {
  it('leaves the old one as it was, to the byte, and nothing beside it', async () => {
    await legacy.close();
    const [before, into] = [hash(legacy.file), join(legacy.folder, 'study.db')];
    const report = await adopt({ file: legacy.file, into, clock });
    expect(report.backup).toBeUndefined();
    expect(hash(legacy.file)).toBe(before);
    expect(files()).toEqual(['promptpipe.db', 'study.db']);
    const study = await startStudy(into, NOW);
    const receipt = await study.test.receive({ channel: 'sms', id: 'SM1', from: '15551234567', text: '3' });
    expect(receipt).toMatchObject({ status: 'applied', address: { participantId: 'p_1' } });
    await study.test.stop();
    expect(await adopt({ file: into, clock })).toMatchObject({ status: 'already' });
  });

  it('writes over no file', async () => {
    await legacy.close();
    const into = join(legacy.folder, 'study.db');
    writeFileSync(into, 'mine');
    await expect(adopt({ file: legacy.file, into, clock })).rejects.toThrow(/there already/);
    expect(readFileSync(into, 'utf8')).toBe('mine');
    expect(files()).toEqual(['promptpipe.db', 'study.db']);
  });
});

it('nobody may read a copy who may not read the original', async () => {
  await legacy.close();
  chmodSync(legacy.file, 0o600);
  const into = join(legacy.folder, 'study.db');
  await adopt({ file: legacy.file, into, clock });
  const { backup } = await adopt({ file: legacy.file, clock });
  for (const file of [legacy.file, into, backup!]) expect(statSync(file).mode & 0o777, file).toBe(0o600);
});

describe('a dry run', () => {
  it('tells the same and changes nothing', async () => {
    await legacy.close();
    const before = hash(legacy.file);
    const [told, done]: AdoptedRow[][] = [[], []];
    const dry = await adopt({ file: legacy.file, clock, dryRun: true, onRow: (row) => void told!.push(row) });
    expect([hash(legacy.file), files()]).toEqual([before, ['promptpipe.db']]);
    const wet = await adopt({ file: legacy.file, clock, onRow: (row) => void done!.push(row) });
    expect(comparable(dry)).toEqual(comparable(wet));
    expect(told).toEqual(done);
    expect(formatAdoption(dry)).toContain('nothing was changed');
  });

  it.each([
    ['a view of a table that is gone', 'CREATE VIEW report AS SELECT * FROM gone', /view report: no such table/],
    [
      'a trigger that writes into a table that is gone',
      'CREATE TRIGGER log AFTER INSERT ON flow_states BEGIN INSERT INTO gone VALUES (1); END',
      /trigger log: no such table/,
    ],
    ['a view that is called like a table of ours', 'CREATE VIEW inbox AS SELECT 1', /view `inbox` already exists/],
  ])('says as well that the file cannot be adopted, for %s', async (_, sql, reason) => {
    await legacy.exec(
      'CREATE TABLE sound (id); CREATE INDEX sound_id ON sound (id); CREATE VIEW fine AS SELECT * FROM sound',
    );
    await legacy.exec('CREATE VIRTUAL TABLE words USING fts5 (word)');
    expect(await adopt({ file: legacy.file, clock, dryRun: true })).toMatchObject({ status: 'adopted' });
    await legacy.exec(sql);
    await legacy.close();
    const before = hash(legacy.file);
    for (const dryRun of [true, false])
      await expect(adopt({ file: legacy.file, clock, dryRun })).rejects.toThrow(reason);
    expect(hash(legacy.file)).toBe(before);
  });

  it('also while PromptPipe runs', async () => {
    await legacy.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE');
    expect(await adopt({ file: legacy.file, clock, dryRun: true })).toMatchObject({ status: 'adopted' });
    await legacy.close();
  });
});

describe('a file that cannot be adopted', () => {
  /** The error of a file, which stays as it is. */
  async function refused(file: string): Promise<Error> {
    const [names, before] = [files(), readFileSync(file)];
    const error = await adopt({ file, clock }).catch((cause: Error) => cause);
    expect(error).toBeInstanceOf(Error);
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(files().filter((name) => !name.endsWith('-lock'))).toEqual(names.filter((name) => !name.endsWith('-lock')));
    return error as Error;
  }

  it.each([
    ['no SQLite', 'not a database, only a text', /is no SQLite database/],
    ['empty', '', /is no SQLite database/],
  ])('%s', async (_, content, message) => {
    await legacy.close();
    const file = join(legacy.folder, 'other');
    writeFileSync(file, content);
    expect(await refused(file)).toMatchObject({ code: 'NOT_ADOPTABLE', file, message: expect.stringMatching(message) });
  });

  it('torn', async () => {
    await legacy.close();
    const bytes = readFileSync(legacy.file);
    const file = join(legacy.folder, 'torn.db');
    writeFileSync(file, bytes.fill(0xa5, 100, 16_000));
    expect(await refused(file)).toMatchObject({ code: 'STORE_ERROR', reason: 'corrupt' });
  });

  it('missing, or a folder', async () => {
    await legacy.close();
    await expect(adopt({ file: join(legacy.folder, 'nowhere'), clock })).rejects.toThrow(/is not there/);
    mkdirSync(join(legacy.folder, 'folder'));
    await expect(adopt({ file: join(legacy.folder, 'folder'), clock })).rejects.toThrow(/is no file/);
  });

  it('of another program', async () => {
    await legacy.exec(
      'DROP TABLE flow_states; DROP TABLE intervention_participants; DROP TABLE conversation_participants',
    );
    await legacy.close();
    expect((await refused(legacy.file)).message).toMatch(/is no database of PromptPipe: it has no table flow_states/);
  });

  it('on which PromptPipe runs', async () => {
    await legacy.exec('PRAGMA journal_mode = WAL; SELECT COUNT(*) FROM flow_states');
    const error = await adopt({ file: legacy.file, clock }).catch((cause: Error) => cause);
    expect(error).toMatchObject({ code: 'NOT_ADOPTABLE', message: expect.stringContaining('Stop that first') });
    expect(await query(legacy.file, 'SELECT id FROM flow_states')).toHaveLength(3);
    await legacy.close();
  });

  it('on which a Perdure is about to start', async () => {
    await legacy.close();
    const lock = new sqlite3.Database(`${legacy.file}-lock`);
    const run = (sql: string) =>
      new Promise<void>((resolve, reject) => lock.exec(sql, (e) => (e ? reject(e) : resolve())));
    await run('CREATE TABLE owner (pid INTEGER NOT NULL); INSERT INTO owner VALUES (4711); BEGIN IMMEDIATE');
    expect(await refused(legacy.file)).toMatchObject({ code: 'DATABASE_IN_USE', pid: 4711 });
    await new Promise((resolve) => lock.close(resolve));
  });

  it('is refused by a runtime as well, which says how to adopt it', async () => {
    await legacy.close();
    const runtime = createRuntime({ database: `sqlite:${legacy.file}`, flows: [microHealthInterventionFlow] });
    await expect(runtime.start()).rejects.toThrow(/perdure adopt FILE/);
    expect(await adopt({ file: legacy.file, clock })).toMatchObject({ status: 'adopted' });
  });
});

describe('killed in the middle', { timeout: 120_000 }, () => {
  const MAIN = new URL('./main.ts', import.meta.url).pathname;

  /** Adopts in a process of its own, which dies after so many rows. */
  async function killed(after: number): Promise<void> {
    const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', MAIN, legacy.file, String(after)], {
      stdio: 'inherit',
    });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
  }

  it('the file is what it was, and is adopted the next time', async () => {
    for (let i = 0; i < 700; i++) await legacy.intervention({ state: 'END_OF_DAY' });
    await legacy.close();
    const before = await query(legacy.file, 'SELECT * FROM flow_states');
    for (const after of [1, 703, 1_400]) {
      await killed(after);
      expect(await query(legacy.file, 'SELECT * FROM flow_states')).toEqual(before);
      expect(await query(legacy.file, "SELECT name FROM sqlite_master WHERE name LIKE 'promptpipe%'")).toEqual([]);
    }
    expect(await adopt({ file: legacy.file, clock })).toMatchObject({
      status: 'adopted',
      backup: expect.stringMatching(/-4$/),
    });
    expect(await query(legacy.file, 'SELECT id FROM flow_states')).toHaveLength(before.length);
    expect(existsSync(`${legacy.file}.promptpipe-unfinished`)).toBe(false);
    rmSync(`${legacy.file}.promptpipe`);
  });

  it('after more than fits into memory was written: given again at once, it begins anew', async () => {
    const data = { systemPrompt: 'kind '.repeat(4_000), conversationHistory: history(['assistant', 'hi']) };
    await legacy.exec('BEGIN');
    for (let i = 0; i < 400; i++) await legacy.conversation({ data });
    await legacy.exec('COMMIT');
    await legacy.close();
    await killed(800);
    expect(existsSync(`${legacy.file}-journal`)).toBe(true);
    const [before, names, into] = [hash(legacy.file), files(), join(legacy.folder, 'study.db')];
    for (const options of [{ dryRun: true }, { into }])
      await expect(adopt({ file: legacy.file, clock, ...options })).rejects.toMatchObject({
        code: 'NOT_ADOPTABLE',
        message: expect.stringContaining('To undo it'),
      });
    expect([hash(legacy.file), files()]).toEqual([before, names]);
    const report = await adopt({ file: legacy.file, clock });
    expect(report.tables).toContainEqual(expect.objectContaining({ table: 'flow_states', rows: 403, adopted: 402 }));
    expect(await query(report.backup!, 'SELECT id FROM flow_states')).toHaveLength(403);
  });
});

it('the report reads well', async () => {
  await legacy.intervention({ id: 'p_9', state: 'HABIT_REMINDER', data: { completionTimerID: 't1' }, at: AT - DAY });
  await legacy.close();
  const text = formatAdoption(await adopt({ file: legacy.file, clock })).replaceAll(`${legacy.folder}/`, '');
  expect(text.replace(/ in \d.* s\./, ' in 0.1 s.').replace(/no JSON: .*/, 'no JSON: …')).toMatchInlineSnapshot(`
    "promptpipe.db was adopted in 0.1 s. The original is kept as promptpipe.db.promptpipe.

      receipts                   1 row   stays as it is
      responses                  1 row   stays as it is
      flow_states                4 rows  3 adopted, 1 quarantined, the original in promptpipe_flow_states
      intervention_participants  3 rows  3 adopted, the original in promptpipe_intervention_participants
      intervention_responses     0 rows  0 adopted, the original in promptpipe_intervention_responses
      conversation_participants  1 row   1 adopted, the original in promptpipe_conversation_participants

    Legacy states, and ours
      1  micro_health_intervention/FEELING_PROMPT  → FEELING_PROMPT
      1  conversation/CONVERSATION_ACTIVE          → CONVERSATION_ACTIVE.AWAITING_PARTICIPANT
      1  micro_health_intervention/HABIT_REMINDER  → SEND_INTERVENTION_IMMEDIATE

    How it goes on
      1  deadlines that have passed: each fires once, when the server starts
      3  deadlines to come, the first at 2026-07-15T12:45:00.123Z
      1  ids of timers that died with the old process, left behind
      3  phone numbers bound to their participants

    Worth to know
      2  × lastCommitmentDate was not recorded: taken from updated_at, so that no second prompt is sent that day
      1  × how the habit was worded is not known: taken for IMMEDIATE, recorded as unknown

    Not adopted: 1
      quarantined micro_health_intervention/p_2 (flow_states, row 2, in ORIENTATION)
        state_data is no JSON: …

    Start it with: perdure start --database promptpipe.db
    Look at those put aside with: perdure quarantine list --database promptpipe.db"
  `);
});
