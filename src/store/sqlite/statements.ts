/**
 * The statements of a commit, each writing one table for a whole group of turns, with the rows as literals in its text:
 * the whole transaction then goes to the driver's thread as one script, in one hop, which costs as much as several rows;
 * and SQLite reads literals faster than it reads JSON.
 */
import type { Sequence } from '../store.ts';

export interface GroupStatement {
  columns: readonly string[];
  /** The statement, given its rows as `(…), (…)`, each in the order of the columns. */
  text: (values: string) => string;
}

export function insert(table: string, columns: readonly string[], conflict = ''): GroupStatement {
  return { columns, text: (values) => `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${values} ${conflict}` };
}

/** Sets all columns but the id in the rows that match; `new.columnN` is the N-th column of a given row. */
function update(table: string, columns: readonly string[], match: string): GroupStatement {
  const sets = columns.flatMap((column, i) => (column === 'id' ? [] : [`${column} = new.column${i + 1}`])).join(', ');
  return { columns, text: (values) => `UPDATE ${table} SET ${sets} FROM (VALUES ${values}) AS new WHERE ${match}` };
}

/** The tables whose ids this process gives out, in time order. */
export const SEQUENCES = [
  'flow_states',
  'inbox',
  'outbox_messages',
  'flow_journal',
] as const satisfies readonly Sequence[];

/** The last id that was given out, of each: of a row that is there, or was the last one when it was deleted (by triggers). */
export const lastIds = `SELECT ${SEQUENCES.map(
  (table) => `max((SELECT coalesce(max(id), 0) FROM ${table}),
    (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM runtime_settings WHERE key = 'last_id.${table}')) AS ${table}`,
).join(', ')}`;

export const insertActors = insert(
  'flow_states',
  [
    'id',
    'participant_id',
    'flow_type',
    'current_state',
    'state_data',
    'created_at',
    'updated_at',
    'version',
    'flow_version',
    'status',
    'next_due_at',
    'lease_until',
    'last_error',
    'address',
    'journal_id',
  ],
  'ON CONFLICT (participant_id, flow_type) DO NOTHING',
);

// The compare-and-swap that makes a turn exclusive.
export const updateActors = update(
  'flow_states',
  [
    'id',
    'version',
    'current_state',
    'state_data',
    'updated_at',
    'flow_version',
    'status',
    'next_due_at',
    'lease_until',
    'last_error',
    'journal_id',
  ],
  'flow_states.id = new.column1 AND flow_states.version = new.column2 - 1',
);

const INBOX = ['id', 'channel', 'message_id', 'scope', 'applied_at', 'sender', 'text'];

// A mark without a scope is of a release that did not know whose ids they are, and counts for everybody.
export const insertInbox: GroupStatement = {
  columns: INBOX,
  text: (values) => `INSERT INTO inbox (${INBOX.join(', ')}) SELECT * FROM (VALUES ${values}) AS new
    WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE channel = new.column2 AND message_id = new.column3 AND scope IS NULL)
    ON CONFLICT (channel, message_id, scope) DO NOTHING`,
};

export const isApplied = `SELECT 1 FROM inbox WHERE channel = ? AND message_id = ? AND (scope = ? OR scope IS NULL) LIMIT 1`;

// A message to an address that opted out is stored, and not sent.
export const insertOutbox = insert('outbox_messages', [
  'id',
  'participant_id',
  'flow_type',
  'recipient',
  'kind',
  'payload',
  'status',
  'attempts',
  'next_attempt_at',
  'idempotency_key',
  'last_error',
  'created_at',
  'updated_at',
]);

export const insertJournal = insert('flow_journal', [
  'id',
  'previous_id',
  'participant_id',
  'flow_type',
  'version',
  'event_type',
  'from_state',
  'to_state',
  'at',
  'due_at',
  'inbox_id',
  'text',
  'outbox_id',
  'outbox_count',
  'note',
]);

const handlers = (condition: string) =>
  insert(
    'response_handlers',
    ['phone_number', 'flow_type', 'participant_id', 'handler_type', 'bound_at', 'expires_at'],
    `ON CONFLICT (phone_number, flow_type) DO UPDATE SET participant_id = excluded.participant_id,
       handler_type = excluded.handler_type, bound_at = excluded.bound_at, expires_at = excluded.expires_at ${condition}`,
  );

/** A new actor gets the number, whoever of the flow had it. */
export const bindHandlers = handlers('');

/** Whatever else binds it takes it from nobody who has not ended. */
export const rebindHandlers = handlers(
  `WHERE response_handlers.participant_id = excluded.participant_id OR NOT EXISTS (
     SELECT 1 FROM flow_states AS holder WHERE holder.participant_id = response_handlers.participant_id
       AND holder.flow_type = response_handlers.flow_type AND holder.status IN ('active', 'quarantined'))`,
);

/** Whom addresses are bound to, and the actors that have not ended and have them in their rows. */
export const claimsOf = `
  SELECT h.phone_number, f.participant_id, f.flow_type, f.status, f.updated_at, h.bound_at, h.expires_at,
    coalesce(f.address = h.phone_number, 0) AS own
  FROM json_each(?1) AS asked CROSS JOIN response_handlers AS h ON h.phone_number = asked.value
    CROSS JOIN flow_states AS f ON f.participant_id = h.participant_id AND f.flow_type = h.flow_type
  UNION ALL
  SELECT f.address, f.participant_id, f.flow_type, f.status, f.updated_at, NULL, NULL, 1
  FROM json_each(?1) AS asked CROSS JOIN flow_states AS f ON f.address = asked.value
  WHERE f.status IN ('active', 'quarantined') AND NOT EXISTS (
    SELECT 1 FROM response_handlers AS h WHERE h.phone_number = f.address AND h.flow_type = f.flow_type
      AND h.participant_id = f.participant_id)`;

export const insertDeadLetters = insert('dead_letters', [
  'participant_id',
  'flow_type',
  'kind',
  'target',
  'event',
  'error',
  'at',
]);

// A message that was cancelled meanwhile (its recipient opted out) stays cancelled.
export const markOutbox = update(
  'outbox_messages',
  ['id', 'status', 'attempts', 'next_attempt_at', 'last_error', 'updated_at'],
  `outbox_messages.id = new.column1 AND outbox_messages.status <> 'cancelled'`,
);

/** A statement with its rows in it. */
export function withRows({ columns, text }: GroupStatement, rows: readonly object[]): string {
  // Added to one text, which the driver copies once; an array of its parts would take as much memory again.
  let values = '';
  for (const row of rows) {
    values += values === '' ? '(' : '),(';
    for (let i = 0; i < columns.length; i++) {
      const value = literal((row as Record<string, unknown>)[columns[i]!]);
      values += i > 0 ? `,${value}` : value;
    }
  }
  return text(`${values})`);
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'number') return String(value);
  const text = String(value);
  // A script ends at its first NUL.
  if (text.includes('\0')) return `CAST(x'${Buffer.from(text).toString('hex')}' AS TEXT)`;
  return `'${text.includes("'") ? text.replaceAll("'", "''") : text}'`;
}

/** What the guard in a script fails with. */
export const GUARD = 'malformed JSON';

/** Makes a script fail if its last statement did not change `rows` rows: `json()` of what is no JSON is an error. */
export const guard = (rows: number) => `SELECT CASE changes() WHEN ${rows} THEN 0 ELSE json('-') END`;

export const loadActors = `SELECT flow_states.* FROM json_each(?) JOIN flow_states
  ON flow_states.participant_id = value->>0 AND flow_states.flow_type = value->>1`;

/**
 * The ids of a page of a participant's lines, behind the line ?2: the last one first, or the first one first. Along the chain
 * that begins in the actor's row only ids are read, and backwards it is followed no further than the page.
 */
const backwards = (which = 'TRUE') => `WITH page AS MATERIALIZED (WITH RECURSIVE line (id, previous_id) AS (
    SELECT j.id, j.previous_id FROM flow_states AS f JOIN flow_journal AS j ON j.id = f.journal_id WHERE f.participant_id = ?1
    UNION ALL SELECT j.id, j.previous_id FROM line JOIN flow_journal AS j ON j.id = line.previous_id ORDER BY 1 DESC)
  SELECT id FROM line WHERE id < ?2 AND ${which} LIMIT ?3)`;
const forwards = (which = 'TRUE') => `WITH page AS MATERIALIZED (WITH RECURSIVE line (id, previous_id) AS (
    SELECT j.id, j.previous_id FROM flow_states AS f JOIN flow_journal AS j ON j.id = f.journal_id
      WHERE f.participant_id = ?1 AND j.id > ?2
    UNION ALL SELECT j.id, j.previous_id FROM line JOIN flow_journal AS j ON j.id = line.previous_id WHERE j.id > ?2)
  SELECT id FROM line WHERE ${which} ORDER BY id LIMIT ?3)`;

// CROSS JOIN keeps SQLite from beginning with the other table, which it would read whole.
const turns = 'SELECT j.* FROM page CROSS JOIN flow_journal AS j ON j.id = page.id ORDER BY j.id';
export const journalBackwards = `${backwards()} ${turns} DESC`;
export const journalForwards = `${forwards()} ${turns}`;

/** The messages that were sent in a turn, of the line `j`. */
const SENT = "o.kind = 'message' AND o.id >= j.outbox_id AND o.id < j.outbox_id + j.outbox_count";
/** Whether anything was said in a turn. */
const said = `(SELECT j.text IS NOT NULL OR EXISTS (SELECT 1 FROM outbox_messages AS o WHERE ${SENT})
  FROM flow_journal AS j WHERE j.id = line.id)`;

// A turn's message from the person comes before what is answered. Former releases gave ids of pruned marks again: so the instant is compared.
const messages = `
  SELECT j.id AS line, j.at, 'in' AS direction, i.message_id AS id, i.channel, j.text AS payload,
    NULL AS recipient, NULL AS status
  FROM page CROSS JOIN flow_journal AS j ON j.id = page.id LEFT JOIN inbox AS i ON i.id = j.inbox_id AND i.applied_at = j.at
  WHERE j.text IS NOT NULL
  UNION ALL
  SELECT j.id, j.at, 'out', o.id, NULL, o.payload, o.recipient, o.status
  FROM page CROSS JOIN flow_journal AS j ON j.id = page.id CROSS JOIN outbox_messages AS o ON ${SENT}`;
export const messagesBackwards = `${backwards(said)} ${messages} ORDER BY 1 DESC, 3 DESC, 4 DESC`;
export const messagesForwards = `${forwards(said)} ${messages} ORDER BY 1, 3, 4`;

export const dueActors = `SELECT id, participant_id, flow_type, flow_version, next_due_at FROM flow_states
  WHERE next_due_at IS NOT NULL AND next_due_at <= ? AND (next_due_at, flow_type, id) > (?, ?, ?) AND status = 'active'
  ORDER BY next_due_at, flow_type, id LIMIT ?`;

export const leasedActors = `SELECT id, participant_id, flow_type, flow_version, lease_until FROM flow_states
  WHERE lease_until IS NOT NULL AND (lease_until, id) > (?, ?) AND status = 'active'
  ORDER BY lease_until, id LIMIT ?`;

// Literals, so that the partial indexes serve.
const UNSENT = "status IN ('pending', 'sending')";

export const unsent = `SELECT * FROM outbox_messages WHERE ${UNSENT} AND (kind, recipient) > (?, ?)
  ORDER BY kind, recipient, id LIMIT ?`;

export const unsentOf = `SELECT * FROM outbox_messages WHERE ${UNSENT} AND kind = ? AND recipient = ? ORDER BY id LIMIT ?`;

export const awaited = "SELECT DISTINCT recipient FROM outbox_messages WHERE status = 'waiting'";

export const nextExpiry = "SELECT min(next_attempt_at) AS until FROM outbox_messages WHERE status = 'waiting'";

export const wakeable = `SELECT recipient FROM (
    SELECT recipient, min(next_attempt_at) AS until FROM outbox_messages WHERE status = 'waiting' GROUP BY recipient)
  LEFT JOIN flow_states AS f ON f.flow_type = substr(recipient, 1, instr(recipient, '/') - 1)
    AND f.participant_id = substr(recipient, instr(recipient, '/') + 1)
  WHERE f.status <> 'quarantined' OR until <= ? LIMIT 1000`;

/** How many turns were written into a transaction; it is in there only while that is open. */
export const countFirst = `INSERT OR REPLACE INTO runtime_settings (key, value) VALUES ('transaction', 1)`;
export const countNext = `UPDATE runtime_settings SET value = value + 1 WHERE key = 'transaction' AND value = ?1`;
export const countOff = `DELETE FROM runtime_settings WHERE key = 'transaction' AND value = ?1`;
