import { afterEach, describe, expect, it } from 'vitest';
import { emit, fromPromise, setup } from 'xstate';
import { defineFlow, type InboundMessage } from '../../src/index.ts';
import { type ActorMessage, sendToActor } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from './machines.ts';

const ADA = '+15551234567';
const BOB = '+15551234568';

/** Writes to the actor `counter/c`, and asks a service. */
const asked: string[] = [];
const writer = defineFlow({
  type: 'writer',
  version: 1,
  logic: setup({
    types: {
      events: {} as { type: 'write'; text: string } | { type: 'speak' },
      emitted: {} as ActorMessage<{ type: 'note'; text: string }> | { type: 'message'; text: string },
    },
    actors: {
      book: fromPromise(async ({ self }) => void asked.push(self.sessionId)),
    },
  }).createMachine({
    on: {
      write: {
        actions: emit(({ event }) =>
          sendToActor({ flowType: 'counter', participantId: 'c' }, { type: 'note' as const, text: event.text }),
        ),
      },
      speak: { actions: emit({ type: 'message', text: 'Hello' }) },
    },
    invoke: { src: 'book' },
  }),
});

describe('a second life at an address is another actor', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());

  it.each(['remove', 'remove, and a restart', 'a transaction'])(
    'after %s: other keys, and no duplicates',
    async (way) => {
      test = await createTestRuntime({ flows: [writer, counter] });
      asked.length = 0;
      const c = await test.spawn(counter, 'c');
      for (const text of ['first', 'second']) {
        if (text === 'second' && way === 'a transaction') {
          await test.runtime.transaction(async (trx) => {
            await trx.remove(writer, 'w');
            await trx.spawn(writer, 'w', { phoneNumber: ADA });
          });
        } else {
          if (text === 'second') await test.runtime.remove(writer, 'w');
          if (text === 'second' && way !== 'remove') await test.restart();
          await test.spawn(writer, 'w', { phoneNumber: ADA });
        }
        await test.actor(writer, 'w').send({ type: 'write', text });
        await test.actor(writer, 'w').send({ type: 'speak' });
        await test.settle();
      }
      expect((await test.actor(counter, 'c').getSnapshot()).context.log).toEqual(['first', 'second']);
      expect(c.address).toEqual({ flowType: 'counter', participantId: 'c' });
      expect(new Set(test.delivered.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(2);
      expect(new Set(asked).size).toBe(2);
    },
  );

  it('a message keeps its id and channel in the history, or has none, when its mark was pruned', async () => {
    test = await createTestRuntime({ flows: [counter], inboxRetention: '1d' });
    const say = (message: Pick<InboundMessage, 'channel' | 'id' | 'from' | 'text'>) => test.runtime.receive(message);
    await test.spawn(counter, 'ada', { phoneNumber: ADA });
    await say({ channel: 'sms', id: 'old', from: ADA, text: 'January' });
    expect(await test.runtime.messages('ada')).toMatchObject([{ id: 'old', channel: 'sms' }, {}]);
    await test.advance('3d');
    expect(await test.knex('inbox')).toEqual([]);
    await test.restart();
    await test.spawn(counter, 'bob', { phoneNumber: BOB });
    await say({ channel: 'whatsapp', id: 'new', from: BOB, text: 'April' });
    expect(await test.runtime.messages('ada')).toMatchObject([{ text: 'January', id: null, channel: null }, {}]);
    expect(await test.runtime.messages('bob')).toMatchObject([{ text: 'April', id: 'new', channel: 'whatsapp' }, {}]);
    // As a former release left it, which gave the id of a pruned mark again.
    const [{ id }] = await test.knex('inbox').select('id');
    await test.knex('flow_journal').where({ text: 'January' }).update({ inbox_id: id });
    expect(await test.runtime.messages('ada')).toMatchObject([{ text: 'January', id: null, channel: null }, {}]);
  });
});

describe('a message is a duplicate only of itself', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());
  const from = (sender: string, id: string, text: string) =>
    test.runtime.receive({ channel: 'telegram', id, from: sender, text });

  it('ids may count per sender, in whichever form its address comes', async () => {
    test = await createTestRuntime({ flows: [counter] });
    await test.spawn(counter, 'ada', { phoneNumber: ADA });
    await test.spawn(counter, 'bob', { phoneNumber: BOB });
    expect((await from(ADA, '7', 'hello')).status).toBe('applied');
    expect((await from(BOB, '7', 'hello')).status).toBe('applied');
    expect((await from('+1 (555) 123-4567', '7', 'hello')).status).toBe('duplicate');
    expect(
      (await test.runtime.transaction((trx) => trx.receive({ channel: 'telegram', id: '7', from: BOB, text: 'x' })))
        .status,
    ).toBe('duplicate');
  });

  it('the answers to one id of two senders have two keys', async () => {
    test = await createTestRuntime({ flows: [counter] });
    for (const sender of [ADA, BOB]) expect((await from(sender, '7', 'HELP')).status).toBe('helped');
    for (const sender of [ADA, BOB])
      expect((await test.runtime.sendTo({ to: sender, text: 'Hi', id: '1' })).status).toBe('accepted');
    expect((await test.runtime.sendTo({ to: ADA, text: 'Hi', id: '1' })).status).toBe('duplicate');
    await test.settle();
    expect(new Set(test.delivered.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(4);
  });

  it.each(['perdure', 'perdure.send', 'Perdure', ' perdure '])(
    "the runtime's own channel '%s' is refused",
    async (channel) => {
      test = await createTestRuntime({ flows: [counter] });
      const message = { channel, id: '1', from: ADA, text: 'x' };
      await expect(test.runtime.receive(message)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
      await test.spawn(counter, 'ada');
      await expect(test.runtime.receiveFor(counter, 'ada', message)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
      expect(await test.knex('inbox')).toEqual([]);
    },
  );
});
