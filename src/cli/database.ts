/** The database file that a command works on. */
import { statSync } from 'node:fs';
import { InvalidArgumentError } from '../errors.ts';
import type { Server } from '../store/rows.ts';
import { presenceIn } from '../store/sqlite/server-address.ts';

/** Where it is, if nothing else is said. */
export const DATABASE = 'perdure.db';

/** How else a study may be named, where a server is as good as its file. */
export const OR_URL = ', or name a server with --url';

/**
 * Who served the file last, if anybody did.
 * @param elsewhere how else the study may be named
 * @throws {InvalidArgumentError} there is no such file, or it is no database of Perdure's
 */
export async function databaseIn(file: string, elsewhere = ''): Promise<{ server: Server | undefined }> {
  const advice = `with --database${elsewhere}`;
  if (!isThere(file)) throw new InvalidArgumentError(`There is no database ${file}. Say where it is ${advice}.`);
  const presence = await presenceIn(file);
  if (presence) return presence;
  throw new InvalidArgumentError(`${file} is no database of Perdure's. Say where that is ${advice}.`);
}

/**
 * Whether there is such a file.
 * @throws {InvalidArgumentError} it is a folder
 */
export function isThere(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory())
    throw new InvalidArgumentError(
      `${file} is a folder, and cannot be opened as a database. Name the file in it, as in ${file}/${DATABASE}.`,
    );
  return found !== undefined;
}
