import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Server } from './server.ts';

const TSX = import.meta.resolve('tsx');
const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;

describe('the command line, for real', { timeout: 60_000 }, () => {
  let folder: string;
  let database: string;
  let servers: Server[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    database = join(folder, 'perdure.db');
  });
  afterEach(async () => {
    for (const server of servers) await server.kill().catch(() => {});
    servers = [];
    rmSync(folder, { recursive: true });
  });

  const start = async (...options: string[]) => {
    const server = await Server.start(database, ...options);
    servers.push(server);
    return server;
  };
  /** Runs a command to its end. */
  const run = async (args: string[], input?: string[]) => {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    const hear = (chunk: Buffer) => {
      output += chunk;
      // Says the next line once the last one was answered.
      if (input && /\n|> $/.test(String(chunk)) && input.length > 0) child.stdin.write(`${input.shift()}\n`);
      else if (input && input.length === 0 && /feel/i.test(output)) child.stdin.end();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    if (!input) child.stdin.end();
    const [code] = await once(child, 'exit');
    return { code, output };
  };
  const enrol = (server: Server) =>
    server.call<{ id: string }>('/intervention/participants', { phone_number: '+15551234567', name: 'Ada' });

  it.each(['SIGTERM', 'SIGINT'] as const)('answers what is under way and exits with 0 at %s', async (signal) => {
    const server = await start();
    const { id } = await enrol(server);
    const answers = Array.from({ length: 50 }, (_, i) =>
      server
        .call('/messages', { channel: 'sms', id: `m${i}`, from: '+15551234567', text: `${i}` })
        .then(() => `m${i}`)
        .catch(() => null),
    );
    await answers[0];
    expect(await server.terminate(signal)).toBe(0);
    const acknowledged = (await Promise.all(answers)).filter((answer) => answer !== null);
    const again = await start();
    const messages = await again.call<{ direction: string; id: string }[]>(`/participants/${id}/messages`);
    const kept = messages.filter(({ direction }) => direction === 'in').map((message) => message.id);
    expect(kept).toEqual(expect.arrayContaining(acknowledged));
    expect(new Set(kept).size).toBe(kept.length);
  });

  it('refuses a second server on the same file, naming the first, which goes on', async () => {
    const server = await start();
    const second = await run(['start', '--port', '0', '--database', database]);
    expect(second.code).toBe(1);
    expect(second.output).toContain(`pid ${server.pid}`);
    expect(await server.call('/health')).toMatchObject({ status: 'running' });
  });

  it('tells what the server on a file does, and that none does once it was killed', async () => {
    const server = await start();
    await enrol(server);
    const told = await run(['status', '--database', database]);
    expect(told.code).toBe(0);
    expect(told.output).toMatch(/status +running\nhealth +healthy/);
    expect(told.output).toMatch(/micro_health_intervention +1 +1 +0/);
    const { code, output } = await run(['status', '--url', server.url, '--json']);
    expect([code, JSON.parse(output)]).toMatchObject([0, { pid: server.pid, status: 'running', troubles: {} }]);
    await server.kill();
    const later = await run(['status', '--database', database]);
    expect([later.code, later.output]).toEqual([3, expect.stringContaining('No server runs on')]);
    const elsewhere = await run(['status', '--database', join(folder, 'none.db')]);
    expect([elsewhere.code, elsewhere.output]).toEqual([1, expect.stringContaining('There is no database')]);
  });

  it('takes over from one that was killed, at once', async () => {
    const server = await start();
    await enrol(server);
    const timers = await server.call<{ due_at_ms: number }[]>('/timers');
    await server.kill();
    const again = await start();
    expect((await again.call<{ due_at_ms: number }[]>('/timers')).map(({ due_at_ms }) => due_at_ms)).toEqual(
      timers.map(({ due_at_ms }) => due_at_ms),
    );
  });

  it('keeps the pace of its clock over a restart, and time never jumps back', async () => {
    const now = async (server: Server) => Date.parse((await server.call<{ now: string }>('/health')).now);
    const fast = await start('--time-scale', '100000');
    const first = await now(fast);
    let second = first;
    while (second < first + 3_600_000) second = await now(fast); // an hour within 36 ms
    await fast.kill();
    const again = await start();
    const third = await now(again);
    expect(third).toBeGreaterThanOrEqual(second);
    let fourth = third;
    while (fourth < third + 3_600_000) fourth = await now(again);
    await again.kill();
    const slow = await start('--time-scale', '1');
    expect(await now(slow)).toBeGreaterThanOrEqual(fourth);
  });

  it('chats in the terminal', async () => {
    const server = await start();
    const { code, output } = await run(['chat', '+15551234567', '--url', server.url], ['Ready', '1']);
    expect(output).toContain('Are you ready for a quick habit today?');
    expect(output).toMatch(/How do you feel about this first step\?/);
    expect(code).toBe(0);
  });

  it('tells the version of its package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run(['--version'])).toEqual({ code: 0, output: `${version}\n` });
    const source = fileURLToPath(new URL('../../src/cli/perdure.ts', import.meta.url));
    const options = { encoding: 'utf8' } as const;
    expect(execFileSync(process.execPath, ['--import', TSX, source, '--version'], options)).toBe(`${version}\n`);
  });

  it('says what is wrong with an option, and ends with an error', async () => {
    for (const [args, message] of [
      [['start', '--port', '99999'], /port/],
      [['start', '--time-scale', '0'], /above 0/],
      [['start', '--default-country', 'Narnia'], /There is no country 'Narnia'/],
      [['start', '--database', join(folder, 'no', 'such', 'folder.db'), '--port', '0'], /folder of the database/],
      [['start', '--database', database, '--port', '0', '--system-prompt', join(folder, 'none.txt')], /none\.txt/],
      [['chat', '+15551234567', '--url', 'http://127.0.0.1:1'], /There is no server at/],
      [['machine', 'export', 'nothing'], /There is no machine 'nothing'/],
      [['start', '--database', folder, '--port', '0'], /is a folder, and cannot be opened.* Name the file in it/],
      [['dance'], /^perdure: unknown command 'dance'\nAdd --help/],
    ] as [string[], RegExp][]) {
      const { code, output } = await run(args);
      expect(output).toMatch(message);
      expect(output).not.toMatch(/\n\s+at /); // no stack for what the user can mend
      expect(code).toBe(1);
    }
  });
});
