import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Server } from './server.ts';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;

describe('perdure backup', { timeout: 90_000 }, () => {
  let folder: string;
  let servers: Server[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  });
  afterEach(async () => {
    for (const server of servers) await server.kill().catch(() => {});
    servers = [];
    rmSync(folder, { recursive: true });
  });
  const path = (name: string) => join(folder, name);
  const start = async (name: string) => {
    const server = await Server.start(path(name));
    servers.push(server);
    return server;
  };
  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'exit');
    return { code, output };
  };
  const enrol = (server: Server, n: number) =>
    server.call<{ id: string }>('/intervention/participants', { phone_number: `+1555123${1000 + n}` });

  it('under load, killed and then made, is restored whole on a server that was killed', async () => {
    const server = await start('study.db');
    const before: string[] = [];
    for (let n = 0; n < 20; n++) before.push((await enrol(server, n)).id);
    let stopped = false;
    const load = (async () => {
      for (let n = 20; !stopped; n++) await enrol(server, n);
    })().catch(() => {});

    const killed = spawn(process.execPath, [BIN, 'backup', path('killed.db'), '-d', path('study.db')]);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    expect(existsSync(path('killed.db'))).toBe(false);

    const { code, output } = await run('backup', path('backup.db'), '-d', path('study.db'));
    expect(output).toMatch(/backup\.db: .* rows in \d+ tables, checked\./);
    expect(code).toBe(0);
    expect((await run('backup', path('backup.db'), '-d', path('study.db'))).output).toContain('is there already');
    await server.kill();
    stopped = true;
    await load;

    // As docs/backup.md has it.
    for (const end of ['', '-wal', '-shm']) rmSync(path('study.db') + end, { force: true });
    copyFileSync(path('backup.db'), path('study.db'));
    const restored = await start('study.db');
    const there = await restored.call<{ id: string }[]>('/intervention/participants?limit=1000');
    expect(there.map(({ id }) => id)).toEqual(expect.arrayContaining(before));
    expect((await restored.call<unknown[]>(`/participants/${before[0]}/messages`)).length).toBeGreaterThan(0);
    await enrol(restored, 5_000);
  });

  it('is what a plain copy of an idle server is as well', async () => {
    const server = await start('study.db');
    for (let n = 0; n < 5; n++) await enrol(server, n);
    let copies = 0;
    await vi.waitFor(
      async () => {
        const name = `copy-${++copies}.db`;
        copyFileSync(path('study.db'), path(name));
        const copy = await start(name);
        const there = await copy.call<unknown[]>('/intervention/participants');
        await copy.kill();
        expect(there).toHaveLength(5);
      },
      { timeout: 60_000, interval: 500 },
    );
  });
});
