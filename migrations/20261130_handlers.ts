import type { Knex } from 'knex';

/** While an actor runs, its number leads to it: it is found by its row, too, and its binding does not expire. */
export async function up(knex: Knex): Promise<void> {
  await knex.schema.raw('CREATE INDEX flow_states_address ON flow_states (address) WHERE address IS NOT NULL');
  await knex.schema.raw(`UPDATE response_handlers SET expires_at = 8640000000000000 WHERE EXISTS (
    SELECT 1 FROM flow_states AS f WHERE f.participant_id = response_handlers.participant_id
      AND f.flow_type = response_handlers.flow_type AND f.status IN ('active', 'quarantined'))`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.raw('DROP INDEX flow_states_address');
}
