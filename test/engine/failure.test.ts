import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, fromCallback, fromPromise, setup } from 'xstate';
import { defineFlow, type FlowDefinition, type Supervision } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

/** What a person has written, which no error may show. */
const SECRET = 'I feel low';
const PHONE = '+15551234567';

type Ways = Pick<FlowDefinition<any>, 'record' | 'project' | 'note'>;
type Part = keyof Ways | 'nothing';

/** Which part of the flow fails from now on, and how. */
let bad: Part = 'nothing';

/** The turns that nobody outside repeats, and how the machine comes to each of them. */
const STIMULI = ['deadline', 'result', 'told'] as const;
type Stimulus = (typeof STIMULI)[number];

function flowWith(supervision: Supervision) {
  const logic = setup({
    types: {
      context: {} as { count: number },
      events: {} as { type: Stimulus | 'inc' | 'say' } | { type: 'reply'; text: string },
      emitted: {} as { type: 'said' },
    },
    actors: {
      ask: fromPromise(async () => 'an answer'),
      tell: fromCallback(({ sendBack }) => sendBack({ type: 'say' })),
    },
  }).createMachine({
    context: { count: 0 },
    initial: 'idle',
    on: {
      inc: { actions: assign({ count: ({ context }) => context.count + 1 }) },
      reply: { actions: [assign({ count: ({ context }) => context.count + 1 }), emit({ type: 'said' })] },
    },
    states: {
      idle: { on: { deadline: 'waiting', result: 'asking', told: 'listening' } },
      waiting: { after: { 60000: { target: 'over', actions: emit({ type: 'said' }) } } },
      asking: {
        invoke: {
          src: 'ask',
          onDone: { target: 'over', actions: emit({ type: 'said' }) },
          onError: { target: 'over', actions: emit({ type: 'said' }) },
        },
      },
      listening: {
        invoke: { src: 'tell' },
        on: { say: { target: 'over', actions: emit({ type: 'said' }) } },
      },
      over: {},
    },
  });
  const row = () => {
    if (bad === 'record') throw new Error('no words');
    return { table: 'diary', row: { text: SECRET } };
  };
  return defineFlow({
    type: 'diary',
    version: 1,
    logic,
    supervision,
    record: row,
    project: ({ before, after }) => {
      const isWell =
        before !== undefined && after.status === 'active' && after.value !== 'over' && after.value !== 'idle';
      if (bad === 'project' && !isWell) throw new Error('no words');
      return null;
    },
    note: () => {
      if (bad === 'note') throw new Error('no words');
      return null;
    },
  });
}

describe('a turn that fails in what the flow brings with it, or whose rows the database refuses', () => {
  let test: TestRuntime;
  const told: string[] = [];
  afterEach(async () => {
    bad = 'nothing';
    told.length = 0;
    await test.stop();
  });

  const begin = async (supervision: Supervision = {}) => {
    const flow = flowWith(supervision);
    test = await createTestRuntime({
      flows: [flow],
      prepare: (runtime) => {
        for (const type of ['turnFailed', 'commitFailed', 'quarantined', 'deadLetter', 'restarting', 'fault'] as const)
          runtime.on(type, (event) => told.push(`${type}: ${(event as { error: Error }).error.message}`));
      },
    });
    await test.knex.schema.createTable('diary', (table) => table.text('text'));
    return test.spawn(flow, 'p_1', { phoneNumber: PHONE });
  };
  const times = (type: string) => told.filter((line) => line.startsWith(type)).length;
  const refuse = () =>
    test.knex.raw("CREATE TRIGGER refusal BEFORE INSERT ON diary BEGIN SELECT RAISE(ABORT, 'no more pages'); END");

  for (const stimulus of STIMULI) {
    for (const [what, spoil] of [
      ['a row that is refused', refuse],
      ['a table that is missing', () => test.knex.schema.dropTable('diary')],
      ['a record that throws', () => (bad = 'record')],
      ['a project that throws', () => (bad = 'project')],
      ['a note that throws', () => (bad = 'note')],
    ] as const) {
      it(`restart: puts an actor aside for ${what} (${stimulus}), and answers who writes to it`, async () => {
        const actor = await begin({ maxRestarts: 2, backoff: { initial: '1s', max: '1s' } });
        if (stimulus === 'deadline') await actor.send({ type: 'deadline' });
        await spoil();
        if (stimulus !== 'deadline') await actor.send({ type: stimulus });
        await test.advance('3m');
        expect(await actor.describe()).toMatchObject({ status: 'quarantined' });
        expect(times('restarting')).toBe(2);
        expect(times('commitFailed')).toBe(0);
        await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
        await expect(test.receive({ channel: 'sms', id: '1', from: PHONE, text: 'hello' })).rejects.toMatchObject({
          code: 'ACTOR_QUARANTINED',
        });
        expect(JSON.stringify([told, await actor.describe()])).not.toContain(SECRET);
        await test.runtime.remove('diary', 'p_1');
      });

      it(`stop: ends an actor for ${what} (${stimulus}), with a dead letter`, async () => {
        const actor = await begin({ strategy: 'stop' });
        if (stimulus === 'deadline') await actor.send({ type: 'deadline' });
        await spoil();
        if (stimulus !== 'deadline') await actor.send({ type: stimulus });
        await test.advance('1m');
        expect(await actor.describe()).toMatchObject({ status: 'stopped' });
        expect(await test.runtime.deadLetters.list()).toHaveLength(1);
        expect(JSON.stringify([told, await test.runtime.deadLetters.list()])).not.toContain(SECRET);
      });
    }
  }

  it('resume: drops a deadline whose row is refused, and keeps it as a dead letter', async () => {
    const actor = await begin({ strategy: 'resume' });
    await actor.send({ type: 'deadline' });
    await refuse();
    await test.advance('1m');
    expect(await actor.describe()).toMatchObject({ status: 'active', state: 'waiting' });
    expect(await test.runtime.deadLetters.list()).toMatchObject([
      { kind: 'deadline', error: expect.stringContaining("an insert into 'diary'") },
    ]);
    expect(await actor.send({ type: 'inc' })).toMatchObject({ context: { count: 1 } });
  });

  it('resume: puts an actor aside whose result is refused, and its failure as well', async () => {
    const actor = await begin({ strategy: 'resume' });
    await refuse();
    await actor.send({ type: 'result' });
    await test.settle();
    expect(await actor.describe()).toMatchObject({ status: 'quarantined', state: 'asking' });
  });

  it("makes a message whose row is refused a dead letter, acknowledges it, and tells no value in it but the person's own", async () => {
    const actor = await begin();
    await refuse();
    expect(await test.receive({ channel: 'sms', id: '1', from: PHONE, text: 'hello' })).toMatchObject({
      status: 'failed',
    });
    expect(await actor.getSnapshot()).toMatchObject({ context: { count: 0 } });
    const [letter] = await test.runtime.deadLetters.list();
    expect(letter).toMatchObject({ kind: 'message', error: expect.stringContaining('no more pages') });
    expect(letter!.error).not.toContain(SECRET);
    expect(test.runtime.health()).toMatchObject({ health: 'healthy' });
  });

  it('tells who sends an event whose row is refused: which statement, and why, without its values', async () => {
    const actor = await begin();
    await refuse();
    const error: any = await actor.send({ type: 'reply', text: 'x' }).catch((error) => error);
    expect(error).toMatchObject({
      code: 'STORE_ERROR',
      reason: 'constraint',
      message: expect.stringMatching(/refused an insert into 'diary': SQLITE_CONSTRAINT: no more pages/),
    });
    expect(`${error.stack}${error.cause?.stack}`).not.toContain(SECRET);
    await test.knex.raw('DROP TRIGGER refusal');
    expect(await actor.send({ type: 'reply', text: 'x' })).toMatchObject({ context: { count: 1 } });
  });

  for (const part of ['record', 'project', 'note'] as const) {
    it(`tells who sends an event at which ${part} throws, with the error as its cause`, async () => {
      const actor = await begin();
      bad = part;
      const error: any = await actor.send({ type: 'reply', text: 'x' }).catch((error) => error);
      expect(error).toMatchObject({ code: 'TURN_FAILED', address: { flowType: 'diary', participantId: 'p_1' } });
      expect(error.cause).toMatchObject({ message: 'no words' });
      bad = 'nothing';
      expect(await actor.send({ type: 'reply', text: 'x' })).toMatchObject({ context: { count: 1 } });
    });
  }

  it('tells who spawns an actor at whose first turn project throws, and leaves nothing behind', async () => {
    await begin();
    bad = 'project';
    const flow = test.runtime.flows.get('diary')!;
    await expect(test.spawn(flow, 'p_2', {})).rejects.toMatchObject({
      code: 'TURN_FAILED',
      address: { participantId: 'p_2' },
    });
    bad = 'nothing';
    expect(await (await test.spawn(flow, 'p_2', {})).describe()).toMatchObject({ status: 'active' });
  });

  it('stops an actor whose project throws at that too, says so in the journal, and removes it', async () => {
    const actor = await begin();
    bad = 'project';
    await actor.stop();
    expect(await actor.describe()).toMatchObject({ status: 'stopped' });
    expect((await test.journal('p_1')).at(-1)).toMatchObject({
      event: 'xstate.stop',
      note: expect.stringContaining('not recorded: '),
    });
    await test.runtime.remove('diary', 'p_1');
    await expect(actor.describe()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
  });

  it('puts an actor aside without a line in the journal, where that is refused as well', async () => {
    const actor = await begin({ strategy: 'escalate' });
    await actor.send({ type: 'deadline' });
    await test.knex.raw(
      "CREATE TRIGGER refusal BEFORE INSERT ON flow_journal BEGIN SELECT RAISE(ABORT, 'no journal'); END",
    );
    await test.advance('1m');
    expect(await actor.describe()).toMatchObject({
      status: 'quarantined',
      lastError: expect.stringContaining('no journal'),
    });
  });
});

describe('what a flow records', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());

  for (const [what, record, why] of [
    ['a BigInt', { table: 'diary', row: { n: 10n } }, "a BigInt in 'n'"],
    ['a symbol', { table: 'diary', row: { n: Symbol('x') } }, "a symbol in 'n'"],
    ['a list', { table: 'diary', row: { n: [1] } }, "a list in 'n'"],
    ['a Map', { table: 'diary', row: { n: new Map() } }, "an instance of Map in 'n'"],
    ['a Date that is none', { table: 'diary', row: { n: new Date(Number.NaN) } }, "a Date that is none in 'n'"],
    ['undefined in a condition', { table: 'diary', where: { n: undefined }, set: { n: 1 } }, "undefined in 'n'"],
    ['a value that is a BigInt to set', { table: 'diary', where: { n: 1 }, set: { n: 1n } }, "a BigInt in 'n'"],
    ['no columns', { table: 'diary' }, 'no columns'],
    ['no table', { row: { n: 1 } }, 'names no table'],
  ] as const) {
    it(`is refused where it has ${what}, and the turn is undone`, async () => {
      const flow = defineFlow({
        type: 'diary',
        version: 1,
        logic: setup({ types: { context: {} as { count: number } } }).createMachine({
          context: { count: 0 },
          on: { inc: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
        }),
        project: ({ before }) => (before ? (record as never) : null),
      });
      test = await createTestRuntime({ flows: [flow] });
      await test.knex.schema.createTable('diary', (table) => table.integer('n'));
      const actor = await test.spawn(flow, 'p_1', {});
      await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        address: actor.address,
        message: expect.stringContaining(why),
      });
      expect(await actor.getSnapshot()).toMatchObject({ context: { count: 0 } });
      expect(await test.knex('diary')).toEqual([]);
    });
  }
});
