import fc from 'fast-check';
import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ActorRow, Commit } from '../../src/store/rows.ts';
import { migrate } from '../../src/store/sqlite/schema.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';

describe('a group of turns in one transaction', () => {
  let knex: Knex;
  let store: SqliteStore;
  beforeEach(async () => {
    knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
    await migrate(knex);
    store = await SqliteStore.open(knex);
  });
  afterEach(() => knex.destroy());

  const actor = (id: string, change: Partial<ActorRow> = {}): ActorRow => ({
    id: store.nextId('flow_states'),
    participant_id: id,
    flow_type: 'test',
    current_state: 'a',
    state_data: '{}',
    created_at: '',
    updated_at: '',
    version: 1,
    flow_version: 1,
    status: 'active',
    next_due_at: null,
    lease_until: null,
    last_error: null,
    address: null,
    journal_id: null,
    ...change,
  });
  const turn = (row: ActorRow, version: number, change: Partial<ActorRow> = {}): Commit => ({
    update: { ...row, ...change, version },
  });
  const mark = (message_id: string, scope = 'ada'): NonNullable<Commit['inbound']> => ({
    id: store.nextId('inbox'),
    channel: 'sms',
    message_id,
    scope,
    applied_at: 0,
    sender: null,
    text: null,
  });
  const results = async (group: Commit[]) => (await store.commit(group)).map(({ result }) => result);

  it('commits who lost only to one of the group that then failed', async () => {
    const a = actor('a');
    await store.commit([{ insert: a }]);
    const unwritable = { id: store.nextId('flow_journal'), event_type: null } as unknown as Commit['journal'];
    expect(
      await results([{ inbound: mark('x'), ...turn(a, 2), journal: unwritable! }, { inbound: mark('x') }]),
    ).toEqual(['failed', 'committed']);
    expect(await knex('inbox').count('* as count')).toEqual([{ count: 1 }]);
  });

  it('tells every loser why, and commits all others', async () => {
    const [a, b, c] = [actor('a'), actor('b'), actor('c')];
    expect(await results([{ insert: a }, { insert: b }, { insert: c }])).toEqual(Array(3).fill('committed'));
    expect(
      await results([
        turn(a, 2),
        turn(b, 5), // another node was faster
        { ...turn(c, 2), inbound: mark('x') },
        { inbound: mark('x') }, // twice in one group
        { insert: actor('a') }, // exists
        { insert: actor('d') },
      ]),
    ).toEqual(['committed', 'conflict', 'committed', 'duplicate', 'conflict', 'committed']);
    expect(await knex('flow_states').orderBy('id').pluck('version')).toEqual([2, 1, 2, 1]);
    expect(await results([{ inbound: mark('x') }, { inbound: mark('y') }])).toEqual(['duplicate', 'committed']);
  });

  it('tells messages of one id apart by their scopes; a mark without one, of a former release, counts for all of them', async () => {
    const both = [{ inbound: mark('7', 'ada') }, { inbound: mark('7', 'bob') }];
    expect(await results(both)).toEqual(['committed', 'committed']);
    expect(await results([{ inbound: mark('7', 'bob') }])).toEqual(['duplicate']);
    await knex('inbox').insert({ ...mark('8'), scope: null });
    expect(await results([{ inbound: mark('8', 'bob') }, { inbound: mark('9', 'bob') }])).toEqual([
      'duplicate',
      'committed',
    ]);
    expect(await store.isApplied(mark('8', 'bob'))).toBe(true);
    expect(await store.isApplied(mark('9', 'ada'))).toBe(false);
  });

  it('fails where an id is taken, since that is no duplicate and no conflict; and goes on behind it', async () => {
    const other = await SqliteStore.open(knex); // of another process
    await store.commit([{ insert: actor('a'), inbound: mark('x') }]);
    const clash = { result: 'failed', error: { code: 'STORE_ERROR', reason: 'constraint' } };
    const row = actor('b');
    const theirs = { ...mark('y'), id: other.nextId('inbox') };
    expect(
      await other.commit([{ inbound: theirs }, { insert: { ...row, id: other.nextId('flow_states') } }]),
    ).toMatchObject([clash, clash]);
    const again = { ...mark('y'), id: other.nextId('inbox') };
    expect(await other.commit([{ inbound: again }, { insert: { ...row, id: other.nextId('flow_states') } }])).toEqual([
      { result: 'committed' },
      { result: 'committed' },
    ]);
    expect(await knex('inbox').orderBy('id').pluck('message_id')).toEqual(['x', 'y']);
  });

  it('gives no id again where one is taken: what has one may not be written yet', async () => {
    const other = await SqliteStore.open(knex); // of another process
    const given = [other.nextId('outbox_messages'), other.nextId('outbox_messages'), other.nextId('inbox')];
    await store.commit([{ inbound: mark('x') }]);
    await other.commit([{ inbound: { ...mark('y'), id: given[2]! } }]);
    expect(other.nextId('outbox_messages')).toBe(3);
    expect(other.nextId('inbox')).toBe(2);
  });

  it("takes an id that is taken in the application's own table for the application's", async () => {
    await knex.schema.createTable('diary', (table) => void table.increments('id'));
    await knex('diary').insert({ id: 1 });
    const [outcome] = await store.commit([{ records: [{ table: 'diary', row: { id: 1 } }] }]);
    expect(outcome).toMatchObject({ error: { reason: 'constraint', message: expect.stringContaining('diary.id') } });
    expect((outcome as { error: Error }).error.message).not.toContain('another process');
  });

  it('gives no id again whose row was deleted', async () => {
    const rows = [actor('a'), actor('b')];
    await store.commit([
      { insert: rows[0]!, inbound: mark('x') },
      { insert: rows[1]!, inbound: mark('y') },
    ]);
    await knex('inbox').where({ message_id: 'x' }).delete();
    await knex('inbox').delete();
    await knex('flow_states').where({ participant_id: 'b' }).delete();
    const reopened = await SqliteStore.open(knex);
    expect(reopened.nextId('inbox')).toBe(3);
    expect(reopened.nextId('flow_states')).toBe(3);
    expect(reopened.nextId('flow_journal')).toBe(1);
  });

  it('tells a loser from the winner although both wanted the same version', async () => {
    const [a, b] = [actor('a'), actor('b')];
    await store.commit([{ insert: a }, { insert: b }]);
    expect(await results([turn(a, 2, { current_state: 'first' })])).toEqual(['committed']);
    expect(await results([turn(a, 2, { current_state: 'second' }), turn(b, 2)])).toEqual(['conflict', 'committed']);
    expect(await knex('flow_states').orderBy('id').pluck('current_state')).toEqual(['first', 'a']);
  });

  it('writes nothing at all of a loser', async () => {
    const a = actor('a');
    await store.commit([{ insert: a, inbound: mark('x') }]);
    const outbox: NonNullable<Commit['outbox']> = [
      {
        id: store.nextId('outbox_messages'),
        participant_id: 'a',
        flow_type: 'test',
        recipient: '+1',
        kind: 'message',
        payload: '{}',
        status: 'pending',
        attempts: 0,
        next_attempt_at: null,
        idempotency_key: 'k',
        last_error: null,
        created_at: 0,
        updated_at: 0,
      },
    ];
    expect(await results([{ ...turn(a, 2), inbound: mark('x'), outbox }])).toEqual(['duplicate']);
    expect(await knex('outbox_messages')).toEqual([]);
    expect(await knex('flow_states').pluck('version')).toEqual([1]);
  });

  it('keeps every text as it is: quotes, NUL, emoji, what looks like SQL', async () => {
    const texts = fc.array(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom("'", "''", '\0', "a\0'b", "'); DROP TABLE flow_states; --", '😀', '?', ':a', '$1', '\\', ''),
      ),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(texts, async (values) => {
        await knex('flow_states').delete();
        const rows = values.map((text, i) => actor(`p_${i}`, { state_data: text, last_error: text }));
        expect(await results(rows.map((insert) => ({ insert })))).toEqual(rows.map(() => 'committed'));
        const changed = rows.map((row) => turn(row, 2, { current_state: row.state_data }));
        expect(await results(changed)).toEqual(rows.map(() => 'committed'));
        const stored = await knex('flow_states').orderBy('id').select('state_data', 'last_error', 'current_state');
        // A lone half of a surrogate pair has no form in UTF-8.
        const wellFormed = values.map((text) => Buffer.from(text).toString());
        expect(stored.map((row) => [row.state_data, row.last_error, row.current_state])).toEqual(
          wellFormed.map((text) => [text, text, text]),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('takes groups of a thousand, and a snapshot of many megabytes', async () => {
    const rows = Array.from({ length: 1000 }, (_, i) => actor(`p_${i}`));
    expect(new Set(await results(rows.map((insert) => ({ insert }))))).toEqual(new Set(['committed']));
    expect(new Set(await results(rows.map((row) => turn(row, 2))))).toEqual(new Set(['committed']));
    const large = 'x'.repeat(20_000_000);
    expect(await results([turn(rows[0]!, 3, { state_data: large }), turn(rows[1]!, 3)])).toEqual(
      Array(2).fill('committed'),
    );
    expect((await knex('flow_states').where({ version: 3 }).orderBy('id').first()).state_data).toHaveLength(20_000_000);
  });

  it('lets only the turn fail whose own row is refused', async () => {
    const [a, b] = [actor('a'), actor('b')];
    await store.commit([{ insert: a }, { insert: b }]);
    const bad = turn(a, 2, { current_state: null as never });
    const outcomes = await store.commit([bad, turn(b, 2)]);
    expect(outcomes).toMatchObject([
      { result: 'failed', error: { code: 'STORE_ERROR', reason: 'constraint' } },
      { result: 'committed' },
    ]);
  });
});
