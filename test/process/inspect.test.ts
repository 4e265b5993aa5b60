/** `perdure start --inspect`, for real: over a kill, and in a browser. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWebSocketReceiver } from '@statelyai/inspect';
import { chromium } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Server } from './server.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('live actors of the server', () => {
  let folder: string;
  let database: string;
  let server: Server | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    database = join(folder, 'perdure.db');
  });
  afterEach(async () => {
    await server?.kill().catch(() => {});
    rmSync(folder, { recursive: true });
  });

  const enrol = async () => {
    const phone = { phone_number: '+15551234567', name: 'Ada' };
    const { id } = await server!.call<{ id: string }>('/intervention/participants', phone);
    await server!.call('/messages', { channel: 'sms', id: 'm1', from: '+15551234567', text: 'Ready' });
    return id;
  };
  const firstSnapshot = (url: string) =>
    new Promise<any>((resolve) => {
      createWebSocketReceiver({ server: url }).subscribe((message) => {
        if (message.type === '@xstate.snapshot') resolve(message);
      });
    });

  it('are shown as they are after a kill, masked unless it is asked for', async () => {
    const port = String(await freePort());
    server = await Server.start(database);
    const id = await enrol();
    await server.kill();
    const query = `?flow=micro_health_intervention&participant=${id}`;
    const COMMITMENT = { PARTICIPATING: { day: 'COMMITMENT_PROMPT', week: 'COUNTING' } };

    server = await Server.start(database, '--inspect', port);
    const masked = await firstSnapshot(`ws://127.0.0.1:${port}/${query}`);
    expect(masked.snapshot).toMatchObject({ value: COMMITMENT, context: { name: expect.stringMatching(/^masked-/) } });
    expect(JSON.stringify(masked)).not.toMatch(new RegExp(`Ada|5551234567|${id}`));
    expect(await server.terminate()).toBe(0);

    server = await Server.start(database, '--inspect', port, '--inspect-unmasked');
    const bare = await firstSnapshot(`ws://127.0.0.1:${port}/${query}`);
    expect(bare).toMatchObject({
      sessionId: `micro_health_intervention/${id}`,
      snapshot: { value: COMMITMENT, context: { name: 'Ada' } },
    });
  });

  it.skipIf(!existsSync(CHROMIUM))('reach the page of the inspector, which hands them to Stately’s', async () => {
    const port = await freePort();
    server = await Server.start(database, '--inspect', String(port));
    await enrol();
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
    const page = await browser.newPage();
    // In place of Stately's own page: it says that it is there, and writes down what it is told.
    await page.route('https://stately.ai/inspect', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<ul></ul><script>
          onmessage = ({ data }) => document.querySelector('ul').append(Object.assign(document.createElement('li'), { textContent: data.type + ' ' + data.sessionId }));
          parent.postMessage({ type: '@statelyai.connected' }, '*');
        </script>`,
      }),
    );
    await page.goto(`http://127.0.0.1:${port}/`);
    const items = page.frameLocator('#inspector').locator('li');
    await items.filter({ hasText: '@xstate.actor micro_health_intervention/masked-' }).waitFor();
    await items.filter({ hasText: '@xstate.snapshot micro_health_intervention/masked-' }).waitFor();
    expect(await page.locator('#status').innerText()).toBe('');
    await server.kill();
    await page.locator('#status', { hasText: 'The connection has ended' }).waitFor();
    await browser.close();
  });
});
