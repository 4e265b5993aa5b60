/** The command line on a study whose flows are the application's own, for real. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { perdureHttp } from '../../src/http/index.ts';
import { type AnyFlow, createRuntime, type Runtime } from '../../src/index.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const BIN = here('../../dist/src/cli/perdure.js');
const NODE_MODULES = here('../../node_modules');

/** A flow that cannot seat anybody while there is no file `mended` beside it; in TypeScript, with its recovery. */
const FLOWS = `
  import { existsSync } from 'node:fs';
  import { defineFlow } from '${pathToFileURL(here('../../dist/src/index.js')).href}';
  import { assign, setup } from 'xstate';
  const seat = (seats: number): number => {
    if (!existsSync(new URL('mended', import.meta.url))) throw new Error('There are no seats.');
    return seats + 1;
  };
  const machine = setup({
    types: { context: {} as { seats: number }, events: {} as { type: 'reply'; text: string } },
    actions: { seat: assign({ seats: ({ context }) => seat(context.seats) }) },
  }).createMachine({
    id: 'signup',
    context: { seats: 0 },
    initial: 'asked',
    states: { asked: { on: { reply: { target: 'seated', actions: 'seat' } } }, seated: {} },
  });
  export const signup = defineFlow({ type: 'signup', version: 1, logic: machine });
  export const waitlist = {
    name: 'waitlist',
    recoverState: async (registry: any) =>
      registry.notice({ flowType: 'signup', participantId: 'p_1', reason: 'It waits.', action: 'told' }),
  };`;

describe("the commands on an application's own flows", { timeout: 60_000 }, () => {
  let folder: string;
  let runtime: Runtime;
  let signup: AnyFlow;
  let app: FastifyInstance | undefined;
  /** The application has two people: one was put aside, the message of the other one is a dead letter. */
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-own-'));
    write('package.json', '{ "type": "module" }');
    write('flows.ts', FLOWS);
    mkdirSync(join(folder, 'node_modules'));
    for (const name of ['xstate', 'tsx'])
      symlinkSync(join(NODE_MODULES, name), join(folder, 'node_modules', name), 'junction');
    ({ signup } = await import(join(folder, 'flows.ts')));
    runtime = createRuntime({ database: `sqlite:${join(folder, 'app.db')}`, flows: [signup] });
    await runtime.start();
    await runtime.spawn(signup, 'p_1');
    await runtime.knex('flow_states').update({ status: 'quarantined', last_error: 'It was lost.' });
    await runtime.spawn(signup, 'p_2', { phoneNumber: '+15551234567' });
    await runtime.receive({ channel: 'sms', id: 'm1', from: '+15551234567', text: 'me' }).catch(() => {});
  });
  afterEach(async () => {
    await app?.close();
    app = undefined;
    await runtime.stop();
    rmSync(folder, { recursive: true });
  });

  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  /** Runs a command to its end. */
  const perdure = (...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      execFile(process.execPath, [BIN, ...args], { cwd: folder }, (error, out, err) =>
        resolve({ code: error ? Number(error.code) : 0, out, err }),
      );
    });
  const on = ['--database', 'app.db'];

  it('look at rows without the flows, and beside the process that runs on the file', async () => {
    const list = await perdure('quarantine', 'list', ...on);
    expect(list).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/signup\/p_1 .* It was lost\./) });
    const shown = await perdure('quarantine', 'show', 'signup/p_1', ...on);
    expect(shown).toMatchObject({ code: 0, err: '', out: expect.stringContaining('"seats": 0') });
    const letters = await perdure('dead-letters', 'list', ...on);
    expect(letters).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/signup\/p_2 .*“me” .*no seats/) });
    expect((await perdure('dead-letters', 'show', '1', ...on)).out).toContain('"text": "me"');
    expect(runtime.health()).toMatchObject({ status: 'running', health: 'healthy' });
  });

  it('retry an actor with the flows of a TypeScript module, and not without', async () => {
    await runtime.stop();
    write('other.ts', FLOWS.replace("type: 'signup'", "type: 'other'"));
    const without = await perdure('quarantine', 'retry', 'signup/p_1', ...on);
    expect(without).toMatchObject({ code: 1, out: '' });
    expect(without.err).toMatch(/^perdure: There is no flow 'signup'\. Name the module that exports it.*\n$/);
    const other = await perdure('quarantine', 'retry', 'signup/p_1', 'other.ts', ...on);
    expect(other).toEqual({
      code: 1,
      out: '',
      err: "perdure: There is no flow 'signup'. other.ts does not export it.\n",
    });
    const done = await perdure('quarantine', 'retry', 'signup/p_1', 'flows.ts', ...on);
    expect(done).toEqual({ code: 0, out: 'signup/p_1 goes on.\n', err: '' });
    write('mended', '');
    await runtime.start();
    const reply: { type: string } = { type: 'reply' };
    const { value, context } = await runtime.actor(signup, 'p_1').send(reply);
    expect([value, context]).toEqual(['seated', { seats: 1 }]);
  });

  it('apply a dead letter with the mended code, once', async () => {
    await runtime.stop();
    const retry = () => perdure('dead-letters', 'retry', '1', 'flows.ts', ...on);
    expect(await retry()).toMatchObject({ code: 1, out: '', err: expect.stringContaining('There are no seats.') });
    write('mended', '');
    expect(await retry()).toEqual({ code: 0, out: 'Dead letter 1 was applied; the actor is in seated.\n', err: '' });
    expect(await retry()).toMatchObject({ code: 1, err: expect.stringContaining('was retried before') });
    const discarded = await perdure('quarantine', 'discard', 'signup/p_1', 'flows.ts', ...on, '--reason', 'a test');
    expect(discarded).toEqual({ code: 0, out: 'signup/p_1 has ended.\n', err: '' });
    await runtime.start();
    expect((await runtime.actor(signup, 'p_2').getSnapshot()).context).toEqual({ seats: 1 });
    expect(await runtime.actor(signup, 'p_1').describe()).toMatchObject({ status: 'stopped' });
  });

  it('ask the application itself where it serves them below a prefix, without the module', async () => {
    const refused = await perdure('quarantine', 'retry', 'signup/p_1', 'flows.ts', ...on);
    expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(new RegExp(`pid ${process.pid}, .* --url`)) });
    app = Fastify();
    await app.register(perdureHttp, { runtime, prefix: '/ops' });
    const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}/ops`;
    expect(await perdure('status', '--url', url)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/signup +1 +3 +1/),
    });
    const done = await perdure('quarantine', 'retry', 'signup/p_1', '--url', `${url}/`);
    expect(done).toEqual({ code: 0, out: 'signup/p_1 goes on.\n', err: '' });
    expect((await perdure('quarantine', 'list', '--url', url)).out).toBe('Nobody is quarantined.\n');
    expect(await runtime.actor(signup, 'p_1').describe()).toMatchObject({ status: 'active' });
  });

  it('recover with the flows and the components that the module exports', async () => {
    const own = await perdure('recover', 'flows.ts', '--dry-run', ...on);
    expect(own).toMatchObject({ code: 0, err: '' });
    expect(own.out).toMatch(/^waitlist: .*\n {2}p_1: It waits\. → told$/m);
    expect(own.out).toMatch(/^signup: 1 recovered, 1 quarantined before/m);
    const without = await perdure('recover', '--dry-run', ...on);
    expect(without).toMatchObject({ code: 2, err: expect.stringContaining('Name the module that exports it') });
  });

  it('say what is wrong with a module, each in the same words', async () => {
    write('throws.ts', '\nexport const url: string = process.env.NONE!.trim();');
    write('throws.js', "throw 'nothing';");
    write('empty.js', 'export const flow = 1;');
    const wrong: [args: string[], message: RegExp][] = [
      [['throws.ts'], /^throws\.ts cannot be imported: .*'trim'.* \(throws\.ts:2:\d+\)$/],
      [['throws.js'], /^throws\.js cannot be imported: it throws "nothing"$/],
      [['empty.js'], /^empty\.js exports no flow \(it exports flow\)/],
      [['.'], /^\. is a folder/],
      [['none.js'], /^There is no module none\.js/],
      [['flows.ts', 'more.ts'], /^too many arguments for/],
    ];
    const commands = [['check'], ['recover', '--dry-run'], ['quarantine', 'retry', 'signup/p_1']];
    for (const [i, [args, message]] of wrong.entries()) {
      const command = commands[i % commands.length]!;
      const { code, out, err } = await perdure(...command, ...args, ...on);
      expect({ code, out }, args.join()).toEqual({ code: 1, out: '' });
      expect(err.replace(/^perdure: /, '').split('\n')[0]).toMatch(message);
      expect(err).not.toMatch(/\n\s+at /);
    }
  });

  it('end, whatever the module has opened; JavaScript may import TypeScript', async () => {
    write('open.js', "export * from './flows.ts';\nsetInterval(() => {}, 1_000);");
    const checked = await perdure('check', 'open.js', ...on);
    expect(checked).toMatchObject({ code: 0, err: '', out: expect.stringContaining('1 go on') });
  });
});
