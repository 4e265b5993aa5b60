/** Who waits for an actor, or observes it, and what they hear when there is nothing more to come. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const machine = setup({
  types: { events: {} as { type: 'yes' } | { type: 'no' } | { type: 'fail later' } | { type: 'nothing' } },
}).createMachine({
  initial: 'asking',
  states: {
    asking: { on: { yes: 'glad', no: 'sorry', 'fail later': 'doomed', nothing: {} } },
    doomed: {
      after: {
        1000: {
          guard: () => {
            throw new Error('the deadline threw');
          },
          target: 'asking',
        },
      },
    },
    glad: { type: 'final' },
    sorry: { type: 'final' },
  },
});
const flow = defineFlow({ type: 'question', version: 1, logic: machine, supervision: { strategy: 'escalate' } });
const stopping = defineFlow({ type: 'stopping', version: 1, logic: machine, supervision: { strategy: 'stop' } });

let test: TestRuntime;
beforeEach(async () => {
  test = await createTestRuntime({ flows: [flow, stopping], cacheSize: 1 });
});
afterEach(() => test.stop());

/** Begins to wait until it is glad; what it hears, as a state or the error's code. */
const waits = async (id = 'ada', of = flow) => {
  const actor = test.runtime.actor(of, id);
  const heard = actor
    .waitFor((snapshot) => snapshot.matches('glad'))
    .then(
      ({ value }) => value,
      (error) => error,
    );
  await actor.getSnapshot().catch(() => {}); // from now on it waits
  return heard;
};
/** What is awaited, in a box: a promise of a promise would be awaited at once. */
const begin = async (...[id, of]: Parameters<typeof waits>) => {
  let heard: unknown = 'nothing yet';
  void waits(id, of).then((outcome) => (heard = outcome));
  await test.settle();
  return () => heard;
};

describe('waitFor', () => {
  it('ends where its actor ends otherwise, and says how', async () => {
    const ada = await test.spawn(flow, 'ada');
    const heard = await begin();
    await ada.send({ type: 'nothing' });
    expect(heard()).toBe('nothing yet');
    await ada.send({ type: 'no' });
    await test.settle();
    expect(heard()).toMatchObject({
      code: 'ACTOR_ENDED',
      address: ada.address,
      message: expect.stringMatching(/'done', in 'sorry'/),
    });
  });

  it('resolves where its actor ends as it was awaited', async () => {
    await test.spawn(flow, 'ada');
    const heard = await begin();
    await test.actor(flow, 'ada').send({ type: 'yes' });
    await test.settle();
    expect(heard()).toBe('glad');
    expect(await waits()).toBe('glad');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['is stopped', () => test.actor(flow, 'ada').stop()],
    ['is stopped in a transaction', () => test.runtime.transaction((trx) => trx.actor(flow, 'ada').stop())],
    ['is removed', () => test.runtime.remove(flow, 'ada')],
    ['is removed in a transaction', () => test.runtime.transaction((trx) => trx.remove(flow, 'ada'))],
  ])('ends where its actor %s', async (_, end) => {
    await test.spawn(flow, 'ada');
    const heard = await begin();
    await end();
    await test.settle();
    expect(heard()).toMatchObject({ code: 'ACTOR_ENDED' });
  });

  it('ends where supervision stops its actor', async () => {
    await test.spawn(stopping, 'ada');
    const heard = await begin('ada', stopping as never);
    await test.actor(stopping, 'ada').send({ type: 'fail later' });
    await test.advance('1s');
    expect(heard()).toMatchObject({ code: 'ACTOR_ENDED', message: expect.stringContaining("'stopped'") });
  });

  it('ends where its actor was over, was removed, or never was', async () => {
    await (await test.spawn(flow, 'ada')).send({ type: 'no' });
    expect(await waits()).toMatchObject({ code: 'ACTOR_ENDED' });
    await test.runtime.remove(flow, 'ada');
    expect(await waits()).toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    expect(await waits('nobody')).toMatchObject({ code: 'ACTOR_NOT_FOUND' });
  });

  it('ends where its actor is put aside, or was; after a retry it waits again', async () => {
    const ada = await test.spawn(flow, 'ada');
    const heard = await begin();
    await ada.send({ type: 'fail later' });
    await test.advance('1s');
    expect(heard()).toMatchObject({
      code: 'ACTOR_QUARANTINED',
      message: expect.stringContaining('the deadline threw'),
    });
    expect(await waits()).toMatchObject({ code: 'ACTOR_QUARANTINED' });
    await test.runtime.quarantine.discard(ada.address);
    expect(await waits()).toMatchObject({ code: 'ACTOR_ENDED' });
  });

  it('ends where recovery puts its actor aside', async () => {
    const ada = await test.spawn(flow, 'ada');
    const heard = await begin();
    await test.runtime.engine.putAside(await test.runtime.engine.row(ada.address), 'Its row is bad.');
    await test.settle();
    expect(heard()).toMatchObject({ code: 'ACTOR_QUARANTINED' });
  });

  it('ends where the runtime stops, after what was under way', async () => {
    const { runtime } = test;
    const actor = await runtime.spawn(flow, 'ada');
    const bob = await runtime.spawn(flow, 'bob');
    const waiting = actor.waitFor((snapshot) => snapshot.matches('glad')).catch(({ code }) => code);
    const reached = bob.waitFor((snapshot) => snapshot.matches('glad')).then(() => 'reached');
    await test.settle();
    const sent = bob.send({ type: 'yes' });
    await runtime.stop();
    expect(await waiting).toBe('NOT_RUNNING');
    expect(await reached).toBe('reached');
    await sent;
  });

  it('ends where the process goes down, in a test', async () => {
    const waiting = (await test.runtime.spawn(flow, 'ada')).waitFor((snapshot) => snapshot.matches('glad'));
    const code = waiting.catch((error) => error.code);
    await test.settle();
    await test.crash();
    expect(await code).toBe('NOT_RUNNING');
    await test.restart();
  });
});

describe('subscribe', () => {
  it('of one that was removed hears nothing of the next one, and ending it takes nothing from who hears that', async () => {
    const { runtime } = test;
    const heard: string[] = [];
    const first = (await runtime.spawn(flow, 'ada')).subscribe(() => void heard.push('first'));
    await runtime.remove(flow, 'ada');
    heard.length = 0;
    const ada = await runtime.spawn(flow, 'ada');
    ada.subscribe(() => void heard.push('second'));
    first.unsubscribe();
    await ada.send({ type: 'nothing' });
    await ada.send({ type: 'no' });
    expect(new Set(heard)).toEqual(new Set(['second']));
  });

  it('goes on over a quarantine', async () => {
    const ada = await test.runtime.spawn(flow, 'ada');
    const heard: unknown[] = [];
    ada.subscribe(({ status }) => void heard.push(status));
    await test.runtime.engine.putAside(await test.runtime.engine.row(ada.address), 'Its row is bad.');
    await test.runtime.quarantine.retry(ada.address);
    await ada.send({ type: 'no' });
    expect(heard).toEqual(['done']);
  });
});
