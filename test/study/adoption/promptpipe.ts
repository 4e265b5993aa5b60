/** Databases as PromptPipe leaves them: real SQLite files, with its tables and in its ways of writing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite3 from 'sqlite3';

export const LEGACY_SCHEMA = `
  CREATE TABLE receipts (id INTEGER PRIMARY KEY AUTOINCREMENT, recipient TEXT NOT NULL, status TEXT NOT NULL, time INTEGER NOT NULL);
  CREATE TABLE responses (id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, body TEXT NOT NULL, time INTEGER NOT NULL);
  CREATE TABLE flow_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT, participant_id TEXT NOT NULL, flow_type TEXT NOT NULL, current_state TEXT NOT NULL,
    state_data TEXT, created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE(participant_id, flow_type));
  CREATE TABLE intervention_participants (
    id TEXT PRIMARY KEY, phone_number TEXT NOT NULL UNIQUE, name TEXT, timezone TEXT, status TEXT NOT NULL,
    enrolled_at DATETIME NOT NULL, daily_prompt_time TEXT NOT NULL, weekly_reset DATETIME,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);
  CREATE INDEX idx_intervention_participants_phone ON intervention_participants(phone_number);
  CREATE TABLE intervention_responses (
    id TEXT PRIMARY KEY, participant_id TEXT NOT NULL, state TEXT NOT NULL, response_text TEXT NOT NULL,
    response_type TEXT NOT NULL, timestamp DATETIME NOT NULL,
    FOREIGN KEY (participant_id) REFERENCES intervention_participants(id) ON DELETE CASCADE);
  CREATE TABLE conversation_participants (
    id TEXT PRIMARY KEY, phone_number TEXT NOT NULL UNIQUE, name TEXT, gender TEXT, ethnicity TEXT, background TEXT,
    timezone TEXT, status TEXT NOT NULL, enrolled_at DATETIME NOT NULL,
    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);`;

/** The same without any constraint, where anything fits in. */
export const LOOSE_SCHEMA = `
  CREATE TABLE flow_states (participant_id, flow_type, current_state, state_data, created_at, updated_at);
  CREATE TABLE intervention_participants (
    id, phone_number, name, timezone, status, enrolled_at, daily_prompt_time, weekly_reset, created_at, updated_at);
  CREATE TABLE conversation_participants (
    id, phone_number, name, gender, ethnicity, background, timezone, status, enrolled_at, created_at, updated_at);
  CREATE TABLE intervention_responses (id, participant_id, state, response_text, response_type, timestamp);
  CREATE TABLE response_handlers (phone_number, participant_id, flow_type, handler_type, expires_at);`;

export type Cells = Record<string, unknown>;

export class LegacyFile {
  readonly folder: string;
  readonly file: string;
  readonly #db: sqlite3.Database;
  #people = 0;
  #phones = 0;

  private constructor(folder: string, db: sqlite3.Database) {
    this.folder = folder;
    this.file = join(folder, 'promptpipe.db');
    this.#db = db;
  }

  static async create(schema: string = LEGACY_SCHEMA): Promise<LegacyFile> {
    const folder = mkdtempSync(join(tmpdir(), 'perdure-adoption-'));
    const legacy = new LegacyFile(folder, new sqlite3.Database(join(folder, 'promptpipe.db')));
    await legacy.exec(schema);
    return legacy;
  }

  exec(sql: string): Promise<void> {
    return new Promise((resolve, reject) => this.#db.exec(sql, (error) => (error ? reject(error) : resolve())));
  }

  insert(table: string, row: Cells): Promise<void> {
    const columns = Object.keys(row);
    const sql = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`;
    return new Promise((resolve, reject) =>
      this.#db.run(sql, Object.values(row), (error: Error | null) => (error ? reject(error) : resolve())),
    );
  }

  /** A participant of the intervention who stands in a state; `participant: null`, `state: null` leave a row out. */
  async intervention({
    id = this.#nextId(),
    state = 'ORIENTATION',
    data = {},
    at = AT,
    row = {},
    participant = {},
  }: Subject = {}): Promise<string> {
    if (participant !== null) {
      await this.insert('intervention_participants', {
        id,
        phone_number: this.#phone(),
        name: 'Ada',
        timezone: 'America/New_York',
        status: 'active',
        enrolled_at: goTime(AT - 30 * DAY),
        daily_prompt_time: '10:00',
        weekly_reset: goTime(AT - 30 * DAY + 7 * DAY),
        created_at: goTime(AT - 30 * DAY),
        updated_at: goTime(at),
        ...participant,
      });
    }
    if (state !== null) await this.#state('micro_health_intervention', id, state, data, at, row);
    return id;
  }

  /** A participant of the conversation. */
  async conversation({
    id = this.#nextId(),
    state = 'CONVERSATION_ACTIVE',
    data = {},
    at = AT,
    row = {},
    participant = {},
  }: Subject = {}): Promise<string> {
    if (participant !== null) {
      await this.insert('conversation_participants', {
        id,
        phone_number: this.#phone(),
        name: 'Bo',
        gender: 'female',
        ethnicity: null,
        background: 'likes tea',
        timezone: 'Europe/Berlin',
        status: 'active',
        enrolled_at: goTime(AT - 30 * DAY),
        created_at: goTime(AT - 30 * DAY),
        updated_at: goTime(at),
        ...participant,
      });
    }
    if (state !== null) await this.#state('conversation', id, state, data, at, row);
    return id;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#db.close(() => resolve()));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #state(flow_type: string, participant_id: string, current_state: string, data: Cells, at: number, row: Cells) {
    return this.insert('flow_states', {
      participant_id,
      flow_type,
      current_state,
      state_data: Object.keys(data).length > 0 ? JSON.stringify(data) : '',
      created_at: goTime(at - DAY),
      updated_at: goTime(at),
      ...row,
    });
  }

  #nextId(): string {
    return `p_${(++this.#people).toString(16).padStart(16, '0')}`;
  }

  /** Digits only, as PromptPipe has it. */
  #phone(): string {
    return `1555${2_000_000 + ++this.#phones}`;
  }
}

interface Subject {
  id?: string;
  state?: string | null;
  data?: Cells;
  /** When the state was entered. */
  at?: number;
  /** Other cells of the row in flow_states. */
  row?: Cells;
  participant?: Cells | null;
}

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Wednesday, 08:30 in New York. */
export const AT = Date.UTC(2026, 6, 15, 12, 30, 0, 123);

/** As Go's SQLite driver writes an instant. */
export function goTime(instant: number): string {
  const local = new Date(instant - 4 * HOUR).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 23)}456789-04:00`;
}

export const history = (...messages: [role: string, content: string][]) =>
  JSON.stringify({
    messages: messages.map(([role, content], i) => ({
      role,
      content,
      timestamp: new Date(AT - HOUR + i * MINUTE).toISOString(),
    })),
  });
