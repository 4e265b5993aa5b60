/** What the documents quote from files of the repository stands there, line by line; `// …` is what they leave out. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { documents, ROOT } from './blocks.ts';

const excerpts = documents.flatMap((document) =>
  [...readFileSync(join(ROOT, document), 'utf8').matchAll(/^```ts (\S+)\n(.*?)^```$/gms)].map(
    ([, file, text]) => [document, file!, text!] as const,
  ),
);

it.each(excerpts)('%s quotes %s', (_, file, text) => {
  expect(existsSync(join(ROOT, file)), file).toBe(true);
  const source = readFileSync(join(ROOT, file), 'utf8');
  for (const part of text.split(/^\/\/ …\n/m)) expect(source).toContain(part);
});

it('quotes each of the frameworks', () => {
  const quoted = new Set(excerpts.map(([, file]) => /^examples\/(\w+)\//.exec(file)?.[1]));
  expect([...quoted]).toEqual(expect.arrayContaining(['node', 'fastify', 'express', 'nextjs', 'nestjs']));
});
