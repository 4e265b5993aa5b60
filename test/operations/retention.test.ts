import { afterEach, describe, expect, it } from 'vitest';
import { emit, setup } from 'xstate';
import { createRuntime, defineFlow } from '../../src/index.ts';
import { message } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime, type TestRuntimeOptions } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

const PHONE = '+15551234567';
const echo = setup({}).createMachine({ on: { reply: { actions: emit(message('I hear.')) } } });
const talk = defineFlow({ type: 'talk', version: 1, logic: echo });
const kept = defineFlow({ type: 'kept', version: 1, logic: echo, retention: { outbox: Infinity, journal: '365d' } });

let test: TestRuntime;
afterEach(() => test.stop());
const begin = async (retention: TestRuntimeOptions['retention'], options: Partial<TestRuntimeOptions> = {}) => {
  test = await createTestRuntime({ flows: [talk, kept, counter], ...(retention && { retention }), ...options });
  await test.spawn(talk, 'ada', { phoneNumber: PHONE });
  await test.spawn(kept, 'bob', { phoneNumber: '+15557654321' });
};
const say = (from = PHONE) => test.receive({ from, text: 'hello' });
const count = async (table: string, where = {}) => {
  const [row] = await test.knex(table).where(where).count({ n: '*' });
  return Number(row!.n);
};

describe('retention', () => {
  it('deletes what is older than it says, by flow, and the journal ends where it was cut', async () => {
    await begin({ inbox: '30d', outbox: '10d', journal: '20d' });
    for (let day = 0; day < 40; day++) {
      await say();
      await say('+15557654321');
      await test.advance('1d');
    }
    await test.advance('2h');
    const left = async (table: string, flow_type: string) => count(table, { flow_type });
    expect(await count('inbox')).toBe(2 * 29);
    expect([await left('outbox_messages', 'talk'), await left('outbox_messages', 'kept')]).toEqual([9, 40]);
    expect([await left('flow_journal', 'talk'), await left('flow_journal', 'kept')]).toEqual([19, 41]);

    const lines = await test.journal('ada');
    expect(lines).toHaveLength(19);
    expect(lines.map(({ version }) => version)).toEqual(Array.from({ length: 19 }, (_, i) => i + 23));
    await test.restart();
    await say();
    expect((await test.journal('ada')).map(({ version }) => version).at(-1)).toBe(42);
    const said = await test.runtime.messages('ada');
    expect(said.filter(({ direction }) => direction === 'out')).toHaveLength(10);
    expect(await test.runtime.messages('bob')).toHaveLength(80);
  });

  it('gives no id twice, though all rows were deleted and the process was restarted', async () => {
    await begin({ inbox: '1d', outbox: '1d', journal: '1d' });
    for (let i = 0; i < 3; i++) await say();
    const last = async () => {
      const ids = ['inbox', 'outbox_messages', 'flow_journal'].map((table) =>
        test.knex(table).max({ id: 'id' }).first(),
      );
      return (await Promise.all(ids)).map((row: any) => row.id as number | null);
    };
    const before = await last();
    await test.advance('3d');
    expect([
      await count('inbox'),
      await count('outbox_messages'),
      await count('flow_journal', { flow_type: 'talk' }),
    ]).toEqual([0, 0, 0]);
    expect(await test.journal('ada')).toEqual([]);
    await test.restart();
    await say();
    for (const [i, id] of (await last()).entries()) expect(id).toBeGreaterThan(before[i]!);
    expect(await test.journal('ada')).toHaveLength(1);
  });

  it('keeps the journal and what was said, where nothing is told', async () => {
    await begin(undefined);
    await say();
    await test.advance('1000d');
    expect([await count('inbox'), await count('outbox_messages'), (await test.journal('ada')).length]).toEqual([
      0, 1, 2,
    ]);
    expect(await test.runtime.messages('ada')).toHaveLength(2);
  });

  it('keeps what was not sent, and dead letters that nobody has decided on', async () => {
    let down = true;
    await begin(
      { inbox: '1d', outbox: '1d', journal: '1d', deadLetters: '1d' },
      { transport: { send: () => (down ? Promise.reject(new Error('down')) : undefined) } as never },
    );
    await say();
    const letter = { participant_id: 'ada', flow_type: 'talk', kind: 'event', event: '{}', error: 'x', at: 0 };
    await test.knex('dead_letters').insert([
      { ...letter, status: 'open' },
      { ...letter, status: 'retried', resolved_at: test.clock.now() },
      { ...letter, status: 'discarded', resolved_at: test.clock.now() + 5 * 86_400_000 },
    ]);
    await test.advance('3d');
    expect(await test.knex('dead_letters').pluck('status')).toEqual(['open', 'discarded']);
    expect(await count('outbox_messages')).toBe(1);
    await test.advance('10d');
    expect(await test.knex('dead_letters').pluck('status')).toEqual(['open']);
    down = false;
  });

  it('deletes in short steps with pauses, and takes up a round that was cut off', async () => {
    await begin({ journal: '1d' });
    const [{ at }] = (await test.knex('flow_journal').select('at')) as [{ at: number }];
    await test.knex.raw(
      `INSERT INTO flow_journal (id, participant_id, flow_type, version, event_type, to_state, at, outbox_count)
       WITH RECURSIVE n AS (SELECT 100 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3099)
       SELECT i, 'ada', 'talk', i, 'x', 's', ${at}, 0 FROM n`,
    );
    const left = () => count('flow_journal', { flow_type: 'talk' });
    await test.clock.moveTo(test.clock.now() + 86_400_000 * 2);
    await test.settle();
    const steps = new Set<number>();
    for (let i = 0; i < 40; i++) {
      steps.add(await left());
      if (i === 4) await test.restart().then(() => test.advance('1h'));
      await test.advance(50);
    }
    expect(await left()).toBe(0);
    const sizes = [...steps].sort((a, b) => b - a);
    expect(sizes.length).toBeGreaterThan(5);
    for (const [i, size] of sizes.entries()) if (i > 0) expect(sizes[i - 1]! - size).toBeLessThanOrEqual(500);
  });

  it('is refused where it cannot be understood', () => {
    test ??= { stop: async () => {} } as TestRuntime;
    const made = (retention: object) => () => createRuntime({ database: ':memory:', flows: [], retention });
    expect(made({ deadletters: '1d' })).toThrow(
      /has no deadletters\. Its fields are inbox, outbox, journal, deadLetters/,
    );
    expect(made({ journal: 'a year' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    const flow = (retention: object) => () => defineFlow({ type: 'x', version: 1, logic: echo, retention });
    expect(flow({ inbox: '1d' })).toThrow(/belong to no flow/);
    expect(flow({ outbox: -1 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
