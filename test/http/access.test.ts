import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpService, type HttpOptions, perdureHttp } from '../../src/http/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const conversation = createConversationFlow({ generate: async () => ({ text: 'Hello.' }) });
const ADA = '+15551230001';

describe('lets in who may ask', () => {
  let test: TestRuntime;
  const apps: FastifyInstance[] = [];
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [microHealthInterventionFlow, conversation] });
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    await test.stop();
  });

  const listening = async (app: FastifyInstance) => {
    apps.push(app);
    await app.listen({ port: 0, host: '127.0.0.1' });
    return (app.server.address() as AddressInfo).port;
  };
  const options = (): HttpOptions => ({
    runtime: test.runtime,
    participants: new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' }),
  });
  const serve = async (more: Partial<HttpOptions> = {}) =>
    listening(await createHttpService({ ...options(), ...more }));
  const embed = async (more: Partial<HttpOptions> = {}) => {
    const app = Fastify();
    await app.register(perdureHttp, { ...options(), ...more });
    return listening(app);
  };

  /** As a browser or another program would send it. */
  const ask = (port: number, headers: Record<string, string> = {}, method = 'GET', path = '/status', body?: unknown) =>
    new Promise<{ http: number; code: string | undefined; headers: Record<string, unknown> }>((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const asked = request(
        {
          host: '127.0.0.1',
          port,
          method,
          path,
          headers: { ...(text && { 'content-type': 'application/json' }), ...headers },
        },
        (answer) => {
          let content = '';
          answer.on('data', (chunk) => {
            content += chunk;
          });
          answer.on('end', () => {
            const { code } = content.startsWith('{') ? JSON.parse(content) : { code: undefined };
            resolve({ http: answer.statusCode!, code, headers: answer.headers });
          });
        },
      );
      asked.on('error', reject);
      asked.end(text);
    });
  const enrol = (port: number, headers: Record<string, string>) =>
    ask(port, headers, 'POST', '/intervention/participants', { phone_number: ADA });
  const enrolled = () => test.knex('intervention_participants').pluck('phone_number');

  describe('under a name of its own', () => {
    it.each([
      'rebind.example:PORT',
      'rebind.example',
      '127.0.0.1.rebind.example:PORT',
      'localhost.rebind.example',
      '10.1.2.3:PORT',
      '0.0.0.0:PORT',
      'localhost@rebind.example',
      '[::2]:PORT',
      'localhost:PORT:1',
    ])('refuses a request for %j, and applies nothing of it', async (host) => {
      const port = await serve();
      const headers = { host: host.replace('PORT', String(port)) };
      expect(await enrol(port, headers)).toMatchObject({ http: 403, code: 'FOREIGN_HOST' });
      for (const path of ['/intervention/participants', '/', '/health', '/nothing'])
        expect(await ask(port, headers, 'GET', path)).toMatchObject({ http: 403, code: 'FOREIGN_HOST' });
      expect(await enrolled()).toEqual([]);
    });

    it.each([
      '127.0.0.1:PORT',
      'localhost:PORT',
      'LOCALHOST:PORT',
      'localhost.:PORT',
      '[::1]:PORT',
      '127.0.0.1',
      'localhost:8080',
    ])('takes a request for %s, also through a port that is forwarded', async (host) => {
      const port = await serve();
      expect(await enrol(port, { host: host.replace('PORT', String(port)) })).toMatchObject({ http: 201 });
    });

    it('takes the names that it is given, and with a port only that port', async () => {
      const port = await serve({ allowedHosts: ['Study.example.org', 'other.example:8443'] });
      const statuses = async (...hosts: string[]) =>
        Promise.all(hosts.map(async (host) => (await ask(port, { host })).http));
      expect(await statuses('study.example.org', 'STUDY.example.org:3000', 'other.example:8443')).toEqual([
        200, 200, 200,
      ]);
      expect(await statuses('other.example', 'other.example:1', 'xstudy.example.org', 'a.study.example.org')).toEqual([
        403, 403, 403, 403,
      ]);
      const any = await serve({ allowedHosts: ['*'] });
      expect((await ask(any, { host: 'whatever.example' })).http).toBe(200);
      expect((await ask(any, { host: 'whatever.example', origin: 'http://evil.example' })).http).toBe(403);
    });
  });

  describe('from its own pages', () => {
    const foreign = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'http://localhost:PORT' },
      { origin: 'http://127.0.0.1' },
      { origin: 'http://127.0.0.1:PORT.evil.example' },
      { origin: 'file://' },
      { origin: '' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', origin: 'http://127.0.0.1:PORT' },
      { 'sec-fetch-site': 'same-origin', origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    ];
    const filled = (headers: object, port: number) =>
      JSON.parse(JSON.stringify(headers).replaceAll('PORT', String(port)));

    it.each(foreign)(
      'refuses what a page of %j asks, with a body and without, and applies nothing of it',
      async (from) => {
        const port = await serve();
        await enrol(port, {});
        const before = await test.knex('flow_journal');
        const headers = filled(from, port);
        const refused = { http: 403, code: 'FOREIGN_ORIGIN' };
        expect(
          await ask(port, headers, 'POST', '/messages', { channel: 'sms', id: '1', from: ADA, text: 'Ready' }),
        ).toMatchObject(refused);
        expect(await ask(port, headers, 'POST', '/intervention/weekly-summary')).toMatchObject(refused);
        expect(
          await ask(port, { ...headers, 'content-type': 'text/plain' }, 'POST', '/intervention/weekly-summary', {}),
        ).toMatchObject(refused);
        for (const method of ['GET', 'OPTIONS', 'DELETE', 'PUT'])
          expect(await ask(port, headers, method, '/intervention/participants')).toMatchObject(refused);
        expect(await ask(port, { ...headers, connection: 'Upgrade', upgrade: 'websocket' })).toMatchObject(refused);
        expect(await test.knex('flow_journal')).toEqual(before);
      },
    );

    it.each([
      {},
      { origin: 'http://127.0.0.1:PORT' },
      { origin: 'http://127.0.0.1:PORT', 'sec-fetch-site': 'same-origin' },
      { origin: 'http://localhost:PORT', host: 'localhost:PORT' },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'same-origin' },
    ])('takes what a program or an own page asks: %j', async (from) => {
      const port = await serve();
      expect(await enrol(port, filled(from, port))).toMatchObject({ http: 201 });
    });

    it('can be visited by a link from elsewhere, and changes nothing by it', async () => {
      const port = await serve();
      const visit = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
      expect(await ask(port, visit, 'GET', '/')).toMatchObject({ http: 200 });
      expect(await ask(port, visit, 'POST', '/intervention/weekly-summary')).toMatchObject({ http: 403 });
    });

    it('knows the pages of a proxy that is told of, whatever host the proxy asks for', async () => {
      const port = await serve({ allowedHosts: ['study.example.org'] });
      const page = { origin: 'https://study.example.org' };
      for (const host of ['study.example.org', `127.0.0.1:${port}`])
        expect(await ask(port, { host, ...page })).toMatchObject({ http: 200 });
      expect(await ask(port, { origin: 'https://study.example.org:4443' })).toMatchObject({ http: 403 });
      expect(await ask(await serve(), page)).toMatchObject({ http: 403 });
    });

    it('takes a form in no encoding that a page of another origin may send unasked', async () => {
      const port = await serve();
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
        expect(await ask(port, { 'content-type': type }, 'POST', '/messages', {})).toMatchObject({
          http: 415,
          code: 'INVALID_MEDIA_TYPE',
        });
    });
  });

  describe('in an application', () => {
    it('is reached under any name, also behind a proxy, but from no page of another origin', async () => {
      const port = await embed();
      const status = async (headers: Record<string, string>) => (await ask(port, headers)).http;
      expect(await status({ host: 'app.example' })).toBe(200);
      expect(await status({ host: 'app.example', origin: 'https://app.example' })).toBe(200);
      expect(await status({ origin: 'https://app.example', 'sec-fetch-site': 'same-origin' })).toBe(200);
      expect(await status({ host: 'app.example', origin: 'https://evil.example' })).toBe(403);
      expect(await status({ host: 'app.example', 'sec-fetch-site': 'cross-site' })).toBe(403);
    });

    it('has the same guards by option, and leaves the other routes of the application alone', async () => {
      const app = Fastify();
      app.get('/', async () => 'mine');
      await app.register(perdureHttp, {
        ...options(),
        prefix: '/ops',
        allowedHosts: ['app.example'],
        token: 'opensesame',
      });
      const port = await listening(app);
      const at = (path: string, headers: Record<string, string>) => ask(port, headers, 'GET', path);
      expect(await at('/', { host: 'evil.example', origin: 'null' })).toMatchObject({ http: 200 });
      expect(await at('/ops/status', { host: 'evil.example' })).toMatchObject({ http: 403 });
      expect(await at('/ops/status', { host: 'app.example' })).toMatchObject({ http: 401 });
      expect(await at('/ops/status', { host: 'app.example', authorization: 'Bearer opensesame' })).toMatchObject({
        http: 200,
      });
    });
  });

  describe('who has the token, where there is one', () => {
    it.each([
      [undefined, 401],
      ['Bearer', 401],
      ['Bearer ', 401],
      ['Bearer opensesam', 401],
      ['Bearer opensesame!', 401],
      ['Basic opensesame', 401],
      ['opensesame', 401],
      ['Bearer opensesame', 200],
      ['bearer opensesame', 200],
    ])('answers %j with %s', async (authorization, http) => {
      const port = await serve({ token: 'opensesame' });
      const answer = await ask(port, { ...(authorization !== undefined && { authorization }) });
      expect(answer.http).toBe(http);
      if (http === 401) expect([answer.code, answer.headers['www-authenticate']]).toEqual(['UNAUTHORIZED', 'Bearer']);
    });

    it('asks for it wherever there is data, and before anything is looked at', async () => {
      const port = await serve({ token: 'opensesame' });
      for (const path of ['/', '/page.js', '/page.css', '/health'])
        expect((await ask(port, {}, 'GET', path)).http).toBe(200);
      for (const path of ['/status', '/intervention/participants', '/timers?limit=-1', '/nothing', '/messages'])
        expect((await ask(port, {}, 'GET', path)).http).toBe(401);
      expect(await enrol(port, {})).toMatchObject({ http: 401 });
      expect(await ask(port, {}, 'POST', '/messages', 'x')).toMatchObject({ http: 401 });
      expect(await enrolled()).toEqual([]);
    });
  });

  it.each(['/', '/page.js', '/status', '/nothing', '/timers?limit=x', '/participants/%zz/state'])(
    'forbids to frame, to keep and to guess what %s is',
    async (path) => {
      const { headers } = await ask(await serve(), {}, 'GET', path);
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': expect.stringMatching(/^default-src 'none'.*frame-ancestors 'none'$/),
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      });
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/);
    },
  );
});
