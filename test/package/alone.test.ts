/** The library alone: what comes with it, what runs on it, and what its other parts say that need a package. */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program } from './program.ts';
import { Project } from './project.ts';

const { peerDependencies: peers, devDependencies: ranges } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);
/** What is said where these are missing. */
const missing = (part: string, ...names: string[]) => {
  const ranged = names.map((name) => `"${name}@${ranges[name]}"`);
  return `${part} needs what is not installed: ${names.join(', ')}. Install it with npm install ${ranged.join(' ')}`;
};

describe('the library alone, from its tarball', { timeout: 240_000 }, () => {
  const project = new Project();
  let tarball: string;
  const bin = join('node_modules', 'perdure', 'dist', 'src', 'cli', 'perdure.js');
  const perdure = (...args: string[]) => project.node(bin, ...args);
  beforeAll(async () => {
    tarball = await Project.pack(project.folder);
    project.write('package.json', { name: 'alone', private: true, type: 'module' });
    await project.install(tarball, 'xstate');
  }, 240_000);
  afterAll(() => project.remove(), 60_000);

  it('is less than 90 packages, of which 81 are sqlite3 and Knex, and 35 MB', () => {
    const { packages } = JSON.parse(project.read('node_modules/.package-lock.json'));
    expect(Object.keys(packages).length).toBeLessThan(90);
    // As they lie on a disk, in blocks of 4 KB; without the binary of sqlite3, which its install script fetches or compiles.
    const bytes = readdirSync(join(project.folder, 'node_modules'), { recursive: true, encoding: 'utf8' })
      .filter((path) => !path.startsWith(join('sqlite3', 'build')))
      .map((path) => statSync(join(project.folder, 'node_modules', path)))
      .reduce((sum, { size }) => sum + Math.ceil(size / 4_096) * 4_096, 0);
    expect(bytes / 1024 / 1024).toBeLessThan(35);
  });

  it('has none of the packages that its other parts need', () => {
    const { packages } = JSON.parse(project.read('node_modules/.package-lock.json'));
    const optional = Object.keys(peers).filter((name) => name !== 'xstate');
    expect(optional).toContain('fastify');
    expect(optional.filter((name) => `node_modules/${name}` in packages)).toEqual([]);
  });

  it('brings nothing that asks for a later Node', async () => {
    expect(await project.refusedEngines()).toEqual([]);
  });

  it('loads neither Knex nor the driver before a database is opened, and nothing that it does not need', async () => {
    project.write(
      'loaded.cjs',
      `const before = new Set(Object.keys(require.cache));
       import('perdure').then(async ({ createRuntime }) => {
         const loaded = () => [...new Set(Object.keys(require.cache).flatMap((file) => /.*node_modules\\/((@.+?\\/)?.+?)\\//.exec(file)?.[1] ?? []))];
         const first = loaded();
         const runtime = createRuntime({ database: ':memory:', flows: [] });
         await runtime.start();
         console.log(JSON.stringify([first, ['knex', 'sqlite3'].filter((name) => loaded().includes(name))]));
         await runtime.stop();
       });`,
    );
    const { output } = await project.node('loaded.cjs');
    const [first, then] = JSON.parse(output);
    // Those of CommonJS alone are seen here.
    expect(first.filter((name: string) => name !== 'xstate' && name !== '@xstate/store')).toEqual([]);
    expect(then).toEqual(['knex', 'sqlite3']);
  });

  it('runs a flow with local times and phone numbers, and ends', async () => {
    project.write(
      'run.js',
      `import { createRuntime, defineFlow } from 'perdure';
       import { message, nextLocalTime } from 'perdure/machine';
       import { emit, setup } from 'xstate';
       const tomorrow = nextLocalTime({ after: 0, time: '10:00', timeZone: 'Europe/Berlin' });
       const flow = defineFlow({ type: 'asks', version: 1, logic: setup({}).createMachine({
         initial: 'asked', states: { asked: { on: { reply: { target: 'done', actions: emit(message('thanks')) } } }, done: { type: 'final' } },
       }) });
       const sent = [];
       const transport = { send: ({ to, text }) => void sent.push(to + ': ' + text) };
       const runtime = createRuntime({ database: 'sqlite:run.db', flows: [flow], defaultCountry: 'DE', transport });
       await runtime.start();
       await runtime.spawn(flow, 'p_1', { phoneNumber: '0151 23456789' });
       const { status } = await runtime.receive({ channel: 'sms', id: 'm1', from: '+4915123456789', text: 'hi' });
       while (sent.length === 0) await new Promise((done) => runtime.on('sent', done));
       await runtime.stop();
       console.log(new Date(tomorrow).toISOString(), status, sent.join());`,
    );
    expect(await project.node('run.js')).toEqual({
      code: 0,
      output: '1970-01-01T09:00:00.000Z applied +4915123456789: thanks\n',
    });
  });

  it('can import each part; what needs a package says so when it is used, with the line that installs it', async () => {
    project.write(
      'parts.js',
      `import { createRuntime, PackageMissingError, PerdureError } from 'perdure';
       import { createGenerator, createHttpService } from 'perdure/http';
       import { exportMachine, serveInspector } from 'perdure/stately';
       import 'perdure/adoption';
       import 'perdure/machine';
       import 'perdure/testing';
       import { createMachine } from 'xstate';
       const machine = createMachine({ id: 'm', initial: 'a', states: { a: {} } });
       const runtime = createRuntime({ database: ':memory:', flows: [] });
       const said = {};
       for (const [name, part] of Object.entries({
         http: () => createHttpService({ runtime }),
         generator: async () => createGenerator({ apiKey: 'k' }),
         svg: () => exportMachine(machine, { format: 'svg' }),
         png: () => exportMachine(machine, { format: 'png' }),
         inspector: () => serveInspector(runtime),
       })) said[name] = await part().then(() => 'done', (error) => {
         if (!(error instanceof PackageMissingError && error instanceof PerdureError)) throw error;
         return [error.code, error.message, error.packages];
       });
       console.log(JSON.stringify({ ...said, mermaid: (await exportMachine(machine, { format: 'mermaid' })).length > 0 }));`,
    );
    const { code, output } = await project.node('parts.js');
    expect(code, output).toBe(0);
    const said = (part: string, ...names: string[]) => [
      'PACKAGE_MISSING',
      missing(part, ...names),
      names.map((name) => `${name}@${ranges[name]}`),
    ];
    expect(JSON.parse(output)).toEqual({
      http: said('The HTTP service', 'fastify', 'ajv'),
      generator: said('A generator of replies', 'openai'),
      svg: said('A picture of a machine', '@hpcc-js/wasm-graphviz'),
      png: said('A picture of a machine', '@hpcc-js/wasm-graphviz'),
      inspector: said('The inspector', 'ws', '@statelyai/inspect'),
      mermaid: true,
    });
  });

  const refused = (...args: Parameters<typeof missing>) => ({ code: 1, output: `perdure: ${missing(...args)}\n` });

  it('has commands that need nothing else, and others that say what they need', async () => {
    expect(await perdure('--version')).toMatchObject({ code: 0 });
    expect(await perdure('init', 'begun')).toMatchObject({ code: 0 });
    expect(await perdure('machine', 'export', 'conversation')).toMatchObject({ code: 0 });
    expect(await perdure('status', '--database', 'run.db')).toMatchObject({ code: 3 });
    expect(await perdure('backup', 'copy.db', '--database', 'run.db')).toMatchObject({ code: 0 });
    expect(await perdure('start')).toEqual(refused('perdure start', 'fastify', 'ajv', 'pino'));
    expect(await project.run(process.execPath, [bin, 'start', '--inspect'], { OPENAI_API_KEY: 'k' })).toEqual(
      refused('perdure start', 'fastify', 'ajv', 'pino', 'openai', 'ws', '@statelyai/inspect'),
    );
    expect(await perdure('quarantine', 'list', '--database', 'run.db')).toEqual(
      refused('This command, where no server answers it,', 'fastify', 'ajv'),
    );
    expect(await perdure('machine', 'export', 'conversation', '--format', 'svg')).toEqual(
      refused('A picture of a machine', '@hpcc-js/wasm-graphviz'),
    );
  });

  it('starts the service and draws, once what that needs is installed', async () => {
    const draw = ['machine', 'export', 'conversation', '--format'];
    const told = [await perdure('start'), await perdure(...draw, 'svg')].map(
      ({ output }) => output.split('npm install ')[1]!,
    );
    const packages = told.flatMap((names) => [...names.matchAll(/"(.+?)"/g)].map(([, each]) => each!));
    // Fastify 5 takes a version of the last one that asks for a later Node than Perdure does.
    await project.install(...packages, `light-my-request@${ranges['light-my-request']}`);
    expect(await perdure(...draw, 'svg')).toEqual({ code: 0, output: expect.stringContaining('</svg>') });
    expect(await perdure(...draw, 'png')).toEqual(refused('A PNG', '@resvg/resvg-js', '@expo-google-fonts/arimo'));
    const program = await Program.start(project.folder, [bin, 'start', '--port', '0', '--database', 'study.db'], {});
    expect(await program.ask('/health')).toMatchObject({ status: 'ok' });
    expect(await program.terminate()).toBe(0);
    expect(await perdure('quarantine', 'list', '--database', 'study.db')).toEqual({
      code: 0,
      output: 'Nobody is quarantined.\n',
    });
  });

  it('is installed beside older versions of such packages, and says which are too old', async () => {
    const older = new Project(join(project.folder, 'older'));
    const versions = { ajv: '6.15.0', fastify: '4.29.1', pino: '8.21.0', openai: '4.104.0', ws: '7.5.10' };
    for (const [name, version] of Object.entries(versions)) {
      mkdirSync(join(older.folder, 'their', name), { recursive: true });
      older.write(`their/${name}/package.json`, { name, version });
      older.write(`their/${name}/index.js`, '');
    }
    const dependencies = Object.fromEntries(Object.keys(versions).map((name) => [name, `file:their/${name}`]));
    older.write('package.json', { name: 'older', private: true, type: 'module', dependencies });
    await older.install(tarball, 'xstate');
    expect(await older.node(bin, 'start')).toEqual({
      code: 1,
      output: expect.stringContaining(
        'fastify (4.29.1 is too old), ajv (6.15.0 is too old), pino (8.21.0 is too old).',
      ),
    });
  });
});
