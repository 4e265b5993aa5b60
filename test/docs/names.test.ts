/** What the documents name is there: files, headings, tests, commands, options, errors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as errors from '../../src/errors.ts';
import * as perdure from '../../src/index.ts';
import { documents, ROOT } from './blocks.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const all = [
  ...documents,
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'examples/README.md',
  'template/README.md',
];

/** As GitHub names the anchors of headings. */
const anchors = (markdown: string) =>
  [...markdown.replaceAll(/^```.*?^```/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe.each(all)('%s', (document) => {
  it('links to what is there', () => {
    const links = [...read(document).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)].map(([, link]) => link!);
    const dead = links.filter((link) => {
      const [path, anchor] = link.split('#');
      const target = path ? relative(ROOT, join(ROOT, dirname(document), path)) : document;
      return !existsSync(join(ROOT, target)) || (anchor !== undefined && !anchors(read(target)).includes(anchor));
    });
    expect(dead).toEqual([]);
  });

  it('names tests that are there', () => {
    const named = [...read(document).matchAll(/`(test\/[\w./-]+?)`(?:: ((?:“[^”]+”[,\s]*)+))?/g)];
    const missing = named.flatMap(([, path, names = '']) => {
      if (!existsSync(join(ROOT, path!))) return [path];
      const tests = [...names.matchAll(/“([^”]+)”/g)].map(([, name]) => name!.replaceAll(/\s+/g, ' '));
      return tests.filter((name) => !read(path!).includes(name)).map((name) => `${path}: ${name}`);
    });
    expect(missing).toEqual([]);
  });

  it('gives options that its commands have', () => {
    const lines = [...read(document).matchAll(/\bperdure ([a-z][^\n`]*)/g)].map(([, line]) => line!);
    const unknown = lines.flatMap((line) => line.match(/(?<=\s)--[a-z][a-z-]*/g) ?? []);
    expect(unknown.filter((option) => !options.has(option))).toEqual([]);
  });
});

const cli = ['src/cli', 'src/study/cli']
  .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith('.ts'))
  .map(read)
  .join('\n');
const options = new Set(
  [...cli.matchAll(/ption\(\s*'(?:-\w, )?(--[a-z][a-z-]*)/g)].map(([, option]) => option!).concat('--help'),
);

describe('the page of guarantees', () => {
  it('has tests for each promise', () => {
    const sections = read('docs/guarantees.md')
      .split(/^## (?=G\d)/m)
      .slice(1);
    expect(sections.map((section) => /^G\d+/.exec(section)?.[0])).toEqual(
      Array.from({ length: 10 }, (_, i) => `G${i + 1}`),
    );
    for (const section of sections) expect(section).toMatch(/^- `test\/[\w./-]+\.test\.ts`: “/m);
  });
});

describe('the reference', () => {
  const reference = read('docs/reference.md');

  /** The fields of an interface that are for users. */
  const fieldsOf = (file: string, name: string) => {
    const [, body] = new RegExp(`export interface ${name}\\b[^{]*\\{\\n(.*?)\\n\\}`, 's').exec(read(file))!;
    return [...body!.replaceAll(/\/\*\* @internal.*?\*\/\n.*\n/g, '').matchAll(/^ {2}(\w+)\??:/gm)].map(
      ([, field]) => field!,
    );
  };

  it.each([
    ['src/runtime/options.ts', 'RuntimeOptions', ''],
    ['src/runtime/options.ts', 'RecoveryOptions', 'recovery.'],
    ['src/store/sqlite/open.ts', 'SqliteOptions', 'sqlite.'],
    ['src/flow/flow.ts', 'FlowDefinition', ''],
    ['src/actor/invocations.ts', 'InvocationPolicy', ''],
    ['src/flow/supervision.ts', 'Supervision', ''],
  ])('has all of %s, %s', (file, name, prefix) => {
    const fields = fieldsOf(file, name);
    expect(fields.length).toBeGreaterThan(1);
    const named = (field: string) => new RegExp(`\`${prefix}${field}[\`.]`).test(reference);
    expect(fields.filter((field) => !named(field))).toEqual([]);
  });

  it('has every command, with every option', () => {
    const commands = [...cli.matchAll(/\.command\('([a-z-]+)'\)/g)].map(([, command]) => command!);
    expect(commands.length).toBeGreaterThan(15);
    const [section] = reference.split('## Commands')[1]!.split('## Errors');
    expect(commands.filter((command) => !new RegExp(`\`(perdure )?([a-z-]+ )?${command}[\` ]`).test(section!))).toEqual(
      [],
    );
    const named = new Set(section!.match(/--[a-z][a-z-]*/g));
    expect([...options].filter((option) => !named.has(option))).toEqual([]);
  });

  it('has every error by its code, and no other', () => {
    const errors = [
      ...read('src/errors.ts').matchAll(
        /export class (\w+) extends \w+Error \{\n {2}(?:override )?readonly code(?:: [^=]+)? = '([A-Z_]+)'/g,
      ),
    ];
    const [section] = reference.split('## Errors')[1]!.split('\n## ');
    const rows = [...section!.matchAll(/^\| `([A-Z_]+)` \| `(\w+)` \|/gm)].map(([, code, name]) => [name, code]);
    expect(rows.sort()).toEqual(errors.map(([, name, code]) => [name, code]).sort());
    expect(rows.length).toBeGreaterThan(20);
  });

  it('has every error that the package exports, and errors.ts holds nothing else', () => {
    const coded = Object.values(errors).filter((each) => each.prototype instanceof errors.PerdureError);
    expect(coded.length).toBeGreaterThan(20);
    for (const { name } of coded) expect(reference).toContain(`\`${name}\``);
    expect(Object.keys(errors).filter((name) => !/Error$/.test(name))).toEqual(['formatAddress']);
    expect(Object.keys(errors).filter((name) => !(name in perdure))).toEqual([]);
  });

  it('tells which part needs each optional package', () => {
    const [section] = reference.split('### What a part needs')[1]!.split('\n## ');
    const named = new Set([...section!.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code!.split(' ')));
    const { peerDependenciesMeta } = JSON.parse(read('package.json'));
    expect(Object.keys(peerDependenciesMeta).filter((name) => !named.has(name))).toEqual([]);
  });

  it('has every entry of the package, and the API reference is made of them', () => {
    const entries = Object.entries<{ default?: string }>(JSON.parse(read('package.json')).exports).filter(
      ([entry]) => entry !== './package.json',
    );
    for (const [entry] of entries) expect(reference).toContain(`\`perdure${entry.slice(1)}\``);
    const sources = entries.map(([, target]) => target.default!.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts'));
    expect(JSON.parse(read('typedoc.json')).entryPoints.sort()).toEqual(sources.sort());
  });
});
