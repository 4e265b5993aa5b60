/** The simulator as one module: that starts in a third of the time, and runs faster. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FREE_ROUNDS } from './cycles.ts';

/** Other source for a text that a file has once. */
export interface Change {
  file: string;
  find: string;
  replace: string;
}

/** Limits that no life would reach, in small. */
const IN_SMALL: readonly Change[] = [
  { file: 'src/engine/pacer.ts', find: 'const FREE = 2_000;', replace: `const FREE = ${FREE_ROUNDS};` },
];

/** Two folders up, from here as from the module. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * @param name of the module's file
 * @param bug planted into it
 * @returns the path of the module
 * @throws {Error} a file has not the text, or not just once
 */
export async function bundle(name: string, bug?: Change): Promise<string> {
  const { build } = await import('esbuild');
  const outfile = join(ROOT, 'node_modules/.simulation', `${name}.mjs`);
  await build({
    entryPoints: [join(ROOT, 'test/simulation/simulate.ts')],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
    plugins: [
      {
        name: 'plant',
        setup: ({ onLoad }) => onLoad({ filter: /\.ts$/ }, plant([...IN_SMALL, ...(bug ? [bug] : [])])),
      },
    ],
  });
  return outfile;
}

const plant =
  (changes: readonly Change[]) =>
  async ({ path }: { path: string }) => {
    const mine = changes.filter(({ file }) => path === join(ROOT, file));
    if (mine.length === 0) return undefined;
    let contents = await readFile(path, 'utf8');
    for (const { file, find, replace } of mine) {
      const times = contents.split(find).length - 1;
      if (times !== 1) throw new Error(`${file} has '${find}' ${times} times.`);
      contents = contents.replace(find, () => replace);
    }
    return { contents, loader: 'ts' as const };
  };
