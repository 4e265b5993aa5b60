/** What is read of an actor, whatever else is asked of it, and whatever the size of the cache. */
import { afterEach, describe, expect, it } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { createRuntime, defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

let test: TestRuntime;
afterEach(() => test.stop());

const ids = ['ada', 'bob', 'cy', 'dan'];
/** Each answer by itself: a value, or the code of the error. */
const settled = async (asked: Promise<unknown>[]) =>
  (await Promise.allSettled(asked)).map((result) => (result.status === 'fulfilled' ? 'ok' : result.reason.code));

describe.each([0, 1, 3])('with a cache of %i', (cacheSize) => {
  it('every actor that there is, is found, while others push it out of memory', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    for (const id of ids) await test.spawn(counter, id);
    const inc = (id: string) => test.runtime.actor(counter, id).send({ type: 'inc' });
    for (let round = 0; round < 40; round++) {
      const sent = inc('ada');
      const found = [test.runtime.actor(counter, 'ada').getSnapshot(), test.runtime.actor(counter, 'ada').describe()];
      const pushing = [sent.then(() => inc('bob')), inc('cy').then(() => inc('dan'))];
      expect(new Set(await settled([sent, ...found, ...pushing]))).toEqual(new Set(['ok']));
    }
    for (let round = 0; round < 40; round++) {
      const asked = ids.flatMap((id, i) => {
        const actor = test.runtime.actor(counter, id);
        const sent = actor.send({ type: 'inc' });
        const neighbour = test.runtime.actor(counter, ids[(i + 1) % ids.length]!);
        return [
          sent,
          actor.getSnapshot(),
          actor.describe(),
          sent.then(() => neighbour.timers()),
          neighbour.getSnapshot(),
        ];
      });
      expect(new Set(await settled(asked))).toEqual(new Set(['ok']));
    }
    for (const id of ids) expect((await test.actor(counter, id).getSnapshot()).context.count).toBe(80);
  });

  it('an actor that is retried is not taken for one that is put aside', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    for (const id of ids) await test.spawn(counter, id);
    for (let round = 0; round < 10; round++) {
      await test
        .knex('flow_states')
        .where({ participant_id: 'ada' })
        .update({ status: 'quarantined' })
        .increment('version');
      const { quarantine } = test.runtime;
      const others = ids.map((id) => test.runtime.actor(counter, id).getSnapshot());
      const retried = quarantine.retry({ flowType: 'counter', participantId: 'ada' });
      const during = ids.map((id) => test.runtime.actor(counter, id).getSnapshot());
      await Promise.all([retried, ...others, ...during]);
      await test.runtime.actor(counter, 'ada').send({ type: 'inc' });
    }
    expect((await test.actor(counter, 'ada').getSnapshot()).context.count).toBe(10);
  });

  it('an actor that is removed and created again is a new one, and found', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    for (let round = 0; round < 20; round++) {
      const actor = await test.runtime.spawn(counter, 'ada');
      await actor.send({ type: 'inc' });
      const looks = [1, 2, 3].map(() => actor.getSnapshot().catch(({ code }) => code));
      await test.runtime.remove(counter, 'ada');
      await expect(actor.getSnapshot()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
      await Promise.all(looks);
    }
    await test.runtime.spawn(counter, 'ada');
    expect((await test.actor(counter, 'ada').getSnapshot()).context.count).toBe(0);
  });

  it('a result finds its actor, which others have pushed out of memory', async () => {
    let done = (_: string) => {};
    const asking = defineFlow({
      type: 'asking',
      version: 1,
      logic: setup({
        actors: { ask: fromPromise(() => new Promise<string>((resolve) => (done = resolve))) },
      }).createMachine({
        initial: 'waiting',
        states: { waiting: { invoke: { src: 'ask', onDone: 'told' } }, told: {} },
      }),
    });
    test = await createTestRuntime({ flows: [counter, asking], cacheSize });
    await test.spawn(asking, 'eve');
    for (const id of ids) await test.spawn(counter, id);
    done('yes');
    await test.settle();
    expect((await test.actor(asking, 'eve').getSnapshot()).value).toBe('told');
  });
});

describe('a read', () => {
  it('comes behind what the actor was asked before, though nobody waits for that', async () => {
    test = await createTestRuntime({ flows: [counter] });
    const actor = await test.runtime.spawn(counter, 'ada');
    const sent = [1, 2, 3].map(() => actor.send({ type: 'inc' }));
    expect((await actor.getSnapshot()).context.count).toBe(3);
    await Promise.all(sent);
  });

  it('does not wait for the next attempt at a turn that threw', async () => {
    test = await createTestRuntime({ flows: [counter] });
    const actor = await test.runtime.spawn(counter, 'ada');
    await actor.send({ type: 'throw later' });
    await test.advance('1s');
    const timers = actor.timers();
    expect((await actor.getSnapshot()).value).toBe('doomed');
    expect(await timers).toHaveLength(1);
    expect(await actor.describe()).toMatchObject({ state: 'doomed', status: 'active' });
  });

  it('says in one what was committed by one turn', async () => {
    test = await createTestRuntime({ flows: [counter] });
    const actor = await test.runtime.spawn(counter, 'ada');
    const reads = Array.from({ length: 50 }, async () => {
      void actor.send({ type: 'inc' });
      const { row, snapshot } = await test.runtime.engine.read(actor.address);
      return row.version - snapshot.context.count;
    });
    expect(new Set(await Promise.all(reads))).toEqual(new Set([1]));
  });

  it('of one that is put aside gives its last good state', async () => {
    test = await createTestRuntime({ flows: [counter] });
    const actor = await test.runtime.spawn(counter, 'ada');
    await actor.send({ type: 'inc' });
    await test.knex('flow_states').update({ status: 'quarantined', last_error: 'It is bad.' }).increment('version');
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'ACTOR_QUARANTINED' });
    expect((await actor.getSnapshot()).context.count).toBe(1);
    expect(await actor.describe()).toMatchObject({ status: 'quarantined', lastError: 'It is bad.' });
  });
});

describe('memory', () => {
  it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5'])('has no size of %s', (cacheSize) => {
    const create = () => createRuntime({ database: ':memory:', flows: [counter], cacheSize: cacheSize as number });
    expect(create).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('holds no more idle actors after a burst than before, of whichever kind', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize: 5 });
    const all = Array.from({ length: 60 }, (_, i) => `p_${i}`);
    await Promise.all(all.map((id) => test.runtime.spawn(counter, id)));
    await Promise.all(all.slice(0, 20).map((id) => test.runtime.actor(counter, id).stop()));
    await test
      .knex('flow_states')
      .whereIn('participant_id', all.slice(20, 40))
      .update({ status: 'quarantined' })
      .increment('version');
    await settled([
      ...all.map((id) => test.runtime.actor(counter, id).send({ type: 'inc' })),
      ...all.map((id) => test.runtime.actor(counter, `not ${id}`).getSnapshot()),
    ]);
    expect(test.runtime.engine.inMemory).toBe(5);
  });
});
