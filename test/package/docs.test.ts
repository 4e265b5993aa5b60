import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the guide to embedding', () => {
  it('has every event of the channel, with every field of it', () => {
    const channel = read('src/events.ts').split('export interface RuntimeEvents {')[1]!.split('\n}\n')[0]!;
    const declared = channel
      .replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
      .matchAll(/^ {2}(\w+): (?:\{([\s\S]*?)\}|object);$/gm);
    const rows = new Map(
      [...read('docs/embedding.md').matchAll(/^\| `(\w+)` \|[^|]*\|(.*)\|$/gm)].map(([, name, fields]) => [
        name,
        fields,
      ]),
    );
    let count = 0;
    for (const [, name, body] of declared) {
      count++;
      const fields = [...(body ?? '').matchAll(/(\w+)\??:/g)]
        .map(([, field]) => field)
        .filter((field) => field !== 'string');
      for (const field of fields) expect(rows.get(name!), `the event '${name}'`).toContain(`\`${field}\``);
    }
    expect(count).toBe(rows.size);
    expect(count).toBeGreaterThan(20);
  });
});
