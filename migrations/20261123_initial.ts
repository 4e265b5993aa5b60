import type { Knex } from 'knex';

/** All instants are milliseconds since the epoch, except the seed's own columns, which stay ISO 8601 text. */
export async function up(knex: Knex): Promise<void> {
  // One row per actor: all that it is.
  await knex.schema.createTable('flow_states', (table) => {
    table.integer('id').primary();
    table.text('participant_id').notNullable();
    table.text('flow_type').notNullable();
    table.text('current_state').notNullable();
    table.text('state_data').notNullable();
    table.text('created_at').notNullable();
    table.text('updated_at').notNullable();
    table.integer('version').notNullable();
    table.integer('flow_version').notNullable();
    table.text('status').notNullable();
    table.bigInteger('next_due_at');
    table.bigInteger('lease_until');
    table.text('last_error');
    table.text('address');
    // The actor's last line in the journal.
    table.integer('journal_id');
    table.unique(['participant_id', 'flow_type'], { indexName: 'flow_states_participant' });
    table.index(['next_due_at'], 'flow_states_due', { predicate: knex.whereNotNull('next_due_at') });
    table.index(['lease_until'], 'flow_states_leased', { predicate: knex.whereNotNull('lease_until') });
  });

  // Who gets an inbound message from this address.
  await knex.schema.createTable('response_handlers', (table) => {
    table.text('phone_number').notNullable();
    table.text('flow_type').notNullable();
    table.text('participant_id').notNullable();
    table.text('handler_type').notNullable();
    table.bigInteger('bound_at').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['phone_number', 'flow_type']);
    table.index(['participant_id', 'flow_type'], 'response_handlers_participant');
  });

  // Every inbound message that was applied; the unique key is what makes a redelivery harmless.
  await knex.schema.createTable('inbox', (table) => {
    table.integer('id').primary();
    table.text('channel').notNullable();
    table.text('message_id').notNullable();
    table.bigInteger('applied_at').notNullable();
    table.text('sender');
    table.text('text');
    table.unique(['channel', 'message_id'], { indexName: 'inbox_message' });
  });

  // Every message that was emitted, in order. A participant's are found by way of the journal.
  await knex.schema.createTable('outbox_messages', (table) => {
    table.integer('id').primary();
    table.text('participant_id');
    table.text('flow_type');
    table.text('recipient').notNullable();
    table.text('kind').notNullable();
    table.text('payload').notNullable();
    table.text('status').notNullable();
    table.integer('attempts').notNullable();
    table.bigInteger('next_attempt_at');
    table.text('idempotency_key').notNullable();
    table.text('last_error');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
  });
  await knex.schema.raw("CREATE INDEX outbox_unsent ON outbox_messages (id) WHERE status IN ('pending', 'sending')");

  // One line per turn. An actor's lines are a chain, from its row back to its first: an index by participant would dirty
  // a page of its own for nearly every turn, and was measured to cost a fifth of all writing.
  await knex.schema.createTable('flow_journal', (table) => {
    table.integer('id').primary();
    table.integer('previous_id');
    table.text('participant_id').notNullable();
    table.text('flow_type').notNullable();
    table.integer('version').notNullable();
    table.text('event_type').notNullable();
    table.text('from_state');
    table.text('to_state').notNullable();
    table.bigInteger('at').notNullable();
    table.bigInteger('due_at');
    table.integer('inbox_id');
    table.text('text');
    table.integer('outbox_id');
    table.integer('outbox_count').notNullable();
    table.text('note');
  });

  // Events that could not be applied, with the error.
  await knex.schema.createTable('dead_letters', (table) => {
    table.increments('id');
    table.text('participant_id').notNullable();
    table.text('flow_type').notNullable();
    table.text('event').notNullable();
    table.text('error').notNullable();
    table.bigInteger('at').notNullable();
  });

  // Addresses that asked not to be written to.
  await knex.schema.createTable('opt_outs', (table) => {
    table.text('address').primary();
    table.bigInteger('opted_out_at').notNullable();
    table.text('source').notNullable();
  });

  await knex.schema.createTable('intervention_participants', (table) => {
    table.text('id').primary();
    table.text('phone_number').notNullable().unique();
    table.text('name');
    table.text('timezone').notNullable();
    table.text('status').notNullable();
    table.text('enrolled_at').notNullable();
    table.text('daily_prompt_time').notNullable();
    table.text('weekly_reset');
    table.text('created_at').notNullable();
    table.text('updated_at').notNullable();
  });

  await knex.schema.createTable('intervention_responses', (table) => {
    table.increments('id');
    table.text('participant_id').notNullable();
    table.text('state').notNullable();
    table.text('response_text').notNullable();
    table.text('response_type').notNullable();
    table.text('timestamp').notNullable();
    table.index(['participant_id', 'id'], 'intervention_responses_participant');
  });

  await knex.schema.createTable('conversation_participants', (table) => {
    table.text('id').primary();
    table.text('phone_number').notNullable().unique();
    table.text('name');
    table.text('gender');
    table.text('ethnicity');
    table.text('background');
    table.text('timezone').notNullable();
    table.text('status').notNullable();
    table.text('enrolled_at').notNullable();
    table.text('created_at').notNullable();
    table.text('updated_at').notNullable();
  });

  // What the runtime keeps about itself, e.g. where its clock started.
  await knex.schema.createTable('runtime_settings', (table) => {
    table.text('key').primary();
    table.text('value').notNullable();
  });
}

export async function down(knex: Knex): Promise<void> {
  for (const table of [
    'runtime_settings',
    'conversation_participants',
    'intervention_responses',
    'intervention_participants',
    'opt_outs',
    'dead_letters',
    'flow_journal',
    'outbox_messages',
    'inbox',
    'response_handlers',
    'flow_states',
  ]) {
    await knex.schema.dropTableIfExists(table);
  }
}
