/** The page of the inspector in a browser, where Stately's own page cannot be had. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type InspectorServer, serveInspector } from '../../src/inspection/inspector.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const STATELY = 'https://stately.ai/inspect';
const SPEAKS = `<p>here</p><script>parent.postMessage({ type: '@statelyai.connected' }, '*')</script>`;

describe.skipIf(!existsSync(CHROMIUM))('the page of the inspector', () => {
  let browser: Browser;
  let test: TestRuntime;
  let inspector: InspectorServer;
  let page: Page;
  beforeAll(async () => {
    const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
    test = await createTestRuntime({ flows: [counter] });
    inspector = await serveInspector(test.runtime, { port: 0 });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await inspector?.close();
    await test?.stop();
  });
  beforeEach(async () => {
    page = await browser.newPage();
  });
  afterEach(() => page.close());

  const answers = (body: string) => page.route(STATELY, (route) => route.fulfill({ contentType: 'text/html', body }));

  it('says that it cannot be reached, and what to do, in place of a blank frame', async () => {
    await page.route('https://stately.ai/**', (route) => route.abort('internetdisconnected'));
    await page.goto(inspector.url);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.innerText()).toContain('https://stately.ai/inspect does not answer');
    expect(await alert.innerText()).toContain('reload');
    expect(await page.locator('#inspector').isVisible()).toBe(false);
  });

  it('says so also where something answers in its place, which never speaks', async () => {
    await page.clock.install();
    await answers('<p>Please log in to this network.</p>');
    await page.goto(inspector.url);
    await page.frameLocator('#inspector').getByText('Please log in').waitFor();
    expect(await page.getByRole('alert').isVisible()).toBe(false);
    await page.clock.fastForward(15_000);
    await page.getByRole('alert').waitFor();
  });

  it('shows the frame once it speaks', async () => {
    await page.clock.install();
    await answers(SPEAKS);
    await page.goto(inspector.url);
    await page.frameLocator('#inspector').getByText('here').waitFor();
    await page.clock.fastForward(60_000);
    expect(await page.locator('#inspector').isVisible()).toBe(true);
    expect(await page.getByRole('alert').isVisible()).toBe(false);
  });
});
