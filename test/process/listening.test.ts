/** Where the server listens, who may ask it there, and how it says so. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;
/** An address of this machine that others can reach, where it has one. */
const OUTSIDE = Object.values(networkInterfaces())
  .flat()
  .find((each) => each && !each.internal && each.family === 'IPv4')?.address;

describe('where the server listens', { timeout: 60_000 }, () => {
  let folder: string;
  let ends: (() => Promise<unknown>)[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-listening-'));
    ends = [];
  });
  afterEach(async () => {
    await Promise.all(ends.map((end) => end()));
    rmSync(folder, { recursive: true });
  });

  const run = (args: string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, OPENAI_API_KEY: '', ...env } });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    ends.push(() => {
      child.kill('SIGKILL');
      return ended;
    });
    const ready = new Promise<string>((resolve, reject) => {
      child.stdout.on('data', () => {
        const url = /ready at (\S+)/.exec(output)?.[1];
        if (url) resolve(url);
      });
      void ended.then(() => reject(new Error(output)));
    });
    ready.catch(() => {});
    return { ended, ready, output: () => output };
  };
  const start = (args: string[], env?: Record<string, string>) =>
    run(['start', '--port', '0', '--database', join(folder, 'perdure.db'), ...args], env);

  it.each(['0.0.0.0', '::', '0', ...(OUTSIDE ? [OUTSIDE, `::ffff:${OUTSIDE}`] : [])])(
    'refuses to listen on %s without a token, says what to do, and begins nothing',
    async (host) => {
      const server = start(['--host', host]);
      expect(await server.ended).toBe(1);
      expect(server.output()).toMatch(/^perdure: On .*, others can reach the server.*PERDURE_TOKEN.*--insecure\.$/m);
      expect(existsSync(join(folder, 'perdure.db'))).toBe(false);
    },
  );

  it.each([
    ['--host', '', /--host is empty/],
    ['--host', ' ', /--host is empty/],
    ['--host', 'nowhere.invalid', /nowhere\.invalid/],
    ['--token', '', /The token is empty/],
    ['--token', 'open sesame', /characters that no HTTP header takes/],
  ])('refuses %s %j in words', async (option, value, message) => {
    const server = start([option, value]);
    expect(await server.ended).toBe(1);
    expect(server.output()).toMatch(message);
    expect(server.output()).not.toMatch(/\n\s+at /);
  });

  it.each(['localhost', '127.0.0.2', '::1'])(
    'listens on %s without a token: nobody else reaches that',
    async (host) => {
      const server = start(['--host', host]);
      const url = await server.ready;
      expect((await fetch(`${url}/status`)).status).toBe(200);
      expect(server.output()).not.toContain('Everybody');
    },
  );

  it('warns where it is told to listen to everybody all the same', async () => {
    const server = start(['--host', '0.0.0.0', '--insecure']);
    const url = await server.ready;
    expect((await fetch(`${url}/status`)).status).toBe(200);
    expect(server.output()).toMatch(/"level":40.*Everybody who reaches/);
    if (OUTSIDE) expect((await fetch(`${url.replace('127.0.0.1', OUTSIDE)}/status`)).status).toBe(200);
  });

  it('listens to everybody who has the token, and so do the commands that have it', async () => {
    const env = { PERDURE_TOKEN: 'opensesame' };
    const url = await start(['--host', '0.0.0.0', '--allowed-host', 'study.example.org'], env).ready;
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await fetch(`${url}/status`)).status).toBe(401);
    expect((await fetch(`${url}/status`, { headers: { authorization: 'Bearer opensesame' } })).status).toBe(200);

    const database = join(folder, 'perdure.db');
    for (const target of [
      ['--url', url],
      ['--database', database],
    ]) {
      const known = run(['status', ...target], env);
      expect([await known.ended, known.output()]).toEqual([0, expect.stringContaining('running')]);
      const unknown = run(['status', ...target], { PERDURE_TOKEN: '' });
      expect([await unknown.ended, unknown.output()]).toEqual([
        1,
        expect.stringContaining('wants its token: set PERDURE_TOKEN'),
      ]);
    }
  });
});
