import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { perdureHttp } from '../../src/http/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const FLOW = 'micro_health_intervention';
const START = Date.UTC(2026, 0, 5, 8);
let broken = false;
/** The intervention, but messages may make it throw. */
const intervention = {
  ...microHealthInterventionFlow,
  receive: ({ message }: { message: { text: string } }) => {
    if (broken) throw new Error('it is broken');
    return { type: 'reply' as const, text: message.text };
  },
};
const conversation = createConversationFlow({ generate: async () => ({ text: 'Hello.' }) });

describe('the quarantine and the dead letters over HTTP', () => {
  let test: TestRuntime;
  let app: FastifyInstance;
  let last = 0;
  beforeEach(async () => {
    broken = false;
    test = await createTestRuntime({ flows: [intervention as never, conversation], start: START });
    app = Fastify();
    const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
    await app.register(perdureHttp, { runtime: test.runtime, participants });
  });
  afterEach(async () => {
    await app.close();
    await test.stop();
  });

  const ask = async (method: 'GET' | 'POST', url: string, payload?: unknown) => {
    const response = await app.inject({ method, url, ...(payload !== undefined && { payload: payload as object }) });
    return { http: response.statusCode, ...response.json() };
  };
  const get = (url: string) => ask('GET', url);
  const post = (url: string, payload?: unknown) => ask('POST', url, payload);
  const phone = (i: number) => `+1555123456${i}`;
  const enrol = async (i = 1) => (await post('/intervention/participants', { phone_number: phone(i) })).result.id;
  const say = (text: string, i = 1) => post('/messages', { channel: 'sms', id: `m${++last}`, from: phone(i), text });
  /** Enrols, and makes the row unreadable. */
  const putAside = async (i = 1) => {
    const id = await enrol(i);
    await test.runtime.stop();
    await test.runtime.start();
    const { state_data } = await test.knex('flow_states').where({ participant_id: id }).first();
    await test.knex('flow_states').where({ participant_id: id }).update({ state_data: '{' });
    expect((await say('ready', i)).code).toBe('ACTOR_QUARANTINED');
    return { id, mend: () => test.knex('flow_states').where({ participant_id: id }).update({ state_data }) };
  };

  it('lists, shows and retries who was put aside', async () => {
    const { id, mend } = await putAside();
    const described = {
      id: expect.any(Number),
      participant: id,
      flow: FLOW,
      state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.ORIENTATION',
      error: expect.stringContaining('not readable'),
      since: '2026-01-05T08:00:00.000Z',
      version: 2,
      flow_version: 1,
    };
    expect(await get('/quarantine')).toEqual({ http: 200, status: 'ok', result: [described] });
    expect(await get(`/quarantine/${FLOW}/${id}`)).toEqual({
      http: 200,
      status: 'ok',
      result: { ...described, timers: [], state_data: '{' },
    });
    expect(await post(`/quarantine/${FLOW}/${id}/retry`)).toMatchObject({ http: 409, code: 'SNAPSHOT_INCOMPATIBLE' });
    await mend();
    expect((await get(`/quarantine/${FLOW}/${id}`)).result).toMatchObject({
      value: { PARTICIPATING: { day: 'ORIENTATION' } },
      context: { participantId: id },
      timers: [{ dueAt: expect.any(Number) }, { dueAt: expect.any(Number) }],
    });
    expect(await post(`/quarantine/${FLOW}/${id}/retry`)).toEqual({
      http: 200,
      status: 'ok',
      result: { participant: id, flow: FLOW, status: 'retried' },
    });
    expect((await say('ready')).result).toMatchObject({ status: 'applied' });
    expect((await get('/quarantine')).result).toEqual([]);
  });

  it('lists the others whatever is in one row', async () => {
    const [odd, good] = [await enrol(1), await enrol(2)];
    const row = test.knex('flow_states').where({ participant_id: odd });
    const stored = JSON.parse((await row.clone().first()).state_data);
    for (const [timers, shown] of [
      [[{ dueAt: 'tomorrow', event: { type: 'x' } }, null, { dueAt: 1 }], []],
      [[{ dueAt: 1e300, event: { type: 'x' } }], ['1e+300']],
      [{}, []],
    ] as const) {
      await row.clone().update({ state_data: JSON.stringify({ ...stored, timers }) });
      const { http, result } = await get('/timers');
      expect(http).toBe(200);
      expect(result.filter((it: any) => it.participant === odd).map((it: any) => it.due_at)).toEqual(shown);
      expect(result.some((it: any) => it.participant === good)).toBe(true);
    }
    await row.clone().update({ status: 'quarantined', journal_id: null, updated_at: '' });
    expect(await get('/quarantine')).toMatchObject({ http: 200, result: [{ participant: odd, since: null }] });
  });

  it('discards who was put aside: the number may enrol anew', async () => {
    const { id, mend } = await putAside();
    await mend();
    const answer = await post(`/quarantine/${FLOW}/${id}/discard`, { reason: 'a test phone' });
    expect(answer).toMatchObject({ http: 200, result: { participant: id, flow: FLOW, status: 'discarded' } });
    expect((await get(`/intervention/participants/${id}`)).result).toMatchObject({
      status: 'withdrawn',
      actor_status: 'stopped',
      last_error: expect.stringContaining('a test phone'),
    });
    expect((await get(`/participants/${id}/journal`)).result[0]).toMatchObject({ note: 'discarded: a test phone' });
    expect((await say('hello')).result).toMatchObject({ status: 'unrouted' });
    expect(await enrol()).not.toBe(id);
  });

  it('discards without a reason, and without a body', async () => {
    const { id } = await putAside();
    expect(await post(`/quarantine/${FLOW}/${id}/discard`)).toMatchObject({ http: 200 });
    expect(await post(`/quarantine/${FLOW}/${id}/discard`)).toMatchObject({
      http: 400,
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining("its status is 'stopped'"),
    });
  });

  it('lists a page at a time', async () => {
    const ids = [];
    for (const i of [1, 2, 3]) ids.push((await putAside(i)).id);
    const first = (await get('/quarantine?limit=2')).result;
    const second = (await get(`/quarantine?limit=2&after=${first[1].id}`)).result;
    expect([...first, ...second].map(({ participant }: any) => participant)).toEqual(ids);
    expect((await get(`/quarantine?participant=${ids[1]}&flow=${FLOW}`)).result).toHaveLength(1);
    expect((await get('/quarantine?flow=conversation')).result).toEqual([]);
  });

  it('lists, shows, retries and discards dead letters', async () => {
    const id = await enrol();
    broken = true;
    for (const text of ['ready', 'hello?']) expect((await say(text)).result).toMatchObject({ status: 'failed' });
    const letters = (await get('/dead-letters')).result;
    expect(letters).toEqual([
      {
        id: 1,
        participant: id,
        flow: FLOW,
        kind: 'message',
        target: null,
        event: { channel: 'sms', id: expect.any(String), from: phone(1), text: 'ready' },
        error: expect.stringContaining('it is broken'),
        at: '2026-01-05T08:00:00.000Z',
        status: 'open',
        resolved_at: null,
      },
      expect.objectContaining({ id: 2 }),
    ]);
    expect((await get('/dead-letters?limit=1&after=1')).result).toEqual([letters[1]]);
    expect((await get(`/dead-letters?participant=${id}`)).result).toHaveLength(2);
    expect(await get('/dead-letters/1')).toEqual({ http: 200, status: 'ok', result: letters[0] });
    expect(await post('/dead-letters/1/retry')).toMatchObject({
      http: 422,
      code: 'TURN_FAILED',
      message: expect.stringContaining('it is broken'),
    });
    broken = false;
    expect(await post('/dead-letters/1/retry')).toEqual({
      http: 200,
      status: 'ok',
      result: {
        id: 1,
        status: 'retried',
        handled: true,
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.COMMITMENT_PROMPT',
      },
    });
    expect(await post('/dead-letters/1/retry')).toMatchObject({ http: 400, code: 'INVALID_ARGUMENT' });
    expect(await post('/dead-letters/2/discard', { reason: 'a greeting' })).toMatchObject({
      http: 200,
      result: { id: 2, status: 'discarded' },
    });
    expect((await get('/dead-letters')).result).toEqual([]);
    expect((await get('/dead-letters?status=discarded')).result).toMatchObject([
      {
        id: 2,
        error: expect.stringMatching(/it is broken.*\(discarded: a greeting\)/),
        resolved_at: '2026-01-05T08:00:00.000Z',
      },
    ]);
    expect((await get('/dead-letters?status=all')).result).toHaveLength(2);
  });

  it.each([
    ['GET', '/quarantine?limit=0', 400],
    ['GET', '/quarantine?limit=many', 400],
    ['GET', '/quarantine?after=-1', 400],
    ['GET', '/quarantine?flow=a&flow=b', 400],
    ['GET', `/quarantine/${FLOW}/nobody`, 404],
    ['POST', `/quarantine/${FLOW}/nobody/retry`, 404],
    ['POST', `/quarantine/${FLOW}/nobody/discard`, 404],
    ['GET', '/quarantine/unknown_flow/p_1', 404],
    ['POST', '/quarantine/unknown_flow/p_1/retry', 404],
    ['GET', '/dead-letters?status=lost', 400],
    ['GET', '/dead-letters?limit=1.5', 400],
    ['GET', '/dead-letters/99', 404],
    ['GET', '/dead-letters/first', 400],
    ['POST', '/dead-letters/99/retry', 404],
    ['POST', '/dead-letters/99/discard', 404],
    ['POST', '/dead-letters/99/discard', 400, { reason: 7 }],
  ] as const)('answers %s %s with %s and a clear message', async (method, url, http, body?: object) => {
    await enrol();
    const answer = await ask(method, url, body);
    expect(answer).toEqual({
      http,
      status: 'error',
      code: expect.stringMatching(/^[A-Z_]+$/),
      message: expect.stringMatching(/\w.*\.$/),
    });
  });
});
