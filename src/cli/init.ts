import { cp, lstat, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { InvalidArgumentError } from '../errors.ts';

const TEMPLATE = new URL('../../template/', import.meta.url);

/** `perdure init`: a project with one flow, its texts, its test, a service and a page to talk with it. */
export async function init(folder: string): Promise<void> {
  const target = resolve(folder);
  await assertEmpty(target, folder);
  await mkdir(target, { recursive: true });
  try {
    await cp(TEMPLATE, target, { recursive: true, errorOnExist: true, force: false });
    await rename(join(target, 'gitignore'), join(target, '.gitignore')); // npm leaves out files of that name
    await name(target, nameOf(basename(await realpath(target))));
  } catch (error) {
    for (const file of [...(await readdir(TEMPLATE)), '.gitignore'])
      await rm(join(target, file), { recursive: true, force: true });
    throw error;
  }
  const enter = target === process.cwd() ? '' : `cd ${/[^\w./-]/.test(folder) ? `'${folder}'` : folder} && `;
  console.log(`A project is in ${target}.\n\n  ${enter}npm install && npm test && npm start\n`);
}

async function assertEmpty(target: string, folder: string): Promise<void> {
  const found = await lstat(target).catch(() => undefined);
  if (!found) return;
  const held = await readdir(target).catch(() => {
    throw new InvalidArgumentError(`${folder} is no folder. Nothing was written; name another one.`);
  });
  const kept = held.filter((file) => file !== '.git');
  if (kept.length === 0) return;
  throw new InvalidArgumentError(
    `${folder} is not empty (it has ${kept.slice(0, 3).join(', ')}). Nothing was written; name an empty or a new folder.`,
  );
}

/** A name that npm takes. */
const nameOf = (folder: string) =>
  folder
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '') || 'my-flow';

/** The template is called my-flow. */
async function name(target: string, own: string): Promise<void> {
  for (const file of ['package.json', 'README.md', 'public/index.html']) {
    const path = join(target, file);
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll('my-flow', own));
  }
}
