import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { emit, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { outcomesOf } from '../../src/testing/crashes/outcomes.ts';
import { explore, goldenSnapshots } from '../../src/testing/index.ts';

const machine = setup({ actors: { ask: fromPromise<number>(async () => 1) } }).createMachine({
  initial: 'asking',
  states: {
    asking: {
      invoke: {
        src: 'ask',
        onDone: [{ guard: ({ event }) => event.output === 7, target: 'lucky' }, 'plain'],
        onError: 'failed',
      },
    },
    lucky: {},
    plain: {},
    failed: {},
  },
});
const flow = defineFlow({ type: 'f', version: 1, logic: machine });

describe('outcomes of invocations', () => {
  let folder: string;
  beforeEach(() => {
    vi.stubEnv('CI', '');
    folder = mkdtempSync(join(tmpdir(), 'perdure-outcomes-'));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  it('are of one form for explore and golden snapshots', async () => {
    const outcomes = { ask: { resolve: [7, 8], reject: ['no'] } };
    expect(await explore(flow, { events: [], outcomes })).toMatchObject({ states: { missed: [] } });
    expect((await goldenSnapshots(flow, { folder, outcomes })).written).toHaveLength(4);
  });

  it.each([
    [{ ask: [{ output: 7 }, { error: 'no' }] }, "the outcomes of 'ask' are [ { output: 7 }, { error: 'no' } ]"],
    [{ ask: { resolve: 7 } }, "the outcomes of 'ask' are { resolve: 7 }"],
    [{ ask: { output: [7] } }, "the outcomes of 'ask' are { output: [ 7 ] }"],
    [{ aks: { resolve: [7] } }, "there are outcomes for 'aks', which 'f' does not invoke. It invokes: ask."],
  ])('%j are refused in words by both', async (outcomes, words) => {
    for (const refused of [
      explore(flow, { events: [], outcomes: outcomes as never }),
      goldenSnapshots(flow, { folder, outcomes: outcomes as never }),
    ])
      await expect(refused).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(words),
      });
  });

  it('have defaults for the part that is left out', () => {
    expect(outcomesOf({ ask: { resolve: [1, 2] } }, 'ask')).toEqual([
      { output: 1, given: true },
      { output: 2, given: true },
      { error: 'ask failed', given: false },
    ]);
    expect(outcomesOf({ ask: { reject: [] } }, 'ask')).toEqual([{ output: undefined, given: false }]);
  });
});

describe('the walk of golden snapshots', () => {
  it('gets behind a deadline that only reminds', async () => {
    vi.stubEnv('CI', '');
    const folder = mkdtempSync(join(tmpdir(), 'perdure-walk-'));
    const reminding = setup({}).createMachine({
      initial: 'asking',
      states: {
        asking: {
          after: { 3600000: { actions: emit({ type: 'message', text: 'Well?' } as never) }, 86400000: 'lapsed' },
        },
        lapsed: {},
      },
    });
    const { written } = await goldenSnapshots(defineFlow({ type: 'r', version: 1, logic: reminding }), { folder });
    expect(written).toEqual(['r/v1/asking.json', 'r/v1/lapsed.json']);
    rmSync(folder, { recursive: true });
    vi.unstubAllEnvs();
  });
});
