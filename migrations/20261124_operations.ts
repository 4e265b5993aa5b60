import type { Knex } from 'knex';

/** What operators need: dead letters that can be retried, and a quarantine that is quickly listed. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('dead_letters', (table) => {
    // What the event was: 'event', 'message' (from a person), 'deadline' or 'result' (of an invocation).
    table.text('kind').notNullable().defaultTo('event');
    // The child that it was for, by session id; null for the actor itself.
    table.text('target');
    // 'open', 'retried' or 'discarded'.
    table.text('status').notNullable().defaultTo('open');
    table.bigInteger('resolved_at');
    table.index(['participant_id', 'flow_type'], 'dead_letters_participant');
  });
  await knex.schema.raw("CREATE INDEX dead_letters_open ON dead_letters (id) WHERE status = 'open'");
  await knex.schema.raw("CREATE INDEX flow_states_quarantined ON flow_states (id) WHERE status = 'quarantined'");
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw('DROP INDEX flow_states_quarantined');
  await knex.schema.raw('DROP INDEX dead_letters_open');
  await knex.schema.alterTable('dead_letters', (table) => {
    table.dropIndex(['participant_id', 'flow_type'], 'dead_letters_participant');
    table.dropColumns('kind', 'target', 'status', 'resolved_at');
  });
}
