import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createConversationFlow,
  microHealthInterventionFlow,
  offlineResponder,
  Participants,
  perdureHttp,
} from '../../src/http/index.ts';
import { createRuntime } from '../../src/index.ts';
import { Server } from '../process/server.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

describe.skipIf(!existsSync(CHROMIUM))('the page', () => {
  let server: Server;
  let browser: Browser;
  const folder = mkdtempSync(join(tmpdir(), 'perdure-page-'));
  const database = join(folder, 'page.db');

  /** Another program on this machine, with whatever page it is asked for. */
  const other = createServer(({ url }, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(decodeURIComponent(url!.slice(1)));
  });
  const elsewhere = (html: string) =>
    `http://127.0.0.1:${(other.address() as AddressInfo).port}/${encodeURIComponent(html)}`;

  beforeAll(async () => {
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    server = await Server.start(database);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.terminate();
    other.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('works below a prefix, also where it is asked for without the slash at its end', async () => {
    const conversation = createConversationFlow({ generate: offlineResponder });
    const runtime = createRuntime({ database: ':memory:', flows: [microHealthInterventionFlow, conversation] });
    const participants = new Participants({ runtime, conversation, systemPrompt: 'Be kind.' });
    const app = Fastify();
    await app.register(perdureHttp, { runtime, participants, prefix: '/study' });
    await runtime.start();
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    try {
      await page.goto(`${await app.listen({ port: 0, host: '127.0.0.1' })}/study`);
      await page.getByLabel('Phone number').fill('+1 (555) 123-4567');
      await page.getByRole('button', { name: 'Enrol' }).click();
      await page.getByText('and welcome!').waitFor();
      await page.getByLabel('Message', { exact: true }).fill('Ready');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.locator('#state', { hasText: 'COMMITMENT_PROMPT' }).waitFor();
      expect(errors).toEqual([]);
    } finally {
      await page.close();
      await app.close();
      await runtime.stop();
    }
  });

  it('enrols a phone, chats as the participant and shows where the actor stands', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(server.url);
    await page.getByLabel('Phone number').fill('+1 (555) 123-4567');
    await page.getByLabel('Name').fill('Ada <b>Lovelace</b>');
    await page.getByRole('button', { name: 'Enrol' }).click();
    await page.getByText('and welcome!').waitFor();
    expect(await page.locator('#chat b').count()).toBe(0);

    await page.getByLabel('Message', { exact: true }).fill('Ready');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('button', { name: "Let's do it!" }).click();
    await page.locator('#state', { hasText: 'FEELING_PROMPT' }).waitFor();
    await page.locator('#timers li', { hasText: 'feeling' }).waitFor();
    await page.locator('#timers b', { hasText: /00:1[45]:\d\d/ }).waitFor();
    expect(await page.locator('#context').innerText()).toContain('lastCommitmentDate');
    const shot = process.env['SCREENSHOT'];
    if (shot) await page.screenshot({ path: shot });
    expect(errors).toEqual([]);
    await page.close();
  });

  it('asks for the token of a server that has one, keeps it for the tab, and cannot be framed', async () => {
    const guarded = await Server.start(join(folder, 'guarded.db'), '--token', 'opensesame');
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const refused: string[] = [];
    page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));
    try {
      await page.goto(guarded.url);
      await page.getByLabel('Token').fill('guess');
      expect(await page.locator('main').isVisible()).toBe(false);
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByText('That is not the token of this server.').waitFor();
      if (process.env['SCREENSHOT']) await page.screenshot({ path: `${process.env['SCREENSHOT']}.token.png` });
      await page.getByLabel('Token').fill('opensesame');
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByLabel('Phone number').fill('+1 (555) 123-4567');
      await page.getByRole('button', { name: 'Enrol' }).click();
      await page.getByText('and welcome!').waitFor();
      await page.reload();
      await page.getByText('+15551234567').waitFor();
      expect(refused.filter((text) => !text.includes('401'))).toEqual([]);

      await page.goto(elsewhere(`<iframe id="frame" src="${guarded.url}/"></iframe>`));
      await page.frameLocator('#frame').locator('body').waitFor({ state: 'attached' });
      expect(await page.frameLocator('#frame').getByText('Perdure').count()).toBe(0);
      expect(refused.join()).toMatch(/frame|403/i);
    } finally {
      await page.close();
      await guarded.terminate();
    }
  });

  it('lets no page of another origin read or write', async () => {
    const page = await browser.newPage();
    const { id } = await server.call<{ id: string }>('/intervention/participants', { phone_number: '+15551230000' });
    const turns = () => server.call(`/participants/${id}/journal`);
    const participants = () => server.call('/intervention/participants');
    try {
      await page.goto(elsewhere('<p>Hello</p>'));
      const before = [await turns(), await participants()];
      const read = await page.evaluate(async (url) => {
        const json = { 'content-type': 'application/json' };
        const body = JSON.stringify({ phone_number: '+15551239999' });
        const requests: [path: string, options: RequestInit][] = [
          ['/intervention/participants', { method: 'POST', body, headers: json }],
          ['/intervention/participants', { method: 'POST', body, mode: 'no-cors' }],
          ['/intervention/weekly-summary', { method: 'POST', mode: 'no-cors' }],
          ['/intervention/participants', {}],
          ['/intervention/participants', { mode: 'no-cors' }],
        ];
        const texts = requests.map(([path, options]) => fetch(url + path, options).then((answer) => answer.text()));
        return (await Promise.allSettled(texts)).map((each) => (each.status === 'fulfilled' ? each.value : ''));
      }, server.url);
      expect(read).toEqual(['', '', '', '', '']);
      expect([await turns(), await participants()]).toEqual(before);
    } finally {
      await page.close();
    }
  });

  it('says what is wrong with a phone number, and loses nothing', async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    await page.goto(server.url);
    await page.getByLabel('Phone number').fill('12345');
    await page.getByRole('button', { name: 'Enrol' }).click();
    await page.getByText("'12345' is not a phone number").waitFor();
    expect(await page.getByLabel('Phone number').inputValue()).toBe('12345');
    await page.close();
  });
});
