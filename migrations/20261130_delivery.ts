import type { Knex } from 'knex';

const SEQUENCES = ['flow_states', 'inbox', 'outbox_messages', 'flow_journal'];
const PARTICIPANTS = ['intervention_participants', 'conversation_participants'];

/**
 * Ids that are never given twice, message ids that count per sender, and an outbox that is read by its recipients. No row is
 * rewritten, so that it is quick for a million of them.
 */
export async function up(knex: Knex): Promise<void> {
  // Where the row of the last id is deleted, the id is kept: the next start goes on behind it.
  for (const table of SEQUENCES) {
    await knex.schema.raw(`CREATE TRIGGER ${table}_last_id AFTER DELETE ON ${table}
      WHEN old.id > coalesce((SELECT max(id) FROM ${table}), 0)
      BEGIN
        INSERT INTO runtime_settings (key, value) VALUES ('last_id.${table}', old.id)
        ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), old.id);
      END`);
  }

  // Whose message ids these are. Marks of before have none: they go on counting for everybody.
  await knex.schema.raw('ALTER TABLE inbox ADD COLUMN scope TEXT');
  await knex.schema.raw('DROP INDEX inbox_message');
  await knex.schema.raw('CREATE UNIQUE INDEX inbox_message ON inbox (channel, message_id, scope)');

  // How many attempts were made before an operator had it sent again; they do not count among those that are granted.
  await knex.schema.raw('ALTER TABLE outbox_messages ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0');
  await knex.schema.raw('DROP INDEX outbox_unsent');
  await knex.schema.raw(
    "CREATE INDEX outbox_unsent ON outbox_messages (kind, recipient, id) WHERE status IN ('pending', 'sending')",
  );
  await knex.schema.raw("CREATE INDEX outbox_waiting ON outbox_messages (recipient, id) WHERE status = 'waiting'");
  await knex.schema.raw(
    "CREATE INDEX outbox_undelivered ON outbox_messages (id) WHERE status IN ('failed', 'held', 'waiting')",
  );
  // When somebody was last answered whom no actor knows.
  await knex.schema.raw(
    'CREATE INDEX outbox_answers ON outbox_messages (recipient, created_at) WHERE participant_id IS NULL',
  );

  // A number that was enrolled anew stands with the former participant's id behind it: that one does not come back with it.
  for (const table of PARTICIPANTS)
    await knex.schema.raw(`CREATE TRIGGER ${table}_number BEFORE UPDATE OF status ON ${table}
      WHEN NEW.status IN ('active', 'paused') AND OLD.status NOT IN ('active', 'paused') AND instr(NEW.phone_number, ' (') > 0
      BEGIN SELECT RAISE(ABORT, 'the number was enrolled anew, and belongs to that participant'); END`);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of PARTICIPANTS) await knex.schema.raw(`DROP TRIGGER ${table}_number`);
  await knex.schema.raw('DROP INDEX outbox_answers');
  await knex.schema.raw('DROP INDEX outbox_undelivered');
  await knex.schema.raw('DROP INDEX outbox_waiting');
  await knex.schema.raw('DROP INDEX outbox_unsent');
  await knex.schema.raw("CREATE INDEX outbox_unsent ON outbox_messages (id) WHERE status IN ('pending', 'sending')");
  await knex.schema.raw('ALTER TABLE outbox_messages DROP COLUMN attempts_before');
  await knex.schema.raw('DROP INDEX inbox_message');
  await knex.schema.raw('ALTER TABLE inbox DROP COLUMN scope');
  await knex.schema.raw('CREATE UNIQUE INDEX inbox_message ON inbox (channel, message_id)');
  for (const table of SEQUENCES) await knex.schema.raw(`DROP TRIGGER ${table}_last_id`);
}
