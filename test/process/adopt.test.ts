import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LegacyFile, MINUTE } from '../study/adoption/promptpipe.ts';
import { Server } from './server.ts';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;

describe('perdure adopt, for real', { timeout: 60_000 }, () => {
  let legacy: LegacyFile;
  let into: string;
  let server: Server | undefined;
  beforeEach(async () => {
    legacy = await LegacyFile.create();
    into = join(legacy.folder, 'study.db');
    const participant = { phone_number: '15551234567' };
    await legacy.intervention({ id: 'p_1', state: 'CONTEXT_QUESTION', at: Date.now() - MINUTE, participant });
  });
  afterEach(async () => {
    await server?.kill();
    server = undefined;
    legacy.remove();
  });

  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    const [code] = await once(child, 'close');
    return { code, output, errors };
  };

  it('a server goes on where PromptPipe stood', async () => {
    await legacy.close();
    const { code, output } = await run('adopt', legacy.file, '--into', into);
    expect(output).toContain('Start it with: perdure start --database');
    expect(code).toBe(0);
    server = await Server.start(into);
    const message = { channel: 'sms', id: 'SM1', from: '+15551234567', text: '2' };
    expect(await server.call('/messages', message)).toMatchObject({ status: 'applied' });
    expect(await server.call('/participants/p_1/state')).toMatchObject({
      state: expect.stringContaining('MOOD_QUESTION'),
    });
    const again = await run('adopt', into);
    expect(again).toMatchObject({ code: 0, output: expect.stringContaining('nothing to do') });
  });

  it('exits with 2 where rows are put aside, which the operator finds and ends', async () => {
    await legacy.intervention({ id: 'p_2', state: 'SOMEWHERE' });
    await legacy.intervention({ id: 'p_3', participant: null, row: { flow_type: 'smoking' } });
    await legacy.close();
    const dry = await run('adopt', legacy.file, '--dry-run', '--json');
    expect(dry.code).toBe(2);
    expect(JSON.parse(dry.output)).toMatchObject({ dryRun: true, rows: { length: 5 }, exceptions: { length: 2 } });
    expect((await run('adopt', legacy.file)).code).toBe(2);
    const show = await run('quarantine', 'show', 'micro_health_intervention/p_2', '-d', legacy.file);
    expect(show.output).toMatch(/"SOMEWHERE", which the intervention does not know[\s\S]*state_data .*p_2/);
    expect((await run('quarantine', 'discard', 'micro_health_intervention/p_2', '-d', legacy.file)).code).toBe(0);
    expect((await run('quarantine', 'discard', 'smoking/p_3', '-d', legacy.file)).code).toBe(0);
    expect((await run('quarantine', 'list', '-d', legacy.file)).output).toContain('Nobody');
  });

  it('exits with 1 and says what to do where nothing could be done', async () => {
    await legacy.close();
    expect(await run('adopt', join(legacy.folder, 'nowhere.db'))).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/^perdure: .*nowhere\.db is not there\. Check the path\. Nothing was changed\.\n$/),
    });
    expect(await run('adopt', legacy.file, '--default-country', 'XX')).toMatchObject({
      code: 1,
      errors: expect.stringContaining("no country 'XX'"),
    });
  });
});
