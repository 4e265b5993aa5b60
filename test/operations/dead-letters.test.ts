import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow, type Supervision, UnsupportedLogicError } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

let broken = false;
const mayThrow = () => {
  if (broken) throw new Error('it is broken');
  return true;
};

const child = setup({ guards: { mayThrow } }).createMachine({
  initial: 'waiting',
  states: { waiting: { after: { 60000: { target: 'rung', guard: 'mayThrow' } } }, rung: {} },
});

const flowWith = (strategy: NonNullable<Supervision['strategy']>) =>
  defineFlow({
    type: 'lettered',
    version: 1,
    logic: setup({
      types: {
        context: {} as { log: string[] },
        events: {} as { type: 'heard'; what: string } | { type: 'note' } | { type: 'begin child' } | { type: 'leave' },
        emitted: {} as { type: 'message'; text: string },
      },
      actors: { child, answer: fromPromise(async () => 42) },
      guards: { mayThrow },
    }).createMachine({
      context: { log: [] },
      initial: 'waiting',
      on: {
        heard: {
          guard: 'mayThrow',
          actions: [
            assign({ log: ({ context, event }) => [...context.log, event.what] }),
            emit(({ event }) => ({ type: 'message', text: `heard ${event.what}` })),
          ],
        },
        note: { actions: assign({ log: ({ context }) => [...context.log, 'note'] }) },
      },
      states: {
        waiting: {
          on: { 'begin child': 'withChild', leave: 'left' },
          after: { 60000: { target: 'reminded', guard: 'mayThrow' } },
        },
        reminded: {},
        left: {},
        withChild: { invoke: { id: 'child', src: 'child' }, on: { leave: 'left' } },
      },
    }),
    receive: ({ message, snapshot }) => {
      if (message.text === 'unreadable' && broken) throw new Error('receive is broken');
      return { type: 'heard', what: `${message.text} in ${String(snapshot.value)}` };
    },
    supervision: { strategy },
  });

const PHONE = '+15551234567';

describe('dead letters', () => {
  let test: TestRuntime;
  const heard: string[] = [];
  const listen = () => {
    for (const type of ['deadLetter', 'deadLetterRetried', 'deadLetterDiscarded'] as const)
      test.runtime.on(type, () => heard.push(type));
  };
  const flow = flowWith('resume');
  beforeEach(async () => {
    broken = false;
    heard.length = 0;
    test = await createTestRuntime({ flows: [flow] });
    listen();
  });
  afterEach(() => test.stop());

  const crash = async () => {
    await test.crash();
    await test.restart();
    listen();
  };
  const letters = () => test.runtime.deadLetters;
  let last = 0;
  const fail = async (text = 'hello', id = `m${++last}`) => {
    broken = true;
    expect(await test.receive({ channel: 'sms', id, from: PHONE, text })).toMatchObject({ status: 'failed' });
    const all = await letters().list();
    return all.at(-1)!.id;
  };
  const only = async () => {
    const all = await letters().list({ status: 'all' });
    expect(all).toHaveLength(1);
    return all[0]!;
  };

  it('keeps a message as it came in, with the error', async () => {
    await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail('hello', 'm1');
    expect(await letters().get(id)).toEqual({
      id,
      address: { flowType: 'lettered', participantId: 'ada' },
      kind: 'message',
      event: { channel: 'sms', id: 'm1', from: PHONE, text: 'hello' },
      target: null,
      error: expect.stringContaining('it is broken'),
      at: test.clock.now(),
      status: 'open',
      resolvedAt: null,
    });
  });

  it('applies a message after all, by way of the flow and in the state of now, once', async () => {
    const actor = await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail('hello');
    await actor.send({ type: 'leave' });
    broken = false;
    expect(await letters().retry(id)).toEqual({ handled: true, state: 'left' });
    expect((await actor.getSnapshot()).context.log).toEqual(['hello in left']);
    expect((await test.outbox('ada')).at(-1)).toMatchObject({ to: PHONE, text: 'heard hello in left' });
    expect(await only()).toMatchObject({ status: 'retried', resolvedAt: test.clock.now() });
    expect(await letters().list()).toEqual([]);
    expect((await test.journal('ada')).at(-1)).toMatchObject({ note: `dead letter ${id}, retried` });
    expect(heard).toEqual(['deadLetter', 'deadLetterRetried']);
    await crash();
    await expect(letters().retry(id)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('was retried before'),
    });
    expect((await test.actor(flow, 'ada').getSnapshot()).context.log).toEqual(['hello in left']);
  });

  it('applies it once, however many press at the same time', async () => {
    const actor = await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    broken = false;
    const answers = await Promise.allSettled([
      letters().retry(id),
      letters().retry(id),
      letters().discard(id),
      letters().retry(id),
    ]);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const answer of answers)
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: 'INVALID_ARGUMENT' });
    const { status } = await only();
    expect((await actor.getSnapshot()).context.log).toHaveLength(status === 'retried' ? 1 : 0);
  });

  it('applies it once, whenever the process dies', async () => {
    await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    broken = false;
    for (let steps = 0; steps < 12; steps++) {
      const pressed = letters()
        .retry(id)
        .catch(() => {});
      for (let step = 0; step < steps; step++) await new Promise(setImmediate);
      await test.crash();
      await pressed;
      await test.restart();
      const { status } = await only();
      const { log } = (await test.actor(flow, 'ada').getSnapshot()).context;
      expect(log).toHaveLength(status === 'retried' ? 1 : 0);
    }
    await letters()
      .retry(id)
      .catch(() => {});
    expect((await test.actor(flow, 'ada').getSnapshot()).context.log).toHaveLength(1);
  });

  it('stays open with the new error when it throws again, in the machine or in receive', async () => {
    const actor = await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail('unreadable');
    await test.knex('dead_letters').update({ error: 'an old error' });
    await expect(letters().retry(id)).rejects.toMatchObject({
      code: 'TURN_FAILED',
      message: expect.stringContaining('receive is broken'),
    });
    expect(await only()).toMatchObject({ status: 'open', error: expect.stringContaining('receive is broken') });
    await test
      .knex('dead_letters')
      .update({ event: JSON.stringify({ channel: 'sms', id: 'm', from: PHONE, text: 'hi' }) });
    await expect(letters().retry(id)).rejects.toMatchObject({ code: 'TURN_FAILED' });
    expect(await only()).toMatchObject({ status: 'open', error: expect.stringContaining('it is broken') });
    expect((await actor.getSnapshot()).context.log).toEqual([]);
    expect(await letters().list()).toHaveLength(1); // and no second one
    broken = false;
    await letters().retry(id);
    expect((await actor.getSnapshot()).context.log).toEqual(['hi in waiting']);
  });

  it.each([
    ['the database refuses its rows', { n: 1 }, 'UNIQUE'],
    ['its rows cannot be rows', { n: 1n }, 'a BigInt'],
    ['record throws one of our own errors', 'throws', 'unsupported here'],
  ])('stays open with the new error where %s', async (_, row, told) => {
    const recording = defineFlow({
      type: 'recording',
      version: 1,
      logic: flow.logic,
      receive: () => ({ type: 'heard', what: 'it' }),
      record: () => {
        if (row === 'throws') throw new UnsupportedLogicError('unsupported here');
        return { table: 'kept', row: row as Record<string, unknown> };
      },
    });
    await test.stop();
    test = await createTestRuntime({
      flows: [recording as never],
      tables: async (knex) => {
        await knex.schema.createTable('kept', (table) => void table.integer('n').unique());
        await knex('kept').insert({ n: 1 });
      },
    });
    await test.spawn(recording, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    broken = false;
    await expect(letters().retry(id)).rejects.toThrow(told);
    expect(await only()).toMatchObject({ status: 'open', error: expect.stringContaining(told) });
  });

  it('says when a letter means nothing in the state of now', async () => {
    const actor = await test.spawn(flow, 'ada');
    broken = true;
    await test.advance('1m');
    expect(await only()).toMatchObject({ kind: 'deadline', target: null });
    await actor.send({ type: 'leave' });
    broken = false;
    expect(await letters().retry((await only()).id)).toEqual({ handled: false, state: 'left' });
    expect(await only()).toMatchObject({ status: 'retried' });
  });

  it('applies a deadline that was dropped', async () => {
    const actor = await test.spawn(flow, 'ada');
    broken = true;
    await test.advance('1m');
    await crash();
    broken = false;
    expect(await letters().retry((await only()).id)).toEqual({ handled: true, state: 'reminded' });
    expect((await test.actor(flow, 'ada').getSnapshot()).value).toBe('reminded');
    expect(actor.address.participantId).toBe('ada');
  });

  it('applies a deadline of a child to that child, after a restart too', async () => {
    const actor = await test.spawn(flow, 'ada');
    await actor.send({ type: 'begin child' });
    broken = true;
    await test.advance('1m');
    expect(await only()).toMatchObject({ kind: 'deadline', target: expect.any(String) });
    await crash();
    broken = false;
    expect(await letters().retry((await only()).id)).toMatchObject({ handled: true });
    const { children } = await test.actor(flow, 'ada').getSnapshot();
    expect((children as any).child.getSnapshot().value).toBe('rung');
  });

  it('does nothing for a child that is gone', async () => {
    const actor = await test.spawn(flow, 'ada');
    await actor.send({ type: 'begin child' });
    broken = true;
    await test.advance('1m');
    await actor.send({ type: 'leave' });
    broken = false;
    expect(await letters().retry((await only()).id)).toEqual({ handled: false, state: 'left' });
  });

  it('lets an overdue deadline fire first', async () => {
    await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    broken = false;
    await test.crash();
    test.clock.moveTo(test.clock.now() + 3_600_000);
    await test.restart();
    await letters().retry(id);
    expect((await test.actor(flow, 'ada').getSnapshot()).context.log).toEqual(['hello in reminded']);
  });

  it('gives up a letter, and keeps it', async () => {
    const actor = await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    await letters().discard(id, 'answered by phone');
    expect(await only()).toMatchObject({
      status: 'discarded',
      resolvedAt: test.clock.now(),
      error: expect.stringMatching(/it is broken.*\(discarded: answered by phone\)$/),
    });
    for (const again of [letters().discard(id), letters().retry(id)])
      await expect(again).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining('discarded'),
      });
    expect((await actor.getSnapshot()).context.log).toEqual([]);
    expect(heard).toEqual(['deadLetter', 'deadLetterDiscarded']);
  });

  it('lists them a page at a time, by status, flow and participant', async () => {
    await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    for (let i = 0; i < 5; i++) await fail();
    await letters().discard(1);
    broken = false;
    await letters().retry(2);
    const ids = async (filter: object) => (await letters().list(filter)).map(({ id }) => id);
    expect(await ids({})).toEqual([3, 4, 5]);
    expect(await ids({ status: 'all' })).toEqual([1, 2, 3, 4, 5]);
    expect(await ids({ status: 'retried' })).toEqual([2]);
    expect(await ids({ status: 'discarded' })).toEqual([1]);
    expect(await ids({ limit: 2 })).toEqual([3, 4]);
    expect(await ids({ limit: 2, after: 4 })).toEqual([5]);
    expect(await ids({ participantId: 'ada', flowType: 'lettered' })).toEqual([3, 4, 5]);
    expect(await ids({ participantId: 'bob' })).toEqual([]);
    for (const filter of [{ status: 'lost' as never }, { limit: 0 }, { after: 1.5 }])
      await expect(letters().list(filter)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('says what is wrong with a letter that is not there, or whose actor takes no events', async () => {
    for (const what of ['get', 'retry', 'discard'] as const) {
      await expect(letters()[what](99)).rejects.toMatchObject({ code: 'DEAD_LETTER_NOT_FOUND' });
      await expect(letters()[what](Number.NaN)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    const actor = await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const id = await fail();
    broken = false;
    await actor.stop();
    await expect(letters().retry(id)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining("has ended ('stopped')"),
    });
    await test.knex('flow_states').update({ status: 'quarantined' });
    await crash();
    await expect(letters().retry(id)).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
    expect(await only()).toMatchObject({ status: 'open', error: expect.stringContaining('it is broken') });
  });

  it('says of a letter that cannot be read what is to be done, and lists and applies the others', async () => {
    await test.spawn(flow, 'ada', { phoneNumber: PHONE });
    const letter = { participant_id: 'ada', flow_type: 'lettered', error: 'lost', at: 0 };
    const unreadable = [
      { kind: 'message', event: '{"text":' },
      { kind: 'message', event: 'null' },
      { kind: 'event', event: 'null' },
      { kind: 'event', event: '{}' },
    ];
    await test.knex('dead_letters').insert(unreadable.map((each) => ({ ...letter, ...each })));
    const id = await fail();
    broken = false;
    for (let odd = 1; odd <= unreadable.length; odd++)
      await expect(letters().retry(odd)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(
          new RegExp(`^The event of the dead letter ${odd} cannot be read: .*\\. Mend it .*, or discard it\\.$`),
        ),
      });
    expect(await letters().retry(id)).toMatchObject({ handled: true });
    await letters().discard(1);
    expect((await letters().list()).map((each) => each.id)).toEqual([2, 3, 4]);
  });
});
