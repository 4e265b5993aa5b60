/** The example for Next.js under Next.js itself, where it is installed: see examples/README.md. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

const EXAMPLE = fileURLToPath(new URL('../../examples/nextjs/', import.meta.url));
const NEXT = ['node_modules', '../node_modules']
  .map((folder) => join(EXAMPLE, folder, 'next/dist/bin/next'))
  .find(existsSync);

describe.runIf(NEXT)('the example for Next.js, under Next.js', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-next-'));
  let server: ChildProcess | undefined;
  let url = '';
  const env = { ...process.env, NODE_ENV: undefined, NEXT_TELEMETRY_DISABLED: '1' };

  const start = async (command: string, database: string, more = {}) => {
    const port = await freePort();
    // A group of its own: `next dev` forks the server, which would outlive it.
    const options = { cwd: EXAMPLE, env: { ...env, DATABASE: join(folder, database), ...more }, detached: true };
    server = spawn(process.execPath, [NEXT!, command, '-p', String(port)], options);
    url = `http://localhost:${port}`;
    let output = '';
    await new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer) => {
        output += chunk;
        if (output.includes('Ready in')) resolve();
      };
      server!.stdout!.on('data', hear);
      server!.stderr!.on('data', hear);
      server!.once('exit', () => reject(new Error(output)));
    });
  };
  const end = async (signal: NodeJS.Signals) => {
    const exit = once(server!, 'exit');
    process.kill(-server!.pid!, signal);
    server = undefined;
    return exit;
  };
  const ask = async (path: string, body?: object) => {
    const answer = await fetch(url + path, body && { method: 'POST', body: JSON.stringify(body) });
    return answer.json();
  };
  afterEach(async () => {
    if (server) await end('SIGKILL');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is built with its types checked, and goes on where it was after a kill', async () => {
    execFileSync(process.execPath, [NEXT!, 'build'], { cwd: EXAMPLE, env, stdio: 'pipe' });
    await start('start', 'built.db');
    const placed = await ask('/orders', { id: 'o_1', customer: 'Ada' });
    expect(placed).toMatchObject({ state: 'placed', status: 'placed' });
    expect(await ask('/orders', { id: 'o_1', customer: 'Bob' })).toMatchObject({ status: 409 });
    expect(await ask('/orders/o_9')).toMatchObject({ status: 404 });
    await end('SIGKILL');
    await start('start', 'built.db', { NEXT_MANUAL_SIG_HANDLE: 'true' });
    expect(await ask('/orders/o_1')).toEqual(placed);
    expect(await ask('/orders/o_1/pay', {})).toMatchObject({ state: 'paid', status: 'paid' });
    expect(await ask('/orders/o_1/pay', {})).toMatchObject({ status: 409 });
    expect(await end('SIGTERM')).toEqual([0, null]);
  });

  it('keeps one runtime while it is developed, over hot reloads', async () => {
    const file = join(EXAMPLE, 'app/orders/route.ts');
    const text = readFileSync(file, 'utf8');
    try {
      await start('dev', 'developed.db');
      expect(await ask('/orders', { id: 'o_1', customer: 'Ada' })).toMatchObject({ state: 'placed' });
      writeFileSync(file, text.replace(', 201);', ', 202);'));
      // A second runtime on the file would be refused, with 503.
      for (let i = 2, status = 201; status !== 202; i++) {
        const body = JSON.stringify({ id: `o_${i}`, customer: 'Bob' });
        ({ status } = await fetch(`${url}/orders`, { method: 'POST', body }));
        expect([201, 202]).toContain(status);
      }
      expect(await ask('/orders/o_1/pay', {})).toMatchObject({ state: 'paid' });
    } finally {
      writeFileSync(file, text);
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
