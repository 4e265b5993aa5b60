/** Every block of TypeScript in the README and the documents compiles, against the package as users install it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';
import { afterAll, expect, it } from 'vitest';
import { Project } from '../testing/project.ts';
import { blocksOf, documents } from './blocks.ts';

const project = new Project({});
afterAll(() => project.remove());

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  types: ['node'],
};

// The files of the libraries are the same for all documents.
const host = ts.createCompilerHost(OPTIONS);
host.getCurrentDirectory = () => project.folder;
const parse = host.getSourceFile;
const parsed = new Map<string, ReturnType<typeof parse>>();
host.getSourceFile = (file, ...rest) => {
  if (!parsed.has(file)) parsed.set(file, parse.call(host, file, ...rest));
  return parsed.get(file);
};

// A document may take up the files of another one.
const written = new Map(
  documents.map((document) => {
    const folder = join(project.folder, document.replaceAll(/\W/g, '_'));
    const paths = blocksOf(document).map(({ file, code }) => {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, code);
      return path;
    });
    return [document, paths];
  }),
);

it.each(documents)('the code in %s', (document) => {
  const blocks = blocksOf(document);
  const files = written.get(document)!;
  const program = ts.createProgram(files, OPTIONS, host);
  const complaints = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const block = blocks.find((each) => each.file === basename(file?.fileName ?? ''));
    const line = (block?.line ?? 1) + (file?.getLineAndCharacterOfPosition(start).line ?? 0);
    return `${block ? `${document}:${line}` : file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  expect(complaints).toEqual([]);
});

it.each(documents)(
  'the code in %s is parsed by every Node that is supported, once its types are taken out',
  (document) => {
    const later = blocksOf(document).flatMap(({ code, line }) => {
      const source = ts.createSourceFile('block.ts', code, ts.ScriptTarget.ESNext);
      const found: string[] = [];
      const visit = (node: ts.Node): void => {
        // Node 20 and 22 know no `using`.
        if (ts.isVariableDeclarationList(node) && node.flags & ts.NodeFlags.Using)
          found.push(`${document}:${line + source.getLineAndCharacterOfPosition(node.getStart(source)).line}`);
        ts.forEachChild(node, visit);
      };
      visit(source);
      return found;
    });
    expect(later).toEqual([]);
  },
);

it('is found where it is', () => {
  expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/testing.md', 'docs/operating.md']));
  expect(blocksOf('docs/start.md').map(({ file }) => file)).toEqual([
    'appointment.ts',
    'appointment.test.ts',
    'main.ts',
  ]);
  expect(blocksOf('docs/testing.md').map(({ kind }) => kind)).toEqual(expect.arrayContaining(['prelude', 'snippet']));
});
