import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { durable } from './durable.ts';
import { plain } from './plain.ts';
import { trace } from './run.ts';
import { type Case, type SubjectFactory, type Trace, withoutEmitters } from './subject.ts';

/** The durable runtime plugs in here: what is listed is compared with plain XState, case by case. */
const subjects: SubjectFactory[] = [durable];

const groups = await Promise.all(
  readdirSync(new URL('./cases/', import.meta.url))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.replace(/\.ts$/, ''))
    .sort()
    .map(async (name) => {
      const { cases } = (await import(`./cases/${name}.ts`)) as { cases: Case[] };
      return { name, cases };
    }),
);

for (const group of groups) {
  describe(group.name, () => {
    for (const ofCase of group.cases) {
      it(`${plain.name}: ${ofCase.name}`, async () => {
        const reference = await trace(ofCase, plain);
        meets(reference, ofCase);
        expect(JSON.parse(JSON.stringify(reference)), 'a trace is plain JSON').toStrictEqual(reference);
      });

      for (const subject of subjects) {
        it(`${subject.name}: ${ofCase.name}`, async () => {
          const reference = await trace(ofCase, plain);
          expect(withoutEmitters(await trace(ofCase, subject))).toStrictEqual(withoutEmitters(reference));
        });
      }
    }
  });
}

describe('the suite', () => {
  const all = groups.flatMap(({ cases }) => cases);

  it('has at least 70 cases, each with a name of its own', () => {
    expect(all.length).toBeGreaterThanOrEqual(70);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  it('gives the same trace when a case is run twice in one process', async () => {
    for (const ofCase of all) expect(await trace(ofCase, plain)).toStrictEqual(await trace(ofCase, plain));
  });
});

/** The hand-written facts hold, and something happened at all. */
function meets({ observations }: Trace, { expect: facts, script }: Case): void {
  expect(observations).toHaveLength(script.length + 1);
  const last = observations.at(-1)!;
  const { values, emitted, status = 'active', context, children, ...exact } = facts;
  expect({ status: last.status, ...pick(last, exact) }).toEqual({ status, ...exact });
  if (context) expect(last.context).toMatchObject(context);
  if (children) expect(last.children).toMatchObject(children);
  if (children) expect(Object.keys(last.children).sort()).toEqual(Object.keys(children).sort());
  if (values) expect(observations.map(({ value }) => value)).toEqual(values);
  if (emitted) expect(observations.flatMap((o) => o.emitted.map(({ at, event }) => [at, event]))).toEqual(emitted);
  const changes = new Set(observations.map((observation) => JSON.stringify(observation)));
  expect(changes.size, 'the script changes something').toBeGreaterThan(1);
  const stated = [values, emitted, context, children, ...Object.values(exact)].filter((fact) => fact !== undefined);
  expect(stated.length, 'the case states what it expects').toBeGreaterThan(0);
}

const pick = (from: object, like: object) =>
  Object.fromEntries(Object.keys(like).map((key) => [key, (from as Record<string, unknown>)[key]]));
