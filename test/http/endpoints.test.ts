import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { texts as says } from '../../machines/texts/micro-health-intervention.ts';
import { perdureHttp } from '../../src/http/index.ts';
import { defaultTexts } from '../../src/messaging/keywords.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({
  generate: async ({ messages }) => {
    const said = messages.findLast(({ role }) => role === 'user');
    return { text: said ? `You said: ${said.content}` : 'Hello, I am here.' };
  },
});
const START = Date.UTC(2026, 0, 5, 8);
const MINUTE = 60_000;
const [ADA, BOB, EVE] = ['+15551234567', '+15551234568', '+15559999999'] as const;
const INTERVENTION = '/intervention/participants';
const CONVERSATION = '/conversation/participants';

describe('each endpoint, on the real runtime', () => {
  let test: TestRuntime;
  let app: FastifyInstance;
  let transportIsDown = false;
  beforeEach(async () => {
    transportIsDown = false;
    test = await createTestRuntime({
      flows: [microHealthInterventionFlow, conversation],
      start: START,
      transport: {
        send: () => {
          if (transportIsDown) throw new Error('The line is dead.');
        },
      },
    });
    app = Fastify();
    const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
    await app.register(perdureHttp, { runtime: test.runtime, participants });
  });
  afterEach(async () => {
    await app.close();
    await test.stop();
  });

  const ask = async (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: unknown) => {
    const response = await app.inject({
      method,
      url,
      ...(payload !== undefined && {
        payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
        headers: { 'content-type': 'application/json' },
      }),
    });
    return { http: response.statusCode, body: response.json() };
  };
  /** The result of a request that must go well. */
  const get = async (url: string) => {
    const { http, body } = await ask('GET', url);
    expect([http, body]).toEqual([200, { status: 'ok', result: body.result }]);
    return body.result;
  };
  const say = async (text: string, id: string, from: string = ADA) => {
    const { http, body } = await ask('POST', '/messages', { channel: 'sms', id, from, text });
    expect([http, body]).toEqual([200, { status: 'ok', result: body.result }]);
    return body.result;
  };
  const enrol = async (path: string = INTERVENTION, phone_number: string = ADA, more: object = {}) => {
    const { http, body } = await ask('POST', path, { phone_number, ...more });
    expect([http, body]).toEqual([201, { status: 'ok', result: body.result }]);
    await test.settle();
    return body.result;
  };
  const restart = async () => {
    const { runtime } = test;
    await runtime.stop();
    await runtime.start();
  };
  /** What was said, as lines; the first line of each message. */
  const said = async (id: string) =>
    (await get(`/participants/${id}/messages`)).map(
      (message: any) => `${message.direction} ${message.status ?? message.id}: ${message.text.split('\n')[0]}`,
    );

  describe('participants', () => {
    it('enrols in the intervention, fills in what was not said, and reads back what it answered', async () => {
      const made = await enrol(INTERVENTION, '1 (555) 123-4567');
      expect(made).toEqual({
        id: expect.stringMatching(/^p_[0-9a-f]{16}$/),
        phone_number: ADA,
        name: null,
        timezone: 'UTC',
        daily_prompt_time: '10:00',
        weekly_reset: null,
        status: 'active',
        enrolled_at: '2026-01-05T08:00:00.000Z',
        created_at: '2026-01-05T08:00:00.000Z',
        updated_at: '2026-01-05T08:00:00.000Z',
      });
      expect(await get(INTERVENTION)).toEqual([made]);
      expect(await get(`${INTERVENTION}/${made.id}`)).toEqual({
        ...made,
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.ORIENTATION',
        actor_status: 'active',
        last_error: null,
      });
    });

    it('enrols in the conversation with what is known of the person, which the assistant is told', async () => {
      const about = { name: 'Bob', gender: 'male', ethnicity: 'Frisian', background: 'Sails.', timezone: 'Asia/Tokyo' };
      const made = await enrol(CONVERSATION, BOB, about);
      expect(made).toMatchObject({ ...about, phone_number: BOB, status: 'active' });
      expect(await get(CONVERSATION)).toEqual([made]);
      expect(await get(`${CONVERSATION}/${made.id}`)).toEqual({
        ...made,
        state: 'CONVERSATION_ACTIVE.AWAITING_PARTICIPANT',
        actor_status: 'active',
        last_error: null,
      });
      expect((await get(`/participants/${made.id}/state`)).context).toMatchObject({
        systemPrompt: 'Be kind.',
        participantBackground: 'About the participant: Name: Bob. Gender: male. Ethnicity: Frisian. Sails.',
      });
    });

    it('lists the participants of each flow in the order of their enrolment, and starts with none', async () => {
      expect([await get(INTERVENTION), await get(CONVERSATION)]).toEqual([[], []]);
      for (const [path, phone] of [
        [INTERVENTION, BOB],
        [CONVERSATION, EVE],
        [INTERVENTION, ADA],
        [CONVERSATION, BOB],
      ] as const) {
        await enrol(path, phone);
        await test.advance('1s');
      }
      const phones = async (path: string) => (await get(path)).map((each: any) => each.phone_number);
      expect([await phones(INTERVENTION), await phones(CONVERSATION)]).toEqual([
        [BOB, ADA],
        [EVE, BOB],
      ]);
    });

    it('enrols a number once, however many ask for it at the same time', async () => {
      const answers = await Promise.all(
        ['+15551234567', '1 555 123 4567', '+1 (555) 123-4567', '+1-555-123-4567'].map((phone_number) =>
          ask('POST', CONVERSATION, { phone_number }),
        ),
      );
      expect(answers.map(({ http }) => http).sort()).toEqual([201, 409, 409, 409]);
      expect(await get(CONVERSATION)).toHaveLength(1);
    });
  });

  describe('messages', () => {
    it('applies a message of the intervention and answers where it led', async () => {
      const { id: participantId } = await enrol();
      expect(await say(' READY! ', 'm1', '1 555 123-4567')).toEqual({
        status: 'applied',
        handled: true,
        participantId,
        flowType: 'micro_health_intervention',
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.COMMITMENT_PROMPT',
      });
    });

    it('answers a message to the conversation before the reply to it is composed', async () => {
      const { id: participantId } = await enrol(CONVERSATION);
      expect(await say('Good morning', 'm1')).toEqual({
        status: 'applied',
        handled: true,
        participantId,
        flowType: 'conversation',
        state: 'CONVERSATION_ACTIVE.COMPOSING_REPLY',
      });
      await test.settle();
      expect(await said(participantId)).toEqual([
        'out sent: Hello, I am here.',
        'in m1: Good morning',
        'out sent: You said: Good morning',
      ]);
    });

    it('says that a message meant nothing where the state does not wait for one', async () => {
      const { id } = await enrol();
      await say('stop', 'm1');
      expect(await say('hello?', 'm2')).toMatchObject({ status: 'ignored', handled: false, state: 'WITHDRAWN' });
      expect((await get(`/participants/${id}/journal`))[0]).toMatchObject({ event: 'reply', note: 'ignored' });
    });

    it('applies one of many redeliveries that arrive at once, and none that comes later or after a restart', async () => {
      const { id } = await enrol();
      const answers = await Promise.all(Array.from({ length: 20 }, () => say('ready', 'm1')));
      expect(answers.map(({ status }) => status).sort()).toEqual(['applied', ...Array(19).fill('duplicate')]);
      const turns = (await get(`/participants/${id}/journal`)).length;
      await restart();
      expect(await say('something else', 'm1')).toEqual({
        status: 'duplicate',
        handled: false,
        participantId: id,
        flowType: 'micro_health_intervention',
      });
      expect(await get(`/participants/${id}/journal`)).toHaveLength(turns);
      expect((await say('1', 'm2')).status).toBe('applied');
    });

    it('takes the same id on another channel for another message', async () => {
      await enrol();
      await say('ready', 'm1');
      const { body } = await ask('POST', '/messages', { channel: 'web', id: 'm1', from: ADA, text: '1' });
      expect(body.result).toMatchObject({ status: 'applied', state: expect.stringContaining('FEELING_PROMPT') });
    });

    it('greets a stranger at most once an hour, and tells each that nobody knows them', async () => {
      expect(await say('hello', 'm1', EVE)).toEqual({ status: 'unrouted', handled: false });
      expect(await say('anyone?', 'm2', EVE)).toEqual({ status: 'unrouted', handled: false });
      expect(await say('hello', 'm1', EVE)).toEqual({ status: 'duplicate', handled: false });
      await test.advance('1h');
      await say('still here', 'm3', EVE);
      expect((await test.outbox()).map(({ to, text, status, at }) => [to, text, status, at])).toEqual([
        [EVE, defaultTexts.unknown, 'sent', START],
        [EVE, defaultTexts.unknown, 'sent', START + 60 * MINUTE],
      ]);
    });

    it('gives a message to the flow that spoke last, where one number takes part in both', async () => {
      await enrol(INTERVENTION);
      await test.advance('1s');
      await enrol(CONVERSATION);
      expect((await say('hi', 'm1')).flowType).toBe('conversation');
      await test.advanceTo(Date.UTC(2026, 0, 5, 10)); // the daily prompt
      expect(await say('1', 'm2')).toMatchObject({
        flowType: 'micro_health_intervention',
        state: expect.stringContaining('FEELING_PROMPT'),
      });
    });

    it('withdraws at STOP from both flows, confirms it once, and comes back at START', async () => {
      const [{ id: a }, { id: b }] = [await enrol(INTERVENTION), await enrol(CONVERSATION)];
      expect((await get('/timers')).length).toBeGreaterThan(0);
      expect(await say('Stop.', 'm1')).toEqual({ status: 'stopped', handled: true });
      expect(await say('Stop.', 'm1')).toEqual({ status: 'duplicate', handled: false });
      expect(await say('STOP', 'm2')).toEqual({ status: 'stopped', handled: true });
      const statuses = async () => [
        (await get(`${INTERVENTION}/${a}`)).status,
        (await get(`${CONVERSATION}/${b}`)).status,
      ];
      expect(await statuses()).toEqual(['withdrawn', 'withdrawn']);
      expect(await get('/timers')).toEqual([]);
      expect(await say('START', 'm3')).toEqual({ status: 'started', handled: true });
      expect(await statuses()).toEqual(['active', 'active']);
      const own = (await test.outbox()).map(({ text }) => text).filter((text) => /START|STOP/.test(text));
      expect(own).toEqual([defaultTexts.stopped, defaultTexts.started]);
    });

    it('explains at HELP, to strangers and to those who opted out too, and changes nothing', async () => {
      const { id } = await enrol();
      const before = await get(`/participants/${id}/state`);
      expect(await say('help', 'm1')).toEqual({ status: 'helped', handled: true });
      expect(await get(`/participants/${id}/state`)).toEqual(before);
      await say('stop', 'm2');
      expect((await say('Help!', 'm3')).status).toBe('helped');
      expect((await say('HELP', 'm4', EVE)).status).toBe('helped');
      const help = (await test.outbox()).filter(({ text }) => text === defaultTexts.help);
      expect(help.map(({ to, status }) => [to, status])).toEqual([
        [ADA, 'sent'],
        [ADA, 'sent'],
        [EVE, 'sent'],
      ]);
    });

    it.each([
      ['quotes', `it's "done"'); DROP TABLE inbox; --`],
      ['a NUL', 'a\u0000b'],
      ['emoji and other scripts', '👩‍👩‍👧 привет שלום'],
      ['lines', 'one\r\ntwo\tthree'],
      ['a backslash and a percent sign', 'C:\\%00\\ 100 %'],
    ])('keeps a text with %s as it was typed', async (_, text) => {
      const { id } = await enrol(CONVERSATION);
      await say(text, text);
      await test.settle();
      const messages = await get(`/participants/${id}/messages`);
      expect(messages.map((message: any) => message.text)).toEqual(['Hello, I am here.', text, `You said: ${text}`]);
      expect(messages[1].id).toBe(text);
      expect((await say(text, text)).status).toBe('duplicate');
    });
  });

  describe('what was said', () => {
    it('shows both ways in order, with who, when, and the options of a question', async () => {
      const { id } = await enrol();
      await test.advance('1m');
      await say('ready', 'm1');
      await test.settle();
      const messages = await get(`/participants/${id}/messages`);
      expect(messages).toEqual([
        {
          line: expect.any(Number),
          direction: 'out',
          at: '2026-01-05T08:00:00.000Z',
          text: expect.stringContaining('Ready'),
          id: expect.any(String),
          to: ADA,
          status: 'sent',
        },
        {
          line: messages[2].line,
          direction: 'in',
          at: '2026-01-05T08:01:00.000Z',
          text: 'ready',
          id: 'm1',
          channel: 'sms',
        },
        {
          line: expect.any(Number),
          direction: 'out',
          at: '2026-01-05T08:01:00.000Z',
          text: expect.stringContaining('Are you ready for a quick habit today?'),
          id: expect.any(String),
          to: ADA,
          status: 'sent',
          options: [expect.objectContaining({ id: '1' }), expect.objectContaining({ id: '2' })],
        },
      ]);
      expect(messages[0].id).not.toBe(messages[2].id);
      const last = await get(`/participants/${id}/messages?limit=1`);
      expect(last).toEqual(messages.slice(1));
      expect(await get(`/participants/${id}/messages?limit=1&after=${last[0].line}`)).toEqual(messages.slice(0, 1));
      expect(await get(`/participants/${id}/messages?after=${messages[0].line}`)).toEqual([]);
    });

    it('tells what waits to be sent, what was sent, and what an opt-out cancelled', async () => {
      const { id } = await enrol();
      transportIsDown = true;
      await say('ready', 'm1');
      await say('2', 'm2');
      await test.settle();
      const statuses = async () => (await said(id)).map((line: string) => line.split(':')[0]);
      expect(await statuses()).toEqual(['out sent', 'in m1', 'out pending', 'in m2', 'out pending']);
      transportIsDown = false;
      await test.advance('1m');
      expect(await statuses()).toEqual(['out sent', 'in m1', 'out sent', 'in m2', 'out sent']);
      expect((await said(id)).at(-1)).toBe(`out sent: ${says.notYet}`);
      transportIsDown = true;
      await say('ready', 'm3');
      await test.settle();
      await say('stop', 'm4');
      await test.settle();
      expect((await statuses()).slice(5)).toEqual(['in m3', 'out cancelled', 'in m4', 'out pending']);
    });

    it('keeps the messages of two participants apart', async () => {
      const [ada, bob] = [await enrol(CONVERSATION, ADA), await enrol(CONVERSATION, BOB)];
      await Promise.all([say('I am Ada', 'a1', ADA), say('I am Bob', 'b1', BOB)]);
      await test.settle();
      const both = (name: string, id: string) => [
        'out sent: Hello, I am here.',
        `in ${id}: I am ${name}`,
        `out sent: You said: I am ${name}`,
      ];
      expect([await said(ada.id), await said(bob.id)]).toEqual([both('Ada', 'a1'), both('Bob', 'b1')]);
    });
  });

  describe('where an actor stands', () => {
    it('shows the state of the intervention, with its context and its deadlines', async () => {
      const { id } = await enrol(INTERVENTION, ADA, { name: 'Ada', timezone: 'Europe/Berlin' });
      await say('ready', 'm1');
      await test.advance('1m');
      expect(await get(`/participants/${id}/state`)).toEqual({
        flow: 'micro_health_intervention',
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.COMMITMENT_PROMPT',
        status: 'active',
        version: 2,
        flowVersion: 1,
        updatedAt: '2026-01-05T08:00:00.000Z',
        lastError: null,
        context: expect.objectContaining({ name: 'Ada', timezone: 'Europe/Berlin', lastCommitmentDate: '2026-01-05' }),
        tags: ['asking'],
        timers: [
          expect.objectContaining({ dueAt: START + 12 * 60 * MINUTE }),
          expect.objectContaining({ dueAt: START + 7 * 24 * 60 * MINUTE }),
        ],
        now: START + MINUTE,
      });
    });

    it('shows the state of the conversation, with its history', async () => {
      const { id } = await enrol(CONVERSATION);
      await say('hi', 'm1');
      await test.settle();
      const { context, ...state } = await get(`/participants/${id}/state`);
      expect(state).toMatchObject({
        flow: 'conversation',
        state: 'CONVERSATION_ACTIVE.AWAITING_PARTICIPANT',
        timers: [],
      });
      expect(context.conversationHistory.map(({ role, content }: any) => `${role}: ${content}`)).toEqual([
        'assistant: Hello, I am here.',
        'user: hi',
        'assistant: You said: hi',
      ]);
    });

    it('shows the turns, the last one first, with where they led, when, and how late', async () => {
      const { id } = await enrol();
      await say('ready', 'm1');
      await test.advance('1m');
      await say('1', 'm2');
      await test.advance('15m');
      const line = { id: expect.any(Number), note: null, late_ms: null };
      const day = (state: string) => `PARTICIPATING.week.COUNTING,PARTICIPATING.day.${state}`;
      const [late, ...earlier] = await get(`/participants/${id}/journal`);
      expect(late).toEqual({
        id: expect.any(Number),
        event: expect.stringMatching(/after.*FEELING_PROMPT/),
        from: day('FEELING_PROMPT'),
        to: expect.stringMatching(/SEND_INTERVENTION_(IMMEDIATE|REFLECTIVE)$/),
        at: '2026-01-05T08:16:00.000Z',
        late_ms: 0,
        note: null,
      });
      expect(earlier).toEqual([
        {
          ...line,
          event: 'reply',
          from: day('COMMITMENT_PROMPT'),
          to: day('FEELING_PROMPT'),
          at: '2026-01-05T08:01:00.000Z',
        },
        {
          ...line,
          event: 'reply',
          from: day('ORIENTATION'),
          to: day('COMMITMENT_PROMPT'),
          at: '2026-01-05T08:00:00.000Z',
        },
        { ...line, event: 'xstate.init', from: null, to: day('ORIENTATION'), at: '2026-01-05T08:00:00.000Z' },
      ]);
    });
  });

  describe('deadlines', () => {
    it('lists those of all participants by their instants, and those of one', async () => {
      const ada = await enrol(INTERVENTION, ADA, { daily_prompt_time: '23:30' });
      const bob = await enrol(INTERVENTION, BOB, { daily_prompt_time: '09:00' });
      await enrol(CONVERSATION, EVE); // waits for nothing
      await test.advance('30m');
      await say('ready', 'm1', ADA); // within 12 h, before her daily prompt
      const timers = await get('/timers');
      const at = (instant: number, participant: string) => [participant, instant, new Date(instant).toISOString()];
      expect(timers.map((timer: any) => [timer.participant, timer.due_at_ms, timer.due_at])).toEqual([
        at(Date.UTC(2026, 0, 5, 9), bob.id),
        at(Date.UTC(2026, 0, 5, 20, 30), ada.id),
        at(Date.UTC(2026, 0, 12, 8), expect.any(String) as never),
        at(Date.UTC(2026, 0, 12, 8), expect.any(String) as never),
      ]);
      expect(timers[0]).toEqual({
        id: expect.stringContaining(bob.id),
        participant: bob.id,
        flow: 'micro_health_intervention',
        event: expect.stringContaining('ORIENTATION'),
        scheduled_at: '2026-01-05T08:00:00.000Z',
        due_at: '2026-01-05T09:00:00.000Z',
        due_at_ms: Date.UTC(2026, 0, 5, 9),
        remaining_ms: 30 * MINUTE,
      });
      expect(new Set(timers.map(({ id }: any) => id)).size).toBe(timers.length);
      for (const { id } of [ada, bob])
        expect(await get(`/timers?participant=${id}`)).toEqual(timers.filter((timer: any) => timer.participant === id));
    });

    it('keeps the instants over a restart, and drops a deadline that has fired', async () => {
      const { id } = await enrol();
      await say('ready', 'm1');
      await say('1', 'm2');
      const due = async () => (await get(`/timers?participant=${id}`)).map((timer: any) => timer.due_at_ms);
      const before = await due();
      expect(before[0]).toBe(START + 15 * MINUTE);
      await restart();
      expect(await due()).toEqual(before);
      await test.advance('15m');
      expect(await due()).toEqual([START + 45 * MINUTE, ...before.slice(1)]);
    });

    it('still lists those of the others where one row cannot be read', async () => {
      const [ada, bob] = [await enrol(INTERVENTION, ADA), await enrol(INTERVENTION, BOB)];
      await test.knex('flow_states').where({ participant_id: ada.id }).update({ state_data: '{"snap' });
      const { http, body } = await ask('GET', '/timers');
      expect(http).toBe(200);
      expect(body.result.map((timer: any) => timer.participant)).toEqual([bob.id, bob.id]);
    });
  });

  describe('health', () => {
    it('is 200 and tells the time while it runs, 503 once it has stopped', async () => {
      await test.advance('90s');
      expect(await get('/health')).toEqual({ status: 'running', now: '2026-01-05T08:01:30.000Z' });
      await test.runtime.stop();
      expect(await ask('GET', '/health')).toEqual({
        http: 503,
        body: { status: 'error', code: 'NOT_RUNNING', message: 'The runtime is stopped.' },
      });
    });

    it('refuses reading and writing with 503 once it has stopped, and takes them after the next start', async () => {
      const { id } = await enrol();
      const { runtime } = test;
      await runtime.stop();
      const message = { channel: 'sms', id: 'm1', from: ADA, text: 'ready' };
      const requests = [
        ['POST', '/messages', message],
        ['POST', INTERVENTION, { phone_number: BOB }],
        ['GET', CONVERSATION, undefined],
        ['GET', `${INTERVENTION}/${id}`, undefined],
        ['GET', `/participants/${id}/messages`, undefined],
        ['GET', `/participants/${id}/state`, undefined],
        ['GET', `/participants/${id}/journal`, undefined],
        ['GET', '/timers', undefined],
      ] as const;
      for (const [method, url, payload] of requests)
        expect(await ask(method, url, payload), url).toEqual({
          http: 503,
          body: { status: 'error', code: 'NOT_RUNNING', message: expect.stringMatching(/stopped.*runtime\.start\(\)/) },
        });
      await runtime.start();
      for (const [method, url, payload] of requests)
        expect((await ask(method, url, payload)).body.status, url).toBe('ok');
    });
  });

  describe('bad input is told what to do instead, writes nothing, and harms nobody', () => {
    /** All rows of all tables, once nothing is under way. */
    const everything = async () => {
      await test.settle();
      const tables: { name: string }[] = await test.knex('sqlite_master').where({ type: 'table' }).select('name');
      const contents: Record<string, unknown[]> = {};
      for (const { name } of tables) contents[name] = await test.knex(name);
      return contents;
    };
    const message = { channel: 'sms', id: 'm1', from: ADA, text: 'ready' };
    const without = (field: keyof typeof message) => ({ ...message, [field]: undefined });
    const padded = (bytes: number) => {
      const empty = JSON.stringify({ ...message, text: '' });
      return JSON.stringify({ ...message, text: 'x'.repeat(bytes - empty.length) });
    };

    it.each([
      [
        'a message without id',
        '/messages',
        without('id'),
        400,
        'INVALID_MESSAGE',
        /id is missing\. It must be the channel's own id/,
      ],
      [
        'a message without channel',
        '/messages',
        without('channel'),
        400,
        'INVALID_MESSAGE',
        /channel is missing\. It must be where/,
      ],
      [
        'a message without from',
        '/messages',
        without('from'),
        400,
        'INVALID_MESSAGE',
        /from is missing\. It must be who wrote/,
      ],
      [
        'a message without text',
        '/messages',
        without('text'),
        400,
        'INVALID_MESSAGE',
        /text is missing\. It must be a text, which may be empty/,
      ],
      [
        'a text that is a number',
        '/messages',
        { ...message, text: 1 },
        400,
        'INVALID_MESSAGE',
        /text must be a text, which/,
      ],
      ['a blank sender', '/messages', { ...message, from: '  ' }, 400, 'INVALID_MESSAGE', /from must be who wrote/],
      [
        'a sender of 5 digits',
        '/messages',
        { ...message, from: '12345' },
        400,
        'INVALID_PHONE_NUMBER',
        /'12345'.*Write/,
      ],
      ['malformed JSON', '/messages', '{"channel": "sms",', 400, 'INVALID_JSON', /is not JSON/],
      ['JSON with a poisoned prototype', '/messages', '{"__proto__": {"id": "1"}}', 400, 'INVALID_JSON', /JSON/],
      ['an empty body', '/messages', '', 400, 'INVALID_JSON', /empty\. Send JSON/],
      ['null for a body', '/messages', 'null', 400, 'INVALID_ARGUMENT', /must be a JSON object/],
      ['a body 1 byte over 64 KB', '/messages', padded(64 * 1024 + 1), 413, 'BODY_TOO_LARGE', /64 KB\. Send less/],
      ['malformed JSON for an enrolment', CONVERSATION, '{', 400, 'INVALID_JSON', /is not JSON/],
      [
        'an enrolment over 64 KB',
        CONVERSATION,
        { phone_number: BOB, background: 'x'.repeat(64 * 1024) },
        413,
        'BODY_TOO_LARGE',
        /Send less/,
      ],
      ['a phone number of letters', INTERVENTION, { phone_number: 'ada' }, 400, 'INVALID_PHONE_NUMBER', /'ada'.*Write/],
      ['one that is too short', CONVERSATION, { phone_number: '12345' }, 400, 'INVALID_PHONE_NUMBER', /'12345'.*Write/],
      ['one that is too long', CONVERSATION, { phone_number: '1'.repeat(30) }, 400, 'INVALID_PHONE_NUMBER', /length/],
      [
        'one that is no text',
        INTERVENTION,
        { phone_number: 15551234568 },
        400,
        'INVALID_PHONE_NUMBER',
        /Write it like/,
      ],
      [
        'no phone number',
        CONVERSATION,
        {},
        400,
        'INVALID_PHONE_NUMBER',
        /phone_number is missing\. It must be a phone number\. Write it like/,
      ],
      [
        'an unknown time zone',
        INTERVENTION,
        { phone_number: BOB, timezone: 'Europe/Atlantis' },
        400,
        'INVALID_ARGUMENT',
        /"Europe\/Atlantis".*such as 'Europe\/Berlin'/,
      ],
      [
        'an unknown time zone of a conversation',
        CONVERSATION,
        { phone_number: BOB, timezone: 'CEST?' },
        400,
        'INVALID_ARGUMENT',
        /"CEST\?".*such as 'Europe\/Berlin'/,
      ],
      [
        'a prompt time that no clock shows',
        INTERVENTION,
        { phone_number: BOB, daily_prompt_time: '24:00' },
        400,
        'INVALID_ARGUMENT',
        /"24:00".*'HH:MM'/,
      ],
      [
        'a weekly reset that is no instant',
        INTERVENTION,
        { phone_number: BOB, weekly_reset: 'on Monday' },
        400,
        'INVALID_ARGUMENT',
        /weekly_reset must be an instant like/,
      ],
      [
        'half a day of study',
        INTERVENTION,
        { phone_number: BOB, study_days: 0.5 },
        400,
        'INVALID_ARGUMENT',
        /study_days must be a whole number above 0/,
      ],
      [
        'a number that is enrolled already',
        INTERVENTION,
        { phone_number: ADA },
        409,
        'PHONE_NUMBER_TAKEN',
        /\+15551234567 belongs.*use another number/,
      ],
      [
        'a number that is enrolled already, written otherwise',
        CONVERSATION,
        { phone_number: '1 (555) 123-4567', name: 'Grace' },
        409,
        'PHONE_NUMBER_TAKEN',
        /\+15551234567 belongs.*use another number/,
      ],
      ['an unknown path', '/message', message, 404, 'NOT_FOUND', /There is nothing at POST \/message\./],
    ])('%s', async (_, url, payload, http, code, text) => {
      await enrol(INTERVENTION);
      await enrol(CONVERSATION);
      const before = await everything();
      expect(await ask('POST', url, payload)).toEqual({
        http,
        body: { status: 'error', code, message: expect.stringMatching(text) },
      });
      expect(await everything()).toEqual(before);
      expect((await say('ready', 'm1')).status).toBe('applied');
      expect((await enrol(INTERVENTION, EVE)).status).toBe('active');
    });

    it.each([
      ['messages', '/participants/p_nobody/messages', /There is no participant p_nobody/],
      ['state', '/participants/p_nobody/state', /There is no participant p_nobody/],
      ['journal', '/participants/p_nobody/journal', /There is no participant p_nobody/],
      ['row', `${INTERVENTION}/p_nobody`, /There is no participant p_nobody/],
      ['row in the other flow', `${CONVERSATION}/p_nobody`, /There is no participant p_nobody/],
      ['page', '/participants/p_nobody', /There is nothing at GET \/participants\/p_nobody/],
    ])('an unknown participant has no %s', async (_, url, text) => {
      await enrol();
      expect(await ask('GET', url)).toEqual({
        http: 404,
        body: { status: 'error', code: 'NOT_FOUND', message: expect.stringMatching(text) },
      });
    });

    it('a participant of one flow is not one of the other', async () => {
      const [ada, bob] = [await enrol(INTERVENTION, ADA), await enrol(CONVERSATION, BOB)];
      for (const url of [`${CONVERSATION}/${ada.id}`, `${INTERVENTION}/${bob.id}`])
        expect(await ask('GET', url)).toMatchObject({ http: 404, body: { code: 'NOT_FOUND' } });
    });

    it('a method that a path does not take', async () => {
      expect(await ask('DELETE', '/messages')).toEqual({
        http: 404,
        body: { status: 'error', code: 'NOT_FOUND', message: 'There is nothing at DELETE /messages.' },
      });
    });

    it.each(['limit=-1', 'limit=1.5', 'limit=many', 'limit=1e99', 'limit=1&limit=2', 'participant=a&participant=b'])(
      'deadlines are asked for with %s',
      async (query) => {
        await enrol();
        const { http, body } = await ask('GET', `/timers?${query}`);
        expect(http).toBeLessThan(500); // nothing is wrong with the server
        expect(body.status).toBe(http === 200 ? 'ok' : 'error');
      },
    );

    it('a message of exactly 64 KB is taken', async () => {
      await enrol(CONVERSATION);
      expect((await ask('POST', '/messages', padded(64 * 1024))).body).toMatchObject({ result: { status: 'applied' } });
    });
  });
});
