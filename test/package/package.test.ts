import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blocksOf } from '../docs/blocks.ts';
import { Project } from './project.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const manifest = JSON.parse(readFileSync(`${REPOSITORY}package.json`, 'utf8'));
const entries = Object.keys(manifest.exports)
  .filter((entry) => entry !== './package.json')
  .map((entry) => `perdure${entry.slice(1)}`);

describe('the package, as it would be published', { timeout: 240_000 }, () => {
  const project = new Project();
  let tarball: string;
  beforeAll(async () => {
    tarball = await Project.pack(project.folder);
    project.write('package.json', { name: 'consumer', private: true, type: 'module' });
    // The types of Node, and the optional peers of `perdure/http` and `perdure/opentelemetry`.
    await project.install(tarball, '@types/node@20', 'fastify', 'ajv', '@opentelemetry/api');
  }, 240_000);
  afterAll(() => project.remove(), 60_000);

  it('has nothing that publint would change', async () => {
    const { messages, pkg } = await publint({ pkgDir: REPOSITORY, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg!, { color: false }))).toEqual([]);
  });

  it('gives its types to ESM consumers, under every resolution', async () => {
    const result = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    if (!result.types) throw new Error('The package has no types.');
    // The package is ESM only: what require() and the resolution of before 2019 do is not asked.
    const asked = result.problems.filter(
      (problem) => !('resolutionKind' in problem) || /^(node16-esm|bundler)$/.test(problem.resolutionKind),
    );
    expect(asked).toEqual([]);
    expect(Object.keys(result.entrypoints).filter((entry) => entry !== './package.json')).toHaveLength(entries.length);
  });

  it.runIf(existsSync(join(REPOSITORY, '.git')))(
    'holds what is built, and beside it what Git holds: no build of an example',
    () => {
      const files = createPackageFromTarballData(readFileSync(tarball)).listFiles();
      const inGit = new Set(execFileSync('git', ['ls-files'], { cwd: REPOSITORY, encoding: 'utf8' }).split('\n'));
      const paths = files.map((file) => file.replace('/node_modules/perdure/', ''));
      expect(paths).toContain('examples/nextjs/app/orders/route.ts');
      expect(paths.filter((path) => !/^(dist|docs\/api)\//.test(path) && !inGit.has(path))).toEqual([]);
    },
  );

  it("shares the project's XState, and brings none of its own", () => {
    const copies = ['node_modules/xstate', 'node_modules/perdure/node_modules/xstate'];
    expect(copies.map((copy) => existsSync(join(project.folder, copy)))).toEqual([true, false]);
  });

  it('can be imported, each entry of it', async () => {
    // Two of them belong into a test of their framework, and are imported there: see test/testing/frameworks.test.ts.
    const importable = entries.filter((entry) => !/^perdure\/testing\/(vitest|jest)$/.test(entry));
    expect(importable).toHaveLength(entries.length - 2);
    project.write(
      'entries.js',
      `for (const entry of ${JSON.stringify(importable)}) if (Object.keys(await import(entry)).length === 0) throw entry;`,
    );
    expect(await project.node('entries.js')).toEqual({ code: 0, output: '' });
  });

  it('runs a durable actor in an empty project', async () => {
    project.write(
      'run.js',
      `import { createRuntime, defineFlow } from 'perdure';
       import { message } from 'perdure/machine';
       import { assign, emit, setup } from 'xstate';
       const flow = defineFlow({ type: 'counter', version: 1, logic: setup({}).createMachine({
         context: { count: 0 },
         on: { reply: { actions: [assign({ count: ({ context }) => context.count + 1 }), emit(message('thanks'))] } },
       }) });
       const runtime = createRuntime({ database: 'sqlite:run.db', flows: [flow] });
       await runtime.start();
       const actor = await runtime.actor(flow, 'p_1').getSnapshot().then(() => runtime.actor(flow, 'p_1'), () => runtime.spawn(flow, 'p_1'));
       console.log((await actor.send({ type: 'reply', text: 'hi' })).context.count);
       await runtime.stop();`,
    );
    expect(await project.node('run.js')).toEqual({ code: 0, output: '1\n' });
    expect(await project.node('run.js')).toEqual({ code: 0, output: '2\n' });
  });

  it('runs in a bundle, made as the guide to embedding says', async () => {
    const { groups } = /^npx esbuild (?<options>.* --outfile=(?<out>\S+))$/m.exec(
      readFileSync(join(REPOSITORY, 'docs/embedding.md'), 'utf8'),
    )!;
    project.write(
      'main.ts',
      `import { createRuntime, defineFlow, type Runtime } from 'perdure';
       import { setup } from 'xstate';
       const logic = setup({}).createMachine({ initial: 'waiting', states: { waiting: {} } });
       const flow = defineFlow({ type: 'bundled', version: 1, logic });
       const runtime: Runtime = createRuntime({ database: 'sqlite:bundled.db', flows: [flow] });
       await runtime.start();
       console.log((await (await runtime.ensure(flow, 'p_1')).describe()).state);
       await runtime.stop();`,
    );
    const esbuild = join(REPOSITORY, 'node_modules/esbuild/bin/esbuild');
    expect(await project.run(esbuild, [...groups!['options']!.split(' '), '--log-level=warning'])).toEqual({
      code: 0,
      output: '',
    });
    expect(await project.node(groups!['out']!)).toEqual({ code: 0, output: 'waiting\n' });
  });

  it("serves its two flows in an app of the user's, as the guide to embedding says", async () => {
    const { code } = blocksOf('docs/embedding.md').find(({ code }) => code.includes("from 'perdure/http'"))!;
    project.write(
      'study.mts',
      `${code}
       const enrolled = await app.inject({ method: 'POST', url: '/study/intervention/participants', payload: { phone_number: '+15551234567' } });
       const health = await app.inject('/study/health');
       console.log(enrolled.statusCode, health.statusCode);
       await app.close();`,
    );
    const compiled = await project.tsc(
      ...['--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--skipLibCheck', 'study.mts'],
    );
    expect(compiled).toEqual({ code: 0, output: '' });
    expect(await project.node('study.mjs')).toEqual({ code: 0, output: '201 200\n' });
  });

  it('is had from CommonJS too', async () => {
    project.write('required.cjs', "console.log(typeof require('perdure').createRuntime);");
    expect(await project.node('required.cjs')).toMatchObject({ code: 0, output: expect.stringMatching(/^function$/m) });
  });

  it.each(['README.md', 'docs/README.md'])('brings what its %s links to', (document) => {
    const text = project.read(`node_modules/perdure/${document}`);
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => join(dirname(document), link!));
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((link) => !existsSync(join(project.folder, 'node_modules/perdure', link)))).toEqual([]);
  });

  it.each(['nodenext', 'bundler'])('is typed for a consumer that resolves as %s', async (moduleResolution) => {
    project.write(
      'consumer.ts',
      `import { createRuntime, defineFlow } from 'perdure';
       ${entries.map((entry, i) => `import * as entry${i} from '${entry}';\nvoid entry${i};`).join('\n')}
       import { setup } from 'xstate';
       const flow = defineFlow({ type: 'x', version: 1, logic: setup({
         types: { events: {} as { type: 'go' }, context: {} as { n: number }, input: {} as { n: number } },
       }).createMachine({ context: ({ input }) => ({ n: input.n }) }) });
       const runtime = createRuntime({ database: ':memory:', flows: [flow] });
       const actor = await runtime.spawn(flow, 'p', { input: { n: 1 } });
       const n: number = (await actor.send({ type: 'go' })).context.n;
       // @ts-expect-error
       await actor.send({ type: 'gone' });
       void n;`,
    );
    const module = moduleResolution === 'bundler' ? 'esnext' : 'nodenext';
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node', '--skipLibCheck'];
    const ran = await project.tsc(
      ...options,
      '--module',
      module,
      '--moduleResolution',
      moduleResolution,
      'consumer.ts',
    );
    expect(ran).toEqual({ code: 0, output: '' });
  });

  it.each([
    ['nodenext', 'true', 'true'],
    ['bundler', 'true', 'true'],
    // The declarations themselves are checked, too. XState's own do not compile with exactOptionalPropertyTypes.
    ['nodenext', 'false', 'false'],
    ['bundler', 'false', 'false'],
  ])('holds its types (%s, exactOptionalPropertyTypes %s, skipLibCheck %s)', async (resolution, exact, skip) => {
    const promises = readFileSync(`${REPOSITORY}test/types/consumer.ts`, 'utf8');
    const named = promises
      .replace('../../src/index.ts', 'perdure')
      .replace('../../src/testing/index.ts', 'perdure/testing');
    project.write('promises.ts', named);
    const options = { target: 'es2022', module: resolution === 'bundler' ? 'esnext' : resolution, types: 'node' };
    const strict = { exactOptionalPropertyTypes: exact, noUncheckedIndexedAccess: 'true', skipLibCheck: skip };
    const all = Object.entries({ ...options, moduleResolution: resolution, ...strict }).flatMap(([k, v]) => [
      `--${k}`,
      v,
    ]);
    expect(await project.tsc('--noEmit', '--strict', ...all, 'promises.ts')).toEqual({ code: 0, output: '' });
  });

  it('has declarations that compile with exactOptionalPropertyTypes and without skipLibCheck, but for those of XState', async () => {
    const imports = entries.map((entry, i) => `import * as entry${i} from '${entry}';\nvoid entry${i};`);
    project.write('exact.ts', imports.join('\n'));
    const options =
      '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --module nodenext --types node --pretty false';
    const { output } = await project.tsc(...options.split(' '), 'exact.ts');
    const files = output.match(/^\S+?(?=\(\d+,\d+\): error)/gm) ?? [];
    expect(files.filter((file) => !file.startsWith('node_modules/xstate/'))).toEqual([]);
  });

  it('brings the command line', async () => {
    const { code, output } = await project.run('npx', ['--no-install', 'perdure', '--help']);
    expect(code).toBe(0);
    expect(output).toContain('Usage: perdure');
    const version = await project.run('npx', ['--no-install', 'perdure', '--version']);
    expect(version).toEqual({ code: 0, output: `${manifest.version}\n` });
  });
});
