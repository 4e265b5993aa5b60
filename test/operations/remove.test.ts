import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

const stubborn = defineFlow({
  type: 'stubborn',
  version: 1,
  logic: createMachine({ initial: 'here', states: { here: { after: { 1000: 'there' } }, there: {} } }),
  project: ({ after }) => {
    if (after.status === 'stopped') throw new Error('I will not go');
    return null;
  },
});

describe('removing an actor', () => {
  let test: TestRuntime;
  beforeEach(async () => {
    test = await createTestRuntime({ flows: [counter, stubborn] });
  });
  afterEach(() => test.stop());
  const rows = async () => {
    const counts = [];
    for (const table of ['flow_states', 'flow_journal', 'outbox_messages'])
      counts.push((await test.knex(table)).length);
    return counts;
  };

  it('takes all its rows and all that is in memory', async () => {
    const actor = await test.spawn(counter, 'ada');
    await actor.send({ type: 'say', text: 'hi' });
    await actor.send({ type: 'throw later' });
    await test.runtime.remove(counter, 'ada');
    expect(await rows()).toEqual([0, 0, 0]);
    await test.advance('1h');
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    await expect(test.runtime.remove(counter, 'ada')).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    const again = await test.spawn(counter, 'ada');
    expect((await again.send({ type: 'inc' })).context.count).toBe(1);
  });

  it('waits for what is in the mailbox before it, and refuses what comes after', async () => {
    const actor = await test.spawn(counter, 'ada');
    const before = actor.send({ type: 'inc' });
    const removed = test.runtime.remove(counter, 'ada');
    expect((await before).context.count).toBe(1);
    await removed;
    await expect(actor.send({ type: 'inc' })).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
  });

  it('removes one whose flow throws at its end', async () => {
    await test.spawn(stubborn, 'ada');
    await test.runtime.remove(stubborn, 'ada');
    expect(await rows()).toEqual([0, 0, 0]);
  });

  it("leaves all as it was where the application's own part fails", async () => {
    const actor = await test.spawn(counter, 'ada');
    await actor.send({ type: 'inc' });
    const removed = test.runtime.transaction(async (trx) => {
      await trx.remove(counter, 'ada');
      throw new Error('not now');
    });
    await expect(removed).rejects.toThrow('not now');
    expect((await actor.send({ type: 'inc' })).context.count).toBe(2);
  });
});
