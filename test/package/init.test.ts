import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Program } from './program.ts';
import { Project } from './project.ts';

const BIN = fileURLToPath(new URL('../../dist/src/cli/perdure.js', import.meta.url));

describe('perdure init', { timeout: 240_000 }, () => {
  const parent = new Project();
  const app = new Project(join(parent.folder, 'daily-mood'));
  const programs: Program[] = [];
  beforeAll(async () => {
    const tarball = await Project.pack(parent.folder);
    expect(await parent.node(BIN, 'init', 'daily-mood')).toMatchObject({
      code: 0,
      output: expect.stringContaining('cd daily-mood && npm install && npm test && npm start'),
    });
    // As `npm install` will once the package is published.
    await app.install(tarball);
  }, 240_000);
  afterEach(async () => {
    for (const program of programs.splice(0)) await program.kill();
  });
  afterAll(() => parent.remove(), 60_000);

  /** `npm start`, without npm in between, so that it can be killed. */
  const start = async () => {
    const program = await Program.start(app.folder, ['--import', 'tsx', 'src/index.ts'], {});
    programs.push(program);
    return program;
  };

  it('makes a project of nothing that asks for a later Node', async () => {
    expect(await app.refusedEngines()).toEqual([]);
  });

  it('makes a project whose test passes and whose types are right', async () => {
    expect(JSON.parse(app.read('package.json')).name).toBe('daily-mood');
    expect(app.read('.gitignore')).toContain('node_modules');
    const tested = await app.run('npm', ['test'], { CI: '1', NO_COLOR: '1' });
    expect(tested, tested.output).toMatchObject({ code: 0, output: expect.stringMatching(/3 passed/) });
    expect(await app.tsc()).toEqual({ code: 0, output: '' });
  });

  it('serves its page and its flow, and goes on where it was after a kill', async () => {
    const first = await start();
    expect(await (await fetch(first.url)).text()).toContain('<h1>daily-mood</h1>');
    const { id } = await first.ask('/people', { name: 'Ada' });
    const message = { id: 'm1', text: 'fine' };
    expect(await first.ask(`/people/${id}/messages`, message)).toEqual({ status: 'applied' });
    const headers = { 'content-type': 'application/json' };
    for (const path of ['/people', `/people/${id}/messages`])
      for (const sent of [{}, { headers, body: '{ "na' }, { headers, body: 'null' }])
        expect((await fetch(first.url + path, { method: 'POST', ...sent })).status, `${path} ${sent.body}`).toBe(400);
    const before = await first.ask(`/people/${id}`);
    expect(before).toMatchObject({ state: 'resting', answers: ['1'] });
    await first.kill();
    const again = await start();
    expect(await again.ask(`/people/${id}`)).toMatchObject({
      state: 'resting',
      answers: ['1'],
      nextAt: before.nextAt,
      messages: before.messages.map(({ text }: { text: string }) => ({ text })),
    });
    expect(await again.ask(`/people/${id}/messages`, message)).toEqual({ status: 'duplicate' });
    expect(await again.terminate()).toBe(0);
  });

  it('refuses a folder that is not empty, and writes nothing', async () => {
    const full = new Project(join(parent.folder, 'full'));
    mkdirSync(full.folder);
    full.write('mine.txt', 'mine');
    expect(await full.node(BIN, 'init')).toMatchObject({ code: 1, output: expect.stringContaining('it has mine.txt') });
    expect(await full.node(BIN, 'init', 'mine.txt')).toMatchObject({ code: 1 });
    expect(readdirSync(full.folder)).toEqual(['mine.txt']);
  });

  it.each([
    ['Ünïcode  Prøject!', 'unicode-pr-ject', 'cd "Ünïcode  Prøject!" && '],
    ["it's $HOME", 'it-s-home', 'cd "it\'s \\$HOME" && '],
    ['perdure', 'my-perdure', 'cd perdure && '],
    ['deep/er/日本', 'my-flow', 'cd "deep/er/日本" && '],
    ['x'.repeat(200), 'x'.repeat(100), `cd ${'x'.repeat(200)} && `],
  ])('takes a folder with an odd name (%#)', async (folder, name, enter) => {
    const { code, output } = await parent.node(BIN, 'init', folder);
    expect(code).toBe(0);
    expect(output).toContain(`  ${enter}npm install`);
    expect(output.includes('space in its path')).toBe(folder.includes(' '));
    expect(JSON.parse(parent.read(`${folder}/package.json`)).name).toBe(name);
  });

  it('says what is wrong with a folder that cannot be, and leaves nothing of it', async () => {
    parent.write('a-file', '');
    symlinkSync('nowhere', join(parent.folder, 'dangling'));
    const before = readdirSync(parent.folder);
    for (const folder of ['C:\\work\\flow', 'a-file/flow', 'a-file', 'dangling', 'new\nline', 'y'.repeat(300)]) {
      const { code, output } = await parent.node(BIN, 'init', folder);
      expect([code, output], folder).toEqual([1, expect.stringMatching(/cannot be|is no folder/)]);
      expect(output).not.toMatch(/ {4}at /);
    }
    expect(readdirSync(parent.folder)).toEqual(before);
  });

  it('begins in the present folder, also where git has', async () => {
    const here = new Project(join(parent.folder, 'here'));
    mkdirSync(join(here.folder, '.git'), { recursive: true });
    here.write('LICENSE', 'MIT');
    expect(await here.node(BIN, 'init')).toMatchObject({ code: 0 });
    expect(existsSync(join(here.folder, 'src/index.ts'))).toBe(true);
  });
});
