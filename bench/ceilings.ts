/** What the parts can do alone, on this machine, in this run. */
import createKnex from 'knex';
import sqlite3 from 'sqlite3';
import { createActor } from 'xstate';
import { openDatabase } from '../src/store/database.ts';
import * as sql from '../src/store/statements.ts';
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
    const { close } = await openDatabase(`sqlite:${file}`, {}, 0);
    await close();
    const db = new sqlite3.Database(file);
    const run = (text: string, params: unknown[] = []) =>
      new Promise<void>((resolve, reject) =>
        db.run(text, params, (error: Error | null) => (error ? reject(error) : resolve())),
      );
    for (const pragma of [
      'journal_mode = WAL',
      'synchronous = FULL',
      'cache_size = -65536',
      'wal_autocheckpoint = 10000',
    ])
      await run(`PRAGMA ${pragma}`);
    const write = async (statement: sql.GroupStatement, rows: Record<string, unknown>[]) =>
      run(statement.sql, [JSON.stringify(rows.map((row) => statement.columns.map((column) => row[column])))]);
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
    });
    await write(
      sql.insertActors,
      Array.from({ length: actors }, (_, i) => state(i, 1)),
    );
    let version = 1;
    let next = 0;
    let id = 0;
    const measured = await load(1, seconds, async () => {
      const members = Array.from({ length: group }, () => {
        if (next === actors) {
          next = 0;
          version++;
        }
        return next++;
      });
      await run('BEGIN IMMEDIATE');
      await write(
        sql.insertInbox,
        members.map((i) => ({
          id: ++id,
          channel: 'sms',
          message_id: messageId(id),
          participant_id: `p_${i}`,
          flow_type: 'bench',
          sender: `+1555${1000000 + i}`,
          text: 'yes',
          applied_at: base,
        })),
      );
      await write(
        sql.updateActors,
        members.map((i) => state(i, version + 1)),
      );
      await write(
        sql.insertOutbox,
        members.map((i, n) => ({
          id: id + n,
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
      await write(
        sql.insertJournal,
        members.map((i, n) => ({
          id: id + n,
          participant_id: `p_${i}`,
          flow_type: 'bench',
          version,
          event_type: 'reply',
          from_state: 'step0',
          to_state: 'step1',
          at: base,
          due_at: null,
          note: null,
        })),
      );
      await run('COMMIT');
    });
    await new Promise((resolve) => db.close(resolve));
    return { ...measured, perSecond: measured.perSecond * group };
  });
}

/** The usual recipe without a runtime: subscribe, and save the snapshot with Knex after every event. */
export function recipe(seconds: number, inFlight: number): Promise<Measured> {
  return withDatabase(async (file) => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
    await knex.raw('PRAGMA journal_mode = WAL');
    await knex.raw('PRAGMA synchronous = FULL');
    await knex.schema.createTable('snapshots', (table) => {
      table.text('id').primary();
      table.text('snapshot');
    });
    const actors = Array.from({ length: 1000 }, () => createActor(benchMachine).start());
    const measured = await load(inFlight, seconds, async (worker, i) => {
      const at = (worker + i) % actors.length;
      const actor = actors[at]!;
      actor.send({ type: 'reply', text: 'yes' });
      await knex('snapshots')
        .insert({ id: `p_${at}`, snapshot: JSON.stringify(actor.getPersistedSnapshot()) })
        .onConflict('id')
        .merge();
    });
    for (const actor of actors) actor.stop();
    await knex.destroy();
    return measured;
  });
}

/** Message ids as channels make them: long, and in no order. */
export function messageId(i: number): string {
  return `wamid.${((i * 2_654_435_761) % 4_294_967_296).toString(36)}.${i.toString(36)}HBgLMTU1NTEyMzQ1Njc`;
}
