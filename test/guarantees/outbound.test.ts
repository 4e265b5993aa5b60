import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import { createRuntime, defineFlow, type OutgoingMessage, PermanentSendError } from '../../src/index.ts';
import { type ActorMessage, sendToActor } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter, counterMachine } from './machines.ts';

const ADA = '+15551234567';
const GRACE = '+15551234568';

describe('outbound: every emitted message is handed over, at least once, in order, under one key', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  const say = (text: string, to?: string, id = 'p_1') =>
    test.actor(counter, id).send({ type: 'say', text, ...(to && { to }) });

  it('keeps the order of each recipient through failures, and holds nobody else up', async () => {
    const attempts: [to: string, text: string, attempt: number][] = [];
    test = await createTestRuntime({
      flows: [counter],
      transport: {
        send: async ({ to, text, attempt }) => {
          attempts.push([to, text, attempt]);
          if (to === ADA && attempt < 3) throw new Error('busy');
        },
      },
    });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    for (const text of ['1', '2']) await say(text);
    await say('3', GRACE);
    await test.settle();
    expect(attempts).toEqual([
      [ADA, '1', 1],
      [GRACE, '3', 1],
    ]);
    await test.advance('10m');
    expect(attempts.filter(([to]) => to === ADA).map(([, text, attempt]) => `${text}#${attempt}`)).toEqual([
      ...['1#1', '1#2', '1#3'],
      ...['2#1', '2#2', '2#3'],
    ]);
    expect((await test.outbox('p_1')).map(({ status }) => status)).toEqual(['sent', 'sent', 'sent']);
  });

  it('takes a transport that never answers for one that failed, and goes on', async () => {
    const attempts: [text: string, maybeSent: boolean][] = [];
    test = await createTestRuntime({
      flows: [counter],
      transport: {
        send: ({ text, maybeSent }) => {
          attempts.push([text, maybeSent]);
          return attempts.length === 1 ? new Promise(() => {}) : undefined;
        },
      },
    });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    for (const text of ['1', '2']) await say(text);
    await test.advance('1m');
    expect(attempts).toEqual([['1', false]]);
    await test.advance('2m');
    expect(attempts).toEqual([
      ['1', false],
      ['1', true],
      ['2', false],
    ]);
  });

  it('gives up at once where the transport says that it is hopeless, and goes on with the next', async () => {
    const sent: string[] = [];
    test = await createTestRuntime({
      flows: [counter],
      transport: {
        send: ({ text }) => {
          if (text === 'bad') throw new PermanentSendError('no such number');
          sent.push(text);
        },
      },
    });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    for (const text of ['bad', 'good']) await say(text);
    expect((await test.outbox()).map(({ status }) => status)).toEqual(['failed', 'sent']);
    expect(sent).toEqual(['good']);
    expect(await test.knex('outbox_messages').where({ status: 'failed' })).toMatchObject([
      { last_error: 'no such number', attempts: 1 },
    ]);
  });

  it('sends again, under the same key and said so, what may have been sent before a crash', async () => {
    const seen: Pick<OutgoingMessage, 'text' | 'idempotencyKey' | 'maybeSent'>[] = [];
    let hang = true;
    test = await createTestRuntime({
      flows: [counter],
      transport: {
        send: ({ text, idempotencyKey, maybeSent }) => {
          seen.push({ text, idempotencyKey, maybeSent });
          return hang ? new Promise(() => {}) : undefined;
        },
      },
    });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    await say('one');
    await say('two');
    while (seen.length === 0) await new Promise(setImmediate);
    hang = false;
    await test.crash();
    await test.restart();
    await test.settle();
    const [one, two] = [2, 3].map((version) => expect.stringMatching(new RegExp(`^counter/p_1:.+:${version}:0$`))) as [
      string,
      string,
    ];
    expect(seen).toEqual([
      { text: 'one', idempotencyKey: one, maybeSent: false },
      { text: 'one', idempotencyKey: seen[0]!.idempotencyKey, maybeSent: true },
      { text: 'two', idempotencyKey: two, maybeSent: false },
    ]);
  });

  it('holds back what may have been sent, where the flow would rather lose a message than repeat it', async () => {
    const careful = defineFlow({ type: 'careful', version: 1, logic: counterMachine, uncertain: 'hold' });
    const seen: string[] = [];
    let hang = true;
    test = await createTestRuntime({
      flows: [careful],
      transport: {
        send: ({ text }) => {
          seen.push(text);
          return hang ? new Promise(() => {}) : undefined;
        },
      },
    });
    await test.spawn(careful, 'p_1', { phoneNumber: ADA });
    for (const text of ['one', 'two']) await test.actor(careful, 'p_1').send({ type: 'say', text });
    while (seen.length === 0) await new Promise(setImmediate);
    hang = false;
    await test.crash();
    await test.restart();
    expect((await test.outbox()).map(({ text, status }) => [text, status])).toEqual([
      ['one', 'held'],
      ['two', 'sent'],
    ]);
    expect(seen).toEqual(['one', 'two']);
  });

  it('says nothing for a turn that was undone', async () => {
    test = await createTestRuntime({ flows: [counter] });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    await expect(test.actor(counter, 'p_1').send({ type: 'throw' })).rejects.toMatchObject({ code: 'TURN_FAILED' });
    expect(await test.outbox()).toEqual([]);
  });
});

describe('messages between actors', () => {
  type Ball = { type: 'ball'; left: number; from: string };
  const player = defineFlow({
    type: 'player',
    version: 1,
    logic: setup({
      types: {
        context: {} as { name: string; hits: number },
        input: {} as { name: string },
        events: {} as Ball | { type: 'serve'; to: string; left: number },
        emitted: {} as ActorMessage<Ball>,
      },
    }).createMachine({
      context: ({ input }) => ({ name: input.name, hits: 0 }),
      on: {
        serve: {
          actions: emit(({ context, event }) =>
            sendToActor(
              { flowType: 'player', participantId: event.to },
              { type: 'ball' as const, left: event.left, from: context.name },
            ),
          ),
        },
        ball: [
          {
            guard: ({ event }) => event.left > 0,
            actions: [
              assign({ hits: ({ context }) => context.hits + 1 }),
              emit(({ context, event }) =>
                sendToActor(
                  { flowType: 'player', participantId: event.from },
                  { type: 'ball' as const, left: event.left - 1, from: context.name },
                ),
              ),
            ],
          },
          { actions: assign({ hits: ({ context }) => context.hits + 1 }) },
        ],
      },
    }),
  });

  it('reach the other exactly once, whenever the process crashes', async () => {
    const test = await createTestRuntime({ flows: [player] });
    await test.spawn(player, 'a', { input: { name: 'a' } });
    await test.spawn(player, 'b', { input: { name: 'b' } });
    await test.actor(player, 'a').send({ type: 'serve', to: 'b', left: 19 });
    for (let crash = 0; crash < 40; crash++) {
      await test.crash();
      await test.restart();
      for (let step = 0; step < crash % 7; step++) await new Promise(setImmediate);
    }
    await test.settle();
    const hits = async (id: string) => (await test.actor(player, id).getSnapshot()).context.hits;
    expect([await hits('a'), await hits('b')]).toEqual([10, 10]);
    await test.stop();
  });
});

it('messages wait in the outbox for a transport that comes later', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  try {
    const options = { database: `sqlite:${join(folder, 'study.db')}` as const, flows: [counter] };
    const mute = createRuntime(options);
    await mute.start();
    const actor = await mute.spawn(counter, 'p_1', { phoneNumber: ADA });
    for (const text of ['one', 'two']) await actor.send({ type: 'say', text });
    await mute.stop();
    const sent: string[] = [];
    const speaking = createRuntime({ ...options, transport: { send: ({ text }) => void sent.push(text) } });
    await speaking.start();
    while (!speaking.idle) await new Promise(setImmediate);
    await speaking.stop();
    expect(sent).toEqual(['one', 'two']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
