import { afterEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import {
  defineFlow,
  type InvocationPolicy,
  InvocationTimeoutError,
  NonRetryableError,
  type RuntimeEvents,
} from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

interface Call {
  signal: AbortSignal;
  at: number;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

describe('an invocation that fails is tried again as its policy says', () => {
  let test: TestRuntime;
  let calls: Call[] = [];
  let failures: RuntimeEvents['invocationFailed'][] = [];
  afterEach(async () => {
    calls = [];
    failures = [];
    await test.stop();
  });

  const machine = setup({
    types: { context: {} as { answer: unknown; error: unknown } },
    actors: {
      answer: fromPromise(
        ({ signal }) => new Promise((resolve, reject) => calls.push({ signal, at: test.clock.now(), resolve, reject })),
      ),
      atOnce: fromPromise(() => {
        throw new Error('at once');
      }),
    },
  }).createMachine({
    context: { answer: null, error: null },
    initial: 'idle',
    on: { leave: '.idle' },
    states: {
      idle: { on: { ask: 'asking', askAtOnce: 'askingAtOnce' } },
      asking: {
        invoke: {
          src: 'answer',
          onDone: { target: 'idle', actions: assign({ answer: ({ event }) => event.output }) },
          onError: { target: 'idle', actions: assign({ error: ({ event }) => event.error }) },
        },
      },
      askingAtOnce: { invoke: { src: 'atOnce', onError: 'idle' } },
    },
  });
  const flowWith = (invocations: Record<string, InvocationPolicy>) =>
    defineFlow({ type: 'asking', version: 1, logic: machine, invocations });

  const begin = async (policy: InvocationPolicy) => {
    const flow = flowWith({ answer: policy, atOnce: policy });
    const prepare: NonNullable<Parameters<typeof createTestRuntime>[0]['prepare']> = (runtime) =>
      runtime.on('invocationFailed', (failure) => failures.push(failure));
    test = await createTestRuntime({ flows: [flow], prepare });
    const actor = await test.spawn(flow, 'p_1');
    await actor.send({ type: 'ask' });
    await test.settle();
    return actor;
  };
  const fail = async (error: unknown = new Error('busy')) => {
    calls.at(-1)!.reject(error);
    await test.settle();
  };

  it('waits longer every time, and hands over the answer of the attempt that succeeds', async () => {
    const actor = await begin({ attempts: 4, backoff: { initial: '10s', max: '30s' } });
    for (const longest of [10_000, 20_000, 30_000]) {
      const count = calls.length;
      await fail();
      const { after } = failures.at(-1)!;
      expect(after).toBeGreaterThanOrEqual(longest / 2);
      expect(after).toBeLessThanOrEqual(longest);
      await test.advance(after! - 1);
      expect(calls).toHaveLength(count);
      await test.advance(1);
      expect(calls).toHaveLength(count + 1);
      expect((await actor.getSnapshot()).value).toBe('asking');
    }
    calls.at(-1)!.resolve('well');
    await test.settle();
    expect((await actor.getSnapshot()).context).toEqual({ answer: 'well', error: null });
    expect(failures.map(({ src, attempt, attempts }) => [src, attempt, attempts])).toEqual([
      ['answer', 1, 4],
      ['answer', 2, 4],
      ['answer', 3, 4],
    ]);
  });

  it('gives the last failure to onError, and only that one', async () => {
    const actor = await begin({ attempts: 2 });
    await fail(new Error('first'));
    await test.advance('1s');
    await fail(new Error('second'));
    expect((await actor.getSnapshot()).context.error).toMatchObject({ message: 'second' });
    expect(failures.at(-1)).toMatchObject({ attempt: 2, after: undefined });
    await test.advance('1h');
    expect(calls).toHaveLength(2);
  });

  it('does not repeat what cannot help', async () => {
    const actor = await begin({ attempts: 5 });
    await fail(new NonRetryableError('no such account'));
    expect((await actor.getSnapshot()).context.error).toMatchObject({ message: 'no such account' });
    expect(calls).toHaveLength(1);
  });

  it.each([
    ['says no', (error: unknown) => (error as Error).message === 'busy'],
    [
      'throws',
      () => {
        throw new Error('of its own');
      },
    ],
  ])('does not repeat where `retryable` %s', async (_, retryable) => {
    const actor = await begin({ attempts: 5, retryable });
    await fail(new Error('gone'));
    expect((await actor.getSnapshot()).context.error).toMatchObject({ message: 'gone' });
    expect(calls).toHaveLength(1);
  });

  it('aborts an attempt that takes too long, and ignores what it still brings', async () => {
    const actor = await begin({ attempts: 2, timeout: '30s', backoff: { initial: 0 } });
    await test.advance('30s');
    expect(calls).toHaveLength(2);
    expect(calls[0]!.signal.aborted).toBe(true);
    expect(calls[0]!.signal.reason).toBeInstanceOf(InvocationTimeoutError);
    expect(calls[1]!.signal.aborted).toBe(false);
    calls[0]!.resolve('too late');
    await test.settle();
    expect((await actor.getSnapshot()).value).toBe('asking');
    await test.advance('30s');
    const { value, context } = await actor.getSnapshot();
    expect(value).toBe('idle');
    expect(context).toMatchObject({
      answer: null,
      error: { message: "asking/p_1, invocation 'answer' took longer than 30000 ms (attempt 2 of 2)." },
    });
  });

  it('lets an attempt that is in time have its answer, and keeps no time-out of it', async () => {
    const actor = await begin({ attempts: 2, timeout: '30s' });
    calls[0]!.resolve('in time');
    await test.advance('1m');
    expect((await actor.getSnapshot()).context.answer).toBe('in time');
    expect([failures, calls.length]).toEqual([[], 1]);
  });

  it('ends with the state that invoked it, in the midst of an attempt and between two', async () => {
    const actor = await begin({ attempts: 9, timeout: '1h' });
    await actor.send({ type: 'leave' });
    expect(calls[0]!.signal.aborted).toBe(true);
    await actor.send({ type: 'ask' });
    await test.settle();
    await fail();
    await actor.send({ type: 'leave' });
    await test.advance('1d');
    expect(calls).toHaveLength(2);
    expect(failures).toHaveLength(1);
  });

  it('counts anew after a crash, between two attempts as well', async () => {
    await begin({ attempts: 2, backoff: { initial: '1h', max: '1h' } });
    await fail();
    await test.crash();
    await test.restart();
    await test.settle();
    expect(calls).toHaveLength(2);
    await fail();
    expect(failures.map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  it('counts a promise that throws at once as one that rejects', async () => {
    const actor = await begin({ attempts: 3, backoff: { initial: '1s' } });
    await actor.send({ type: 'leave' });
    await actor.send({ type: 'askAtOnce' });
    await test.advance('10s');
    expect((await actor.getSnapshot()).value).toBe('idle');
    expect(failures.filter(({ src }) => src === 'atOnce')).toHaveLength(3);
  });

  it.each<[string, Record<string, InvocationPolicy>, string]>([
    ['a name that is not there', { answr: {} }, "It names 'answer', 'atOnce'"],
    ['no attempts', { answer: { attempts: 0 } }, 'invocations.answer.attempts must be a whole number from 1; it is 0'],
    ['a time-out that is none', { answer: { timeout: 'soon' as never } }, 'is not a duration'],
    ['a test that is none', { answer: { retryable: true as never } }, 'must be a function'],
  ])('refuses %s', async (_, invocations, message) => {
    test = await createTestRuntime({ flows: [] });
    expect(() => flowWith(invocations)).toThrow(message);
  });
});
