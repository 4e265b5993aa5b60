import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { perdureHttp } from '../../src/http/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({ generate: async () => ({ text: 'Hello.' }) });
const INTERVENTION = '/intervention/participants';
const phone = (i: number) => `+1555123${String(i).padStart(4, '0')}`;

describe('requests are held to the schemas of their routes', () => {
  let test: TestRuntime;
  let app: FastifyInstance;
  let routes: { method: string; url: string }[];
  beforeEach(async () => {
    test = await createTestRuntime({
      flows: [microHealthInterventionFlow, conversation],
      start: Date.UTC(2026, 0, 5, 8),
    });
    routes = [];
    // An application's own validation, which converts and leaves out, is not that of the plugin.
    app = Fastify({ ajv: { customOptions: { coerceTypes: 'array', removeAdditional: 'all', useDefaults: true } } });
    app.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) if (each !== 'HEAD') routes.push({ method: each, url });
    });
    const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
    await app.register(perdureHttp, { runtime: test.runtime, participants });
  });
  afterEach(async () => {
    await app.close();
    await test.stop();
  });

  const ask = async (method: string, url: string, payload?: unknown) => {
    const response = await app.inject({
      method: method as 'GET',
      url,
      ...(payload !== undefined && { payload: payload as object }),
    });
    return { http: response.statusCode, ...response.json() };
  };
  const get = async (url: string) => {
    const { http, result } = await ask('GET', url);
    expect(http).toBe(200);
    return result;
  };
  const enrol = async (i: number, more: object = {}) => {
    const { http, result } = await ask('POST', INTERVENTION, { phone_number: phone(i), ...more });
    expect(http).toBe(201);
    return result.id as string;
  };
  /** All of a list, `limit` at a time. */
  const paged = async (path: string, limit: number, listOf = (result: any): any[] => result) => {
    const all: any[] = [];
    for (let after = ''; ; after = `&after=${encodeURIComponent(all.at(-1).id)}`) {
      const page = listOf(await get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`));
      expect(page.length).toBeLessThanOrEqual(limit);
      all.push(...page);
      if (page.length < limit) return all;
    }
  };

  it('refuses a field that is not known, by its name, in every query and every body', async () => {
    const open = ['/', '/page.js', '/page.css', '/health'];
    const closed = routes.filter(({ url }) => !open.includes(url));
    expect(closed.length).toBeGreaterThan(35);
    for (const { method, url } of closed) {
      const path = url.replaceAll(/:\w+/g, '1');
      const named = /^'surprise' |^\w+ is missing\./;
      for (const [query, body] of [
        ['?surprise=1', method === 'GET' ? undefined : {}],
        ['', method === 'GET' ? undefined : { surprise: 1 }],
      ] as const) {
        if (query === '' && body === undefined) continue;
        const { http, message } = await ask(method, path + query, body);
        expect([method, url, http, message]).toEqual([method, url, 400, expect.stringMatching(named)]);
      }
    }
  });

  it.each([
    ['time_zone', { time_zone: 'America/New_York' }],
    ['dailyPromptTime', { dailyPromptTime: '18:00' }],
    ['background', { background: 'is of the other flow' }],
    ['status', { status: 'paused' }],
  ])('enrols nobody with the field %s', async (field, more) => {
    const refused = await ask('POST', INTERVENTION, { phone_number: phone(1), ...more });
    expect(refused).toEqual({
      http: 400,
      status: 'error',
      code: 'INVALID_ARGUMENT',
      message: `'${field}' is not known here. What is known is phone_number, name, timezone, daily_prompt_time, weekly_reset, study_days.`,
    });
    expect(await get(INTERVENTION)).toEqual([]);
  });

  it.each([
    [{ study_days: '7' }, 'study_days must be a whole number above 0.'],
    [{ study_days: 0 }, 'study_days must be a whole number above 0.'],
    [{ study_days: 1.5 }, 'study_days must be a whole number above 0.'],
    [{ name: null }, 'name must be a text of at most 1000 characters.'],
    [{ name: true }, 'name must be a text of at most 1000 characters.'],
    [{ name: 'x'.repeat(1001) }, 'name must be a text of at most 1000 characters.'],
    [{ timezone: ['UTC'] }, 'timezone must be a text of at most 1000 characters.'],
  ])('converts nothing: %j', async (more, message) => {
    expect(await ask('POST', INTERVENTION, { phone_number: phone(1), ...more })).toMatchObject({ http: 400, message });
    expect(await get(INTERVENTION)).toEqual([]);
  });

  const lists = [
    INTERVENTION,
    '/conversation/participants',
    `${INTERVENTION}/ID/history`,
    '/participants/ID/messages',
    '/participants/ID/journal',
    '/timers',
    '/receipts',
    '/responses',
    '/quarantine',
    '/dead-letters',
  ];

  it.each(lists)('has the same rules for limit and after in %s', async (list) => {
    const path = list.replace('ID', await enrol(1));
    for (const limit of [
      '-1',
      '0',
      'abc',
      '1.5',
      '1001',
      '1e2',
      '0x10',
      '007',
      '',
      '+5',
      '%205',
      'Infinity',
      'NaN',
      '9'.repeat(40),
    ])
      expect([limit, await ask('GET', `${path}?limit=${limit}`)]).toEqual([
        limit,
        {
          http: 400,
          status: 'error',
          code: 'INVALID_ARGUMENT',
          message: 'limit must be a whole number from 1 to 1000.',
        },
      ]);
    for (const limit of ['1', '999', '1000']) expect((await ask('GET', `${path}?limit=${limit}`)).http).toBe(200);
    expect((await ask('GET', `${path}?limit=1&limit=2`)).message).toBe('limit may be given once.');
    for (const after of ['', '%20', 'x'.repeat(700)])
      expect((await ask('GET', `${path}?after=${after}`)).http).toBe(400);
  });

  it('gives 100 entries where no limit is said', async () => {
    for (let i = 0; i < 101; i++) await enrol(i);
    for (const path of [INTERVENTION, '/timers', '/receipts'])
      expect([path, await get(path)]).toEqual([path, expect.objectContaining({ length: 100 })]);
  });

  it('gives each list whole and in order, a page at a time', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) {
      ids.push(await enrol(i));
      await ask('POST', '/messages', { channel: 'sms', id: `m${i}`, from: phone(i), text: 'ready' });
      if (i % 2 === 0) await test.advance('1s');
      await ask('POST', '/messages', { channel: 'sms', id: `s${i}`, from: phone(100 + i), text: `who? ${i}` });
    }
    await test.settle();
    for (const limit of [1, 2, 3, 100]) {
      const people = await paged(INTERVENTION, limit);
      expect(people).toEqual(await get(`${INTERVENTION}?limit=1000`));
      expect(people.map(({ id }) => id).sort()).toEqual([...ids].sort());
      const timers = await paged('/timers', limit);
      expect(timers).toEqual(await get('/timers?limit=1000'));
      expect(timers.length).toBeGreaterThan(ids.length);
      expect(timers.map(({ due_at_ms }) => due_at_ms)).toEqual(
        timers.map(({ due_at_ms }) => due_at_ms).sort((a, b) => a - b),
      );
      expect(new Set(timers.map(({ id }) => id)).size).toBe(timers.length);
      const receipts = await paged('/receipts', limit);
      expect(receipts).toEqual(await get('/receipts?limit=1000'));
      const said = await paged('/responses', limit);
      expect(said).toEqual(await get('/responses?limit=1000'));
      expect(said.map(({ text }) => text).sort()).toEqual(
        [...ids.map(() => 'ready'), ...ids.map((_, i) => `who? ${i}`)].sort(),
      );
      expect(said.map(({ at }) => at)).toEqual(
        said
          .map(({ at }) => at)
          .sort()
          .reverse(),
      );
    }
  });

  it('goes on where a page ended, also where its last deadline has fired meanwhile', async () => {
    for (let i = 0; i < 5; i++) await enrol(i, { daily_prompt_time: `1${i}:00` });
    const all = await get('/timers');
    const [first, second] = await get('/timers?limit=2');
    await test.advance('3h'); // to 11:00: both have fired
    const rest = (await get(`/timers?after=${encodeURIComponent(second.id)}`)).map(({ id }: any) => id);
    expect([first, second].map(({ id }) => id)).toEqual(all.slice(0, 2).map(({ id }: any) => id));
    expect(
      all
        .slice(2)
        .map(({ id }: any) => id)
        .filter((id: string) => !rest.includes(id)),
    ).toEqual([]);
  });

  it('finds who has a number, however it is written', async () => {
    const [ada] = [await enrol(1), await enrol(2)];
    expect(await get(`${INTERVENTION}?phone_number=${encodeURIComponent('1 (555) 123-0001')}`)).toMatchObject([
      { id: ada },
    ]);
    expect(await get(`${INTERVENTION}?phone_number=${encodeURIComponent(phone(3))}`)).toEqual([]);
    expect(await ask('GET', `${INTERVENTION}?phone_number=12`)).toMatchObject({
      http: 400,
      code: 'INVALID_PHONE_NUMBER',
    });
    expect(await ask('GET', `${INTERVENTION}?after=nobody`)).toMatchObject({ http: 400, code: 'INVALID_ARGUMENT' });
  });
});
