/** The unit file and the container of the guide to deployment: what can be tried of them without systemd and a registry. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from './blocks.ts';

const guide = readFileSync(join(ROOT, 'docs/deployment.md'), 'utf8');
const block = (language: string) => new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(guide)![1]!;
const [unit, dockerfile] = [block('ini'), block('dockerfile')];
const setting = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)![1]!;

/** The command of the Dockerfile that begins with these words, as a list. */
const listed = (words: string): string[] =>
  JSON.parse(new RegExp(`^${words}.*?(\\[".*\\])$`, 'm').exec(dockerfile)![1]!);

const folder = mkdtempSync(join(tmpdir(), 'perdure-deployment-'));
mkdirSync(join(folder, 'node_modules'));
symlinkSync(ROOT, join(folder, 'node_modules/perdure'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The seconds that the server takes to end, at most. */
const bound = Number(/after (\d+) s at most/.exec(readFileSync(join(ROOT, 'docs/operating.md'), 'utf8'))![1]);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Runs a command of the guide here: in the folder of a project, with a data folder and a port of its own. */
async function runs(command: readonly string[], data: string, healthy: (port: number) => Promise<unknown>) {
  const port = await freePort();
  const [, ...args] = command.map((word) => word.replace(data, folder).replace(/^3000$/, String(port)));
  const env = { ...process.env, PERDURE_TOKEN: 'secret', OPENAI_API_KEY: '', NODE_ENV: 'production' };
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let output = '';
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes('Perdure is ready')) break;
  }
  await healthy(port);
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
}

describe('the unit file', () => {
  it.skipIf(!existsSync('/usr/bin/systemd-analyze'))('is one that systemd has nothing to say about', () => {
    const file = join(folder, 'perdure.service');
    // It looks whether the program is there.
    writeFileSync(file, unit.replace('/usr/bin/node', process.execPath));
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
    expect([status, stdout, stderr]).toEqual([0, '', '']);
  });

  it('gives the server longer to end than it takes', () => {
    expect(Number(setting('TimeoutStopSec'))).toBeGreaterThan(bound);
    expect(guide).toContain(`within ${bound} s`);
  });

  it('starts a server that is well and ends with 0 at SIGTERM', { timeout: 60_000 }, async () => {
    await runs(setting('ExecStart').split(' '), '/var/lib/perdure', async (port) => {
      expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    });
    expect(existsSync(join(folder, 'perdure.db'))).toBe(true);
  });
});

describe('the container', () => {
  it('is given longer to end than the server takes', () => {
    const given = /--stop-timeout=(\d+)/.exec(guide)![1];
    expect(Number(given)).toBeGreaterThan(bound);
    expect(guide).toContain(`stop_grace_period: ${given}s`);
  });

  it('starts a server that its health check finds well, and not well once it has ended', {
    timeout: 60_000,
  }, async () => {
    const [, ...check] = listed('HEALTHCHECK');
    let asked = 0;
    const health = (port: number) =>
      once(
        spawn(
          process.execPath,
          check.map((word) => word.replace('3000', String(port))),
        ),
        'exit',
      );
    await runs(listed('CMD'), '/data', async (port) => {
      asked = port;
      expect(await health(port)).toEqual([0, null]);
    });
    expect(await health(asked)).toEqual([1, null]);
  });
});
