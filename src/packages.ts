/**
 * Packages that only a part of Perdure needs: optional peers in package.json, which whoever uses that part installs. The
 * library alone works without them.
 */
import { createRequire } from 'node:module';
import { PackageMissingError } from './errors.ts';

const require = createRequire(import.meta.url);

/**
 * Makes sure that packages are there, before a part of Perdure imports them.
 * @param part who needs them, as the subject of a sentence, e.g. `'perdure start'`
 * @throws {PackageMissingError} one is not installed
 */
export function assertInstalled(part: string, ...packages: string[]): void {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const { peerDependencies } = require('perdure/package.json');
  throw new PackageMissingError(
    part,
    missing.map((name) => `${name}@${peerDependencies[name]}`),
  );
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND'; // one for import alone is there, too
  }
}
