/** The guide to testing is what it says that it is: its text, executed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Project } from '../testing/project.ts';
import { blocksOf, ROOT } from './blocks.ts';

const GUIDE = 'docs/testing.md';

describe("the testing guide's walk from nothing to a tested flow", () => {
  const guide = readFileSync(join(ROOT, GUIDE), 'utf8');
  const files = blocksOf(GUIDE).filter(({ kind }) => kind === 'file');
  const project = new Project(Object.fromEntries(files.map(({ file, code }) => [file, code])));
  afterAll(() => project.remove());

  it('is less than 60 lines of code', () => {
    expect(files.map(({ file }) => file)).toEqual(['appointment.ts', 'appointment.test.ts']);
    expect(files.flatMap(({ code }) => code.trimEnd().split('\n')).length).toBeLessThan(60);
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

  it('shows the view that it prints', async () => {
    const [, shown] = /\n```\n(appointment\/ada.*?)```/s.exec(guide)!;
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
