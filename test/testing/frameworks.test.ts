/** The testing kit in the projects of users of Vitest, Jest and node:test: the same tests, from the built package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Project } from './project.ts';

const FLOW = `
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow } from 'perdure';
import { message } from 'perdure/machine';
import { readFile } from 'node:fs/promises';

export const flow = defineFlow({
  type: 'visit',
  version: 1,
  logic: setup({
    actors: { read: fromPromise(({ input }) => readFile(input, 'utf8')) },
    delays: { reminder: 900_000 },
  }).createMachine({
    id: 'visit',
    context: { problem: null, tags: new Map([['a', { b: 1 }]]) },
    initial: 'asking',
    states: {
      asking: {
        entry: emit(message('Ready?', [{ id: '1', label: 'Yes' }])),
        on: { reply: 'reading' },
        after: { reminder: { target: 'asking', reenter: true } },
      },
      reading: {
        invoke: {
          src: 'read',
          input: '/nowhere/at/all',
          onDone: 'over',
          onError: { target: 'over', actions: assign({ problem: ({ event }) => event.error }) },
        },
      },
      over: {},
    },
  }),
});
`;

/** One test that goes well and one that fails; the names are those of each framework. */
const suite = (imports: string, asked: string, snapshot: string) => `
import { createTestRuntime, assertThat, TestActor } from 'perdure/testing';
import { flow } from './flow.js';
${imports}

describe('a visit', () => {
  let test;
  afterEach(() => test.stop());

  it('goes well', async () => {
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'ada', { phoneNumber: '+15551234567' });
    await ${asked}(actor).toBeInState('asking');
    await ${asked}(actor).not.toBeInState('over');
    await ${asked}(actor).toHaveSent({ to: '+15551234567', text: 'Ready?' });
    await test.advance('5m');
    await ${asked}(actor).toHaveTimer('reminder', { in: '10m' });
    ${asked}(await actor.getSnapshot()).toHaveContext({ problem: null });
    ${snapshot}
    // An error of Node's own, kept over a crash.
    const read = actor.waitFor((snapshot) => snapshot.matches('over'));
    await test.receive({ from: '+15551234567', text: 'yes' });
    await read;
    await test.crash();
    await test.restart();
    await ${asked}(actor).toBeInState('over');
    const { problem, tags } = (await actor.getSnapshot()).context;
    if (problem.code !== 'ENOENT' || tags.get('a').b !== 1) throw new Error('lost: ' + JSON.stringify(problem));
  });

  it('fails', async () => {
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'ada');
    await ${asked}(actor).toHaveTimer('nudge');
  });
});
`;

const COMPLAINT =
  /Expected visit\/ada to have a deadline 'nudge'\.\s+Its deadlines:\s+reminder in 15m, at 2026-01-01T00:15:00\.000Z/;

const VIEW = `visit/ada (active)
state: asking
context:
  problem: null
  tags: Map
    "a":
      b: 1
deadlines:
  reminder in 10m`;

describe('the testing kit', () => {
  const projects: Project[] = [];
  const projectOf = (files: Record<string, string>) => {
    const project = new Project({ 'flow.js': FLOW, ...files });
    projects.push(project);
    return project;
  };
  afterAll(() => {
    for (const project of projects) project.remove();
  });

  it('works with Vitest', async () => {
    const imports = `import { afterEach, describe, expect, it } from 'vitest';\nimport 'perdure/testing/vitest';`;
    const project = projectOf({
      'visit.test.js': suite(imports, 'expect', 'expect(await actor.view()).toMatchSnapshot();'),
    });
    const { output, code } = await project.run('vitest/vitest.mjs', ['run']);
    expect(output).toMatch(/Tests {2}1 failed \| 1 passed/);
    expect(output).toMatch(COMPLAINT);
    expect(code).toBe(1);
    const snapshots = readFileSync(join(project.folder, '__snapshots__/visit.test.js.snap'), 'utf8');
    expect(snapshots).toContain(`\`\n${VIEW}\n\`;`);
  });

  it('works with Jest, on modules', async () => {
    const imports = `import { afterEach, describe, expect, it } from '@jest/globals';\nimport 'perdure/testing/jest';`;
    const project = projectOf({
      'visit.test.js': suite(imports, 'expect', 'expect(await actor.view()).toMatchSnapshot();'),
      'jest.config.js': 'export default { testEnvironment: "node", transform: {} };',
    });
    const { output, code } = await project.run('jest/bin/jest.js', ['--ci=false'], ['--experimental-vm-modules']);
    expect(output).toMatch(/Tests: +1 failed, 1 passed/);
    expect(output).toMatch(COMPLAINT);
    expect(code).toBe(1);
    const snapshots = readFileSync(join(project.folder, '__snapshots__/visit.test.js.snap'), 'utf8');
    expect(snapshots).toContain(`\`\n${VIEW}\n\`;`);
  });

  it('is typed, with each', async () => {
    const use = (framework: string, setup: string) => `
import { expect } from '${framework}';
import '${setup}';
import type { TestActor } from 'perdure/testing';
declare const actor: TestActor;
const later: Promise<void>[] = [
  expect(actor).toBeInState('asking'),
  expect(actor).not.toHaveSent({ text: /sorry/ }),
  expect(actor).toHaveTimer('reminder', { in: '15m' }),
];
// @ts-expect-error a time that is none
expect(actor).toHaveTimer('reminder', { after: '15m' });
expect({}).toEqual(later);
`;
    const project = projectOf({
      'vitest.ts': use('vitest', 'perdure/testing/vitest'),
      'jest.ts': use('@jest/globals', 'perdure/testing/jest'),
    });
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext'];
    const { output, code } = await project.run('typescript/bin/tsc', [...options, 'vitest.ts', 'jest.ts']);
    expect(output).toBe('');
    expect(code).toBe(0);
  });

  it('works with node:test, and needs neither of the two', async () => {
    const imports = `import { strict as assert } from 'node:assert';\nimport { afterEach, describe, it } from 'node:test';`;
    const project = projectOf({
      'visit.test.js': suite(
        imports,
        'assertThat',
        `assert.equal(String(await actor.view()), ${JSON.stringify(VIEW)});`,
      ),
    });
    project.uninstall('vitest', '@vitest', 'jest', '@jest', 'expect');
    const { output, code } = await project.run('', ['--test', '--test-reporter=tap', 'visit.test.js']);
    expect(output).toMatch(/^# pass 1$/m);
    expect(output).toMatch(/^# fail 1$/m);
    expect(output).toMatch(COMPLAINT);
    expect(code).toBe(1);
  });
});
