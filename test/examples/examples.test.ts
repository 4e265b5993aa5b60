import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import createKnex from 'knex';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Program } from '../package/program.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const FRAMEWORKS = ['node', 'fastify', 'express', 'nestjs', 'nextjs'];

/**
 * As Next.js does it: the server starts by `instrumentation.ts`, and each file in `app` answers for its path. They are bundled
 * apart, so that each has modules of its own.
 */
const NEXT = `
import { createServer } from 'node:http';
process.env.NEXT_RUNTIME = 'nodejs';
await (await import('../../again/nextjs/instrumentation.ts')).register();
const server = createServer(async (request, response) => {
  const [, , id, action] = request.url.split('/').map(decodeURIComponent);
  const route = await import(id ? (action ? './app/orders/[id]/pay/route.ts' : './app/orders/[id]/route.ts') : './app/orders/route.ts');
  const chunks = await request.toArray();
  const body = chunks.length > 0 ? { body: Buffer.concat(chunks) } : {};
  const asked = new Request('http://localhost' + request.url, { method: request.method, ...body });
  const answer = await route[request.method](asked, { params: Promise.resolve({ id }) });
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
});
server.listen(0, '127.0.0.1', () => console.log('ready at http://127.0.0.1:' + server.address().port));
`;

describe('the examples', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-examples-'));
  const programs: Program[] = [];
  let database: string;
  beforeAll(() => {
    const filter = (path: string) => !/(node_modules|\.next)$/.test(path);
    for (const copy of ['examples', 'again'])
      cpSync(join(REPOSITORY, 'examples'), join(folder, copy), { recursive: true, filter });
    // What `npm install` would put there.
    const modules = join(folder, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(join(REPOSITORY, 'node_modules')).filter((name) => !name.startsWith('.')))
      symlinkSync(join(REPOSITORY, 'node_modules', name), join(modules, name));
    symlinkSync(REPOSITORY, join(modules, 'perdure'));
  });
  beforeEach(() => {
    database = join(folder, `${programs.length}-${Date.now()}.db`);
  });
  afterEach(async () => {
    for (const program of programs.splice(0)) await program.kill();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const start = async (framework: string) => {
    const script = framework === 'nextjs' ? ['--input-type=module', '--eval', NEXT] : ['index.ts'];
    const where = join(folder, 'examples', framework);
    const program = await Program.start(where, ['--import', 'tsx', ...script], { DATABASE: database });
    programs.push(program);
    return program;
  };

  it.each(FRAMEWORKS)('%s: writes row and actor together, and goes on where it was after a kill', async (framework) => {
    const first = await start(framework);
    const placed = await first.ask('/orders', { id: 'o_1', customer: 'Ada' });
    expect(placed).toMatchObject({ state: 'placed', status: 'placed', remindAt: expect.any(Number) });
    expect(await first.ask('/orders', { id: 'o_1', customer: 'Bob' })).toMatchObject({ status: 409 });
    expect(await first.ask('/orders', { id: 'o_2' })).toMatchObject({ status: 400 });
    expect(await first.ask('/orders/o_9')).toMatchObject({ status: 404 });
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${first.url}/orders`, { method: 'POST', headers, body: '{ "id"' })).status).toBe(400);
    expect((await fetch(`${first.url}/orders`, { method: 'POST' })).status).toBe(400);
    for (const body of ['null', '[]', '{ "id": 5, "customer": "Ada" }', '{ "id": {}, "customer": ["Ada"] }'])
      expect((await fetch(`${first.url}/orders`, { method: 'POST', headers, body })).status, body).toBe(400);
    // Where several ask for one order at once, one has it, and the others are told.
    const race = Array.from({ length: 5 }, () => first.ask('/orders', { id: 'ö 3/4', customer: 'Cy' }));
    const answers = await Promise.all(race);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(4);
    expect(await first.ask(`/orders/${encodeURIComponent('ö 3/4')}`)).toMatchObject({ id: 'ö 3/4', state: 'placed' });
    // Next.js itself decodes addresses.
    if (framework !== 'nextjs') expect((await fetch(`${first.url}/orders/%E0%A4%A`)).status).toBe(400);
    await first.kill();

    const second = await start(framework);
    expect(await second.ask('/orders/o_1')).toEqual(placed);
    const paid = { id: 'o_1', state: 'paid', status: 'paid', remindAt: null };
    expect(await second.ask('/orders/o_1/pay', {})).toEqual(paid);
    expect(await second.ask('/orders/o_1/pay', {})).toMatchObject({ status: 409 });
    expect(await second.ask('/orders/o_1')).toEqual(paid);
    // A stop ends by itself; NestJS lets the signal end the process once its hooks have run.
    expect([0, null]).toContain(await second.terminate());
  });

  it('tell nobody outside what the database refused', async () => {
    const shop = await start('node');
    const knex = createKnex({ client: 'sqlite3', connection: { filename: database }, useNullAsDefault: true });
    await knex.schema.dropTable('flow_journal');
    await knex.destroy();
    const answer = await shop.ask('/orders', { id: 'o_1', customer: 'Ada' });
    expect(answer).toEqual({ status: 503, error: 'The database does not take this now.' });
  });
});
