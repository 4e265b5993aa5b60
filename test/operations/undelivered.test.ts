import { afterEach, describe, expect, it } from 'vitest';
import { defineFlow, type OutgoingMessage, PermanentSendError, type SendPolicy } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter, counterMachine } from '../guarantees/machines.ts';

const ADA = '+15551234567';

describe('undelivered messages', () => {
  let test: TestRuntime;
  let attempts: OutgoingMessage[];
  let refuse: ((message: OutgoingMessage) => Error | undefined) | undefined;
  afterEach(() => test.stop());
  const begin = async (retry?: SendPolicy, flow = counter) => {
    attempts = [];
    refuse = () => new PermanentSendError('no such number');
    test = await createTestRuntime({
      flows: [flow],
      transport: {
        send: async (message) => {
          attempts.push(message);
          const error = refuse?.(message);
          if (error) throw error;
        },
        ...(retry && { retry }),
      },
    });
    await test.spawn(flow, 'p_1', { phoneNumber: ADA });
  };
  const say = async (text: string) => {
    await test.actor('counter', 'p_1').send({ type: 'say', text } as never);
    await test.settle();
  };

  it('are listed, shown, and sent again under their key, marked as what may have been sent', async () => {
    await begin();
    await say('one');
    await say('two');
    const [one, two] = await test.runtime.undelivered.list();
    expect(one).toMatchObject({
      kind: 'message',
      status: 'failed',
      from: { flowType: 'counter', participantId: 'p_1' },
      to: ADA,
      payload: { text: 'one' },
      error: 'no such number',
      attempts: 1,
    });
    expect(await test.runtime.undelivered.list({ limit: 1, after: one!.id })).toEqual([two]);
    expect(await test.runtime.undelivered.list({ status: 'held' })).toEqual([]);
    expect(await test.runtime.undelivered.list({ participantId: 'nobody' })).toEqual([]);
    expect(await test.runtime.undelivered.get(two!.id)).toEqual(two);
    refuse = undefined;
    await test.runtime.undelivered.resend(one!.id);
    await test.settle();
    expect(attempts.map(({ text, maybeSent }) => [text, maybeSent])).toEqual([
      ['one', false],
      ['two', false],
      ['one', true],
    ]);
    expect(attempts[2]!.idempotencyKey).toBe(attempts[0]!.idempotencyKey);
    expect(await test.runtime.undelivered.list()).toEqual([two]);
    await expect(test.runtime.undelivered.resend(one!.id)).rejects.toMatchObject({ code: 'UNDELIVERED_NOT_FOUND' });
    await test.runtime.undelivered.discard(two!.id, 'told by phone');
    expect(await test.runtime.undelivered.list()).toEqual([]);
    expect((await test.outbox()).map(({ status }) => status)).toEqual(['sent', 'cancelled']);
    await expect(test.runtime.undelivered.discard(two!.id)).rejects.toMatchObject({ code: 'UNDELIVERED_NOT_FOUND' });
    await expect(test.runtime.undelivered.get(1.5)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('are sent once, and still marked, where the process dies right after it was asked for', async () => {
    await begin();
    await say('one');
    refuse = undefined;
    const resent = test.runtime.undelivered.resend(1);
    await Promise.all([resent, expect(test.runtime.undelivered.resend(1)).rejects.toThrow()]);
    await test.crash();
    await test.restart();
    await test.settle();
    expect(attempts.slice(1).every(({ maybeSent }) => maybeSent)).toBe(true);
    expect((await test.outbox())[0]).toMatchObject({ status: 'sent' });
  });

  it('that are held back are sent when an operator says so', async () => {
    const careful = defineFlow({ type: 'counter', version: 1, logic: counterMachine, uncertain: 'hold' });
    await begin(undefined, careful);
    refuse = undefined;
    await say('one');
    await test.knex('outbox_messages').update({ status: 'sending', attempts: 0 });
    await test.crash();
    await test.restart();
    await test.settle();
    expect(await test.runtime.undelivered.list()).toMatchObject([{ status: 'held', attempts: 0 }]);
    await test.runtime.undelivered.resend(1);
    await test.settle();
    expect(attempts.at(-1)).toMatchObject({ text: 'one', maybeSent: true });
  });

  it('are not sent to who has opted out', async () => {
    await begin();
    await say('one');
    refuse = undefined;
    await test.runtime.receive({ channel: 'sms', id: '1', from: ADA, text: 'STOP' });
    await test.settle();
    const sent = attempts.length;
    await expect(test.runtime.undelivered.resend(1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await test.settle();
    expect(attempts).toHaveLength(sent);
    expect(await test.runtime.undelivered.list()).toMatchObject([{ id: 1, status: 'failed' }]);
  });

  it('that cannot be read keep nobody back: they are put aside, listed, and everything else answers', async () => {
    await begin();
    await test.stop();
    refuse = undefined;
    const payloads = ['{broken', '7', 'null', '[]', ''];
    const muted = await createTestRuntime({ flows: [counter], transport: { send: () => new Promise(() => {}) } });
    test = muted;
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    for (const text of [...payloads, 'good']) await test.actor(counter, 'p_1').send({ type: 'say', text });
    for (const [i, payload] of payloads.entries())
      await test
        .knex('outbox_messages')
        .where({ id: i + 1 })
        .update({ payload, status: 'pending' });
    await test.crash();
    await test.restart();
    await test.settle();
    expect((await test.outbox()).map(({ status }) => status)).toEqual([...payloads.map(() => 'failed'), 'sending']);
    const listed = await test.runtime.undelivered.list();
    expect(listed).toHaveLength(payloads.length);
    expect(listed[0]).toMatchObject({ payload: undefined, error: expect.stringContaining('cannot be read') });
    await expect(test.runtime.undelivered.resend(1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await test.runtime.messages('p_1')).toHaveLength(payloads.length + 1);
  });

  it('are tried for longer than a day, or as the transport says', async () => {
    await begin();
    refuse = () => new Error('the provider is down');
    await say('one');
    await test.advance('24h');
    expect(await test.runtime.undelivered.list()).toEqual([]);
    refuse = undefined;
    await test.advance('30m');
    expect((await test.outbox())[0]).toMatchObject({ status: 'sent' });
    await test.stop();

    await begin({ attempts: 3, backoff: { initial: '10s', max: '15s' } });
    refuse = () => new Error('the provider is down');
    const at: number[] = [];
    test.runtime.on('sendFailed', () => at.push(test.runtime.clock.now()));
    await say('one');
    await test.advance('1m');
    expect(at.map((instant) => instant - at[0]!)).toEqual([0, 10_000, 25_000]);
    expect(await test.runtime.undelivered.list()).toMatchObject([{ attempts: 3 }]);
    // Sent again, it has as many attempts as a new one.
    await test.runtime.undelivered.resend(1);
    await test.advance('1m');
    expect(await test.runtime.undelivered.list()).toMatchObject([{ attempts: 6 }]);
  });

  it('a policy that cannot be is refused', async () => {
    await begin();
    const { createRuntime } = await import('../../src/index.ts');
    const transport = { send: () => {}, retry: { attempts: 0 } };
    expect(() => createRuntime({ database: ':memory:', flows: [], transport })).toThrow('transport.retry.attempts');
  });
});
