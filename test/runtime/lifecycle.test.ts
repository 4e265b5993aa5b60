/** The runtime's life and health: in order, whatever fails or is stopped meanwhile. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setup } from 'xstate';
import {
  createRuntime,
  defineFlow,
  type Recoverable,
  type Runtime,
  SimulatedClock,
  StoreError,
} from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const flow = defineFlow({
  type: 'step',
  version: 1,
  logic: setup({
    types: { events: {} as { type: 'go' } | { type: 'wait' } },
  }).createMachine({
    initial: 'here',
    states: {
      here: { on: { go: 'there', wait: 'waiting' } },
      there: { on: { go: 'here' } },
      waiting: {
        after: {
          1000: {
            target: 'here',
            guard: () => {
              throw new Error('out of order');
            },
          },
        },
      },
    },
  }),
  supervision: { strategy: 'escalate' },
});

/** A recovery that lasts until it is let go, or given up. */
function obstacle() {
  let release = () => {};
  let reached = () => {};
  const entered = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const component: Recoverable = {
    name: 'obstacle',
    recoverState: async ({ progress }) => {
      reached();
      await released;
      progress(1, 2);
    },
  };
  return { component, entered, release };
}

describe('the life of a runtime', () => {
  let folder: string;
  let runtime: Runtime;
  let lives: string[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perdure-'));
    runtime = made();
    lives = [];
    runtime.on('status', ({ status }) => lives.push(status));
  });
  afterEach(async () => {
    await runtime.stop();
    await rm(folder, { recursive: true });
  });
  const made = (database = `sqlite:${join(folder, 'study.db')}`) =>
    createRuntime({ database, flows: [flow], clock: new SimulatedClock() });

  it('boots, migrates, recovers, runs, drains and stops; and again', async () => {
    expect(runtime.health()).toEqual({ status: 'stopped', health: 'healthy', troubles: {} });
    for (let i = 0; i < 2; i++) {
      await runtime.start();
      expect(runtime.health().status).toBe('running');
      await runtime.stop();
    }
    const once = ['booting', 'migrating', 'recovering', 'running', 'draining', 'stopped'];
    expect(lives).toEqual([...once, ...once]);
  });

  it('is started once: a second start is refused and disturbs nothing', async () => {
    const started = runtime.start();
    await expect(runtime.start()).rejects.toThrow('The runtime is started already: it is booting.');
    await started;
    await expect(runtime.start()).rejects.toThrow('it is running');
    await expect(runtime.recover()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await runtime.recover({ dryRun: true })).dryRun).toBe(true);
    expect(runtime.health().status).toBe('running');
  });

  it('lets go of the database where a start fails, and can be started again', async () => {
    const other = made();
    await other.start();
    await expect(runtime.start()).rejects.toMatchObject({ code: 'DATABASE_IN_USE' });
    expect(lives).toEqual(['booting', 'failed', 'stopped']);
    await other.stop();
    await runtime.start();
    expect(runtime.health()).toMatchObject({ status: 'running', health: 'healthy' });
  });

  it('refuses what comes before it runs, and after', async () => {
    const { component, entered, release } = obstacle();
    runtime.recovery.registerRecoverable(component);
    const started = runtime.start();
    await entered;
    expect(runtime.health().status).toBe('recovering');
    await expect(runtime.spawn(flow, 'p_1')).rejects.toThrow('The runtime is recovering.');
    expect(() => runtime.quarantine).toThrow('The runtime is recovering.');
    release();
    await started;
    await runtime.spawn(flow, 'p_1');
    await runtime.stop();
    await expect(runtime.spawn(flow, 'p_2')).rejects.toThrow('The runtime is stopped.');
  });

  it('gives a recovery up when it is stopped, and lets go of the file', async () => {
    const { component, entered, release } = obstacle();
    runtime.recovery.registerRecoverable(component);
    const started = runtime.start();
    await entered;
    const stopped = Promise.all([runtime.stop(), runtime.stop()]);
    expect(runtime.health().status).toBe('draining');
    release();
    await expect(started).rejects.toMatchObject({
      code: 'NOT_RUNNING',
      message: expect.stringContaining('before it had started'),
    });
    await stopped;
    expect(lives.slice(-2)).toEqual(['draining', 'stopped']);
    const other = made();
    await other.start();
    await other.stop();
  });

  it('is stopped while it opens the database, and has nothing open then', async () => {
    const started = runtime.start();
    await runtime.stop();
    await expect(started).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    const other = made();
    await other.start();
    await other.stop();
  });

  it('survives being abandoned in the midst of a recovery', async () => {
    const { component, entered, release } = obstacle();
    runtime.recovery.registerRecoverable(component);
    const started = runtime.start();
    await entered;
    const abandoned = runtime.abandon();
    await expect(started).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    release();
    await abandoned;
    const other = made();
    await other.start();
    await other.stop();
  });
});

describe('health and figures', () => {
  let test: TestRuntime;
  let broken = false;
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [flow] });
  });
  afterEach(() => test.stop());

  it('is degraded while an actor is in quarantine by escalation', async () => {
    for (const id of ['p_1', 'p_2']) await (await test.spawn(flow, id)).send({ type: 'wait' });
    await test.advance('1s');
    expect(test.runtime.health()).toEqual({
      status: 'running',
      health: 'degraded',
      troubles: { 'flow step': '2 actors are in quarantine by escalation. See: perdure quarantine list.' },
    });
    await test.crash();
    await test.restart();
    expect(test.runtime.health()).toMatchObject({
      health: 'degraded',
      troubles: { 'flow step': expect.stringMatching(/^2 actors/) },
    });
    await test.runtime.quarantine.discard({ flowType: 'step', participantId: 'p_1' });
    expect(test.runtime.health().troubles).toEqual({
      'flow step': 'One actor is in quarantine by escalation. See: perdure quarantine list.',
    });
    await test.runtime.remove(flow, 'p_2');
    expect(test.runtime.health()).toMatchObject({ health: 'healthy', troubles: {} });
  });

  it('is degraded until the last of very many is decided', async () => {
    await (await test.spawn(flow, 'p')).send({ type: 'wait' });
    await test.advance('1s');
    const { id: _, ...row } = await test.knex('flow_states').first();
    const others = Array.from({ length: 1_001 }, (_, i) => ({ ...row, participant_id: `p_${i}` }));
    await test.knex.batchInsert('flow_states', others, 100);
    await test.crash();
    await test.restart();
    expect(test.runtime.health().troubles).toEqual({ 'flow step': expect.stringMatching(/^1002 actors/) });
  });

  it('is degraded from a write that the database refuses until one that it takes', async () => {
    const actor = await test.spawn(flow, 'p_1');
    await test.knex.raw('PRAGMA query_only = ON');
    await expect(actor.send({ type: 'go' })).rejects.toThrow();
    expect(test.runtime.health()).toMatchObject({
      status: 'running',
      health: 'degraded',
      troubles: { database: expect.stringContaining('cannot be written') },
    });
    expect(test.runtime.registry.get().context.commitsFailed).toBeGreaterThan(0);
    await test.knex.raw('PRAGMA query_only = OFF');
    await actor.send({ type: 'go' });
    expect(test.runtime.health()).toMatchObject({ health: 'healthy', troubles: {} });
  });

  it('is well again once the database takes writes, though nobody has anything to write', async () => {
    const actor = await test.spawn(flow, 'p_1');
    const { commit } = SqliteStore.prototype;
    const refused = new StoreError('full', 'The disk is full.');
    SqliteStore.prototype.commit = async (group) => group.map(() => ({ result: 'failed', error: refused }));
    try {
      await expect(actor.send({ type: 'go' })).rejects.toThrow('The disk is full');
      await test.advance('1m');
      expect(test.runtime.health().troubles).toEqual({ database: expect.stringContaining('The disk is full') });
    } finally {
      SqliteStore.prototype.commit = commit;
    }
    await test.advance('10s');
    expect(test.runtime.health()).toMatchObject({ health: 'healthy', troubles: {} });
  });

  it("is not degraded where the application's own writes are refused, which its caller is told", async () => {
    await test.knex.raw('CREATE TABLE guests (phone TEXT PRIMARY KEY)');
    const enrol = (id: string) =>
      test.runtime.transaction(async (trx) => {
        await trx.spawn(flow, id);
        await trx('guests').insert({ phone: '1' });
      });
    await enrol('p_1');
    await expect(enrol('p_2')).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT' });
    expect(test.runtime.health()).toMatchObject({ health: 'healthy', troubles: {} });
    expect(test.runtime.registry.get().context.commitsFailed).toBe(0);
  });

  it('is degraded where a component could not recover, until a start at which it can', async () => {
    await test.stop();
    broken = true;
    test = await createTestRuntime({
      flows: [flow],
      prepare: (runtime) =>
        runtime.recovery.registerRecoverable({
          name: 'reminders',
          recoverState: async () => {
            if (broken) throw new Error('no connection');
          },
        }),
    });
    expect(test.runtime.health()).toMatchObject({
      health: 'degraded',
      troubles: { 'recovery of reminders': 'It failed: no connection' },
    });
    broken = false;
    await test.crash();
    await test.restart();
    expect(test.runtime.health().health).toBe('healthy');
  });

  it('counts, in a store without participants, what each flow does', async () => {
    const seen: number[] = [];
    const { registry } = test.runtime;
    registry.select(({ flows }) => flows.step!.turns).subscribe((turns) => void seen.push(turns));
    const actors = await Promise.all(['p_1', 'p_2', 'p_3'].map((id) => test.spawn(flow, id)));
    for (const actor of actors) await actor.send({ type: 'go' });
    const actor = await test.spawn(flow, 'p_4');
    await actor.send({ type: 'wait' });
    await test.advance('1s');
    const { context } = registry.get();
    expect(context).toMatchObject({
      status: 'running',
      flows: { step: { version: 1, strategy: 'escalate', turns: 8, failures: 1, quarantined: 1, restarts: 0 } },
      recovering: null,
      recovered: [{ component: 'step', summary: expect.stringContaining('0 recovered') }],
    });
    expect(seen.at(-1)).toBe(8);
    expect(JSON.stringify(context)).not.toContain('p_');
  });
});
