/** The drawing of a turn, and the pages for contributors, name files that are there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './blocks.ts';

const read = (document: string) => readFileSync(join(ROOT, document), 'utf8');

describe('the architecture', () => {
  const drawing = /^```mermaid\n(.*?)^```$/ms.exec(read('ARCHITECTURE.md'))![1]!;
  const nodes = new Map([...drawing.matchAll(/^ {2}(\w+)(\[\(?".*"\)?\])$/gm)].map(([, name, box]) => [name!, box!]));
  const arrows = [...drawing.matchAll(/^ {2}\w+ .*-.*$/gm)].map(([line]) =>
    line.replace(/--? [^-]+? -->/g, '-->').replace(/-\. \w+ \.->/g, '-->'),
  );

  it('draws a turn in files that are there, each step with one at least', () => {
    expect(nodes.size).toBeGreaterThan(10);
    const files = [...nodes.values()].map((box) => box.match(/\b(?:src|machines)\/[\w./-]+\.ts\b/g) ?? []);
    expect(files.filter((named) => named.length === 0)).toEqual([]);
    expect(files.flat().filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });

  it('leads from every step to one that is drawn, and leaves none alone', () => {
    const ends = arrows.flatMap((line) => line.trim().split(/\s*-->\s*/));
    expect(ends.filter((name) => !nodes.has(name))).toEqual([]);
    expect([...nodes.keys()].filter((name) => !ends.includes(name))).toEqual([]);
  });

  it.each(['ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'])(
    '%s names files and folders that are there',
    (document) => {
      const named = read(document).match(/(?<![\w/.-])(?:src|test|machines|migrations|docs)\/[\w./-]*\w/g) ?? [];
      expect(named.length).toBeGreaterThan(3);
      expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    },
  );

  it('gives commands that the package has', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const run = [...read('CONTRIBUTING.md').matchAll(/npm run ([\w:-]+)/g)].map(([, script]) => script!);
    expect(run.length).toBeGreaterThan(4);
    expect(run.filter((script) => !(script in scripts))).toEqual([]);
  });
});
