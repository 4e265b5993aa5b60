import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PackageMissingError } from '../src/errors.ts';
import { assertInstalled } from '../src/packages.ts';

const { peerDependenciesMeta, devDependencies } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);

it('finds each optional package here, for import alone as well, with the version that it is tried with', () => {
  const names = Object.keys(peerDependenciesMeta).filter((name) => name !== 'expect'); // which comes with Jest
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !devDependencies[name])).toEqual([]);
  expect(() => assertInstalled('The test', ...names)).not.toThrow();
});

it('names those that are missing, and no others', () => {
  expect(() => assertInstalled('The test', 'fastify', 'left-pad-of-nobody')).toThrow(PackageMissingError);
  expect(() => assertInstalled('The test', 'fastify', 'left-pad-of-nobody')).toThrow(/: left-pad-of-nobody\. /);
});
