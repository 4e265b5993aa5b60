import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { perdureHttp } from '../../src/http/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({
  generate: async ({ messages }) => ({ text: `I heard: ${messages.at(-1)?.content}` }),
});
const ADA = '+15551234567';

describe('over HTTP', () => {
  let test: TestRuntime;
  let app: FastifyInstance;
  beforeEach(async () => {
    test = await createTestRuntime({
      flows: [microHealthInterventionFlow, conversation],
      start: Date.UTC(2026, 0, 5, 8),
    });
    app = Fastify();
    const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
    await app.register(perdureHttp, { runtime: test.runtime, participants });
  });
  afterEach(async () => {
    await app.close();
    await test.stop();
  });

  const get = async (url: string) => {
    const response = await app.inject({ method: 'GET', url });
    return { http: response.statusCode, ...response.json() };
  };
  const post = async (url: string, payload: object | string, contentType = 'application/json') => {
    const response = await app.inject({ method: 'POST', url, payload, headers: { 'content-type': contentType } });
    return { http: response.statusCode, ...response.json() };
  };
  const enrol = async (kind: 'intervention' | 'conversation' = 'intervention', body: object = {}) =>
    (await post(`/${kind}/participants`, { phone_number: ADA, name: 'Ada', ...body })).result;
  const say = (text: string, id: string, from = ADA) => post('/messages', { channel: 'sms', id, from, text });
  const rows = async () => {
    const counts: Record<string, number> = {};
    for (const table of [
      'flow_states',
      'inbox',
      'outbox_messages',
      'flow_journal',
      'intervention_participants',
      'dead_letters',
    ])
      counts[table] = (await test.knex(table)).length;
    return counts;
  };

  it.each(['', '/study', '/a/b/'])(
    'serves its page below the prefix %j, with or without a slash at the end',
    async (prefix) => {
      const service = Fastify();
      const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
      await service.register(perdureHttp, { runtime: test.runtime, participants, prefix });
      const url = (await service.listen({ port: 0, host: '127.0.0.1' })) + prefix;
      try {
        for (const asked of [url, `${url}?x=1&y=a?b`, `${url.replace(/\/$/, '')}/`]) {
          const page = await fetch(asked);
          expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
          expect(new URL(page.url).search).toBe(new URL(asked).search);
          const files = [...(await page.text()).matchAll(/(?:href|src)="(?!data:)([^"]+)"/g)].map(([, file]) => file!);
          expect(files).toEqual(['page.css', 'page.js']);
          const script = await Promise.all(files.map(async (file) => (await fetch(new URL(file, page.url))).text()));
          const calls = [...script[1]!.matchAll(/(?:call\(|: )'([a-z/]+)'/g)].map(([, path]) => path!);
          expect(calls).toEqual(
            expect.arrayContaining(['status', 'intervention/participants', 'conversation/participants']),
          );
          for (const path of ['status', 'intervention/participants', 'conversation/participants'])
            expect((await fetch(new URL(path, page.url))).status, path).toBe(200);
        }
      } finally {
        await service.close();
      }
    },
  );

  it('without the participants of the two flows serves what there is for any flow, and no page', async () => {
    const service = Fastify();
    await service.register(perdureHttp, { runtime: test.runtime });
    const statuses = await Promise.all(
      ['/health', '/status', '/quarantine', '/dead-letters', '/timers', '/', '/intervention/participants'].map(
        async (url) => (await service.inject(url)).statusCode,
      ),
    );
    expect(statuses).toEqual([200, 200, 200, 200, 200, 404, 404]);
    await service.close();
  });

  it('enrols, lists and reads participants of both flows', async () => {
    const made = await post('/intervention/participants', {
      phone_number: '+1 (555) 123-4567',
      name: 'Ada',
      timezone: 'Europe/Berlin',
      daily_prompt_time: '09:30',
    });
    expect(made).toMatchObject({
      http: 201,
      status: 'ok',
      result: { phone_number: ADA, timezone: 'Europe/Berlin', status: 'active' },
    });
    const { id } = made.result;
    expect(await get('/intervention/participants')).toMatchObject({ http: 200, result: [{ id, name: 'Ada' }] });
    expect(await get(`/intervention/participants/${id}`)).toMatchObject({
      http: 200,
      result: { id, daily_prompt_time: '09:30', actor_status: 'active', state: expect.stringContaining('ORIENTATION') },
    });
    const grace = await enrol('conversation', {
      phone_number: '+15551234568',
      name: 'Grace',
      background: 'An admiral.',
    });
    await test.settle();
    expect(await get(`/conversation/participants/${grace.id}`)).toMatchObject({
      http: 200,
      result: { background: 'An admiral.', state: 'CONVERSATION_ACTIVE.AWAITING_PARTICIPANT' },
    });
  });

  it('applies messages once, and shows what was said, both ways and in order', async () => {
    const { id } = await enrol();
    expect(await say('ready', 'm1')).toMatchObject({
      http: 200,
      result: {
        status: 'applied',
        handled: true,
        participantId: id,
        state: expect.stringContaining('COMMITMENT_PROMPT'),
      },
    });
    expect(await say('ready', 'm1')).toMatchObject({ http: 200, result: { status: 'duplicate' } });
    await test.advance('1s');
    expect(await say('1', 'm2')).toMatchObject({
      result: { status: 'applied', state: expect.stringContaining('FEELING_PROMPT') },
    });
    await test.settle();
    const { result } = await get(`/participants/${id}/messages`);
    expect(result.map(({ direction, text }: any) => `${direction}: ${text.split('\n')[0]}`)).toEqual([
      expect.stringMatching(/^out: /),
      'in: ready',
      expect.stringMatching(/^out: /),
      'in: 1',
      expect.stringMatching(/^out: /),
    ]);
    expect(result[1]).toMatchObject({ channel: 'sms', id: 'm1', at: '2026-01-05T08:00:00.000Z' });
    expect(result[2]).toMatchObject({ status: 'sent', to: ADA, options: expect.any(Array) });
  });

  it('shows deadlines, state and turns', async () => {
    const { id } = await enrol();
    await say('ready', 'm1');
    const { result: timers } = await get('/timers');
    expect(timers.map(({ due_at_ms }: any) => due_at_ms)).toEqual(timers.map(({ due_at_ms }: any) => due_at_ms).sort());
    expect(timers[0]).toMatchObject({
      participant: id,
      flow: 'micro_health_intervention',
      remaining_ms: expect.any(Number),
    });
    expect((await get(`/timers?participant=${id}`)).result).toHaveLength(timers.length);
    expect((await get('/timers?participant=nobody')).result).toEqual([]);
    expect(await get(`/participants/${id}/state`)).toMatchObject({
      http: 200,
      result: { version: 2, status: 'active', context: { name: 'Ada' }, timers: expect.any(Array) },
    });
    expect((await get(`/participants/${id}/journal`)).result.map(({ event }: any) => event)).toEqual([
      'reply',
      'xstate.init',
    ]);
  });

  it('knows STOP, START and HELP, and answers strangers', async () => {
    const { id } = await enrol();
    expect((await say('STOP', 'm1')).result).toMatchObject({ status: 'stopped' });
    expect((await get(`/intervention/participants/${id}`)).result).toMatchObject({
      status: 'withdrawn',
      state: 'WITHDRAWN',
    });
    expect((await say('START', 'm2')).result).toMatchObject({ status: 'started' });
    expect((await get(`/intervention/participants/${id}`)).result.status).toBe('active');
    expect((await say('HELP', 'm3')).result).toMatchObject({ status: 'helped' });
    expect((await say('hello', 'm4', '+15559999999')).result).toMatchObject({ status: 'unrouted', handled: false });
  });

  it('lists who was put aside, and lets them go on', async () => {
    const { id } = await enrol();
    expect(await get('/quarantine')).toMatchObject({ http: 200, result: [] });
    await test.knex('flow_states').update({ status: 'quarantined', last_error: 'a test', version: 7 });
    expect((await say('ready', 'm1')).http).toBe(409);
    expect((await get('/quarantine')).result).toMatchObject([{ participant: id, error: 'a test' }]);
    expect(await post(`/participants/${id}/retry`, {})).toMatchObject({ http: 200, status: 'ok' });
    expect((await say('ready', 'm1')).result).toMatchObject({ status: 'applied' });
    expect(await post('/participants/nobody/retry', {})).toMatchObject({ http: 404, code: 'NOT_FOUND' });
  });

  it('says whether it runs', async () => {
    expect(await get('/health')).toMatchObject({ http: 200, status: 'ok', result: { status: 'running' } });
    await test.knex.raw('PRAGMA query_only = ON');
    expect(await post('/intervention/participants', { phone_number: ADA })).toMatchObject({
      http: 503,
      code: 'STORE_ERROR',
    });
    expect(await get('/health')).toMatchObject({
      http: 503,
      code: 'DEGRADED',
      message: expect.stringMatching(/^The runtime runs, and is degraded: The last write failed: .*readonly database/),
    });
    expect(await get('/status')).toMatchObject({ http: 200, result: { health: 'degraded', commitsFailed: 1 } });
    await test.knex.raw('PRAGMA query_only = OFF');
    await enrol();
    expect(await get('/health')).toMatchObject({ http: 200 });
    await test.runtime.stop();
    expect(await get('/health')).toMatchObject({ http: 503, status: 'error', code: 'NOT_RUNNING' });
    await test.restart();
  });

  it('lets a number enrol anew once its participant has withdrawn', async () => {
    await enrol();
    expect(await post('/intervention/participants', { phone_number: ADA })).toMatchObject({
      http: 409,
      code: 'PHONE_NUMBER_TAKEN',
    });
    await say('STOP', 'm1');
    expect(await post('/intervention/participants', { phone_number: ADA })).toMatchObject({ http: 201 });
  });

  describe('bad input gets a clear answer and changes nothing', () => {
    it.each([
      ['no body', '/messages', '', 400, 'INVALID_JSON'],
      ['a body that is not JSON', '/messages', '{"channel":', 400, 'INVALID_JSON'],
      ['a body that is a list', '/messages', '[]', 400, 'INVALID_ARGUMENT'],
      ['a body over 64 KB', '/messages', JSON.stringify({ text: 'x'.repeat(65_536) }), 413, 'BODY_TOO_LARGE'],
      [
        'a message without id',
        '/messages',
        '{"channel":"sms","from":"+15551234567","text":"1"}',
        400,
        'INVALID_MESSAGE',
      ],
      [
        'a message with an empty id',
        '/messages',
        '{"channel":"sms","id":" ","from":"+15551234567","text":"1"}',
        400,
        'INVALID_MESSAGE',
      ],
      ['a message without channel', '/messages', '{"id":"1","from":"+15551234567","text":"1"}', 400, 'INVALID_MESSAGE'],
      ['a message without sender', '/messages', '{"channel":"sms","id":"1","text":"1"}', 400, 'INVALID_MESSAGE'],
      [
        'a message without text',
        '/messages',
        '{"channel":"sms","id":"1","from":"+15551234567"}',
        400,
        'INVALID_MESSAGE',
      ],
      [
        'a number as an id',
        '/messages',
        '{"channel":"sms","id":1,"from":"+15551234567","text":"1"}',
        400,
        'INVALID_MESSAGE',
      ],
      [
        'a malformed sender',
        '/messages',
        '{"channel":"sms","id":"1","from":"12","text":"1"}',
        400,
        'INVALID_PHONE_NUMBER',
      ],
      ['an enrolment without number', '/intervention/participants', '{"name":"Ada"}', 400, 'INVALID_PHONE_NUMBER'],
      ['letters for a number', '/intervention/participants', '{"phone_number":"call me"}', 400, 'INVALID_PHONE_NUMBER'],
      [
        'an unknown time zone',
        '/intervention/participants',
        '{"phone_number":"+15551234567","timezone":"Mars/Olympus"}',
        400,
        'INVALID_ARGUMENT',
      ],
      [
        'an impossible time',
        '/intervention/participants',
        '{"phone_number":"+15551234567","daily_prompt_time":"25:00"}',
        400,
        'INVALID_ARGUMENT',
      ],
      [
        'a name that is no text',
        '/conversation/participants',
        '{"phone_number":"+15551234567","name":{}}',
        400,
        'INVALID_ARGUMENT',
      ],
    ])('%s', async (_, url, body, http, code) => {
      const before = await rows();
      const answer = await post(url, body);
      expect(answer).toMatchObject({ http, status: 'error', code });
      expect(answer.message).toMatch(/^[^.]+\w.*\.$/s);
      expect(await rows()).toEqual(before);
      await enrol();
      expect((await say('ready', 'm1')).result.status).toBe('applied');
    });

    it('another media type, an unknown path, unknown participants', async () => {
      expect(await post('/messages', '<hello/>', 'application/xml')).toMatchObject({
        http: 415,
        code: 'INVALID_MEDIA_TYPE',
      });
      for (const path of [
        '/nothing',
        '/participants/x/messages',
        '/participants/x/state',
        '/intervention/participants/x',
      ])
        expect(await get(path)).toMatchObject({ http: 404, status: 'error', code: 'NOT_FOUND' });
    });
  });
});
