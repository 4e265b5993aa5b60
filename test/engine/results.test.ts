import { afterEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { message } from '../../src/machine/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const pause = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('what a promise gave is used, whatever happens to its actor', () => {
  let test: TestRuntime;
  afterEach(() => test.stop());

  let bug = true;
  const apply: any = assign({
    log: ({ context, event }: any) => {
      if (bug) throw new Error('a bug');
      return [...context.log, event.output ?? event.error.message];
    },
  });
  const address = { flowType: 'f', participantId: 'p' };
  class Refused extends Error {
    socket = () => {};
  }

  /** An actor that waits for two promises, and throws at what they bring. */
  const begin = async (strategy: 'restart' | 'escalate') => {
    bug = true;
    const asked: string[] = [];
    const pay = fromPromise(async () => {
      asked.push('pay');
      return 'paid';
    });
    const book = fromPromise(async () => {
      asked.push('book');
      throw new Refused('full');
    });
    const logic = setup({ actors: { pay, book }, types: { context: {} as { log: unknown[] } } }).createMachine({
      context: { log: [] },
      invoke: [
        { src: 'pay', onDone: { actions: apply } },
        { src: 'book', onError: { actions: apply } },
      ],
    });
    const flow = defineFlow({ type: 'f', version: 1, logic, supervision: { strategy } });
    test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p');
    for (let n = 0; n < 10; n++) await test.advance('5s');
    expect(await actor.describe()).toMatchObject({ status: 'quarantined' });
    const retry = async () => {
      await test.runtime.quarantine.retry(address);
      for (let n = 0; n < 10; n++) {
        await test.advance('5s');
        await pause();
      }
    };
    return { actor, asked, retry };
  };

  it.each(['restart', 'escalate'] as const)('a retry applies it, and asks nobody again (%s)', async (strategy) => {
    const { actor, asked, retry } = await begin(strategy);
    expect(asked).toEqual(['pay', 'book']);
    await retry(); // the bug is still there: it is put aside once more
    expect(await actor.describe()).toMatchObject({ status: 'quarantined' });
    bug = false;
    await retry();
    expect([...(await actor.getSnapshot()).context.log].sort()).toEqual(['full', 'paid']);
    expect(asked).toEqual(['pay', 'book']);
  });

  it('a retry applies it also when the process has died meanwhile', async () => {
    const { actor, asked, retry } = await begin('restart');
    await test.crash();
    await test.restart();
    bug = false;
    await retry();
    expect([...(await actor.getSnapshot()).context.log].sort()).toEqual(['full', 'paid']);
    expect(asked).toEqual(['pay', 'book']);
    await test.crash();
    await test.restart();
    await test.settle();
    expect(asked).toEqual(['pay', 'book']);
  });

  it('a message that it emits, and emits again after a crash, keeps its key, and no other one has that key', async () => {
    let texts = ['We look.', 'We look.', 'Soon.'];
    const sent: { text: string; key: string }[] = [];
    const job = fromPromise<void>(({ emit }) => {
      for (const text of texts) emit(message(text));
      return new Promise(() => {});
    });
    const flow = defineFlow({
      type: 'f',
      version: 1,
      logic: setup({ actors: { job } }).createMachine({ invoke: { src: 'job' } }),
    });
    const transport = {
      send: ({ text, idempotencyKey }: { text: string; idempotencyKey: string }) =>
        void sent.push({ text, key: idempotencyKey }),
    };
    test = await createTestRuntime({ flows: [flow], transport });
    await test.spawn(flow, 'p');
    await test.settle();
    const before = sent.splice(0);
    expect(new Set(before.map(({ key }) => key)).size).toBe(3);
    await test.crash();
    texts = ['We look.', 'Later.', 'We look.'];
    await test.restart();
    await test.settle();
    const keysOf = (list: typeof sent, text: string) => list.filter((each) => each.text === text).map(({ key }) => key);
    expect(keysOf(sent, 'We look.')).toEqual(keysOf(before, 'We look.'));
    expect(before.map(({ key }) => key)).not.toContain(keysOf(sent, 'Later.')[0]);
    await test.runtime.remove(flow, 'p');
    texts = ['We look.'];
    sent.length = 0;
    await test.spawn(flow, 'p');
    await test.settle();
    expect(before.map(({ key }) => key)).not.toContain(sent[0]!.key); // another life
  });
});
