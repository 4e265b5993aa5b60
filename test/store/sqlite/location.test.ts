import { linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import createKnex from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { absolute, assertWhole, filenameOf, trueName } from '../../../src/store/sqlite/location.ts';

let folder: string;
const cwd = process.cwd();
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'perdure-')));
});
afterEach(() => {
  process.chdir(cwd);
  rmSync(folder, { recursive: true });
});

describe('a file has one name', () => {
  it('by whatever links it is reached, also before it is there', () => {
    mkdirSync(join(folder, 'volume'));
    symlinkSync(join(folder, 'volume'), join(folder, 'disk'));
    symlinkSync(join('disk', 'study.db'), join(folder, 'link.db'));
    symlinkSync('link.db', join(folder, 'second.db'));
    const name = join(folder, 'volume', 'study.db');
    for (const path of ['volume/study.db', 'disk/study.db', 'link.db', 'second.db'])
      expect(trueName(join(folder, path))).toBe(name);
    writeFileSync(name, '');
    for (const path of ['disk/study.db', 'link.db', 'second.db']) expect(trueName(join(folder, path))).toBe(name);
  });

  it('or is refused, where links lead in a circle or to no folder', () => {
    symlinkSync('b.db', join(folder, 'a.db'));
    symlinkSync('a.db', join(folder, 'b.db'));
    symlinkSync(join(folder, 'gone', 'study.db'), join(folder, 'c.db'));
    for (const name of ['a.db', 'c.db', 'gone/study.db'])
      expect(() => trueName(join(folder, name)), name).toThrow(expect.objectContaining({ code: 'STORE_ERROR' }));
  });

  it('that does not follow the folder in which the process works', () => {
    process.chdir(folder);
    expect(filenameOf('sqlite:study.db')).toBe(join(folder, 'study.db'));
    expect(filenameOf(`sqlite:${pathToFileURL(join(folder, 'with space.db')).href}`)).toBe(
      join(folder, 'with space.db'),
    );
    expect(absolute('sqlite:./a/../study.db')).toBe(`sqlite:${join(folder, 'study.db')}`);
    expect([absolute(':memory:'), filenameOf('sqlite::memory:')]).toEqual([':memory:', ':memory:']);
    const settings = (connection: object) =>
      (absolute(createKnex({ client: 'sqlite3', connection, useNullAsDefault: true })) as any).client
        .connectionSettings;
    expect(settings({ filename: 'study.db' }).filename).toBe(join(folder, 'study.db'));
    expect(settings({ filename: ':memory:' }).filename).toBe(':memory:');
    const uri = (filename: string) => settings({ filename, flags: ['OPEN_URI'] }).filename;
    expect(uri('file:study.db?mode=rwc')).toBe(`${pathToFileURL(join(folder, 'study.db')).href}?mode=rwc`);
    for (const other of ['file:///tmp/study.db', 'file::memory:?cache=shared', 'file:x?mode=memory'])
      expect(uri(other)).toBe(other);
  });
});

describe('a file is not opened', () => {
  const refusal = (name: string) => {
    try {
      assertWhole(join(folder, name));
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('beside the log of a database that is gone, which SQLite would delete', () => {
    writeFileSync(join(folder, 'study.db-wal'), 'frames');
    expect(refusal('study.db')).toMatch(/is not there, but the write-ahead log of one is .*6 bytes.*Put the file back/);
    writeFileSync(join(folder, 'study.db'), '');
    expect(refusal('study.db')).toMatch(/is empty, but the write-ahead log/);
    writeFileSync(join(folder, 'study.db'), 'pages');
    expect(refusal('study.db')).toBeUndefined();
    writeFileSync(join(folder, 'new.db-wal'), '');
    expect(refusal('new.db')).toBeUndefined();
  });

  it('that has two names, or is a folder', () => {
    writeFileSync(join(folder, 'study.db'), 'pages');
    linkSync(join(folder, 'study.db'), join(folder, 'other.db'));
    expect(refusal('other.db')).toMatch(/has 2 names \(hard links\)/);
    rmSync(join(folder, 'other.db'));
    expect(refusal('study.db')).toBeUndefined();
    mkdirSync(join(folder, 'folder.db'));
    expect(refusal('folder.db')).toMatch(/is a folder/);
  });
});
