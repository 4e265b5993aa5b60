import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Server } from './server.ts';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;
const [ADA, BOB] = ['+15551234567', '+15551234568'] as const;
const FLOW = 'micro_health_intervention';

describe('the commands of operators, for real', { timeout: 120_000 }, () => {
  let folder: string;
  let database: string;
  let servers: Server[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-operations-'));
    database = join(folder, 'perdure.db');
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    servers = [];
    rmSync(folder, { recursive: true });
  });

  const start = async (...options: string[]) => {
    const server = await Server.start(database, ...options);
    servers.push(server);
    return server;
  };
  /** Runs a command to its end. */
  const perdure = (...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      execFile(process.execPath, [BIN, ...args], { cwd: folder }, (error, out, err) =>
        resolve({ code: error ? Number(error.code) : 0, out, err }),
      );
    });
  const withDatabase = async <T>(body: (knex: Knex) => Promise<T>): Promise<T> => {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: database }, useNullAsDefault: true });
    try {
      return await body(knex);
    } finally {
      await knex.destroy();
    }
  };
  const enrol = async (server: Server, phone_number: string) =>
    (await server.call('/intervention/participants', { phone_number })).id as string;
  const say = (server: Server, id: string, from: string, text: string) =>
    server.call('/messages', { channel: 'sms', id, from, text });
  /** Ada's row cannot be read, and Bob's “Ready” is a dead letter. The server was killed. */
  const prepare = async () => {
    const server = await start();
    const [ada, bob] = [await enrol(server, ADA), await enrol(server, BOB)];
    await server.kill();
    const mended = await withDatabase(async (knex) => {
      const { state_data } = await knex('flow_states').where({ participant_id: ada }).first();
      await knex('flow_states').where({ participant_id: ada }).update({ state_data: '{' });
      await knex('dead_letters').insert({
        participant_id: bob,
        flow_type: FLOW,
        kind: 'message',
        event: JSON.stringify({ channel: 'sms', id: 'lost', from: BOB, text: 'Ready' }),
        error: 'The cat\nsat on it.',
        at: 0,
      });
      return state_data as string;
    });
    const again = await start();
    await say(again, 'm1', ADA, 'Ready').catch(() => {}); // that is how it is found out
    return { server: again, ada, bob, actor: `${FLOW}/${ada}`, mended };
  };

  describe.each(['running', 'killed', 'named by --url'])('with a server that is %s', (how) => {
    const prepared = async () => {
      const it = await prepare();
      if (how === 'killed') await it.server.kill();
      return { ...it, where: how === 'named by --url' ? ['--url', it.server.url] : ['--database', database] };
    };

    it('lists, shows, retries and discards who was put aside', async () => {
      const { ada, actor, mended, where, server } = await prepared();
      const list = await perdure('quarantine', 'list', ...where);
      expect(list).toMatchObject({ code: 0, err: '' });
      expect(list.out).toMatch(/^ACTOR +STATE +SINCE +ERROR\n/);
      expect(list.out).toContain(actor);
      expect(JSON.parse((await perdure('quarantine', 'list', '--json', ...where)).out)).toMatchObject([
        { participant: ada, flow: FLOW, error: expect.stringContaining('not readable') },
      ]);
      const shown = await perdure('quarantine', 'show', actor, ...where);
      expect(shown.out).toMatch(/^actor +micro_health_intervention\/p_.*\nstate +PARTICIPATING/);
      expect(shown.out).toMatch(/\nstate_data +\{\n/);
      const refused = await perdure('quarantine', 'retry', actor, ...where);
      expect(refused).toMatchObject({ code: 1, out: '' });
      expect(refused.err).toMatch(/^perdure: The stored snapshot of .* cannot be restored.*\n$/);
      await withDatabase((knex) => knex('flow_states').where({ participant_id: ada }).update({ state_data: mended }));
      expect((await perdure('quarantine', 'show', actor, ...where)).out).toMatch(
        /\ndeadlines +2.*\n +2.*\ncontext +\{\n/,
      );
      expect(await perdure('quarantine', 'retry', actor, ...where)).toMatchObject({
        code: 0,
        out: `${actor} goes on.\n`,
      });
      expect((await perdure('quarantine', 'list', ...where)).out).toBe('Nobody is quarantined.\n');
      expect(await perdure('quarantine', 'retry', '--all', ...where)).toEqual({
        code: 0,
        out: 'Nobody is quarantined.\n',
        err: '',
      });
      expect((await perdure('quarantine', 'discard', actor, ...where)).err).toContain("its status is 'active'");
      const now = how === 'killed' ? await start() : server;
      expect(await say(now, 'm2', ADA, 'Ready')).toMatchObject({ status: 'applied' });
    });

    it('discards who was put aside, with the reason', async () => {
      const { ada, actor, where, server } = await prepared();
      const done = await perdure('quarantine', 'discard', actor, '--reason', 'a test', ...where);
      expect(done).toMatchObject({ code: 0, out: `${actor} has ended.\n` });
      const now = how === 'killed' ? await start() : server;
      expect(await now.call(`/intervention/participants/${ada}`)).toMatchObject({
        actor_status: 'stopped',
        last_error: expect.stringContaining('a test'),
      });
    });

    it('lists, shows, retries and discards dead letters', async () => {
      const { bob, where, server } = await prepared();
      const list = await perdure('dead-letters', 'list', ...where);
      expect(list.out).toMatch(/^ID +ACTOR +KIND +AT +STATUS +EVENT +ERROR\n1 .*“Ready” +The cat sat on it\.\n$/);
      expect((await perdure('dead-letters', 'show', '1', ...where)).out).toContain('"text": "Ready"');
      const done = await perdure('dead-letters', 'retry', '1', ...where);
      expect(done).toMatchObject({ code: 0, err: '' });
      expect(done.out).toMatch(/^Dead letter 1 was applied; the actor is in .*COMMITMENT_PROMPT\.\n$/);
      for (const what of ['retry', 'discard']) {
        const again = await perdure('dead-letters', what, '1', ...where);
        expect(again.code).toBe(1);
        expect(again.err).toMatch(/^perdure: The dead letter 1 was retried before/);
      }
      expect((await perdure('dead-letters', 'list', ...where)).out).toBe('There are no open dead letters.\n');
      expect((await perdure('dead-letters', 'list', '--status', 'all', ...where)).out).toContain('retried');
      const now = how === 'killed' ? await start() : server;
      // What the turn said is sent once: by the server, never by the command.
      const question = async () =>
        (await now.call<{ text: string; status: string }[]>(`/participants/${bob}/messages`)).filter(({ text }) =>
          text.startsWith('Are you ready'),
        );
      await expect.poll(question, { timeout: 10_000 }).toMatchObject([{ status: 'sent' }]);
    });
  });

  it('fires no deadline and sends nothing of itself', async () => {
    const server = await start('--time-scale', '1000');
    const ada = await enrol(server, ADA);
    await server.kill();
    const due = await withDatabase(async (knex) => {
      const { next_due_at } = await knex('flow_states').first();
      return next_due_at as number;
    });
    // At this pace the daily prompt is due within a minute and a half; the clock is moved on instead of waiting.
    await withDatabase(async (knex) => {
      const { value } = await knex('runtime_settings').where({ key: 'clock' }).first();
      const clock = JSON.parse(value);
      clock.virtual = due + 3_600_000;
      clock.real = Date.now();
      await knex('runtime_settings')
        .where({ key: 'clock' })
        .update({ value: JSON.stringify(clock) });
      await knex('outbox_messages').update({ status: 'pending' });
    });
    const before = await withDatabase((knex) =>
      Promise.all([knex('flow_states'), knex('outbox_messages'), knex('flow_journal')]),
    );
    expect((await perdure('quarantine', 'list', '--database', database)).code).toBe(0);
    expect((await perdure('dead-letters', 'retry', '1', '--database', database)).err).toContain('no dead letter 1');
    expect(
      await withDatabase((knex) => Promise.all([knex('flow_states'), knex('outbox_messages'), knex('flow_journal')])),
    ).toEqual(before);
    const again = await start();
    const journal = () => again.call<{ late_ms: number | null }[]>(`/participants/${ada}/journal`);
    await expect.poll(async () => (await journal())[0]!.late_ms, { timeout: 10_000 }).toBeGreaterThan(0);
  });

  it('says that there is no such file, and makes none', async () => {
    for (const command of [
      ['quarantine', 'list'],
      ['dead-letters', 'retry', '1'],
    ]) {
      const { code, out, err } = await perdure(...command, '--database', 'none.db');
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^perdure: There is no database none\.db\. .*--database.*--url.*\n$/);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves files of other programs alone', async () => {
    writeFileSync(join(folder, 'note.txt'), 'This is a note, and no database at all. '.repeat(100));
    writeFileSync(join(folder, 'empty.db'), '');
    const other = createKnex({
      client: 'sqlite3',
      connection: { filename: join(folder, 'other.db') },
      useNullAsDefault: true,
    });
    await other.schema.createTable('flow_states', (table) => table.increments('id'));
    await other.destroy();
    const before = readdirSync(folder);
    for (const [command, file, message] of [
      [['quarantine', 'list'], 'note.txt', /not a sound SQLite database/],
      [['start', '--port', '0'], 'note.txt', /not a sound SQLite database/],
      [['quarantine', 'retry', `${FLOW}/p_1`], 'empty.db', /no database of Perdure's/],
      [['recover'], 'other.db', /no database of Perdure's/],
      [['migrate'], 'empty.db', /no database of Perdure's/],
      [['check'], '.', /is a folder/],
    ] as const) {
      const { code, err } = await perdure(...command, '--database', file);
      expect(code).toBe(1);
      expect(err).toMatch(message);
      expect(err).toMatch(/^perdure: .*\n$/);
    }
    expect(readdirSync(folder)).toEqual(before);
    expect(readFileSync(join(folder, 'empty.db'), 'utf8')).toBe('');
  });

  it('says what is wrong with an id, an actor, an option or a server', async () => {
    const server = await start();
    const where = ['--database', database];
    for (const [args, message] of [
      [['dead-letters', 'show', '99', ...where], /There is no dead letter 99/],
      [['dead-letters', 'retry', 'first', ...where], /id must be a whole number/],
      [['dead-letters', 'list', '--status', 'lost', ...where], /'lost' is invalid/],
      [['dead-letters', 'list', '--limit', '0', ...where], /limit must be/],
      [['quarantine', 'show', 'p_1', ...where], /'p_1' names no actor.*conversation\/p_1/],
      [['quarantine', 'retry', `${FLOW}/nobody`, ...where], /There is no actor micro_health_intervention\/nobody/],
      [['quarantine', 'show', 'unknown/p_1', ...where], /p_1/],
      [['quarantine', 'list', '--url', 'http://127.0.0.1:1'], /There is no server at http:\/\/127\.0\.0\.1:1/],
      [['quarantine', 'forget'], /unknown command 'forget'/],
    ] as [string[], RegExp][]) {
      const { code, out, err } = await perdure(...args);
      expect(code, args.join(' ')).toBe(1);
      expect(err).toMatch(message);
      expect(err).toMatch(/^(perdure|error): /);
      expect(err).not.toMatch(/\n\s+at /);
      expect(out).toBe('');
    }
    expect(await server.call('/health')).toMatchObject({ status: 'running' });
  });

  it('lets two commands on one file wait for each other', async () => {
    const server = await start();
    await server.terminate();
    const both = await Promise.all(
      [`${FLOW}/p_1`, `${FLOW}/p_2`].map((actor) => perdure('quarantine', 'retry', actor, '--database', database)),
    );
    for (const { err } of both) expect(err).toContain('There is no actor');
  });
});
