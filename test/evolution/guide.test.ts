import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const here = (path: string) => new URL(path, import.meta.url).pathname;
const folder = mkdtempSync(here('./guide-'));
let guide: any;
let test: TestRuntime;

/** The guide's own code, as one module. */
beforeAll(async () => {
  const text = readFileSync(here('../../docs/evolving.md'), 'utf8');
  const code = [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => block).join('\n');
  const file = join(folder, 'guide.ts');
  const modules = { perdure: 'index', 'perdure/testing': 'testing/index' };
  writeFileSync(
    file,
    Object.entries(modules)
      .reduce((all, [name, path]) => all.replaceAll(`from '${name}'`, `from '${here('../../src/')}${path}.ts'`), code)
      .concat('\nexport { surveyV1, surveyV2 };\n'),
  );
  guide = await import(file);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await test.stop();
  rmSync(folder, { recursive: true });
});

it('leads people from one version to the next, as the guide says', async () => {
  const database = `sqlite:${join(folder, 'study.db')}`;
  const start = Date.UTC(2026, 0, 1);
  test = await createTestRuntime({ flows: [guide.surveyV1], database, start });
  await test.spawn(guide.surveyV1, 'p_reminded');
  await test.advance('1h');
  await test.stop();
  test = await createTestRuntime({ flows: [guide.surveyV2], database, start: start + 3_600_000 });
  expect(await test.runtime.migrate()).toMatchObject({ ok: true, flows: [{ versions: [{ fates: { migrates: 1 } }] }] });
  await test.advance('1d');
  expect(await test.actor(guide.surveyV2, 'p_reminded').describe()).toMatchObject({ state: 'lapsed', status: 'done' });
});

it('registers two versions, and writes golden snapshots', async () => {
  vi.stubEnv('CI', ''); // where it is set, they are only proved, and never written
  expect(guide.both.registry.get().context.flows.survey).toMatchObject({ version: 2, formerVersions: [1] });
  expect(await guide.golden(join(folder, 'golden'))).toMatchObject({ proved: 4 });
});
