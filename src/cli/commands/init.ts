import { cp, lstat, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import { InvalidArgumentError } from '../../errors.ts';

const TEMPLATE = new URL('../../../template/', import.meta.url);
/** What an empty project may have, too. */
const HARMLESS = ['.git', '.DS_Store', '.idea', '.vscode', 'LICENSE'];

/** `perdure init`: a project with one flow, its texts, its test, a service and a page to talk with it. */
export async function init(folder: string): Promise<void> {
  assertSpelt(folder);
  const target = resolve(folder);
  await assertEmpty(target, folder);
  const made = await mkdir(target, { recursive: true }).catch((error) => {
    throw new InvalidArgumentError(`${folder} cannot be made: ${error.message}. Name another folder.`, {
      cause: error,
    });
  });
  try {
    await cp(TEMPLATE, target, { recursive: true, errorOnExist: true, force: false });
    await rename(join(target, 'gitignore'), join(target, '.gitignore')); // npm leaves out files of that name
    await name(target, await nameOf(await realpath(target)));
  } catch (error) {
    for (const file of [...(await readdir(TEMPLATE)), '.gitignore'])
      await rm(join(target, file), { recursive: true, force: true });
    if (made) await rm(made, { recursive: true, force: true });
    throw new InvalidArgumentError(`${folder} cannot be written: ${(error as Error).message}. Nothing is left of it.`, {
      cause: error,
    });
  }
  console.log(`A project is in ${target}.\n\n  ${enter(target, folder)}npm install && npm test && npm start\n`);
  if (/\s/.test(target))
    console.log(
      'There is a space in its path. Where no prebuilt binary of sqlite3 can be fetched, npm compiles it, and that fails in\n' +
        'such a path: should `npm install` end with an error of node-gyp, move the folder to a path without one.\n',
    );
}

function assertSpelt(folder: string): void {
  const wrong = [...folder].find((character) => character < ' ' || (character === '\\' && sep === '/'));
  if (wrong === undefined) return;
  const advice = wrong === '\\' ? " Folders are separated by '/' here." : '';
  throw new InvalidArgumentError(`A folder cannot be called ${JSON.stringify(folder)}.${advice} Nothing was written.`);
}

async function assertEmpty(target: string, folder: string): Promise<void> {
  const found = await lstat(target).catch(() => undefined);
  if (!found) return;
  const held = await readdir(target).catch(() => {
    throw new InvalidArgumentError(`${folder} is no folder. Nothing was written; name another one.`);
  });
  const kept = held.filter((file) => !HARMLESS.includes(file));
  if (kept.length === 0) return;
  throw new InvalidArgumentError(
    `${folder} is not empty (it has ${kept.slice(0, 3).join(', ')}). Nothing was written; name an empty or a new folder.`,
  );
}

function enter(target: string, folder: string): string {
  if (target === process.cwd()) return '';
  const path = folder.startsWith('-') ? `./${folder}` : folder;
  return `cd ${/[^\w./:-]/.test(path) ? `"${path.replaceAll(/["$`]/g, '\\$&')}"` : path} && `;
}

/** A name that npm takes, which none of the project's own packages has. */
async function nameOf(target: string): Promise<string> {
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(target, 'package.json'), 'utf8'));
  const own = basename(target)
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/\p{Mark}/gu, '')
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 100)
    .replaceAll(/^-+|-+$/g, '');
  return own in { ...dependencies, ...devDependencies } ? `my-${own}` : own || 'my-flow';
}

/** The template is called my-flow. */
async function name(target: string, own: string): Promise<void> {
  for (const file of ['package.json', 'README.md', 'public/index.html']) {
    const path = join(target, file);
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll('my-flow', own));
  }
}
