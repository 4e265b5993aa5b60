/**
 * Packages that only a part of Perdure needs, and whoever uses that part installs. In package.json they are optional peers, most
 * of any version: a project that has an older one for itself, and uses no such part, can install Perdure all the same.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PackageMissingError } from './errors.ts';

const require = createRequire(import.meta.url);

/** The first version that does, of those that are peers of any version. */
const FIRST: Record<string, string> = {
  ajv: '8.17.1',
  fastify: '5.6.0',
  openai: '5.0.1',
  pino: '9.0.0',
  'pino-pretty': '11.0.0',
  ws: '8.18.0',
};

/**
 * Makes sure that packages are there, before a part of Perdure imports them.
 * @param part who needs them, as the subject of a sentence, e.g. `'perdure start'`
 * @throws {PackageMissingError} one is not installed, or only an older version
 */
export function assertInstalled(part: string, ...packages: string[]): void {
  const wanting = packages.flatMap((name) => {
    const version = installed(name);
    return version === undefined || isOlder(version, FIRST[name] ?? '0') ? [{ name, version }] : [];
  });
  if (wanting.length === 0) return;
  const { devDependencies: tested } = require('perdure/package.json');
  throw new PackageMissingError(
    part,
    wanting.map(({ name, version }) => ({ name, version, range: tested[name] })),
  );
}

/** The version that is installed; `undefined`: none; `'Infinity'`: one that does not tell. */
function installed(name: string): string | undefined {
  let folder: string;
  try {
    folder = dirname(require.resolve(name));
  } catch (error) {
    // A package for `import` alone is there, too.
    return (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' ? undefined : 'Infinity';
  }
  for (; folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = manifestIn(folder);
    if (manifest?.name === name) return manifest.version;
  }
  return 'Infinity';
}

function manifestIn(folder: string): { name?: string; version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Versions as numbers with points between them; what follows a dash does not count. */
function isOlder(version: string, first: string): boolean {
  const [a, b] = [version, first].map((each) => each.split('-')[0]!.split('.').map(Number));
  const at = a!.findIndex((number, i) => number !== (b![i] ?? 0));
  return at >= 0 && a![at]! < (b![at] ?? 0);
}
