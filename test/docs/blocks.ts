/**
 * The code in the documents.
 *
 * - A block that begins with `// appointment.ts` is that file; the others are snippets, each a module of its own.
 * - `<!-- prelude … -->`, which readers do not see, declares globally what the snippets of the document take for granted.
 * - A line `…,` in an object stands for what is left out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** All documents with code for users, by their paths. */
export const documents = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md') && !path.startsWith('api/')) // which is made from the sources
    .map((path) => `docs/${path}`)
    .sort(),
];

export interface Block {
  /** The file that it is or, of a snippet or a prelude, is compiled as. */
  file: string;
  kind: 'file' | 'snippet' | 'prelude';
  code: string;
  /** Where its first line stands in the document, from 1. */
  line: number;
}

const BLOCK = /^```(?:ts|typescript)\n(.*?)^```$|^<!-- prelude\n(.*?)^-->$/gms;

/** The TypeScript of a document. */
export function blocksOf(document: string): Block[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  return [...text.matchAll(BLOCK)].map((match): Block => {
    const [, block, prelude] = match;
    const line = text.slice(0, match.index).split('\n').length + 1;
    if (block === undefined)
      return { file: `prelude-${line}.ts`, kind: 'prelude', code: `${prelude}\nexport {};\n`, line };
    const [, file] = /^\/\/ (\S+\.ts)\n/.exec(block) ?? [];
    if (file) return { file, kind: 'file', code: block, line };
    const code = block.replaceAll(/^(\s*)…,?$/gm, '$1...(undefined as any),');
    return { file: `snippet-${line}.ts`, kind: 'snippet', code: `${code}\nexport {};\n`, line };
  });
}
