/** Imports a module of the user's, in JavaScript or TypeScript. */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { InvalidArgumentError } from '../errors.ts';

/**
 * What the module exports, by name.
 * @throws {InvalidArgumentError} there is no such module, or it cannot be imported
 */
export async function importModule(path: string): Promise<Record<string, unknown>> {
  const file = resolve(path);
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found) throw new InvalidArgumentError(`There is no module ${path}. Check the path of the file.`);
  if (found.isDirectory())
    throw new InvalidArgumentError(`${path} is a folder. Name the file in it, as in ${path}/x.js.`);
  const loaded = await load(file, path);
  // What a CommonJS module exports may be found under `default` alone.
  const { default: inner } = loaded;
  const isPlain = typeof inner === 'object' && inner !== null && Object.getPrototypeOf(inner) === Object.prototype;
  return isPlain ? { ...inner, ...loaded } : loaded;
}

async function load(file: string, path: string): Promise<Record<string, unknown>> {
  const tsx = typeScriptOf(file); // also for JavaScript, which may import TypeScript
  if (tsx) await import(pathToFileURL(tsx).href);
  try {
    return await import(pathToFileURL(file).href);
  } catch (cause) {
    if ((cause as { code?: string } | null)?.code !== 'ERR_UNKNOWN_FILE_EXTENSION')
      throw new InvalidArgumentError(`${path} cannot be imported: ${reasonOf(cause, path)}`, { cause });
    throw new InvalidArgumentError(
      `This Node (${process.version}) cannot import TypeScript, as for ${path}. Add tsx to your project (npm install --save-dev tsx), use Node 22.18 or later, or give the compiled .js file.`,
      { cause },
    );
  }
}

/** The project's own tsx, which lets this process import TypeScript once it is imported, as with `node --import tsx`. */
function typeScriptOf(file: string): string | undefined {
  try {
    return createRequire(file).resolve('tsx');
  } catch {
    return undefined;
  }
}

/** What was thrown, and where in the user's code. */
function reasonOf(cause: unknown, path: string): string {
  if (!(cause instanceof Error)) return `it throws ${JSON.stringify(cause)}`;
  const { message, stack = '' } = cause;
  const at = placeIn(stack.replace(message, ''));
  if (/\w:\d+/.test(message)) return message;
  if (at !== undefined) return `${message} (${at})`;
  return cause instanceof SyntaxError ? `${message}. 'node ${path}' shows where.` : message;
}

const PERDURE = fileURLToPath(new URL('../', import.meta.url));

/** The first line in the stack that is neither Node's, nor of a package, nor Perdure's own. */
function placeIn(stack: string): string | undefined {
  for (const [, place = ''] of stack.matchAll(/(?<![^\s(])((?:file:|\/|\w:\\)[^\s()]*:\d+(?::\d+)?)\)?$/gm)) {
    const file = place.startsWith('file:') ? decodeURI(fileURLToPath(place)) : place;
    if (file.includes('node_modules') || file.startsWith(PERDURE)) continue;
    const near = relative(process.cwd(), file);
    return near.startsWith('..') ? file : near;
  }
  return undefined;
}
