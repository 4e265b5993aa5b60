import type { Knex } from 'knex';

/** What operators need: dead letters that can be retried, a quarantine that is quickly listed; and the seed's two logs. */
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

  // Delivery receipts and inbound messages, as the system before kept them. `time` is in s since the epoch.
  if (!(await knex.schema.hasTable('receipts'))) {
    await knex.schema.createTable('receipts', (table) => {
      table.increments('id');
      table.text('recipient').notNullable();
      table.text('status').notNullable();
      table.integer('time').notNullable();
    });
  }
  if (!(await knex.schema.hasTable('responses'))) {
    await knex.schema.createTable('responses', (table) => {
      table.increments('id');
      table.text('sender').notNullable();
      table.text('body').notNullable();
      table.integer('time').notNullable();
    });
  }
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTableIfExists('responses');
  await knex.schema.dropTableIfExists('receipts');
  await knex.schema.raw('DROP INDEX flow_states_quarantined');
  await knex.schema.raw('DROP INDEX dead_letters_open');
  await knex.schema.alterTable('dead_letters', (table) => {
    table.dropIndex(['participant_id', 'flow_type'], 'dead_letters_participant');
    table.dropColumns('kind', 'target', 'status', 'resolved_at');
  });
}
