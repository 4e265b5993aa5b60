import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { createRuntime, defineFlow, type OutgoingMessage, SimulatedClock, type Transaction } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from './machines.ts';

const ran: string[] = [];
/** Invokes a promise and counts its results; a deadline after a minute. */
const worker = defineFlow({
  type: 'worker',
  version: 1,
  logic: setup({
    types: { context: {} as { results: number; late: number }, events: {} as { type: 'work' } | { type: 'rest' } },
    actors: {
      job: fromPromise(async () => {
        ran.push('job');
      }),
    },
    actions: { act: () => void ran.push('action') },
  }).createMachine({
    context: { results: 0, late: 0 },
    initial: 'resting',
    on: { rest: '.resting' },
    states: {
      resting: {
        after: { 60000: { actions: assign({ late: ({ context }) => context.late + 1 }) } },
        on: { work: 'working' },
      },
      working: {
        entry: 'act',
        invoke: {
          src: 'job',
          onDone: { target: 'resting', actions: assign({ results: ({ context }) => context.results + 1 }) },
        },
      },
    },
  }),
});

/** What its action does while a turn is carried out. */
let poked = () => {};
/** Works once it is told to, by an action that is told so itself. */
const eager = defineFlow({
  type: 'eager',
  version: 1,
  logic: setup({
    types: { events: {} as { type: 'poke' } | { type: 'go' } },
    actors: {
      job: fromPromise(async () => {
        ran.push('job');
      }),
    },
    actions: { poked: () => poked() },
  }).createMachine({
    initial: 'resting',
    states: {
      resting: { on: { poke: { actions: 'poked' }, go: 'working' } },
      working: { invoke: { src: 'job', onDone: 'resting' } },
    },
  }),
});

describe('transaction: the application’s writes and the turns of actors commit together', () => {
  let test: TestRuntime;
  beforeEach(async () => {
    ran.length = 0;
    test = await createTestRuntime({ flows: [counter, worker, eager] });
    await test.spawn(counter, 'p_1', { phoneNumber: '+15551234001' });
    await test.spawn(counter, 'p_2', { phoneNumber: '+15551234002' });
    await test.knex.schema.createTable('orders', (table) => {
      table.text('id').primary();
      table.integer('n');
    });
  });
  afterEach(() => test.stop());

  const orders = () => test.knex('orders').orderBy('id').pluck('id');
  const count = async (id: string) => (await test.actor(counter, id).getSnapshot()).context.count;
  const transaction = <T>(body: (trx: Transaction) => Promise<T>) => test.runtime.transaction(body);
  const inc = { type: 'inc' } as const;

  it('commits rows, and turns of several actors, and tells what the callback told', async () => {
    const told = await transaction(async (trx) => {
      await trx('orders').insert({ id: 'o_1' });
      await trx.actor(counter, 'p_1').send(inc);
      await trx('orders').insert({ id: 'o_2' });
      await trx.actor(counter, 'p_2').send({ type: 'say', text: 'paid' });
      expect(await test.knex.client.pool.numUsed()).toBe(1);
      expect(test.delivered).toEqual([]);
      return 'done';
    });
    expect(told).toBe('done');
    expect(await orders()).toEqual(['o_1', 'o_2']);
    expect(await count('p_1')).toBe(1);
    await test.settle();
    expect(test.delivered.map(({ to, text }) => [to, text])).toEqual([['+15551234002', 'paid']]);
    await test.crash();
    await test.restart();
    expect(await count('p_1')).toBe(1);
    expect(await test.journal('p_1')).toMatchObject([{ version: 1 }, { event: 'inc', version: 2 }]);
  });

  it('undoes everything where the callback throws, in memory and in the database', async () => {
    const heard: unknown[] = [];
    test.actor(counter, 'p_1').subscribe((snapshot) => heard.push(snapshot));
    const wrong = new Error('no stock');
    const failed = transaction(async (trx) => {
      await trx('orders').insert({ id: 'o_1' });
      await trx.actor(counter, 'p_1').send(inc);
      await trx.actor(counter, 'p_2').send({ type: 'say', text: 'paid' });
      await trx.spawn(counter, 'p_3');
      throw wrong;
    });
    await expect(failed).rejects.toBe(wrong);
    await test.settle();
    expect([await orders(), await count('p_1'), test.delivered, heard]).toEqual([[], 0, [], []]);
    await expect(test.actor(counter, 'p_3').getSnapshot()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    await test.actor(counter, 'p_1').send(inc);
    expect(await count('p_1')).toBe(1);
  });

  it('undoes the turns where a statement of the application is refused', async () => {
    const failed = transaction(async (trx) => {
      await trx.actor(counter, 'p_1').send(inc);
      await trx('orders').insert([{ id: 'o_1' }, { id: 'o_1' }]);
    });
    await expect(failed).rejects.toThrow(/UNIQUE/);
    expect([await orders(), await count('p_1')]).toEqual([[], 0]);
  });

  it('goes on after a turn that threw, which has written nothing', async () => {
    await transaction(async (trx) => {
      const actor = trx.actor(counter, 'p_1');
      await actor.send(inc);
      await expect(actor.send({ type: 'throw' })).rejects.toMatchObject({ code: 'TURN_FAILED' });
      expect((await actor.send(inc)).context.count).toBe(2);
      await trx('orders').insert({ id: 'o_1' });
    });
    expect([await orders(), await count('p_1')]).toEqual([['o_1'], 2]);
  });

  it('can only be rolled back once a turn could not be written, whoever catches that', async () => {
    await test.knex.raw(
      `CREATE TRIGGER refusal BEFORE INSERT ON outbox_messages BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`,
    );
    const failed = transaction(async (trx) => {
      await trx('orders').insert({ id: 'o_1' });
      await trx.actor(counter, 'p_1').send(inc);
      await trx
        .actor(counter, 'p_1')
        .send({ type: 'say', text: 'x' })
        .catch(() => {});
    });
    await expect(failed).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'constraint' });
    expect([await orders(), await count('p_1')]).toEqual([[], 0]);
  });

  it('undoes everything where the COMMIT itself is refused, and the next one commits', async () => {
    await test.knex.raw('CREATE TABLE items (id TEXT REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)');
    const sell = (order: string) =>
      transaction(async (trx) => {
        await trx.actor(counter, 'p_1').send(inc);
        await trx('items').insert({ id: order });
        if (order === 'o_1') await trx('orders').insert({ id: order });
      });
    await expect(sell('o_9')).rejects.toMatchObject({ code: 'STORE_ERROR', reason: 'constraint' });
    expect([await count('p_1'), await test.knex('items')]).toEqual([0, []]);
    await sell('o_1');
    expect([await count('p_1'), await orders()]).toEqual([1, ['o_1']]);
  });

  it('sees its own turns, in the actor and in the tables; nobody else does before the commit', async () => {
    await transaction(async (trx) => {
      const actor = trx.actor(counter, 'p_1');
      await actor.send({ type: 'throw later' });
      expect((await actor.getSnapshot()).value).toBe('doomed');
      expect(await actor.timers()).toHaveLength(1);
      expect(await actor.describe()).toMatchObject({ state: 'doomed', version: 2 });
      expect(await trx('flow_states').where({ participant_id: 'p_1' }).first('current_state', 'version')).toEqual({
        current_state: 'doomed',
        version: 2,
      });
      expect(test.runtime.registry.getSnapshot().context.flows['counter']).toMatchObject({ turns: 2 });
    });
    expect(test.runtime.registry.getSnapshot().context.flows['counter']).toMatchObject({ turns: 3 });
    expect((await test.actor(counter, 'p_1').getSnapshot()).value).toBe('doomed');
  });

  it('spawns, and binds the phone number', async () => {
    await transaction(async (trx) => {
      const actor = await trx.spawn(counter, 'p_3', { phoneNumber: '+15551234003' });
      await actor.send(inc);
      await expect(trx.spawn(counter, 'p_3')).rejects.toMatchObject({ code: 'ACTOR_EXISTS' });
      await trx('orders').insert({ id: 'p_3' });
    });
    expect(await count('p_3')).toBe(1);
    const receipt = await test.receive({ channel: 'sms', id: 'm1', from: '+15551234003', text: 'hi' });
    expect(receipt.address?.participantId).toBe('p_3');
  });

  it('applies a message once, and records what made the flow throw', async () => {
    const message = { channel: 'sms', id: 'm1', from: '+15551234001', text: 'hello' };
    const statuses = await transaction(async (trx) => [
      (await trx.receive(message)).status,
      (await trx.receive(message)).status,
      (await trx.receive({ ...message, id: 'm2', text: 'throw' })).status,
      (await trx.receiveFor(counter, 'p_2', { ...message, id: 'm3' })).status,
    ]);
    expect(statuses).toEqual(['applied', 'duplicate', 'failed', 'applied']);
    expect((await test.receive(message)).status).toBe('duplicate');
    expect(await test.runtime.deadLetters.list()).toHaveLength(1);
    await test.settle();
    expect(test.delivered.map(({ text }) => text)).toContain('you said hello');
  });

  it('keeps an opt-out if it commits, and only then', async () => {
    const stop = (id: string, fail: boolean) =>
      transaction(async (trx) => {
        await trx.receive({ channel: 'sms', id, from: '+15551234001', text: 'STOP' });
        await expect(trx.sendTo({ to: '+15551234001', text: 'hi' })).rejects.toThrow(/STOP/);
        if (fail) throw new Error('undone');
      });
    await expect(stop('s1', true)).rejects.toThrow('undone');
    await test.runtime.sendTo({ to: '+15551234001', text: 'still there' });
    await stop('s2', false);
    await expect(test.runtime.sendTo({ to: '+15551234001', text: 'hi' })).rejects.toThrow(/STOP/);
    await test.settle();
    expect(test.delivered.map(({ text }) => text)[0]).toBe('still there');
  });

  it('is found out where the answer to its COMMIT was lost', async () => {
    const { seal } = SqliteStore.prototype;
    SqliteStore.prototype.seal = async function () {
      await seal.call(this);
      throw new Error('the connection is gone');
    };
    const lost = transaction(async (trx) => {
      await trx.actor(counter, 'p_2').send({ type: 'say', text: 'paid' });
      await trx.receive({ channel: 'sms', id: 's1', from: '+15551234001', text: 'STOP' });
    }).finally(() => {
      SqliteStore.prototype.seal = seal;
    });
    await expect(lost).rejects.toThrow('the connection is gone');
    await test.settle();
    await expect(test.runtime.sendTo({ to: '+15551234001', text: 'hi' })).rejects.toThrow(/STOP/);
    expect(test.delivered.map(({ to, maybeSent }) => [to, maybeSent])).toEqual([
      ['+15551234002', false],
      ['+15551234001', false],
    ]);
  });

  it('is known to its actors in memory where the answer to its COMMIT was lost', async () => {
    await test.actor(counter, 'p_1').send(inc);
    const { seal } = SqliteStore.prototype;
    SqliteStore.prototype.seal = async function () {
      await seal.call(this);
      throw new Error('the connection is gone');
    };
    const lost = transaction((trx) => trx.actor(counter, 'p_1').send(inc)).finally(() => {
      SqliteStore.prototype.seal = seal;
    });
    await expect(lost).rejects.toThrow('the connection is gone');
    expect(await count('p_1')).toBe(2);
  });

  it('sends a message of its own', async () => {
    await transaction(async (trx) => {
      expect(await trx.sendTo({ to: '+15551234001', text: 'hi', id: 'x' })).toMatchObject({ status: 'accepted' });
      expect(await trx.sendTo({ to: '+15551234001', text: 'hi', id: 'x' })).toMatchObject({ status: 'duplicate' });
      expect(await trx.sendTo({ to: '+15559999999', text: 'hey' })).toMatchObject({ status: 'accepted' });
    });
    await test.settle();
    expect(test.delivered.map(({ to, text }) => [to, text])).toEqual([
      ['+15551234001', 'hi'],
      ['+15559999999', 'hey'],
    ]);
  });

  it('removes an actor, and may create another one at its address', async () => {
    const removed: string[] = [];
    test.runtime.on('removed', ({ address }) => removed.push(address.participantId));
    await test.actor(counter, 'p_1').send(inc);
    await transaction(async (trx) => {
      await trx.remove(counter, 'p_1');
      await expect(trx.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
      await trx.spawn(counter, 'p_1');
      await trx.remove(counter, 'p_2');
    });
    expect(removed).toEqual(['p_1', 'p_2']);
    expect(await count('p_1')).toBe(0);
    await expect(count('p_2')).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    expect(await test.knex('flow_journal').where({ participant_id: 'p_2' })).toEqual([]);
  });

  it('starts invocations and runs actions only after it has committed', async () => {
    const actor = await test.spawn(worker, 'w_1');
    await transaction(async (trx) => {
      await trx.actor(worker, 'w_1').send({ type: 'work' });
      await trx('orders').insert({ id: 'o_1' });
      expect(ran).toEqual([]);
    });
    await test.settle();
    expect(ran).toEqual(['action', 'job']);
    expect((await actor.getSnapshot()).context.results).toBe(1);
  });

  it('lets no turn that an action asks for go before what is still to be carried out', async () => {
    await test.spawn(eager, 'e_1');
    poked = () => {
      test
        .actor(eager, 'e_1')
        .send({ type: 'go' })
        .catch(() => {});
      poked = () => {};
    };
    await transaction((trx) => trx.actor(eager, 'e_1').send({ type: 'poke' }));
    test.runtime.on('committed', () => ran.push('committed'));
    await test.settle();
    // The job is that of the second turn, and waits for its commit.
    expect(ran.slice(-3)).toEqual(['committed', 'job', 'committed']);
    expect(ran.filter((each) => each === 'job')).toHaveLength(1);
  });

  it('never starts an invocation that one of its turns began and another one left', async () => {
    await transaction(async (trx) => {
      const actor = await trx.spawn(worker, 'w_1');
      await actor.send({ type: 'work' });
      await actor.send({ type: 'rest' });
    });
    await test.settle();
    expect(ran).toEqual(['action']);
  });

  it('arms the deadlines that it set, and lets none that has passed be overtaken', async () => {
    await transaction((trx) => trx.spawn(worker, 'w_1').then(() => {}));
    await test.advance('59s');
    test.clock.moveTo(test.clock.now() + 1_000); // it is due, and nobody was woken yet
    await transaction(async (trx) => void (await trx.actor(worker, 'w_1').send({ type: 'work' })));
    await test.settle();
    expect((await test.actor(worker, 'w_1').getSnapshot()).context).toEqual({ late: 1, results: 1 });
    await test.advance('60s');
    expect((await test.actor(worker, 'w_1').getSnapshot()).context.late).toBe(2);
  });

  it('lets other turns wait, also of its own actors, and loses none of them', async () => {
    let open = () => {};
    let finish = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    const held = new Promise<void>((resolve) => (finish = resolve));
    const order: string[] = [];
    const done = transaction(async (trx) => {
      await trx.actor(counter, 'p_1').send({ type: 'note', text: 'inside' });
      open();
      await held;
      order.push('callback');
    });
    await opened;
    const outside = ['p_1', 'p_1', 'p_2'].map((id) =>
      test
        .actor(counter, id)
        .send({ type: 'note', text: 'outside' })
        .then(() => order.push(id)),
    );
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    finish();
    await Promise.all([done, ...outside]);
    expect(order[0]).toBe('callback');
    expect((await test.actor(counter, 'p_1').getSnapshot()).context.log).toEqual(['inside', 'outside', 'outside']);
    expect((await test.journal('p_1')).map(({ version }) => version)).toEqual([1, 2, 3, 4]);
  });

  it('loses nothing among ordinary traffic', async () => {
    const work: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i++) {
      const id = `p_${1 + (i % 2)}`;
      work.push(test.actor(counter, id).send(inc));
      work.push(
        transaction(async (trx) => {
          await trx('orders').insert({ id: `o_${i}` });
          await Promise.all([trx.actor(counter, 'p_1').send(inc), trx.actor(counter, 'p_2').send(inc)]);
          if (i % 4 === 0) throw new Error('undone');
        }).catch(() => {}),
      );
    }
    await Promise.all(work);
    expect([await count('p_1'), await count('p_2'), (await orders()).length]).toEqual([50, 50, 30]);
    await test.crash();
    await test.restart();
    expect([await count('p_1'), await count('p_2')]).toEqual([50, 50]);
  });

  describe('in wrong use', () => {
    it('refuses the runtime within the callback, which would wait for itself', async () => {
      const actor = test.actor(counter, 'p_1');
      const { runtime } = test;
      await transaction(async (trx) => {
        await trx('orders').insert({ id: 'o_1' });
        const uses = [
          () => actor.send(inc),
          () => actor.getSnapshot(),
          () => runtime.spawn(counter, 'p_9'),
          () => runtime.receive({ channel: 'sms', id: 'm', from: '+15551234001', text: 'x' }),
          () => runtime.transaction(async () => {}),
        ];
        for (const use of uses)
          await expect(use()).rejects.toMatchObject({ code: 'TRANSACTION', message: expect.stringMatching(/trx/) });
        expect(runtime.clock.now()).toBe(test.clock.now());
      });
      expect([await orders(), await count('p_1')]).toEqual([['o_1'], 0]);
    });

    it('refuses the transaction after its end, and lets what the callback began use the runtime then', async () => {
      let escaped: Transaction | undefined;
      let later: Promise<unknown> | undefined;
      let goOn = () => {};
      await transaction(async (trx) => {
        escaped = trx;
        later = new Promise<void>((resolve) => (goOn = resolve)).then(() => test.actor(counter, 'p_1').send(inc));
      });
      await expect(escaped!.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
      await expect(escaped!('orders').insert({ id: 'o_1' }).then()).rejects.toThrow(/already complete/);
      goOn();
      await later;
      expect([await orders(), await count('p_1')]).toEqual([[], 1]);
    });

    it('commits what was not awaited, or refuses it, but never a part', async () => {
      const unawaited: Promise<unknown>[] = [];
      await transaction(async (trx) => {
        for (let i = 0; i < 3; i++) unawaited.push(trx.actor(counter, 'p_1').send(inc));
      });
      const applied = (await Promise.allSettled(unawaited)).filter(({ status }) => status === 'fulfilled').length;
      expect(await count('p_1')).toBe(applied);
    });

    it('ends with its callback only', async () => {
      for (const end of ['commit', 'rollback'] as const)
        await expect(transaction(async (trx) => void (await trx[end]()))).rejects.toMatchObject({
          code: 'TRANSACTION',
        });
      await expect(transaction('work' as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    });

    it('takes no turns within a savepoint, which may be rolled back alone', async () => {
      await transaction(async (trx) => {
        await trx.actor(counter, 'p_1').send(inc);
        await trx.transaction(async (inner) => void (await inner('orders').insert({ id: 'kept' })));
        const undone = trx.transaction(async (inner) => {
          await inner('orders').insert({ id: 'undone' });
          await expect(trx.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
          throw new Error('only this');
        });
        await expect(undone).rejects.toThrow('only this');
        const manual = await trx.transaction();
        await expect(trx.actor(counter, 'p_1').send(inc)).rejects.toMatchObject({ code: 'TRANSACTION' });
        await manual.rollback();
        await trx.actor(counter, 'p_1').send(inc);
      });
      expect([await orders(), await count('p_1')]).toEqual([['kept'], 2]);
    });

    it('rolls back what takes too long, and lets the others go on', async () => {
      const hung = test.runtime.transaction(
        async (trx) => {
          await trx('orders').insert({ id: 'o_1' });
          await trx.actor(counter, 'p_1').send(inc);
          await new Promise(() => {});
        },
        { timeout: 20 },
      );
      await expect(hung).rejects.toMatchObject({ code: 'TIMEOUT', message: expect.stringMatching(/20 ms/) });
      expect([await orders(), await count('p_1')]).toEqual([[], 0]);
      await test.actor(counter, 'p_1').send(inc);
    });
  });

  it('is gone when the process dies within it', async () => {
    let crashed: Promise<void> | undefined;
    const lost = transaction(async (trx) => {
      await trx('orders').insert({ id: 'o_1' });
      await trx.actor(counter, 'p_1').send(inc);
      crashed = test.crash();
      await crashed;
    });
    await expect(lost).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await crashed;
    await test.restart();
    expect([await orders(), await count('p_1')]).toEqual([[], 0]);
  });

  it('is let come to its end by a stop, and none begins after that', async () => {
    let open = () => {};
    let finish = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    const held = new Promise<void>((resolve) => (finish = resolve));
    const { runtime, knex } = test;
    const done = transaction(async (trx) => {
      open();
      await held;
      await trx.actor(counter, 'p_1').send(inc);
      await trx('orders').insert({ id: 'o_1' });
    });
    await opened;
    const stopped = runtime.stop();
    while (runtime.health().status !== 'draining') await new Promise(setImmediate);
    await new Promise(setImmediate);
    await expect(runtime.transaction(async () => {})).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    finish();
    await Promise.all([done, stopped]);
    expect(await knex('orders').pluck('id')).toEqual(['o_1']);
  });
});

describe('transaction: on a file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const knexOf = (file: string, max: number) =>
    createKnex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true, pool: { min: 1, max } });

  /** A runtime on a file, and its driver, whose statements the test may meddle with. */
  const meddled = async () => {
    const knex = knexOf(join(folder, 'x.db'), 1);
    const runtime = createRuntime({ database: knex, flows: [counter], clock: new SimulatedClock() });
    await runtime.start();
    await knex.schema.createTable('orders', (table) => table.text('id').primary());
    await runtime.spawn(counter, 'p_1');
    const driver = await knex.client.acquireConnection();
    await knex.client.releaseConnection(driver);
    /** Once, for the first statement of this kind. */
    const meddle = (pattern: RegExp, how: (go: () => void, done: (error: Error) => void) => void) => {
      const { run, all } = driver;
      const meddling =
        (method: typeof run) =>
        (...args: unknown[]) => {
          if (!pattern.test(args[0] as string)) return method.apply(driver, args);
          Object.assign(driver, { run, all });
          how(() => method.apply(driver, args), args.at(-1) as (error: Error) => void);
        };
      Object.assign(driver, { run: meddling(run), all: meddling(all) });
    };
    const end = async () => {
      await runtime.stop();
      await knex.destroy();
    };
    return { knex, runtime, meddle, end };
  };

  it('writes nothing where its BEGIN fails, though Knex gives a transaction then', async () => {
    const { knex, runtime, meddle, end } = await meddled();
    const full = Object.assign(new Error('SQLITE_FULL: no room'), { code: 'SQLITE_FULL' });
    meddle(/^BEGIN/, (_, done) => done(full));
    const begun = runtime.transaction((trx) => trx.actor(counter, 'p_1').send({ type: 'inc' }));
    await expect(begun).rejects.toMatchObject({ name: 'StoreError', reason: 'full' });
    expect(await knex('flow_journal')).toHaveLength(1);
    expect((await runtime.actor(counter, 'p_1').getSnapshot()).context.count).toBe(0);
    await end();
  });

  it('is not rolled back before a statement that nobody awaited, which would be on its own', async () => {
    const { knex, runtime, meddle, end } = await meddled();
    const late = new Promise<void>((resolve) => {
      meddle(/^insert into `orders`/, (go) => setImmediate(() => setImmediate(() => resolve(go()))));
    });
    const undone = runtime.transaction(async (trx) => {
      trx('orders').insert({ id: 'o_1' }).then();
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    await late;
    expect(await knex('orders')).toEqual([]);
    await end();
  });

  it.each([
    ['of its own', () => `sqlite:${join(folder, 'x.db')}`],
    ['given as a Knex instance with one connection', () => knexOf(join(folder, 'x.db'), 1)],
    ['given as a Knex instance with several connections', () => knexOf(join(folder, 'x.db'), 4)],
  ])('shares a database %s', async (_, open) => {
    const database = open();
    const sent: OutgoingMessage[] = [];
    const run = async () => {
      const runtime = createRuntime({
        database,
        flows: [counter],
        clock: new SimulatedClock(),
        transport: { send: (message) => void sent.push(message) },
      });
      await runtime.start();
      return runtime;
    };
    let runtime = await run();
    await runtime.knex.schema.createTable('orders', (table) => table.text('id').primary());
    const buy = (id: string, fail = false) =>
      runtime.transaction(async (trx) => {
        await trx('orders').insert({ id });
        const actor = await trx.spawn(counter, id);
        await actor.send({ type: 'say', text: `thanks for ${id}` });
        // The application's own connection sees nothing of it yet, where it has one.
        if (runtime.knex.client.pool.max > 1) expect(await runtime.knex('orders').where({ id })).toEqual([]);
        if (fail) throw new Error('undone');
      });
    await buy('o_1');
    await expect(buy('o_2', true)).rejects.toThrow('undone');
    await Promise.all([buy('o_3'), runtime.actor(counter, 'o_1').send({ type: 'inc' }), buy('o_4')]);
    await runtime.stop();
    runtime = await run();
    expect(await runtime.knex('orders').orderBy('id').pluck('id')).toEqual(['o_1', 'o_3', 'o_4']);
    expect((await runtime.actor(counter, 'o_1').getSnapshot()).context.count).toBe(1);
    await expect(runtime.actor(counter, 'o_2').getSnapshot()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    expect(sent.map(({ text }) => text).sort()).toEqual(['thanks for o_1', 'thanks for o_3', 'thanks for o_4']);
    await runtime.stop();
    if (typeof database !== 'string') await database.destroy();
  });
});
