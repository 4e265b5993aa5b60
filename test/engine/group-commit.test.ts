import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Committer } from '../../src/engine/group-commit.ts';
import type { Commit, Outcome } from '../../src/store/rows.ts';
import type { Store } from '../../src/store/store.ts';

const tick = () => new Promise(setImmediate);

describe('a committer whose database does not answer', () => {
  const heard: string[] = [];
  /** Ends the group that is being written. */
  let end = (_outcome: Outcome) => {};
  let committer: Committer;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    heard.length = 0;
    const commit = (group: readonly Commit[]) =>
      new Promise<Outcome[]>((resolve) => {
        end = (outcome) => resolve(group.map(() => outcome));
      });
    committer = new Committer({ commit } as Pick<Store, 'commit'> as Store, 10_000, {
      written: (turns) => heard.push(`written ${turns}`),
      working: () => heard.push('working'),
      slow: () => heard.push('slow'),
      late: () => heard.push('late'),
    });
  });
  afterEach(() => vi.useRealTimers());

  const told = (asked: Promise<unknown>) => {
    const answer: { value: any } = { value: 'pending' };
    void asked.then(
      (value) => (answer.value = value),
      (error) => (answer.value = { error }),
    );
    return answer;
  };

  it('tells those of the group that is being written that their outcome is not known, and goes on when it ends', async () => {
    const first = told(committer.add({}));
    await tick();
    vi.advanceTimersByTime(5_000);
    await tick();
    expect(first.value).toBe('pending');
    vi.advanceTimersByTime(5_000);
    await tick();
    expect(first.value).toMatchObject({
      result: 'failed',
      error: { code: 'STORE_ERROR', reason: 'timeout', message: expect.stringContaining('is not known') },
    });
    end({ result: 'committed' });
    await tick();
    expect(heard.filter((each) => each !== 'slow')).toEqual(['late']);
    const next = told(committer.add({}));
    await tick();
    await tick();
    await tick();
    end({ result: 'committed' });
    await committer.rest();
    expect(next.value).toEqual({ result: 'committed' });
  });

  it('takes those that wait behind it out, tells them that nothing was written, and never writes them', async () => {
    const first = told(committer.add({}));
    await tick();
    const [second, alone] = [told(committer.add({})), told(committer.alone(async () => heard.push('alone')))];
    vi.advanceTimersByTime(10_000);
    await tick();
    for (const error of [second.value.error, alone.value.error])
      expect(error).toMatchObject({ reason: 'timeout', message: expect.stringContaining('Nothing of it was written') });
    end({ result: 'committed' });
    await committer.rest();
    expect(heard.filter((each) => each !== 'slow')).toEqual(['late']);
    expect(first.value).toMatchObject({ result: 'failed' });
  });

  it('lets others wait for a transaction of the application as long as that takes', async () => {
    let close = () => {};
    const transaction = told(
      committer.alone(async (opened) => {
        opened();
        await new Promise<void>((resolve) => (close = resolve));
      }),
    );
    await tick();
    await tick();
    const waiting = told(committer.add({}));
    vi.advanceTimersByTime(60_000);
    await tick();
    expect(waiting.value).toBe('pending');
    close();
    for (let i = 0; i < 4; i++) await tick();
    end({ result: 'committed' });
    await committer.rest();
    expect(transaction.value).toBeUndefined();
    expect(waiting.value).toEqual({ result: 'committed' });
  });
});
