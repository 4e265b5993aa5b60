import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createRuntime,
  type OutgoingMessage,
  type Runtime,
  SimulatedClock,
  type Transaction,
} from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { counter } from './machines.ts';

const inc = { type: 'inc' } as const;
const ticks = async (n = 20) => {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
};

describe.each([
  ['one connection', 1],
  ['several connections', 4],
])('a transaction that the application has opened, on a pool of %s', (_, max) => {
  let folder: string;
  let knex: Knex;
  let runtime: Runtime;
  let sent: OutgoingMessage[];

  const open = async () => {
    runtime = createRuntime({
      database: knex,
      flows: [counter],
      clock: new SimulatedClock(),
      transport: { send: (message) => void sent.push(message) },
    });
    await runtime.start();
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    sent = [];
    // As Knex does it, but for a driver that gives up at once where a lock is not to be had.
    const afterCreate = (driver: { exec(sql: string, done: () => void): void }, done: () => void) =>
      driver.exec('PRAGMA busy_timeout = 20; PRAGMA foreign_keys = ON', done);
    knex = createKnex({
      client: 'sqlite3',
      connection: { filename: join(folder, 'x.db') },
      useNullAsDefault: true,
      pool: { min: 0, max, afterCreate },
    });
    await open();
    await knex.schema.createTable('orders', (table) => table.text('id').primary());
    for (const id of ['p_1', 'p_2']) await runtime.spawn(counter, id);
  });
  afterEach(async () => {
    await runtime.stop();
    await knex.destroy();
    rmSync(folder, { recursive: true });
  });

  const orders = () => knex('orders').orderBy('id').pluck('id');
  const count = async (id: string) => (await runtime.actor(counter, id).getSnapshot()).context.count;
  const idle = async () => {
    while (!runtime.idle) await new Promise(setImmediate);
  };
  /** As a repository of the application's would have it. */
  const buy = (id: string, body: (trx: Transaction) => Promise<unknown> = async () => {}) =>
    knex.transaction(async (trx) => {
      const shared = await runtime.join(trx);
      await trx('orders').insert({ id });
      await shared.actor(counter, 'p_1').send({ type: 'say', text: id });
      await body(shared);
    });

  it('commits with its turns, which are known when it has', async () => {
    const heard: number[] = [];
    const asked: Promise<unknown>[] = [];
    runtime.actor(counter, 'p_1').subscribe(({ context }) => {
      heard.push(context.count);
      asked.push(runtime.actor(counter, 'p_2').send(inc));
    });
    await buy('o_1', async ({ actor, spawn }) => {
      expect((await actor(counter, 'p_1').send(inc)).context.count).toBe(1);
      await spawn(counter, 'p_3', { phoneNumber: '+15551234003' });
      await ticks();
      expect([heard, sent]).toEqual([[], []]);
    });
    expect(heard).toEqual([0, 1]);
    await Promise.all(asked);
    expect(await count('p_2')).toBe(2);
    expect([await orders(), await count('p_1'), await count('p_3')]).toEqual([['o_1'], 1, 0]);
    await idle();
    expect(sent.map(({ text }) => text)).toEqual(['o_1']);
    await runtime.abandon();
    await open();
    expect([await count('p_1'), await count('p_3')]).toEqual([1, 0]);
  });

  it('commits where it is told to by hand', async () => {
    const trx = await knex.transaction();
    expect(await runtime.join(trx)).toBe(trx);
    expect(await runtime.join(trx)).toBe(trx);
    await (trx as Transaction).actor(counter, 'p_1').send(inc);
    await trx('orders').insert({ id: 'o_1' });
    await trx.commit();
    expect([await orders(), await count('p_1')]).toEqual([['o_1'], 1]);
    expect(await runtime.knex('runtime_settings').where({ key: 'transaction' })).toEqual([]);
  });

  it.each([
    ['its callback throws', () => Promise.reject(new Error('no stock'))],
    ['it is told to by hand', (trx: Knex.Transaction) => trx.rollback(new Error('no stock'))],
  ])('undoes its turns where %s', async (_, end) => {
    const failed = buy('o_1', async (trx) => {
      await trx.actor(counter, 'p_1').send(inc);
      await trx.spawn(counter, 'p_3');
      await end(trx);
    });
    await expect(failed).rejects.toThrow('no stock');
    await expect(count('p_3')).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    await runtime.actor(counter, 'p_1').send(inc);
    await idle();
    expect([await orders(), await count('p_1'), sent]).toEqual([[], 1, []]);
  });

  it('undoes them where it is rolled back without an error, as a test does after each case', async () => {
    const trx = await knex.transaction();
    await (await runtime.join(trx)).actor(counter, 'p_1').send(inc);
    await trx.rollback();
    expect([await count('p_1'), await orders()]).toEqual([0, []]);
  });

  it('loses nothing among ordinary traffic and other transactions', async () => {
    const work: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      work.push(runtime.actor(counter, `p_${1 + (i % 2)}`).send(inc));
      work.push(
        buy(`o_${i}`, async (trx) => {
          await Promise.all([trx.actor(counter, 'p_1').send(inc), trx.actor(counter, 'p_2').send(inc)]);
          if (i % 3 === 0) throw new Error('undone');
        }),
      );
      if (i % 10 === 0) work.push(runtime.transaction(async (trx) => void (await trx.actor(counter, 'p_1').send(inc))));
    }
    const results = await Promise.allSettled(work);
    const wrong = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    // With 20 ms for a lock, one may be told that it was not to be had; nothing of it is there then.
    const busy = wrong.filter((error) => error.reason === 'busy').length;
    expect(wrong.filter((error) => error.message !== 'undone' && error.reason !== 'busy')).toEqual([]);
    const bought = (await orders()).length;
    expect(bought).toBeLessThanOrEqual(20);
    const [one, two] = [await count('p_1'), await count('p_2')];
    expect(two).toBeGreaterThanOrEqual(bought + 15 - busy);
    await runtime.abandon();
    await open();
    expect([await count('p_1'), await count('p_2'), (await orders()).length]).toEqual([one, two, bought]);
    expect((await runtime.journal('p_2')).map(({ version }) => version)).toEqual(
      [...Array(two + 1).keys()].map((n) => n + 1),
    );
  });

  it('is told of before a turn that was made of its outcome while it was being committed', async () => {
    const { seal } = SqliteStore.prototype;
    const waiting: Promise<{ context: { count: number } }>[] = [];
    SqliteStore.prototype.seal = async function () {
      await seal.call(this);
      if (max > 1) waiting.push(runtime.actor(counter, 'p_1').send(inc)); // reads the row as it is now
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const spoken: unknown[] = [];
    await runtime.abandon(); // nothing in memory
    await open();
    runtime.actor(counter, 'p_1').subscribe(({ context }) => spoken.push(context.count));
    await buy('o_1', ({ actor }) => actor(counter, 'p_1').send(inc)).finally(() => {
      SqliteStore.prototype.seal = seal;
    });
    for (const { context } of await Promise.all(waiting)) expect(context.count).toBe(2);
    expect(spoken).toEqual(max > 1 ? [0, 1, 2] : [0, 1]);
    await runtime.actor(counter, 'p_1').send(inc);
    expect(await count('p_1')).toBe(max > 1 ? 3 : 2);
  });

  describe.runIf(max > 1)('among others', () => {
    it('may have the lock before it is joined: a turn that waits for it is made after it', async () => {
      const trx = await knex.transaction();
      await trx('orders').insert({ id: 'o_1' });
      const outside = runtime.actor(counter, 'p_1').send({ type: 'note', text: 'outside' });
      await ticks(3); // its group waits for the lock by now
      const { actor } = await runtime.join(trx);
      await actor(counter, 'p_1').send({ type: 'note', text: 'inside' });
      await new Promise((resolve) => setTimeout(resolve, 60)); // longer than the group's connection waits
      await trx.commit();
      expect((await outside).context.log).toEqual(['inside', 'outside']);
      expect(await orders()).toEqual(['o_1']);
    });

    it('is refused at once where it has read what is not true any more', async () => {
      const trx = await knex.transaction();
      await trx('orders').select();
      await runtime.actor(counter, 'p_1').send(inc);
      await expect(runtime.join(trx)).rejects.toMatchObject({
        reason: 'busy',
        message: expect.stringMatching(/has read/),
      });
      await trx.rollback();
      await buy('o_1');
    });

    it('waits for the lock no longer than its connection would', async () => {
      const first = await knex.transaction();
      await first('orders').insert({ id: 'o_1' });
      const second = await knex.transaction();
      await expect(runtime.join(second)).rejects.toMatchObject({
        reason: 'busy',
        message: expect.stringMatching(/kept the lock/),
      });
      await first.commit();
      await (await runtime.join(second)).actor(counter, 'p_1').send(inc);
      await second.commit();
      expect([await orders(), await count('p_1')]).toEqual([['o_1'], 1]);
    });
  });

  describe('in wrong use', () => {
    it('refuses what is no open transaction of this Knex instance', async () => {
      const other = createKnex({
        client: 'sqlite3',
        connection: { filename: join(folder, 'x.db') },
        useNullAsDefault: true,
      });
      const foreign = await other.transaction();
      await expect(runtime.join(foreign)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/another Knex/),
      });
      await foreign.rollback();
      await other.destroy();
      await expect(runtime.join(knex as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(runtime.join(undefined as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      const ended = await knex.transaction();
      await ended.commit();
      await expect(runtime.join(ended)).rejects.toMatchObject({
        code: 'TRANSACTION',
        message: expect.stringMatching(/ended/),
      });
      const outer = await knex.transaction();
      const inner = await outer.transaction();
      await expect(runtime.join(inner)).rejects.toMatchObject({
        code: 'TRANSACTION',
        message: expect.stringMatching(/outermost/),
      });
      await outer.rollback();
      await runtime.transaction(async (trx) => {
        await expect(runtime.join(trx)).rejects.toMatchObject({
          code: 'TRANSACTION',
          message: expect.stringMatching(/ask trx/),
        });
      });
      await runtime.actor(counter, 'p_1').send(inc);
    });

    it('refuses the runtime, which would wait for the end of the transaction', async () => {
      await buy('o_1', async () => {
        await expect(runtime.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
        await expect(runtime.transaction(async () => {})).rejects.toMatchObject({ code: 'TRANSACTION' });
      });
      const trx = await knex.transaction();
      await runtime.join(trx);
      await expect(runtime.spawn(counter, 'p_9')).rejects.toMatchObject({ code: 'TRANSACTION' });
      await trx.commit();
      await runtime.spawn(counter, 'p_9');
    });

    it('rolls back what is not ended in time, and lets the others go on', async () => {
      const trx = await knex.transaction();
      const shared = await runtime.join(trx, { timeout: 30 });
      await shared.actor(counter, 'p_1').send(inc);
      await trx('orders').insert({ id: 'o_1' });
      await expect(trx.executionPromise).rejects.toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringMatching(/30 ms/),
      });
      await expect(shared.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
      await expect(trx.commit().then()).rejects.toMatchObject({ code: 'TIMEOUT' });
      await runtime.actor(counter, 'p_1').send(inc);
      expect([await orders(), await count('p_1')]).toEqual([[], 1]);
    });

    it('is not called too late where it ends in time, and only its COMMIT takes long', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const { seal } = SqliteStore.prototype;
      SqliteStore.prototype.seal = async function () {
        await seal.call(this);
        vi.advanceTimersByTime(6_000);
        await ticks();
      };
      const committed = buy('o_1').finally(() => {
        SqliteStore.prototype.seal = seal;
        vi.useRealTimers();
      });
      await committed;
      expect(await orders()).toEqual(['o_1']);
    });

    it('can only be rolled back once a turn could not be written, whoever catches that', async () => {
      await knex.raw(
        `CREATE TRIGGER refusal BEFORE INSERT ON flow_journal WHEN NEW.event_type = 'say' BEGIN SELECT RAISE(ABORT, 'refused'); END`,
      );
      const failed = knex.transaction(async (trx) => {
        const { actor } = await runtime.join(trx);
        await trx('orders').insert({ id: 'o_1' });
        await actor(counter, 'p_1').send(inc);
        await actor(counter, 'p_1')
          .send({ type: 'say', text: 'x' })
          .catch(() => {});
      });
      await expect(failed).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'constraint' });
      expect([await orders(), await count('p_1')]).toEqual([[], 0]);
    });

    it('writes nothing by itself where SQLite has rolled it back, as on a full disk', async () => {
      await knex.raw(
        `CREATE TRIGGER refusal BEFORE INSERT ON flow_journal WHEN NEW.event_type = 'say' BEGIN SELECT RAISE(ROLLBACK, 'no room'); END`,
      );
      const failed = knex.transaction(async (trx) => {
        const { actor } = await runtime.join(trx);
        await actor(counter, 'p_1')
          .send({ type: 'say', text: 'x' })
          .catch(() => {});
        await trx('orders').insert({ id: 'o_1' });
      });
      await expect(failed).rejects.toThrow('no room');
      await knex.raw('DROP TRIGGER refusal');
      expect([await orders(), await count('p_1')]).toEqual([[], 0]);
    });

    it('undoes everything where the COMMIT is refused, and leaves no transaction open', async () => {
      await knex.raw('CREATE TABLE items (id TEXT REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)');
      const failed = buy('o_1', async (trx) => {
        await trx('items').insert({ id: 'o_9' });
      });
      await expect(failed).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'constraint' });
      await buy('o_2');
      expect(await orders()).toEqual(['o_2']);
    });

    it('commits all of a turn that was not awaited, or nothing', async () => {
      for (const end of ['commit', 'rollback'] as const) {
        const before = await count('p_1');
        const trx = await knex.transaction();
        const { actor } = await runtime.join(trx);
        const unawaited = [1, 2, 3].map(() => actor(counter, 'p_1').send(inc));
        const settled = Promise.allSettled(unawaited);
        await trx[end]();
        const done = (await settled).filter(({ status }) => status === 'fulfilled').length;
        expect(await count('p_1')).toBe(end === 'commit' ? before + done : before);
      }
    });

    it('is refused as a whole where a savepoint took a turn with it', async () => {
      const failed = knex.transaction(async (trx) => {
        const inner = await trx.transaction(); // before it is joined, so that nobody knows of it
        const { actor } = await runtime.join(trx);
        await actor(counter, 'p_1').send({ type: 'say', text: 'x' });
        await inner.rollback();
        await trx('orders').insert({ id: 'o_1' });
      });
      await expect(failed).rejects.toMatchObject({ code: 'TRANSACTION', message: expect.stringMatching(/savepoint/) });
      await idle();
      expect([await orders(), sent]).toEqual([[], []]);
      const later = buy('o_2', async (trx) => {
        const inner = await trx.transaction();
        await expect(trx.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
        await inner.rollback();
      });
      await later;
      expect(await orders()).toEqual(['o_2']);
    });

    it('finds out what became of one that was ended past it', async () => {
      const faults: string[] = [];
      runtime.on('fault', ({ during }) => faults.push(during));
      for (const end of ['commit', 'rollback'] as const) {
        const trx = await knex.transaction();
        const past = trx[end];
        const { actor } = await runtime.join(trx);
        await actor(counter, 'p_1').send(inc);
        await actor(counter, 'p_1').send({ type: 'say', text: end });
        await past();
        await trx.executionPromise;
        await ticks(1);
      }
      await idle();
      expect([await count('p_1'), sent.map(({ text }) => text)]).toEqual([1, ['commit']]);
      expect(faults).toHaveLength(2);
    });
  });

  it('is let come to its end by a stop, and undone where the runtime goes without goodbye', async () => {
    const trx = await knex.transaction();
    const { actor } = await runtime.join(trx);
    const stopped = runtime.stop();
    await ticks();
    await actor(counter, 'p_1').send(inc);
    await trx.commit();
    await stopped;
    await open();
    expect(await count('p_1')).toBe(1);

    const lost = await knex.transaction();
    await (await runtime.join(lost)).actor(counter, 'p_1').send(inc);
    const gone = runtime.abandon();
    await expect(lost.executionPromise).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await gone;
    await open();
    expect(await count('p_1')).toBe(1);
  });

  it('is found out where the answer to its COMMIT was lost', async () => {
    const { seal } = SqliteStore.prototype;
    SqliteStore.prototype.seal = async function () {
      await seal.call(this);
      throw new Error('the connection is gone');
    };
    const lost = buy('o_1').finally(() => {
      SqliteStore.prototype.seal = seal;
    });
    await expect(lost).rejects.toThrow('the connection is gone');
    await idle();
    expect(sent.map(({ text }) => text)).toEqual(['o_1']);
    await runtime.actor(counter, 'p_1').send(inc);
    expect([await count('p_1'), await orders()]).toEqual([1, ['o_1']]);
  });
});
