import type { Knex } from 'knex';

/** Deadlines are counted by flow before the runtime is ready: from the index alone, without a look at the rows. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw('DROP INDEX flow_states_due');
  await knex.schema.raw(
    'CREATE INDEX flow_states_due ON flow_states (next_due_at, flow_type) WHERE next_due_at IS NOT NULL',
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw('DROP INDEX flow_states_due');
  await knex.schema.raw('CREATE INDEX flow_states_due ON flow_states (next_due_at) WHERE next_due_at IS NOT NULL');
}
