/**
 * Where a database is. A file has one name for as long as the process lives, whatever links lead to it and whichever folder
 * the process works in: the lock, the write-ahead log and the checks of file-watch.ts all go by that name.
 */
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Knex } from 'knex';
import { InvalidArgumentError, StoreError } from '../../errors.ts';

/** `'sqlite:FILE'`, `':memory:'`, or a Knex instance on the `sqlite3` driver. */
export type DatabaseOption = string | Knex;

export const MEMORY = ':memory:';

/**
 * The option with its path made absolute, so that it means the same file after a `chdir`. A Knex instance with a relative
 * path is set to the absolute one: the connections that it opens later are then on the same file as its first.
 * @throws {InvalidArgumentError} the text is not understood
 */
export function absolute(option: DatabaseOption): DatabaseOption {
  if (typeof option === 'string') {
    const filename = filenameOf(option);
    return filename === MEMORY ? MEMORY : `sqlite:${filename}`;
  }
  const settings = option.client?.connectionSettings as { filename?: unknown; flags?: unknown } | undefined;
  if (typeof settings?.filename !== 'string' || settings.filename === '' || settings.filename === MEMORY) return option;
  const isUri = Array.isArray(settings.flags) && settings.flags.includes('OPEN_URI');
  settings.filename = isUri ? absoluteUri(settings.filename) : resolve(settings.filename);
  return option;
}

/**
 * The absolute path in `'sqlite:FILE'`, or `':memory:'`.
 * @throws {InvalidArgumentError} the text is not understood
 */
export function filenameOf(option: string): string {
  const path = option === MEMORY ? MEMORY : /^sqlite:(.+)$/s.exec(option)?.[1];
  if (path === MEMORY) return MEMORY;
  if (path?.startsWith('file://')) return fileURLToPath(new URL(path));
  if (path) return resolve(path);
  throw new InvalidArgumentError(
    `database: '${option}' is not understood. Write 'sqlite:study.db', ':memory:', or give a Knex instance.`,
  );
}

/** https://www.sqlite.org/uri.html */
function absoluteUri(uri: string): string {
  const [, path, rest] = /^file:([^?#]*)(.*)$/s.exec(uri) ?? [];
  if (path === undefined) return resolve(uri); // no URI after all
  if (path === '' || path.startsWith('/') || path.startsWith(MEMORY) || rest!.includes('mode=memory')) return uri;
  return `${pathToFileURL(resolve(decodeURIComponent(path))).href}${rest}`;
}

/**
 * The one name of a file, by whatever links it was reached; also of a file that is not there yet.
 * @throws {StoreError} its folder cannot be opened
 */
export function trueName(file: string): string {
  let name = resolve(file);
  for (let links = 0; links < 40; links++) {
    try {
      return realpathSync.native(name);
    } catch {
      name = join(folderOf(name), basename(name));
      if (!lstatSync(name, { throwIfNoEntry: false })?.isSymbolicLink()) return name;
      name = resolve(dirname(name), readlinkSync(name));
    }
  }
  throw new StoreError('io', `The database ${file} is a link that leads to itself. Name the file.`);
}

function folderOf(file: string): string {
  try {
    return realpathSync.native(dirname(file));
  } catch (cause) {
    throw new StoreError('io', `The folder of the database ${file} cannot be opened. Create it, or check the path.`, {
      cause,
    });
  }
}

/**
 * Looks at a file before SQLite opens it, since SQLite would do harm by that alone: it deletes a write-ahead log beside an empty
 * file; and it names the log of a file with two names by the name it is given, so that two programs write past each other.
 * @throws {StoreError} the file must not be opened
 */
export function assertWhole(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory())
    throw new StoreError('io', `${file} is a folder, and cannot be opened as a database. Name the file in it.`);
  const log = statSync(`${file}-wal`, { throwIfNoEntry: false });
  if (!found?.size && log?.isFile() && log.size > 0) {
    throw new StoreError(
      'io',
      `The database ${file} ${found ? 'is empty' : 'is not there'}, but the write-ahead log of one is (${file}-wal, ${log.size} bytes): ` +
        'the database was removed or renamed while a program ran on it. Put the file back beside its log, or restore a backup ' +
        `(docs/backup.md). To begin a new database, move ${file}-wal away first. Nothing was changed.`,
    );
  }
  if (found && found.nlink > 1) {
    throw new StoreError(
      'io',
      `The database ${file} has ${found.nlink} names (hard links). Programs that open it by different names would write past ` +
        `each other. Remove the other names, or work on a copy: cp ${file} ${file}.copy && mv ${file}.copy ${file}. Nothing was changed.`,
    );
  }
}
