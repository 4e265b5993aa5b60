/** Transactions of the application have their place among the commits: what was committed before them is sent before. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRuntime, type Runtime, SimulatedClock, type Transaction } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { counter } from '../guarantees/machines.ts';

const { commit, seal } = SqliteStore.prototype;
const say = (text: string) => ({ type: 'say', text, to: '+15551234001' }) as const;
const ticks = async (n = 30) => {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
};

/** Something that happens when it is told to. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe('beside a group whose COMMIT is slow', () => {
  let folder: string;
  let knex: Knex;
  let runtime: Runtime;
  let sent: string[];

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    sent = [];
    knex = createKnex({
      client: 'sqlite3',
      connection: { filename: join(folder, 'x.db') },
      useNullAsDefault: true,
      pool: { min: 0, max: 4 },
    });
    runtime = createRuntime({
      database: knex,
      flows: [counter],
      clock: new SimulatedClock(),
      answerWithin: '10s',
      transport: { send: ({ text }) => void sent.push(text) },
    });
    await runtime.start();
    for (const id of ['ada', 'bob']) await runtime.spawn(counter, id);
    await idle();
  });
  afterEach(async () => {
    vi.useRealTimers();
    Object.assign(SqliteStore.prototype, { commit, seal });
    await runtime.stop();
    await knex.destroy();
    rmSync(folder, { recursive: true });
  });

  const idle = async () => {
    do await new Promise(setImmediate);
    while (!runtime.idle);
  };
  const ada = () => runtime.actor(counter, 'ada');
  const joined = (body: (trx: Transaction) => Promise<unknown>) =>
    knex.transaction(async (trx) => {
      await body(await runtime.join(trx));
    });
  /** The next group is begun at once, and written, and answered, when it is told to. */
  const slowCommit = () => {
    const [write, written, answer] = [gate(), gate(), gate()];
    SqliteStore.prototype.commit = async function (group) {
      SqliteStore.prototype.commit = commit;
      await write.opened;
      const outcomes = await commit.call(this, group);
      written.open();
      await answer.opened;
      return outcomes;
    };
    return { write: write.open, written: written.opened, answer: answer.open };
  };
  /** Says something in a group that is not written when its sender is told that nobody knows, and may be written later. */
  const sayLate = async (text: string) => {
    const group = slowCommit();
    const said = ada()
      .send(say(text))
      .catch((error) => error);
    await ticks();
    vi.advanceTimersByTime(10_000);
    expect(await said).toMatchObject({ reason: 'timeout', message: expect.stringContaining('is not known') });
    await ticks();
    return group;
  };

  it.each(['ada', 'bob'])('says after it what %s says where it is written, and not yet answered', async (id) => {
    const group = slowCommit();
    const first = ada().send(say('first'));
    group.write();
    await group.written;
    await joined(({ actor }) => actor(counter, id).send(say('second')));
    await ticks();
    group.answer();
    await first;
    await idle();
    expect(sent).toEqual(['first', 'second']);
  });

  it.each(['ada', 'bob'])('says after it what %s says where nobody knew how it would end', async (id) => {
    const group = await sayLate('first');
    group.write();
    await group.written;
    await joined(({ actor }) => actor(counter, id).send(say('second')));
    await ticks();
    group.answer();
    await idle();
    expect(sent).toEqual(['first', 'second']);
  });

  it('says after it what was committed in a transaction whose own answer was lost', async () => {
    const group = slowCommit();
    const first = ada().send(say('first'));
    group.write();
    await group.written;
    SqliteStore.prototype.seal = async function () {
      await seal.call(this);
      throw new Error('the connection is gone');
    };
    await expect(joined(({ actor }) => actor(counter, 'bob').send(say('second')))).rejects.toThrow('is gone');
    await ticks();
    group.answer();
    await first;
    await idle();
    expect(sent).toEqual(['first', 'second']);
  });

  it.each<[string, () => Promise<unknown>]>([
    [
      'a transaction of the runtime',
      () => runtime.transaction(({ actor }) => actor(counter, 'ada').send(say('second'))),
    ],
    ['a turn', () => ada().send(say('second'))],
  ])('says after it what is said in %s, where it was written after nobody knew', async (_, next) => {
    const group = await sayLate('first');
    const asked = next();
    group.write();
    group.answer();
    await asked;
    await idle();
    expect(sent).toEqual(['first', 'second']);
  });

  it('says what it says once, and last, where its turn had to be made again', async () => {
    const group = slowCommit();
    const first = ada().send(say('first'));
    await ticks();
    await joined(({ actor }) => actor(counter, 'ada').send(say('second')));
    await ticks();
    expect(sent).toEqual([]); // the group may have been written before
    group.write();
    group.answer();
    await first;
    await idle();
    expect(sent).toEqual(['second', 'first']);
  });

  it('says what others say to others meanwhile', async () => {
    const group = slowCommit();
    const first = ada().send(say('first'));
    await ticks();
    await joined(({ actor }) => actor(counter, 'bob').send({ type: 'say', text: 'Hello' }));
    await ticks();
    expect(sent).toEqual(['Hello']);
    group.write();
    group.answer();
    await first;
  });
});

describe('what has not begun, or is over', () => {
  it('takes no transaction', async () => {
    const knex = createKnex({
      client: 'sqlite3',
      connection: ':memory:',
      useNullAsDefault: true,
      pool: { min: 1, max: 1 },
    });
    const runtime = createRuntime({ database: knex, flows: [counter], clock: new SimulatedClock() });
    await runtime.start();
    await runtime.stop();
    const ran = vi.fn();
    await expect(runtime.transaction(ran)).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    const trx = await knex.transaction();
    await expect(runtime.join(trx)).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await trx.rollback();
    await knex.destroy();
    expect(ran).not.toHaveBeenCalled();
  });
});
