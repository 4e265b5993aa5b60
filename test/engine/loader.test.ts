import { describe, expect, it } from 'vitest';
import { Loader } from '../../src/engine/loader.ts';
import type { Address } from '../../src/errors.ts';

const at = (participantId: string): Address => ({ flowType: 'counter', participantId });

/** A store whose answers are given by hand. */
function slowStore() {
  const asked: { ids: string[]; answer: (ids: string[]) => void; fail: (error: Error) => void }[] = [];
  const load = (addresses: Address[]) =>
    new Promise((resolve, reject) => {
      const rowOf = (participant_id: string) => ({ participant_id, flow_type: 'counter' });
      asked.push({
        ids: addresses.map(({ participantId }) => participantId),
        answer: (ids) => resolve(ids.map(rowOf)),
        fail: reject,
      });
    });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  return { loader: new Loader({ load } as never), asked, turn };
}

describe('the loader', () => {
  it('reads together what is asked for at once, and what comes while it reads next', async () => {
    const { loader, asked, turn } = slowStore();
    const first = ['ada', 'bob'].map((id) => loader.load(at(id)));
    await turn();
    const second = ['cy', 'dan'].map((id) => loader.load(at(id)));
    asked[0]!.answer(['bob']);
    expect((await Promise.all(first)).map((row) => row?.participant_id)).toEqual([undefined, 'bob']);
    await turn();
    asked[1]!.answer(['cy', 'dan']);
    expect((await Promise.all(second)).map((row) => row?.participant_id)).toEqual(['cy', 'dan']);
    expect(asked.map(({ ids }) => ids)).toEqual([
      ['ada', 'bob'],
      ['cy', 'dan'],
    ]);
  });

  it('never answers by a read that began before it was asked', async () => {
    const { loader, asked, turn } = slowStore();
    const early = loader.load(at('ada'));
    await turn();
    const late = loader.load(at('ada'));
    asked[0]!.answer([]);
    await turn();
    asked[1]!.answer(['ada']);
    expect(await early).toBeUndefined();
    expect(await late).toMatchObject({ participant_id: 'ada' });
  });

  it('tells a failure to those who were in the read, and reads on', async () => {
    const { loader, asked, turn } = slowStore();
    const lost = loader.load(at('ada'));
    await turn();
    const next = loader.load(at('ada'));
    asked[0]!.fail(new Error('the disk is gone'));
    await expect(lost).rejects.toThrow('the disk is gone');
    await turn();
    asked[1]!.answer(['ada']);
    expect(await next).toBeDefined();
  });
});
