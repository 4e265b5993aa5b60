/**
 * The statements of a commit, each writing one table for a whole group of turns: SQLite reads the group from one JSON
 * text. The whole transaction goes to the driver's thread as one script, in one hop; a hop costs as much as several rows.
 */

/** `INSERT INTO table (columns) SELECT … FROM json_each(?)`, a row per element, each an array in the order of `columns`. */
function insert(table: string, columns: readonly string[], conflict = ''): string {
  const values = columns.map((_, i) => `value->>${i}`).join(', ');
  return `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${values} FROM json_each(?) WHERE true ${conflict}`;
}

/** `UPDATE table SET … FROM json_each(?)`, matched by `keys`; the other columns are set. */
function update(table: string, columns: readonly string[], match: string): string {
  const sets = columns.flatMap((column, i) => (column === 'id' ? [] : [`${column} = value->>${i}`]));
  return `UPDATE ${table} SET ${sets.join(', ')} FROM json_each(?) WHERE ${match}`;
}

export interface GroupStatement {
  columns: readonly string[];
  sql: string;
}

const group = <T extends readonly string[]>(columns: T, sql: (columns: T) => string): GroupStatement => ({
  columns,
  sql: sql(columns),
});

export const insertActors = group(
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
  ] as const,
  (columns) => insert('flow_states', columns, 'ON CONFLICT DO NOTHING'),
);

// The compare-and-swap that makes a turn exclusive.
export const updateActors = group(
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
  ] as const,
  (columns) => update('flow_states', columns, 'flow_states.id = value->>0 AND flow_states.version = (value->>1) - 1'),
);

export const insertInbox = group(
  ['id', 'channel', 'message_id', 'participant_id', 'flow_type', 'sender', 'text', 'applied_at'] as const,
  (columns) => insert('inbox', columns, 'ON CONFLICT DO NOTHING'),
);

// A message to an address that opted out is stored, and not sent.
export const insertOutbox = group(
  [
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
  ] as const,
  (columns) => insert('outbox_messages', columns),
);

export const insertJournal = group(
  [
    'id',
    'participant_id',
    'flow_type',
    'version',
    'event_type',
    'from_state',
    'to_state',
    'at',
    'due_at',
    'note',
  ] as const,
  (columns) => insert('flow_journal', columns),
);

export const upsertHandlers = group(
  ['phone_number', 'flow_type', 'participant_id', 'handler_type', 'bound_at', 'expires_at'] as const,
  (columns) =>
    insert(
      'response_handlers',
      columns,
      `ON CONFLICT (phone_number, flow_type) DO UPDATE SET participant_id = excluded.participant_id,
       handler_type = excluded.handler_type, bound_at = excluded.bound_at, expires_at = excluded.expires_at`,
    ),
);

export const insertDeadLetters = group(['participant_id', 'flow_type', 'event', 'error', 'at'] as const, (columns) =>
  insert('dead_letters', columns),
);

// A message that was cancelled meanwhile (its recipient opted out) stays cancelled.
export const markOutbox = group(
  ['id', 'status', 'attempts', 'next_attempt_at', 'last_error', 'updated_at'] as const,
  (columns) =>
    update('outbox_messages', columns, `outbox_messages.id = value->>0 AND outbox_messages.status <> 'cancelled'`),
);

/** What the guard in a script fails with. */
export const GUARD = 'malformed JSON';

/**
 * A statement with its rows in it, and a guard that makes the script fail if it did not change as many rows: `json()` of
 * what is no JSON is an error, and is evaluated only then.
 */
export function scripted({ sql, columns }: GroupStatement, rows: readonly object[], guarded = true): string {
  if (rows.length === 0) return '';
  const literal = toJson(columns, rows).replaceAll("'", "''");
  const guard = guarded ? `SELECT CASE changes() WHEN ${rows.length} THEN 0 ELSE json('-') END;` : '';
  return `${sql.replace('?', () => `'${literal}'`)};${guard}`;
}

/** The rows as `json_each` reads them: arrays in the order of the columns. */
export function toJson(columns: readonly string[], rows: readonly object[]): string {
  return JSON.stringify(rows.map((row) => columns.map((column) => (row as Record<string, unknown>)[column])));
}

export const loadActors = `SELECT flow_states.* FROM json_each(?) JOIN flow_states
  ON flow_states.participant_id = value->>0 AND flow_states.flow_type = value->>1`;

export const versions = 'SELECT id, version FROM flow_states WHERE id IN (SELECT value FROM json_each(?))';

export const dueActors = `SELECT id, participant_id, flow_type, next_due_at FROM flow_states
  WHERE next_due_at IS NOT NULL AND next_due_at <= ? AND (next_due_at, id) > (?, ?) AND status = 'active'
  ORDER BY next_due_at, id LIMIT ?`;

export const pruneInbox = `DELETE FROM inbox WHERE id IN (
  SELECT id FROM (SELECT id, applied_at FROM inbox ORDER BY id LIMIT 1000) WHERE applied_at < ?)`;
