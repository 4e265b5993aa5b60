/** The start guide is what it says that it is: its text, executed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import createKnex from 'knex';
import { afterAll, describe, expect, it } from 'vitest';
import { Project } from '../testing/project.ts';
import { blocksOf, ROOT } from './blocks.ts';
import { Terminal } from './terminal.ts';

const GUIDE = 'docs/start.md';

describe('the walk from an empty folder to a durable flow', () => {
  const guide = readFileSync(join(ROOT, GUIDE), 'utf8');
  const files = blocksOf(GUIDE).filter(({ kind }) => kind === 'file');
  const project = new Project(Object.fromEntries(files.map(({ file, code }) => [file, code])));
  afterAll(() => project.remove());

  it('is less than 60 lines of code, and as many as it says', () => {
    expect(files.map(({ file }) => file)).toEqual(['appointment.ts', 'appointment.test.ts', 'main.ts']);
    const lines = files.slice(0, 2).flatMap(({ code }) => code.trimEnd().split('\n')).length;
    expect(lines).toBeLessThan(60);
    expect(guide).toContain(`its tests and its picture: ${lines} lines`);
  });

  it('installs XState beside Perdure, and names those that Perdure is made for', () => {
    const { peerDependencies, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(guide).toContain('npm install perdure xstate\n');
    const [range, from, major] = /^\^((\d+)\..+)$/.exec(peerDependencies.xstate)!;
    expect(guide).toContain(`of ${from} or a later ${major}`);
    expect(readFileSync(join(ROOT, 'docs/embedding.md'), 'utf8')).toContain(`(\`${range}\`)`);
    expect(guide).toContain(`Node.js ${engines.node.replace('>=', '')} or later`);
  });

  it('goes well when it is run', async () => {
    const { output, code } = await project.run('vitest/vitest.mjs', ['run']);
    expect(output).toMatch(/Tests {2}2 passed \(2\)/);
    expect(code).toBe(0);
  });

  it('notices a flow that does not do what it says', async () => {
    const broken = files.find(({ file }) => file === 'appointment.ts')!.code.replace('See you in', 'Come to');
    const other = new Project(Object.fromEntries(files.map(({ file, code }) => [file, code])));
    try {
      other.write('appointment.ts', broken);
      const { output } = await other.run('vitest/vitest.mjs', ['run', '-t', 'books a room']);
      expect(output).toContain('Expected appointment/ada to have sent');
      expect(output).toContain('"Come to room 12."');
    } finally {
      other.remove();
    }
  });

  it('has its picture', async () => {
    const [, command] = /^NODE_OPTIONS='--import tsx' npx perdure (.*)$/m.exec(guide)!;
    const perdure = (...args: string[]) => project.run('perdure/dist/src/cli/perdure.js', args, ['--import', 'tsx']);
    const { output } = await perdure(...command!.split(' '));
    expect(output).toMatch(/^stateDiagram-v2\n/);
    expect(output).toContain('asking --> over : after patience');
    const [, options] = /`(--format svg --out appointment\.svg)`/.exec(guide)!;
    await perdure(...command!.split(' '), ...options!.split(' '));
    expect(readFileSync(join(project.folder, 'appointment.svg'), 'utf8')).toMatch(/^<svg .*>booking</s);
  });

  it('runs for real: after a kill it goes on, with the same deadline, and says nothing twice', async () => {
    expect(guide).toContain('\nnpx tsx main.ts\n');
    const start = () => new Terminal(project.folder, '--import', 'tsx', 'main.ts');
    const first = start();
    const deadline = await first.says(/ada is in 'asking', with deadlines at (\S+Z)/);
    expect(deadline).toBeDefined();
    await first.says(/to \+15551234567: Will you come tomorrow\?/);
    // Before that is on record, it would be said again, as one that may have been sent.
    const filename = join(project.folder, 'appointments.db');
    const knex = createKnex({ client: 'sqlite3', connection: { filename }, useNullAsDefault: true });
    await expect.poll(() => knex('outbox_messages').pluck('status'), { timeout: 30_000 }).toEqual(['sent']);
    await knex.destroy();
    await first.kill();

    const second = start();
    expect(await second.says(/ada is in 'asking', with deadlines at (\S+Z)/)).toEqual(deadline);
    second.types('Yes\n');
    await second.says(/to \+15551234567: See you in room 12\./);
    expect(second.output).not.toContain('Will you come');
    expect(await second.leaves()).toBe(0);
  });

  it('shows the view that the testing guide prints', async () => {
    const testing = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
    const [, shown] = /\n```\n(appointment\/ada.*?)```/s.exec(testing)!;
    project.write(
      'view.js',
      `import { createTestRuntime } from 'perdure/testing';
import { appointment } from './appointment.ts';
const test = await createTestRuntime({ flows: [appointment] });
const ada = await test.spawn(appointment, 'ada');
console.log(String(await ada.view()));
await test.stop();`,
    );
    const { output } = await project.run('./view.js', [], ['--import', 'tsx']);
    expect(output.trim()).toBe(shown!.trim());
  });
});
