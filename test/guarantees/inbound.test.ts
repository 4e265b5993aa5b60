import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter, counterMachine } from './machines.ts';

const survey = defineFlow({
  type: 'survey',
  version: 1,
  logic: setup({
    types: {
      context: {} as { heard: string[] },
      events: {} as { type: 'reply'; text: string } | { type: 'withdraw' } | { type: 'rejoin' },
      emitted: {} as { type: 'message'; text: string },
    },
  }).createMachine({
    context: { heard: [] },
    initial: 'in',
    states: {
      in: {
        on: {
          reply: {
            actions: [
              assign({ heard: ({ context, event }) => [...context.heard, event.text] }),
              emit({ type: 'message', text: 'noted' }),
            ],
          },
          withdraw: 'out',
        },
        after: { 3600000: { target: 'in', reenter: true, actions: emit({ type: 'message', text: 'still there?' }) } },
      },
      out: { on: { rejoin: 'in' } },
    },
  }),
  handlerTtl: '7d',
  optOut: { withdraw: { type: 'withdraw' }, rejoin: { type: 'rejoin' } },
});

const loan = defineFlow({
  type: 'loan',
  version: 1,
  logic: setup({ types: { events: {} as { type: 'reply'; text: string } } }).createMachine({
    initial: 'lent',
    states: {
      lent: { on: { reply: [{ guard: ({ event }) => event.text === 'back', target: 'over' }, { actions: () => {} }] } },
      over: { type: 'final' },
    },
  }),
});

const brief = defineFlow({
  type: 'brief',
  version: 1,
  logic: setup({}).createMachine({ initial: 'over', states: { over: { type: 'final' } } }),
});

const ADA = '+15551234567';

describe('inbound: a message is applied at most once, and acknowledged when it is committed', () => {
  let test: TestRuntime;
  let last = 0;
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [counter, survey] });
  });
  afterEach(() => test.stop());
  const say = (text: string, id = `m${++last}`, from = ADA, channel = 'sms') =>
    test.receive({ channel, id, from, text });
  const crash = async () => {
    await test.crash();
    await test.restart();
  };

  it('answers a redelivery as a duplicate: at once, side by side, after a restart', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    const all = await Promise.all(Array.from({ length: 5 }, () => say('hello', 'x')));
    expect(all.map(({ status }) => status).sort()).toEqual(['applied', ...Array(4).fill('duplicate')]);
    await crash();
    expect(await say('hello', 'x')).toMatchObject({ status: 'duplicate', handled: false });
    expect((await test.actor(survey, 'ada').getSnapshot()).context.heard).toEqual(['hello']);
    expect(await test.outbox('ada')).toHaveLength(1);
  });

  it('tells messages of two channels apart, though their ids are the same', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await say('by sms', 'x', ADA, 'sms');
    await say('by whatsapp', 'x', ADA, 'whatsapp');
    expect((await test.actor(survey, 'ada').getSnapshot()).context.heard).toEqual(['by sms', 'by whatsapp']);
  });

  it('finds the sender however the number is written', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: '+1 (555) 123-4567' });
    for (const from of [
      '+15551234567',
      '+1 555 123-4567',
      '15551234567',
      'whatsapp:+15551234567',
      'tel:+1-555-123-4567',
    ])
      expect(await say('hi', undefined, from)).toMatchObject({ status: 'applied' });
  });

  it.each([
    ['Mexico', '+52 55 1234 5678', '5215512345678', '+525512345678'],
    ['Argentina', '+54 11 2345-6789', '5491123456789', '+541123456789'],
    ['Argentina, the other way round', '+54 9 11 2345-6789', '541123456789', '+5491123456789'],
    ['Brazil', '+55 31 98888-8888', '553188888888', '+5531988888888'],
  ])('finds a mobile of %s in each of its forms, and heeds its STOP', async (_, enrolled, from, to) => {
    await test.spawn(survey, 'ada', { phoneNumber: enrolled });
    expect(await say('hello', undefined, from)).toMatchObject({ status: 'applied' });
    await test.settle();
    expect(test.delivered.map((message) => message.to)).toEqual([to]);
    expect(await say('stop', undefined, from)).toMatchObject({ status: 'stopped' });
    for (const number of [enrolled, from, to])
      await expect(test.runtime.sendTo({ to: number, text: 'Hello?' })).rejects.toThrow('asked not to be written to');
    await crash();
    await expect(test.runtime.sendTo({ to, text: 'Hello?' })).rejects.toThrow('asked not to be written to');
    expect(await say('start', undefined, enrolled)).toMatchObject({ status: 'started' });
    expect(await test.knex('opt_outs')).toEqual([]);
    expect(await say('again', undefined, from)).toMatchObject({ status: 'applied' });
    await test.settle();
    expect(test.delivered.at(-1)).toMatchObject({ to, text: 'noted' });
  });

  it('acknowledges a message that means nothing to the flow, once, and keeps what was written', async () => {
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    expect(await say('nothing', 'x')).toMatchObject({ status: 'ignored', handled: false });
    expect(await say('nothing', 'x')).toMatchObject({ status: 'duplicate' });
    expect(await test.knex('flow_journal').where({ note: 'ignored' }).pluck('text')).toEqual(['nothing']);
    expect(await test.actor(counter, 'p_1').describe()).toMatchObject({ version: 2, state: 'calm' });
  });

  it('puts a message that makes the flow throw aside, tells its sender, and goes on', async () => {
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    expect(await say('throw', 'x')).toMatchObject({ status: 'failed', handled: false });
    expect(await say('throw', 'x')).toMatchObject({ status: 'duplicate' });
    expect(await test.knex('dead_letters')).toMatchObject([
      {
        participant_id: 'p_1',
        kind: 'message',
        event: '{"channel":"sms","id":"x","from":"+15551234567","text":"throw"}',
        error: expect.stringContaining('the reply threw'),
      },
    ]);
    expect(await test.outbox('p_1')).toMatchObject([{ to: ADA, status: 'sent' }]);
    expect(await say('hello')).toMatchObject({ status: 'applied', snapshot: { context: { log: ['hello'] } } });
  });

  it('puts a message aside at which receive throws what is no error', async () => {
    await test.stop();
    const receive = () => {
      throw 'no words';
    };
    const odd = defineFlow({ type: 'odd', version: 1, logic: setup({}).createMachine({}), receive });
    test = await createTestRuntime({ flows: [odd] });
    await test.spawn(odd, 'p_1', { phoneNumber: ADA });
    expect(await say('hello', 'x')).toMatchObject({ status: 'failed' });
    expect(await test.knex('dead_letters')).toMatchObject([
      { kind: 'message', error: expect.stringContaining('odd/p_1 throw: no words.') },
    ]);
  });

  it('answers an unknown sender once an hour, and remembers what was written', async () => {
    expect(await say('who are you?')).toMatchObject({ status: 'unrouted', handled: false });
    expect(await say('hello?')).toMatchObject({ status: 'unrouted' });
    await test.settle();
    expect(test.delivered.map(({ to }) => to)).toEqual([ADA]);
    expect(await test.knex('inbox').orderBy('id').pluck('text')).toEqual(['who are you?', 'hello?']);
    await crash();
    await say('hello?');
    await test.advance('1h');
    await say('hello?');
    await test.settle();
    expect(test.delivered).toHaveLength(2);
  });

  it('stops at STOP: the flow is withdrawn, nothing more is sent, until START', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    expect(await say('STOP')).toMatchObject({ status: 'stopped', handled: true });
    await test.settle();
    expect((await test.actor(survey, 'ada').getSnapshot()).value).toBe('out');
    const texts = () => test.delivered.map(({ text }) => text);
    expect(texts()).toHaveLength(1); // the confirmation
    await crash();
    expect(await say('stop')).toMatchObject({ status: 'stopped' });
    await test.advance('1d');
    expect(texts()).toHaveLength(1);
    expect(await say('START')).toMatchObject({ status: 'started' });
    expect((await test.actor(survey, 'ada').getSnapshot()).value).toBe('in');
    await test.advance('1h');
    expect(texts().slice(2)).toEqual(['still there?']);
  });

  it('heeds STOP also from who belongs to an actor that takes no events', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await say('hello');
    await test.crash();
    await test.restart();
    await test.knex('flow_states').update({ state_data: '{' });
    await expect(say('hello')).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
    expect(await say('STOP')).toMatchObject({ status: 'stopped' });
    await expect(test.runtime.sendTo({ to: ADA, text: 'one more thing' })).rejects.toThrow(
      'asked not to be written to',
    );
    await test.settle(); // or what was sent is not on record as sent, and is sent again
    await crash();
    await expect(test.runtime.sendTo({ to: ADA, text: 'one more thing' })).rejects.toThrow(
      'asked not to be written to',
    );
    await test.settle();
    expect(test.delivered.filter(({ payload }) => payload['essential'])).toHaveLength(1);
  });

  it('keeps to the last of STOP and START, however often they are delivered again', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await say('STOP', 'stop 1');
    await say('START', 'start');
    await say('STOP', 'stop 2');
    await Promise.all([say('START', 'start'), say('STOP', 'stop 1')]);
    await expect(test.runtime.sendTo({ to: ADA, text: 'hi' })).rejects.toThrow('asked not to be written to');
  });

  it('cancels what waits to be sent when its recipient opts out', async () => {
    await test.stop();
    let reachable = false;
    const sent: string[] = [];
    test = await createTestRuntime({
      flows: [survey],
      transport: {
        send: ({ text, payload }) => {
          if (!reachable) throw new Error('the network is down');
          sent.push(payload['essential'] ? 'confirmation' : text);
        },
      },
    });
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await say('one');
    await say('two');
    await say('STOP');
    reachable = true;
    await test.advance('1d');
    expect(sent).toEqual(['confirmation']);
    expect((await test.outbox('ada')).map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'sent']);
  });

  it('answers HELP without a turn, also to who opted out', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await say('STOP');
    expect(await say('help')).toMatchObject({ status: 'helped' });
    await test.settle();
    expect(test.delivered).toHaveLength(2);
    expect((await test.actor(survey, 'ada').describe()).version).toBe(2);
  });

  it('leads to an actor as long as it runs, and for two days from its end', async () => {
    await test.stop();
    test = await createTestRuntime({ flows: [loan, brief] });
    await test.spawn(loan, 'ada', { phoneNumber: ADA });
    await test.advance('400d');
    await crash();
    expect(await say('still here')).toMatchObject({ status: 'applied', snapshot: { value: 'lent' } });
    expect(await say('back')).toMatchObject({ status: 'applied', snapshot: { value: 'over' } });
    await test.advance('1d');
    expect(await say('thank you')).toMatchObject({ status: 'ignored' });
    await test.advance('23h');
    await crash();
    expect(await say('thank you')).toMatchObject({ status: 'ignored' });
    await test.advance('1h');
    expect(await say('hello')).toMatchObject({
      status: 'unrouted',
      reason: expect.stringMatching(/^\+15551234567 led to loan\/ada until .*: the actor has ended\.$/),
    });
    await crash();
    expect(await say('hello')).toMatchObject({ status: 'unrouted' });
  });

  it('is told by the row of the binding, too, and by that of one that a joined transaction ended', async () => {
    await test.stop();
    test = await createTestRuntime({ flows: [loan, brief] });
    const expiry = async () => (await test.knex('response_handlers').first('expires_at')).expires_at - test.clock.now();
    const ada = await test.spawn(loan, 'ada', { phoneNumber: ADA });
    expect(await expiry()).toBe(8.64e15 - test.clock.now());
    await test.runtime.transaction(
      async ({ actor }) => void (await actor(loan, 'ada').send({ type: 'reply', text: 'back' })),
    );
    expect(await expiry()).toBe(48 * 3_600_000);
    await test.advance('49h');
    expect(await say('hello')).toMatchObject({ status: 'unrouted' });
    expect((await ada.getSnapshot()).status).toBe('done');
  });

  it('is not taken away by an actor that ends as it begins, nor kept by one that took it for a while', async () => {
    await test.stop();
    test = await createTestRuntime({ flows: [loan, brief] });
    await test.spawn(loan, 'ada', { phoneNumber: ADA });
    await test.spawn(loan, 'bob', { phoneNumber: ADA });
    await test.actor(loan, 'bob').send({ type: 'reply', text: 'back' });
    await test.advance('49h');
    await test.actor(loan, 'ada').send({ type: 'reply', text: 'I am here' });
    await test.spawn(brief, 'cid', { phoneNumber: ADA });
    expect(await say('who?')).toMatchObject({ status: 'applied', address: { participantId: 'ada' } });
  });

  it('leads to an actor as long as that runs, however long it was silent and nobody ran it', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await test.actor(survey, 'ada').send({ type: 'withdraw' });
    await test.advance('400d');
    expect(await say('hello')).toMatchObject({ status: 'ignored', address: { participantId: 'ada' } });
    // As a database of before says it.
    await test.knex('response_handlers').update({ expires_at: test.clock.now() - 1 });
    await crash();
    expect(await say('hello again')).toMatchObject({ status: 'ignored', address: { participantId: 'ada' } });
  });

  it('leads to an actor that has ended for as long as its flow says, and what that ignores makes it no longer', async () => {
    await test.stop();
    const week = { ...loan, handlerTtl: 7 * 86_400_000 };
    test = await createTestRuntime({ flows: [week] });
    await test.spawn(week, 'ada', { phoneNumber: ADA });
    await say('back');
    for (let day = 0; day < 6; day++) {
      await test.advance('1d');
      expect(await say('thank you')).toMatchObject({ status: 'ignored' });
      if (day === 3) await crash();
    }
    await test.advance('1d');
    expect(await say('hello')).toMatchObject({ status: 'unrouted' });
  });

  it('who writes right after a long outage is known, though the deadlines before are still to fire', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await test.crash();
    await test.clock.moveTo(test.clock.now() + 64 * 3_600_000);
    await test.restart();
    expect(await say('I am here')).toMatchObject({ status: 'applied', address: { participantId: 'ada' } });
  });

  it('gives a message to the flow that was active last, where a number belongs to two', async () => {
    await test.spawn(survey, 'ada', { phoneNumber: ADA });
    await test.advance('1s');
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    expect(await say('one')).toMatchObject({ address: { flowType: 'counter' } });
    await test.advance('1s');
    await test.actor(survey, 'ada').send({ type: 'withdraw' });
    expect(await say('two')).toMatchObject({ address: { flowType: 'survey' } });
    await crash();
    expect(await say('three')).toMatchObject({ address: { flowType: 'survey' } });
  });

  it('enrols who is unknown, where the application says so', async () => {
    await test.stop();
    test = await createTestRuntime({
      flows: [counter],
      autoEnroll: async (_, address) => {
        await test.spawn(counter, `p_${address}`, { phoneNumber: address });
        return { flowType: 'counter', participantId: `p_${address}` };
      },
    });
    expect(await say('hello')).toMatchObject({ status: 'applied', address: { participantId: `p_${ADA}` } });
    expect(await say('again')).toMatchObject({ status: 'applied', snapshot: { context: { log: ['hello', 'again'] } } });
  });

  it('recognises redeliveries for as long as it was told to, and then forgets them', async () => {
    await test.stop();
    test = await createTestRuntime({ flows: [counter], inboxRetention: '2d' });
    await test.spawn(counter, 'p_1', { phoneNumber: ADA });
    await say('hello', 'x');
    await test.advance('47h');
    expect(await say('hello', 'x')).toMatchObject({ status: 'duplicate' });
    await test.advance('3h');
    expect(await test.knex('inbox')).toEqual([]);
  });

  it('asks the flow what a message means in the state that it meets', async () => {
    await test.stop();
    const shouting = defineFlow({
      type: 'shouting',
      version: 1,
      logic: counterMachine,
      receive: ({ message, snapshot }) =>
        snapshot.context.count > 1
          ? null
          : message.text === '+'
            ? { type: 'inc' }
            : { type: 'note', text: message.text },
    });
    test = await createTestRuntime({ flows: [shouting] });
    await test.spawn(shouting, 'p_1', { phoneNumber: ADA });
    const statuses = (await Promise.all(['a', '+', '+', 'b'].map((text) => say(text)))).map(({ status }) => status);
    expect(statuses).toEqual(['applied', 'applied', 'applied', 'ignored']);
    expect((await test.actor(shouting, 'p_1').getSnapshot()).context).toEqual({ count: 2, log: ['a'] });
  });
});
