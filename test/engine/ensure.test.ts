/** An actor is created once, and found by all others, whatever else goes on at its address. */
import { afterEach, describe, expect, it } from 'vitest';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

let test: TestRuntime;
afterEach(() => test.stop());
const rows = async () => (await test.knex('flow_states').pluck('participant_id')).sort();
const code = (error: { code: string }) => error.code;

describe.each([0, 1, 100])('with a cache of %i', (cacheSize) => {
  it('spawn works while somebody looks for the same actor', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    const actor = test.runtime.actor(counter, 'ada');
    const looks = [actor.getSnapshot(), actor.describe(), actor.send({ type: 'inc' })].map((look) => look.catch(code));
    await test.runtime.spawn(counter, 'ada');
    expect(await Promise.all(looks)).toEqual(Array(3).fill('ACTOR_NOT_FOUND'));
    expect(await rows()).toEqual(['ada']);
    expect((await actor.send({ type: 'inc' })).context.count).toBe(1);
  });

  it('ensure creates one, however many ask at once, and all of them reach it', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    const asked = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const actor = await test.runtime.ensure(counter, 'ada');
        await actor.send({ type: 'inc' });
        return actor.created;
      }),
    );
    expect(asked.filter(Boolean)).toHaveLength(1);
    expect((await test.runtime.actor(counter, 'ada').getSnapshot()).context.count).toBe(20);
  });

  it('of spawn and ensure side by side one creates it, and only spawn minds', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    for (let round = 0; round < 20; round++) {
      const id = `p_${round}`;
      const spawn = () => test.runtime.spawn(counter, id).then(() => 'created', code);
      const ensure = () => test.runtime.ensure(counter, id).then(({ created }) => (created ? 'created' : 'found'));
      const asked = await Promise.all(round % 2 ? [spawn(), ensure(), ensure()] : [ensure(), spawn(), ensure()]);
      expect(asked.filter((outcome) => outcome === 'created')).toHaveLength(1);
    }
  });

  it('beside remove, what ensure gives is either the one that is removed or a new one', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    for (let round = 0; round < 30; round++) {
      await test.runtime.ensure(counter, 'ada');
      await test.runtime.actor(counter, 'ada').send({ type: 'inc' });
      const removed = test.runtime.remove(counter, 'ada');
      const [{ created }] = await Promise.all([test.runtime.ensure(counter, 'ada'), removed]);
      expect(await rows()).toEqual(created ? ['ada'] : []);
      const { context } = await (await test.runtime.ensure(counter, 'ada')).getSnapshot();
      expect(context.count).toBe(0);
      await test.runtime.remove(counter, 'ada');
    }
  });

  it('works in a transaction, beside others outside of it', async () => {
    test = await createTestRuntime({ flows: [counter], cacheSize });
    const outside = test.runtime.ensure(counter, 'ada');
    const within = await test.runtime.transaction(async (trx) => {
      const ada = await trx.ensure(counter, 'ada');
      await ada.send({ type: 'inc' });
      const bob = await trx.ensure(counter, 'bob');
      const again = await trx.ensure(counter, 'bob');
      await trx.remove(counter, 'bob');
      return [ada.created, bob.created, again.created, (await trx.ensure(counter, 'bob')).created];
    });
    expect(within.slice(1)).toEqual([true, false, true]);
    expect([(await outside).created, within[0]].filter(Boolean)).toHaveLength(1);
    expect((await test.runtime.actor(counter, 'ada').getSnapshot()).context.count).toBe(1);
  });
});

describe('ensure', () => {
  it('gives one that has ended, or is put aside, as it is', async () => {
    test = await createTestRuntime({ flows: [counter] });
    await (await test.spawn(counter, 'ada')).stop();
    await test.spawn(counter, 'bob');
    await test.knex('flow_states').where({ participant_id: 'bob' }).update({ status: 'quarantined' });
    await test.crash();
    await test.restart();
    for (const [id, status] of [
      ['ada', 'stopped'],
      ['bob', 'quarantined'],
    ] as const) {
      const actor = await test.ensure(counter, id);
      expect(actor.created).toBe(false);
      expect(await actor.describe()).toMatchObject({ status });
    }
  });

  it('does not wait for the pause of an actor before another attempt, and neither does spawn', async () => {
    test = await createTestRuntime({ flows: [counter] });
    const actor = await test.spawn(counter, 'ada');
    await actor.send({ type: 'throw later' });
    await test.advance('1s');
    expect((await test.runtime.ensure(counter, 'ada')).created).toBe(false);
    await expect(test.runtime.spawn(counter, 'ada')).rejects.toMatchObject({ code: 'ACTOR_EXISTS' });
  });
});
