/** What the parts can do alone, on this machine, in this run. */
import createKnex from 'knex';
import sqlite3 from 'sqlite3';
import { createActor } from 'xstate';
import { openDatabase } from '../src/store/sqlite/open.ts';
import * as sql from '../src/store/sqlite/statements.ts';
import { benchMachine } from './machine.ts';
import { load, type Measured, withDatabase } from './measure.ts';

/** XState's hot turn: a live actor takes an event and is persisted and stringified. */
export function hotTurn(seconds: number): number {
  const actor = createActor(benchMachine).start();
  const end = performance.now() + seconds * 1000;
  let turns = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++) {
      actor.send({ type: 'reply', text: 'yes' });
      JSON.stringify(actor.getPersistedSnapshot());
    }
    turns += 100;
  }
  actor.stop();
  return turns / seconds;
}

/** The raw driver writes the rows of `group` turns in one transaction: the same tables, statements and settings. */
export function rawCommits(group: number, actors: number, seconds: number): Promise<Measured> {
  return withDatabase(async (file) => {
    const { migrate, close } = await openDatabase(`sqlite:${file}`, {}, 0);
    await migrate();
    await close();
    const db = new sqlite3.Database(file);
    const exec = (text: string) =>
      new Promise<void>((resolve, reject) =>
        db.exec(text, (error: Error | null) => (error ? reject(error) : resolve())),
      );
    for (const pragma of [
      'journal_mode = WAL',
      'synchronous = FULL',
      'cache_size = -65536',
      'wal_autocheckpoint = 10000',
    ])
      await exec(`PRAGMA ${pragma}`);
    const actor = createActor(benchMachine).start();
    const state_data = JSON.stringify({
      snapshot: actor.getPersistedSnapshot(),
      births: 0,
      timers: [
        {
          id: 'xstate.after.patience.bench.step0',
          event: { type: 'xstate.after.patience.bench.step0' },
          dueAt: Date.now(),
        },
      ],
    });
    actor.stop();
    const base = Date.now();
    const now = new Date().toISOString();
    const state = (i: number, version: number) => ({
      id: i + 1,
      participant_id: `p_${i}`,
      flow_type: 'bench',
      current_state: 'step1',
      state_data,
      created_at: now,
      updated_at: now,
      version,
      flow_version: 1,
      status: 'active',
      next_due_at: base + version * 1000 + i,
      lease_until: null,
      last_error: null,
      address: `+1555${1000000 + i}`,
      journal_id: version === 1 ? null : (version - 1) * actors + i,
    });
    await exec(
      sql.withRows(
        sql.insertActors,
        Array.from({ length: actors }, (_, i) => state(i, 1)),
      ),
    );
    let version = 1;
    let member = 0;
    let id = 0;
    const script = () => {
      const members = Array.from({ length: group }, () => {
        if (member === actors) {
          member = 0;
          version++;
        }
        return member++;
      });
      const first = id + 1;
      const inbound = sql.withRows(
        sql.insertInbox,
        members.map(() => ({
          id: ++id,
          channel: 'sms',
          message_id: messageId(id),
          applied_at: base,
          sender: null,
          text: null,
        })),
      );
      const updates = sql.withRows(
        sql.updateActors,
        members.map((i) => state(i, version + 1)),
      );
      const outbox = sql.withRows(
        sql.insertOutbox,
        members.map((i, n) => ({
          id: first + n,
          participant_id: `p_${i}`,
          flow_type: 'bench',
          recipient: `+1555${1000000 + i}`,
          kind: 'message',
          payload: '{"type":"message","text":"Question 1: how do you feel today?"}',
          status: 'pending',
          attempts: 0,
          next_attempt_at: null,
          idempotency_key: `bench/p_${i}:${version}:0`,
          last_error: null,
          created_at: base,
          updated_at: base,
        })),
      );
      const journal = sql.withRows(
        sql.insertJournal,
        members.map((i, n) => ({
          id: first + n,
          previous_id: first + n - 1,
          participant_id: `p_${i}`,
          flow_type: 'bench',
          version,
          event_type: 'reply',
          from_state: 'step0',
          to_state: 'step1',
          at: base,
          due_at: null,
          inbox_id: first + n,
          text: 'yes',
          outbox_id: first + n,
          outbox_count: 1,
          note: null,
        })),
      );
      return ['BEGIN IMMEDIATE', inbound, updates, outbox, journal, 'COMMIT'].join(';');
    };
    // The next script is made while the driver's thread writes the last one.
    let next = script();
    const measured = await load(1, seconds, async () => {
      const written = exec(next);
      next = script();
      await written;
    });
    await new Promise((resolve) => db.close(resolve));
    return { ...measured, perSecond: measured.perSecond * group };
  });
}

/**
 * The usual recipe without a runtime: subscribe, and save the persisted snapshot with Knex after every event, in a table
 * of the usual shape. No inbound mark, no outgoing message, no deadline, no journal; on SQLite in WAL as well.
 */
export function recipe(seconds: number, inFlight: number): Promise<Measured> {
  return withDatabase(async (file) => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    await knex.raw('PRAGMA journal_mode = WAL');
    await knex.raw('PRAGMA synchronous = FULL');
    await knex.schema.createTable('flow_states', (table) => {
      table.increments('id');
      table.text('participant_id').notNullable();
      table.text('flow_type').notNullable();
      table.text('current_state').notNullable();
      table.text('state_data').notNullable();
      table.timestamps(true, true);
      table.unique(['participant_id', 'flow_type']);
    });
    const actors = Array.from({ length: 1000 }, (_, at) => {
      const actor = createActor(benchMachine);
      let saved = Promise.resolve();
      const save = async () => {
        const snapshot = actor.getPersistedSnapshot() as unknown as { value: string };
        await knex('flow_states')
          .insert({
            participant_id: `p_${at}`,
            flow_type: 'bench',
            current_state: snapshot.value,
            state_data: JSON.stringify(snapshot),
            updated_at: new Date().toISOString(),
          })
          .onConflict(['participant_id', 'flow_type'])
          .merge();
      };
      actor.subscribe(() => {
        saved = save();
      });
      actor.start();
      return { actor, saved: () => saved };
    });
    await Promise.all(actors.map(({ saved }) => saved()));
    const measured = await load(inFlight, seconds, async (worker, i) => {
      const { actor, saved } = actors[(worker + i) % actors.length]!;
      actor.send({ type: 'reply', text: 'yes' });
      await saved();
    });
    for (const { actor } of actors) actor.stop();
    await knex.destroy();
    return measured;
  });
}

/** Message ids as channels make them: long, and in no order. */
export function messageId(i: number): string {
  return `wamid.${((i * 2_654_435_761) % 4_294_967_296).toString(36)}.${i.toString(36)}HBgLMTU1NTEyMzQ1Njc`;
}
