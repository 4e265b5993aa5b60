/** The changelog has the form of Keep a Changelog, so that people and programs find what changed for them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { ROOT } from './blocks.ts';

const KINDS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];
const lines = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').split('\n');
const headings = (level: string) =>
  lines.filter((line) => line.startsWith(`${level} `)).map((line) => line.slice(level.length + 1));

describe('the changelog', () => {
  it('has the versions, the newest first, each with its day', () => {
    const [unreleased, ...versions] = headings('##');
    expect(unreleased).toBe('[Unreleased]');
    expect(versions[0]).toMatch(new RegExp(`^\\[${manifest.version}\\] - `));
    expect(versions.filter((version) => !/^\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$/.test(version))).toEqual([]);
  });

  it('says of each entry which kind it is', () => {
    expect(headings('###').filter((kind) => !KINDS.includes(kind))).toEqual([]);
    let kind: string | undefined;
    const strays = lines.filter((line) => {
      if (line.startsWith('## ')) kind = undefined;
      if (line.startsWith('### ')) kind = line;
      return line.startsWith('- ') && kind === undefined;
    });
    expect(strays).toEqual([]);
  });

  it('says each thing once, and no wall of text', () => {
    const entries = lines.filter((line) => line.startsWith('- '));
    expect(entries.filter((entry, index) => entries.indexOf(entry) !== index)).toEqual([]);
    expect(entries.filter((entry) => entry.length > 420)).toEqual([]);
  });
});
