import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import {
  type AnyFlow,
  createRuntime,
  defineFlow,
  FlowRecovery,
  formatReport,
  type Overdue,
  type Recoverable,
  type RecoveryRegistry,
  type Runtime,
} from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const MINUTE = 60_000;

const flowWith = (overdue?: Overdue, type = 'visit') =>
  defineFlow({
    type,
    version: 1,
    ...(overdue && { overdue }),
    logic: setup({
      types: {
        context: {} as { reminded: number },
        events: {} as { type: 'come' } | { type: 'remind' },
        emitted: {} as { type: 'message'; text: string },
      },
    }).createMachine({
      context: { reminded: 0 },
      initial: 'waiting',
      states: {
        waiting: {
          after: { 3600000: { target: 'late', actions: emit({ type: 'message', text: 'Where are you?' }) } },
          on: {
            come: 'there',
            remind: { actions: assign({ reminded: ({ context }) => context.reminded + 1 }) },
          },
        },
        late: {},
        there: {},
      },
    }),
  });

let test: TestRuntime;
afterEach(() => test.stop());

const component = (name: string, recoverState: Recoverable['recoverState']): Recoverable => ({ name, recoverState });

/** Begins with a component that has nothing to recover yet, and gives it. */
async function withComponent(flow: AnyFlow): Promise<Recoverable> {
  const own = component('reminders', async () => {});
  test = await createTestRuntime({
    flows: [flow],
    prepare: (runtime: Runtime) => runtime.recovery.registerRecoverable(own),
  });
  return own;
}

describe('recovery', () => {
  it('runs every component before anything else may happen, and goes on where one fails', async () => {
    const order: string[] = [];
    const flow = flowWith();
    let refused: unknown;
    test = await createTestRuntime({
      flows: [flow],
      prepare: (runtime: Runtime) => {
        runtime.recovery.registerRecoverable(
          component('first', async ({ report }) => {
            order.push('first');
            report.recovered = 3;
            refused = await runtime.spawn(flow, 'p_1').catch((error) => error);
          }),
        );
        runtime.recovery.registerRecoverable(
          component('second', async () => {
            order.push('second');
            throw new Error('no connection');
          }),
        );
        runtime.recovery.registerRecoverable(component('third', async () => void order.push('third')));
      },
    });
    expect(order).toEqual(['first', 'second', 'third']);
    expect(refused).toMatchObject({ code: 'NOT_RUNNING' });
    const report = test.runtime.recovery.report!;
    expect(report.ok).toBe(false);
    expect(report.components.map(({ name, recovered, error }) => [name, recovered, error])).toEqual([
      ['first', 3, undefined],
      ['second', 0, 'no connection'],
      ['third', 0, undefined],
      ['visit', 0, undefined],
    ]);
    expect(test.runtime.health().status).toBe('running');
  });

  it('gives up a component that is silent for too long, and goes on', async () => {
    test = await createTestRuntime({
      flows: [flowWith()],
      recovery: { patience: '50ms' },
      prepare: ({ recovery }: Runtime) => {
        recovery.registerRecoverable(component('hangs', () => new Promise(() => {})));
        recovery.registerRecoverable(component('works', async (registry) => registry.progress(1, 1)));
      },
    });
    const [hangs, works] = test.runtime.recovery.report!.components;
    expect(hangs).toMatchObject({ name: 'hangs', error: expect.stringContaining('progress for 0.05 s') });
    expect(works).toMatchObject({ name: 'works' });
    expect(works!.error).toBeUndefined();
    expect(test.runtime.health()).toMatchObject({
      status: 'running',
      troubles: { 'recovery of hangs': expect.stringContaining('was given up') },
    });
  });

  it('is left by a stop, whatever a component waits for', async () => {
    test = await createTestRuntime({ flows: [flowWith()] });
    const runtime = createRuntime({ database: ':memory:', flows: [flowWith()], recovery: { patience: '10s' } });
    const hanging = new Promise<void>((hangs) => {
      runtime.recovery.registerRecoverable(
        component('hangs', () => {
          hangs();
          return new Promise(() => {});
        }),
      );
    });
    const started = runtime.start();
    await hanging;
    await runtime.stop();
    await expect(started).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    expect(runtime.health().status).toBe('stopped');
  });

  it('lists so many findings and counts the others, and notices are no failures', async () => {
    let found: (registry: RecoveryRegistry) => void = () => {};
    test = await createTestRuntime({
      flows: [flowWith()],
      prepare: ({ recovery }: Runtime) =>
        recovery.registerRecoverable(component('many', async (registry) => found(registry))),
    });
    const finding = (i: number) => ({ flowType: 'visit', participantId: `p_${i}`, reason: 'Odd.', action: 'kept' });
    found = (registry) => {
      for (let i = 0; i < 10_500; i++) registry.notice(finding(i));
    };
    const { ok, components } = await test.runtime.recover({ dryRun: true });
    expect(ok).toBe(true);
    expect(components[0]!.notices).toHaveLength(10_000);
    expect(components[0]!.unlisted).toEqual({ failed: 0, notices: 500 });

    found = (registry) => {
      for (let i = 0; i < 10_001; i++) registry.failed(finding(i));
    };
    const report = await test.runtime.recover({ dryRun: true });
    expect(report.ok).toBe(false);
    expect(report.components[0]).toMatchObject({ unlisted: { failed: 1, notices: 0 } });
    const text = formatReport(report, 3);
    expect(text).toContain('10,001 failed');
    expect(text).toContain('… and 9,998 more');
  });

  it('names the rows of a flow that nobody gave to the runtime, as many as fit, and counts all', async () => {
    const other = flowWith(undefined, 'other');
    test = await createTestRuntime({ flows: [flowWith(), other] });
    await test.spawn(other, 'p_0');
    await test.knex.raw(
      `INSERT INTO flow_states SELECT value + 2, 'q_' || value, ${[
        'flow_type, current_state, state_data, created_at, updated_at, version, flow_version, status, next_due_at',
        'lease_until, last_error, address, journal_id',
      ].join()} FROM flow_states, json_each('[${Array.from({ length: 10_200 }, (_, i) => i).join()}]')`,
    );
    const { knex } = test;
    const fewer = createRuntime({ database: knex, flows: [flowWith()], clock: test.clock });
    const report = await fewer.recover({ dryRun: true });
    expect(report.components).toMatchObject([
      { name: 'visit', recovered: 0 },
      { name: "unknown flow 'other'", recovered: 0, unlisted: { failed: 201, notices: 0 } },
    ]);
    expect(report.components[1]!.failed).toHaveLength(10_000);
  });

  it.each(['lazy', 'verify'] as const)('believes a clock that runs long ago (%s)', async (mode) => {
    test = await createTestRuntime({ flows: [flowWith()], start: 0, recovery: { mode } });
    const actor = await test.spawn(flowWith(), 'p_1');
    await test.crash();
    test.clock.moveTo(90 * MINUTE);
    await test.restart();
    expect(test.runtime.recovery.report).toMatchObject({ ok: true });
    await test.settle();
    expect((await test.actor(flowWith(), 'p_1').getSnapshot()).value).toBe('late');
    expect(actor.address.participantId).toBe('p_1');
  });

  it('lets deadlines wait where the clock was set back, and fires them when it comes there', async () => {
    test = await createTestRuntime({ flows: [flowWith()] });
    await test.spawn(flowWith(), 'p_1');
    await test.crash();
    test.clock.moveTo(test.clock.now() - 600 * MINUTE);
    await test.restart();
    expect(test.runtime.recovery.report).toMatchObject({ ok: true, components: [{ deadlines: { beyond: 1 } }] });
    await test.advance('659m');
    expect((await test.actor(flowWith(), 'p_1').getSnapshot()).value).toBe('waiting');
    await test.advance('1m');
    expect((await test.actor(flowWith(), 'p_1').getSnapshot()).value).toBe('late');
  });

  it('finds by index, in lazy mode too, each deadline that cannot be meant', async () => {
    test = await createTestRuntime({ flows: [flowWith()] });
    await test.spawn(flowWith(), 'p_0');
    await test.knex.raw(
      `INSERT INTO flow_states SELECT value + 2, 'q_' || value, ${[
        'flow_type, current_state, state_data, created_at, updated_at, version, flow_version, status, 1000',
        'lease_until, last_error, address, journal_id',
      ].join()} FROM flow_states, json_each('[${Array.from({ length: 600 }, (_, i) => i).join()}]')`,
    );
    await test.crash();
    await test.restart();
    expect(test.runtime.recovery.report!.components[0]!.failed).toHaveLength(600);
    expect(await test.runtime.quarantine.list({ limit: 1000 })).toHaveLength(600);
    await test.settle();
    expect(test.delivered).toEqual([]);
  });

  it('counts, by flow, what there is to take up', async () => {
    test = await createTestRuntime({ flows: [flowWith(), flowWith(undefined, 'other')] });
    for (let i = 0; i < 5; i++) await test.spawn(flowWith(), `p_${i}`, { phoneNumber: `+1555200000${i}` });
    await test.advance('30m');
    for (let i = 5; i < 7; i++) await test.spawn(flowWith(), `p_${i}`);
    await test.actor(flowWith(), 'p_0').send({ type: 'come' });
    await test.crash();
    test.clock.moveTo(test.clock.now() + 31 * MINUTE);
    await test.restart();
    expect(test.runtime.recovery.report?.components).toMatchObject([
      {
        name: 'visit',
        recovered: 7,
        deadlines: { overdue: 4, armed: 0, beyond: 2 },
        handlers: { bound: 5, expired: 0 },
      },
      { name: 'other', recovered: 0, deadlines: { overdue: 0, armed: 0, beyond: 0 } },
    ]);
    await test.settle();
    expect(test.delivered).toHaveLength(4);
  });

  it('counts more flows than one query can', async () => {
    const flow = flowWith();
    test = await createTestRuntime({ flows: [flow] });
    await test.spawn(flow, 'p_1');
    const { id: _, ...row } = await test.knex('flow_states').first();
    const strangers = Array.from({ length: 1_001 }, (_, i) => ({ ...row, flow_type: `old ${i}` }));
    await test.knex.batchInsert('flow_states', strangers, 100);
    await test.crash();
    await test.restart();
    const { components } = test.runtime.recovery.report!;
    expect(components).toHaveLength(1_002);
    expect(components[0]).toMatchObject({ name: 'visit', recovered: 1, deadlines: { beyond: 1 } });
    expect(components.at(-1)).toMatchObject({ deadlines: { beyond: 1 } });
  });

  it('puts a deadline back, once, into an actor that has not left the state', async () => {
    const flow = flowWith();
    const own = await withComponent(flow);
    await test.spawn(flow, 'p_1');
    await test.spawn(flow, 'p_2');
    await test.actor(flow, 'p_2').send({ type: 'come' });
    const dueAt = test.clock.now() + 10 * MINUTE;
    const answers: boolean[] = [];
    own.recoverState = async (registry) => {
      for (const participantId of ['p_1', 'p_1', 'p_2'])
        answers.push(
          await registry.recoverTimer({
            participantId,
            flowType: flow.type,
            stateType: 'waiting',
            event: { type: 'remind' },
            dueAt,
          }),
        );
    };
    for (let i = 0; i < 2; i++) {
      await test.crash();
      await test.restart();
    }
    expect(answers).toEqual([true, false, false, false, false, false]);
    await test.advance('20m');
    expect((await test.actor(flow, 'p_1').getSnapshot()).context.reminded).toBe(1);
    expect((await test.actor(flow, 'p_2').getSnapshot()).context.reminded).toBe(0);
    await test.advance('1h');
    expect((await test.actor(flow, 'p_1').getSnapshot()).value).toBe('late');
  });

  it('refuses a deadline that could not be restored, and puts one between two milliseconds back once', async () => {
    const flow = flowWith();
    const own = await withComponent(flow);
    await test.spawn(flow, 'p_1');
    const info = { participantId: 'p_1', flowType: flow.type, stateType: 'waiting', event: { type: 'remind' } };
    const dueAt = test.clock.now() + 10 * MINUTE;
    const bad: object[] = [{ event: undefined }, { event: {} }, { event: 'remind' }, { dueAt: new Date(dueAt) }];
    for (const instant of [undefined, Number.NaN, Number.POSITIVE_INFINITY, 9e15, 'tomorrow'])
      bad.push({ dueAt: instant });
    const answers: unknown[] = [];
    own.recoverState = async (registry) => {
      for (const each of [...bad, { dueAt: dueAt + 0.5 }, { dueAt: dueAt + 0.5 }])
        answers.push(await registry.recoverTimer({ ...info, dueAt, ...each }).catch((error) => error.code));
    };
    await test.crash();
    await test.restart();
    expect(answers).toEqual([...bad.map(() => 'INVALID_ARGUMENT'), true, false]);
    await test.advance('20m');
    expect((await test.actor(flow, 'p_1').getSnapshot()).context.reminded).toBe(1);
  });

  it('binds a phone number, unless another participant of the flow has it', async () => {
    const flow = flowWith();
    const own = await withComponent(flow);
    await test.spawn(flow, 'p_1', { phoneNumber: '+15552000001' });
    await test.spawn(flow, 'p_2');
    const answers: boolean[] = [];
    own.recoverState = async (registry) => {
      for (const phoneNumber of ['+15552000001', '+15552000002'])
        answers.push(
          await registry.recoverResponseHandler({
            phoneNumber,
            participantId: 'p_2',
            flowType: flow.type,
            handlerType: flow.handlerType,
            ttl: MINUTE,
          }),
        );
    };
    await test.crash();
    await test.restart();
    expect(answers).toEqual([false, true]);
    const { address } = await test.receive({ channel: 'sms', id: '1', from: '+15552000002', text: 'hello' });
    expect(address).toEqual({ flowType: flow.type, participantId: 'p_2' });
  });

  it('refuses to bind what nobody could use', async () => {
    const flow = flowWith();
    const own = await withComponent(flow);
    await test.spawn(flow, 'p_1');
    const info = {
      phoneNumber: '+1 (555) 200-0001',
      participantId: 'p_1',
      flowType: flow.type,
      handlerType: flow.handlerType,
      ttl: MINUTE,
    };
    const bad: [string, object][] = [
      ['UNKNOWN_FLOW', { flowType: 'gone' }],
      ['ACTOR_NOT_FOUND', { participantId: 'p_9' }],
      ['INVALID_PHONE_NUMBER', { phoneNumber: '0176' }],
      ...[Number.NaN, 0, -1, Number.POSITIVE_INFINITY, '1m', undefined].map((ttl): [string, object] => [
        'INVALID_ARGUMENT',
        { ttl },
      ]),
    ];
    const answers: unknown[] = [];
    own.recoverState = async (registry) => {
      for (const [, each] of [...bad, ['', {}] as const])
        answers.push(await registry.recoverResponseHandler({ ...info, ...each }).catch((error) => error.code));
    };
    await test.crash();
    await test.restart();
    expect(answers).toEqual([...bad.map(([code]) => code), true]);
    const { address } = await test.receive({ channel: 'sms', id: '1', from: '+15552000001', text: 'hello' });
    expect(address?.participantId).toBe('p_1');
  });

  it('goes on whatever a component throws', async () => {
    const thrown = [undefined, null, 'text', Symbol('odd'), Object.create(null), { message: { deep: true } }];
    test = await createTestRuntime({
      flows: [flowWith()],
      prepare: (runtime: Runtime) => {
        for (const [i, each] of thrown.entries())
          runtime.recovery.registerRecoverable(component(`c${i}`, () => Promise.reject(each)));
      },
    });
    const { components } = test.runtime.recovery.report!;
    const errors = components.slice(0, thrown.length).map(({ error }) => error);
    expect(errors.slice(0, 4)).toEqual(['undefined', 'null', 'text', 'Symbol(odd)']);
    expect(errors.slice(4)).toEqual([expect.any(String), expect.stringContaining('deep: true')]);
  });

  it('takes a check that throws for a finding about that row, and goes on with the others', async () => {
    const flow = flowWith();
    const check = ({ context }: { context: { reminded: number } }) => {
      if (context.reminded > 0) throw new Error('no such reminder');
      return undefined;
    };
    test = await createTestRuntime({
      flows: [flow],
      recovery: { mode: 'verify' },
      prepare: (runtime: Runtime) => runtime.recovery.registerRecoverable(new FlowRecovery(flow, { check })),
    });
    for (const id of ['p_1', 'p_2', 'p_3']) await test.spawn(flow, id);
    await test.actor(flow, 'p_2').send({ type: 'remind' });
    await test.crash();
    await test.restart();
    const [report] = test.runtime.recovery.report!.components;
    expect(report).toMatchObject({ recovered: 2, failed: [{ participantId: 'p_2', action: 'quarantined' }] });
    expect(report!.failed[0]!.reason).toBe('Its context could not be checked: no such reminder.');
    expect(report!.error).toBeUndefined();
  });

  it('refuses a second component of the same name or for the same flow', async () => {
    test = await createTestRuntime({ flows: [flowWith()] });
    const { recovery } = test.runtime;
    const of = (name: string, flowType: string) => ({ ...component(name, async () => {}), flowType });
    expect(() => recovery.registerRecoverable(component('visit', async () => {}))).toThrow(/needs a name/);
    expect(() => recovery.registerRecoverable(of('visits', 'visit'))).toThrow(/each flow one recovery/);
  });

  it('tells how far it has come, and what became of each component', async () => {
    const heard: string[] = [];
    test = await createTestRuntime({
      flows: [flowWith()],
      prepare: (runtime: Runtime) =>
        void runtime.on('recovered', ({ component, summary }) => heard.push(`${component}: ${summary}`)),
    });
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatch(/^visit: 0 recovered, 0\.\d\d s$/);
  });
});

describe('deadlines that passed while nothing ran', () => {
  const outage = async (overdue: Overdue | undefined, ms: number) => {
    const flow = flowWith(overdue);
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1');
    await test.crash();
    test.clock.moveTo(test.clock.now() + ms);
    await test.restart();
    await test.settle();
    return test.actor(flow, actor.address.participantId);
  };

  it('fire late, once', async () => {
    const actor = await outage(undefined, 8 * 60 * MINUTE);
    expect((await actor.getSnapshot()).value).toBe('late');
    expect(test.delivered).toHaveLength(1);
  });

  it('are dropped where the flow says so, with a line in the journal', async () => {
    const actor = await outage('skip', 8 * 60 * MINUTE);
    expect((await actor.getSnapshot()).value).toBe('waiting');
    expect(await actor.timers()).toEqual([]);
    expect((await test.journal('p_1')).at(-1)?.note).toContain('skipped');
    await actor.send({ type: 'come' });
    expect((await actor.getSnapshot()).value).toBe('there');
  });

  it('are moved to the instant that the flow chooses', async () => {
    const later = Date.UTC(2026, 0, 1, 10);
    const actor = await outage(
      ({ event, dueAt }, { participantId }) => {
        expect([event.type, dueAt, participantId]).toEqual([
          expect.stringContaining('3600000'),
          Date.UTC(2026, 0, 1, 1),
          'p_1',
        ]);
        return new Date(later);
      },
      8 * 60 * MINUTE,
    );
    expect((await actor.timers()).map(({ dueAt }) => dueAt)).toEqual([later]);
    await test.advanceTo(later - 1);
    expect((await actor.getSnapshot()).value).toBe('waiting');
    await test.advanceTo(later);
    expect((await actor.getSnapshot()).value).toBe('late');
  });

  it('are none where a commit ends after the deadline that it has brought', async () => {
    const flow = defineFlow({
      type: 'call',
      version: 1,
      overdue: 'skip',
      logic: setup({}).createMachine({
        initial: 'idle',
        states: { idle: { on: { ring: 'ringing' } }, ringing: { after: { 1000: 'missed' } }, missed: {} },
      }),
    });
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1');
    await test.advance('10m');
    const { commit } = SqliteStore.prototype;
    SqliteStore.prototype.commit = async function (group) {
      const outcomes = await commit.call(this, group);
      test.clock.moveTo(test.clock.now() + 2_000);
      SqliteStore.prototype.commit = commit;
      return outcomes;
    };
    await actor.send({ type: 'ring' });
    await test.settle();
    expect((await actor.getSnapshot()).value).toBe('missed');
  });

  it('are not asked about where they fire on time', async () => {
    const actor = await outage('skip', 59 * MINUTE);
    await test.advance('1m');
    expect((await actor.getSnapshot()).value).toBe('late');
  });

  it('an answer that cannot be is a failure of the actor, and of no other one', async () => {
    const flow = flowWith(() => Number.NaN);
    test = await createTestRuntime({ flows: [flow, flowWith(undefined, 'other')] });
    await test.spawn(flow, 'p_1');
    await test.spawn(flowWith(undefined, 'other'), 'p_2');
    await test.crash();
    test.clock.moveTo(test.clock.now() + 120 * MINUTE);
    await test.restart();
    await test.advance('5m');
    expect(await test.actor(flow, 'p_1').describe()).toMatchObject({
      status: 'quarantined',
      lastError: expect.stringContaining("It must be 'fire', 'skip', or an instant that is still to come"),
    });
    expect((await test.actor(flowWith(undefined, 'other'), 'p_2').getSnapshot()).value).toBe('late');
  });

  it.each([Number.POSITIVE_INFINITY, 9e15])('an answer of %d is no instant', async (instant) => {
    const flow = flowWith(() => instant);
    test = await createTestRuntime({ flows: [flow] });
    await test.spawn(flow, 'p_1');
    await test.crash();
    test.clock.moveTo(test.clock.now() + 120 * MINUTE);
    await test.restart();
    await test.advance('5m');
    expect(await test.actor(flow, 'p_1').describe()).toMatchObject({
      status: 'quarantined',
      lastError: expect.stringContaining(`says 'overdue' with ${instant}`),
    });
  });

  it('a question that throws what is no error is a failure like any other', async () => {
    const flow = flowWith(() => {
      throw null;
    });
    test = await createTestRuntime({ flows: [flow] });
    await test.spawn(flow, 'p_1');
    await test.crash();
    test.clock.moveTo(test.clock.now() + 120 * MINUTE);
    await test.restart();
    await test.advance('5m');
    expect(await test.actor(flow, 'p_1').describe()).toMatchObject({
      status: 'quarantined',
      lastError: expect.stringContaining('throw: null.'),
    });
  });

  it('of a night come in order and no faster than they may', async () => {
    const flow = flowWith();
    test = await createTestRuntime({ flows: [flow], recovery: { rate: 10, jitter: 0 } });
    for (let i = 0; i < 40; i++) {
      await test.spawn(flow, `p_${i}`);
      await test.advance('1s');
    }
    await test.crash();
    test.clock.moveTo(test.clock.now() + 480 * MINUTE);
    await test.restart();
    await test.advance('1s');
    expect(test.delivered.length).toBeGreaterThan(8);
    expect(test.delivered.length).toBeLessThan(13);
    await test.advance('4s');
    expect(test.delivered.map(({ participantId }) => participantId)).toEqual(
      Array.from({ length: 40 }, (_, i) => `p_${i}`),
    );
  });

  it('leave their actors in memory no longer than that takes, so that an outage takes no more of it than a quiet night', async () => {
    const flow = flowWith();
    const read: string[] = [];
    const prepare = (runtime: Runtime) =>
      void runtime.inspect({ actor: ({ address }) => void read.push(address.participantId) }, { unmasked: true });
    test = await createTestRuntime({ flows: [flow], prepare });
    await test.spawn(flow, 'p_1');
    await test.crash();
    test.clock.moveTo(test.clock.now() + 120 * MINUTE);
    read.length = 0;
    await test.restart();
    await test.settle();
    expect(test.delivered).toHaveLength(1);
    expect(read).toEqual(['p_1']);
    await test.actor(flow, 'p_1').send({ type: 'come' });
    expect(read).toEqual(['p_1', 'p_1']);
    await test.actor(flow, 'p_1').send({ type: 'come' });
    expect(read).toEqual(['p_1', 'p_1']);
  });

  it.each([{ rate: 0 }, { rate: Number.NaN }, { jitter: 2 }])('refuses %j', async (recovery) => {
    test ??= await createTestRuntime({ flows: [flowWith()] });
    await expect(createTestRuntime({ flows: [flowWith()], recovery })).rejects.toThrow(/must be a number/);
  });
});
