import { describe, expect, it } from 'vitest';
import { createTestRuntime } from '../../src/testing/index.ts';
import { counter } from './machines.ts';

describe('serial: the turns of one actor are strictly one after another', () => {
  it('applies a thousand events that were sent at once, each on the state of the one before', async () => {
    const test = await createTestRuntime({ flows: [counter] });
    const actor = await test.spawn(counter, 'p_1');
    const snapshots = await Promise.all(Array.from({ length: 1000 }, () => actor.send({ type: 'inc' })));
    expect(snapshots.map(({ context }) => context.count)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
    expect((await actor.describe()).version).toBe(1001);
    await test.stop();
  });

  it('lets different actors go side by side, with a cache that holds but a few of them', async () => {
    const test = await createTestRuntime({ flows: [counter], cacheSize: 10 });
    const actors = await Promise.all(Array.from({ length: 100 }, (_, i) => test.spawn(counter, `p_${i}`)));
    await Promise.all(actors.flatMap((actor) => Array.from({ length: 20 }, () => actor.send({ type: 'inc' }))));
    for (const actor of actors) expect((await actor.getSnapshot()).context.count).toBe(20);
    await test.stop();
  });

  it('creates an actor once, however many ask for it at once', async () => {
    const test = await createTestRuntime({ flows: [counter] });
    const asked = await Promise.allSettled(Array.from({ length: 10 }, () => test.spawn(counter, 'p_1')));
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of asked) if (result.status === 'rejected') expect(result.reason.code).toBe('ACTOR_EXISTS');
    await test.crash();
    await test.restart();
    await expect(test.spawn(counter, 'p_1')).rejects.toMatchObject({ code: 'ACTOR_EXISTS' });
    await test.stop();
  });

  it('reads the row again when it was changed from outside, and applies the event to what is there', async () => {
    const test = await createTestRuntime({ flows: [counter] });
    const actor = await test.spawn(counter, 'p_1');
    await actor.send({ type: 'inc' });
    const { state_data } = await test.knex('flow_states').first();
    const changed = state_data.replace('"count":1', '"count":41');
    await test.knex('flow_states').update({ state_data: changed, version: 7 });
    expect((await actor.send({ type: 'inc' })).context.count).toBe(42);
    expect((await actor.describe()).version).toBe(8);
    await test.stop();
  });
});
