/** The engine itself on a database in memory, for tests that call what the runtime does not show. */
import createKnex, { type Knex } from 'knex';
import { SimulatedClock } from '../../src/clock.ts';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import { EventChannel } from '../../src/events.ts';
import { FlowVersions } from '../../src/flow/versions.ts';
import type { AnyFlow } from '../../src/index.ts';
import { Inspection } from '../../src/inspection/inspection.ts';
import { migrate } from '../../src/store/sqlite/schema.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';

/** A database with its tables, which outlives the engines on it. */
export async function databaseInMemory(): Promise<Knex> {
  const knex = createKnex({
    client: 'sqlite3',
    connection: ':memory:',
    useNullAsDefault: true,
    pool: { min: 1, max: 1 },
  });
  await migrate(knex);
  return knex;
}

/** An engine that has not started. */
export async function engineOn(knex: Knex, flows: AnyFlow[], options: Partial<EngineOptions> = {}) {
  const store = await SqliteStore.open(knex);
  const clock = new SimulatedClock();
  const events = new EventChannel();
  const engine = new Engine({
    store,
    flows: new Map(flows.map((flow) => [flow.type, flow])),
    versions: new Map(flows.map((flow) => [flow.type, new FlowVersions([flow])])),
    clock,
    events,
    random: undefined,
    pace: { rate: Number.POSITIVE_INFINITY, jitter: 0, chance: () => 0 },
    sweepEvery: 300_000,
    seed: 'test',
    answerWithin: 10_000,
    cacheSize: 100,
    journal: true,
    transport: undefined,
    eventPatience: 86_400_000,
    inspection: new Inspection(() => {}),
    inspect: undefined,
    ...options,
  });
  const idle = async () => {
    do await new Promise(setImmediate);
    while (!engine.idle);
  };
  return { engine, store, clock, events, idle };
}
