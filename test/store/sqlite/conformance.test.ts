import { describe, it } from 'vitest';
import { PROMISES } from '../conformance.ts';
import { inMemory, onFile } from './subjects.ts';

describe.each([
  ['in memory', inMemory],
  ['on a file', onFile],
] as const)('SQLite %s keeps the promise of a store:', (_, open) => {
  it.each(PROMISES)('$name', ({ check }) => open(check));
});
