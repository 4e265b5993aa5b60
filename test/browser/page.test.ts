import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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

  beforeAll(async () => {
    server = await Server.start(database);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.terminate();
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
