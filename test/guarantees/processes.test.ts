import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type AnyActorLogic,
  assign,
  createActor,
  fromCallback,
  fromEventObservable,
  fromObservable,
  fromPromise,
  sendTo,
  setup,
} from 'xstate';
import { createRuntime, defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const boom = (text = 'boom'): never => {
  throw new Error(text);
};
const pause = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A machine that runs the logic as 'kid' beside a promise, until it is told to leave. */
const machineWith = (kid: AnyActorLogic, onError = true) =>
  setup({ actors: { kid, pay: fromPromise(async () => 1) } as Record<string, AnyActorLogic> }).createMachine({
    context: { failed: null, paid: false } as { failed: string | null; paid: boolean },
    initial: 'on',
    states: {
      on: {
        invoke: [
          {
            src: 'kid',
            id: 'kid',
            ...(onError && {
              onError: { actions: assign({ failed: ({ event }) => (event.error as Error).message }) },
            }),
          },
          { src: 'pay', onDone: { actions: assign({ paid: true }) } },
        ],
        on: { tell: { actions: sendTo('kid', { type: 'tell' }) }, leave: 'off', nothing: {} },
      },
      off: {},
    },
  });

const subscribing = (subscribe: (observer: any) => unknown) => ({ subscribe }) as never;

describe('what a process does wrong stays with that process', () => {
  let test: TestRuntime;
  afterEach(() => test?.stop());

  const begin = async (kid: AnyActorLogic, onError = true) => {
    const flow = defineFlow({ type: 'f', version: 1, logic: machineWith(kid, onError) });
    test = await createTestRuntime({ flows: [flow] });
    return test.spawn(flow, 'p');
  };

  const counted = (kind: 'callback' | 'observable', body: (args: any) => unknown) => {
    const starts = { count: 0 };
    const creator = (args: any) => {
      starts.count++;
      return body(args) as never;
    };
    return { starts, logic: kind === 'callback' ? fromCallback(creator) : fromObservable(creator) };
  };

  const starting: ['callback' | 'observable', string, () => unknown][] = [
    ['callback', 'throws when it starts', () => boom()],
    ['callback', 'is async and rejects', async () => boom()],
    ['observable', 'throws when it starts', () => boom()],
    ['observable', 'gives no observable', () => undefined],
    ['observable', 'throws when it is subscribed to', () => subscribing(() => boom())],
    ['observable', 'tells an error at once', () => subscribing((observer) => observer.error(new Error('boom')))],
  ];
  it.each(starting)('a %s that %s goes to onError, and is started once', async (kind, _, body) => {
    const { starts, logic } = counted(kind, body);
    const actor = await begin(logic);
    await test.settle();
    for (let n = 0; n < 2; n++) await actor.send({ type: 'nothing' });
    for (let n = 0; n < 2; n++) {
      await test.crash();
      await test.restart();
      await test.settle();
    }
    const { context, value } = await actor.getSnapshot();
    expect(context).toEqual({ failed: expect.stringMatching(/boom|subscribe/), paid: true });
    expect([value, starts.count]).toEqual(['on', 1]);
  });

  it.each([
    ['throws', () => boom()],
    ['rejects', async () => boom()],
  ])(
    'a listener that %s makes its callback fail, whose cleanup runs; no later listener is asked',
    async (_, listener) => {
      const said: string[] = [];
      const actor = await begin(
        fromCallback(({ receive }) => {
          receive(listener as never);
          receive(() => said.push('later listener'));
          return () => said.push('cleanup');
        }),
      );
      await test.settle();
      await actor.send({ type: 'tell' });
      await test.settle();
      expect((await actor.getSnapshot()).context).toEqual({ failed: 'boom', paid: true });
      expect(said.filter((what) => what === 'cleanup')).toEqual(['cleanup']);
      if (_ === 'throws') expect(said).toEqual(['cleanup']);
    },
  );

  it.each([
    ['a callback', fromCallback(({ sendBack }) => sendBack(undefined as never))],
    ['an observable of events', fromEventObservable(() => subscribing((observer) => observer.next('hello')))],
  ])('%s that gives what is no event has failed', async (_, logic) => {
    const actor = await begin(logic as AnyActorLogic);
    await test.settle();
    expect((await actor.getSnapshot()).context).toEqual({ failed: expect.stringContaining('no event'), paid: true });
  });

  it('a callback that throws where nobody listens makes the actor fail: it is supervised, and started once', async () => {
    const { starts, logic } = counted('callback', () => boom());
    const actor = await begin(logic, false);
    for (let n = 0; n < 10; n++) await test.advance('5s');
    expect(await actor.describe()).toMatchObject({ status: 'quarantined' });
    expect(starts.count).toBe(1);
  });

  it.each([
    ['a callback', fromCallback(() => () => boom('cannot close'))],
    ['an observable', fromObservable(() => subscribing(() => ({ unsubscribe: () => boom('cannot close') })))],
  ])('%s whose cleanup throws when its state is left makes the machine fail, as in XState', async (_, logic) => {
    const plain = createActor(machineWith(logic));
    plain.subscribe({ error: () => {} });
    plain.start().send({ type: 'leave' });
    expect(plain.getSnapshot()).toMatchObject({ status: 'error', error: { message: 'cannot close' } });
    const actor = await begin(logic);
    await actor.send({ type: 'leave' });
    for (let n = 0; n < 10; n++) await test.advance('5s');
    const { status, state, lastError } = await actor.describe();
    expect([status, state]).toEqual(['quarantined', 'off']);
    expect(lastError).toContain('cannot close');
  });

  it('what a callback sends after its end goes nowhere', async () => {
    let late: (event: { type: string }) => void = () => {};
    const actor = await begin(
      fromCallback(({ sendBack }) => {
        late = sendBack;
      }),
    );
    await actor.send({ type: 'leave' });
    const before = await actor.describe();
    late({ type: 'nothing' });
    await test.settle();
    expect(await actor.describe()).toEqual(before);
  });

  it('a turn that was refused is forgotten, whatever a cleanup does', async () => {
    const failures: unknown[] = [];
    const logic = setup({
      actors: { bad: fromCallback(() => () => boom()), good: fromCallback(() => () => failures.push('good')) },
    }).createMachine({
      context: { paid: 0 },
      invoke: [{ src: 'bad' }, { src: 'good' }],
      on: { pay: { actions: assign({ paid: 100 }) }, nothing: { actions: () => {} } },
    });
    const flow = defineFlow({ type: 'f', version: 1, logic });
    test = await createTestRuntime({ flows: [flow] });
    test.runtime.events.on('actionFailed', ({ error }) => failures.push((error as Error).message));
    const actor = await test.spawn(flow, 'p');
    await test.knex.raw("CREATE TRIGGER t BEFORE UPDATE ON flow_states BEGIN SELECT RAISE(ABORT, 'refused'); END");
    await expect(actor.send({ type: 'pay' })).rejects.toMatchObject({ code: 'STORE_ERROR' });
    await test.knex.raw('DROP TRIGGER t');
    await actor.send({ type: 'nothing' });
    expect((await actor.getSnapshot()).context.paid).toBe(0);
    expect(failures).toEqual(['boom', 'good']);
  });

  it('a cleanup that throws at the end of the process keeps neither the other cleanups nor the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    let cleaned = 0;
    const logic = setup({
      actors: { bad: fromCallback(() => () => boom()), good: fromCallback(() => () => cleaned++) },
    }).createMachine({ invoke: [{ src: 'bad' }, { src: 'good' }] });
    const flow = defineFlow({ type: 'f', version: 1, logic });
    const open = () => createRuntime({ database: `sqlite:${join(folder, 'study.db')}`, flows: [flow] });
    const first = open();
    await first.start();
    for (const id of ['p_1', 'p_2']) await first.spawn(flow, id);
    await first.stop();
    expect(cleaned).toBe(2);
    const second = open();
    await second.start();
    await second.stop();
    rmSync(folder, { recursive: true });
  });

  it('what a failed machine had invoked ends with it, and is not started again', async () => {
    const said: string[] = [];
    const listen = fromCallback(() => {
      said.push('listen');
      return () => said.push('stop');
    });
    const pay = fromPromise(() => {
      said.push('pay');
      return new Promise(() => {});
    });
    const inner = setup({ actors: { pay, listen } }).createMachine({
      invoke: [{ src: 'pay' }, { src: 'listen' }],
      initial: 'a',
      states: { a: { after: { 60000: 'b' } }, b: {} },
    });
    const kid = setup({ actors: { inner } }).createMachine({
      invoke: { src: 'inner' },
      on: { tell: { actions: assign(() => boom()) } },
    });
    const actor = await begin(kid);
    await test.settle();
    await actor.send({ type: 'tell' });
    await test.settle();
    expect(said).toEqual(['pay', 'listen', 'stop']);
    expect(await actor.timers()).toEqual([]);
    for (let n = 0; n < 2; n++) {
      await test.crash();
      await test.restart();
      await test.settle();
    }
    await pause();
    expect((await actor.getSnapshot()).context.failed).toBe('boom');
    expect(said).toEqual(['pay', 'listen', 'stop']);
  });
});
