import type { Knex } from 'knex';
import { describe, expect, it } from 'vitest';
import { emit, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { crashEverywhere, createTestRuntime, explore } from '../../src/testing/index.ts';

const flow = defineFlow({
  type: 'f',
  version: 1,
  record: (emitted) =>
    emitted.type === 'noted' ? { table: 'notes', row: { text: (emitted as unknown as { text: string }).text } } : null,
  logic: setup({}).createMachine({
    initial: 'a',
    states: { a: { on: { go: { target: 'b', actions: emit({ type: 'noted', text: 'x' } as never) } } }, b: {} },
  }),
});
/** One note is there from the beginning, and no two are alike. */
const tables = async (knex: Knex) => {
  await knex.schema.createTable('notes', (table) => void table.text('text').unique());
  await knex('notes').insert({ text: 'first' });
};
const missing = /The flow records into a table 'notes', which the database of the test has not\. Let the test make it/;

describe('a flow that records into a table of the application', () => {
  it('is crashed through where the test makes the table, anew for each run', async () => {
    const { crashes } = await crashEverywhere(flow, [{ send: { type: 'go' } }, { inState: 'b' }], { tables });
    expect(crashes).toBeGreaterThan(5);
  });

  it('is explored likewise', async () => {
    expect(await explore(flow, { events: [{ type: 'go' }], tables })).toMatchObject({ states: { missed: [] } });
  });

  it('says what it needs where there is no table', async () => {
    const refused = { code: 'INVALID_ARGUMENT', message: expect.stringMatching(missing) };
    await expect(crashEverywhere(flow, [{ send: { type: 'go' } }])).rejects.toMatchObject(refused);
    await expect(explore(flow, { events: [{ type: 'go' }] })).rejects.toMatchObject(refused);
  });

  it('is run on the database in memory, in which they are made once', async () => {
    const test = await createTestRuntime({ flows: [flow], tables });
    const actor = await test.spawn(flow, 'p');
    await test.crash();
    await test.restart();
    await actor.send({ type: 'go' });
    expect(await test.knex('notes').pluck('text')).toEqual(['first', 'x']);
    await test.stop();
    await expect(createTestRuntime({ flows: [flow], tables, database: test.knex })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
