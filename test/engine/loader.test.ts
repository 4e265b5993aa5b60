import { describe, expect, it } from 'vitest';
import { Loader } from '../../src/engine/loader.ts';

/** A loader that reads slowly: its answers are given by hand. */
function slowReads() {
  const asked: { ids: string[]; answer: (ids: string[]) => void; fail: (error: Error) => void }[] = [];
  const read = (ids: string[]) =>
    new Promise<(string | undefined)[]>((resolve, reject) => {
      const answer = (found: string[]) => resolve(ids.map((id) => (found.includes(id) ? `row of ${id}` : undefined)));
      asked.push({ ids, answer, fail: reject });
    });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return { loader: new Loader(read), asked, turn };
}

describe('the loader', () => {
  it('reads together what is asked for at once, and what comes while it reads next', async () => {
    const { loader, asked, turn } = slowReads();
    const first = ['ada', 'bob'].map((id) => loader.load(id));
    await turn();
    const second = ['cy', 'dan'].map((id) => loader.load(id));
    asked[0]!.answer(['bob']);
    expect(await Promise.all(first)).toEqual([undefined, 'row of bob']);
    await turn();
    asked[1]!.answer(['cy', 'dan']);
    expect(await Promise.all(second)).toEqual(['row of cy', 'row of dan']);
    expect(asked.map(({ ids }) => ids)).toEqual([
      ['ada', 'bob'],
      ['cy', 'dan'],
    ]);
  });

  it('never answers by a read that began before it was asked', async () => {
    const { loader, asked, turn } = slowReads();
    const early = loader.load('ada');
    await turn();
    const late = loader.load('ada');
    asked[0]!.answer([]);
    await turn();
    asked[1]!.answer(['ada']);
    expect(await early).toBeUndefined();
    expect(await late).toBe('row of ada');
  });

  it('tells a failure to those who were in the read, and reads on', async () => {
    const { loader, asked, turn } = slowReads();
    const lost = loader.load('ada');
    await turn();
    const next = loader.load('ada');
    asked[0]!.fail(new Error('the disk is gone'));
    await expect(lost).rejects.toThrow('the disk is gone');
    await turn();
    asked[1]!.answer(['ada']);
    expect(await next).toBeDefined();
  });
});
