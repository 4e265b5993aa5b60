import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, setup } from 'xstate';
import { SimulatedClock } from '../../src/clock.ts';
import { createRuntime, defineFlow, type Runtime } from '../../src/index.ts';

type Kind = 'after 0' | 'a computed delay that has passed';

/** Deadlines that are always due: each of them sets the next. `log` has what was taken, in order. */
function cycleOf(kind: Kind) {
  const logic = setup({
    types: {
      context: {} as { log: string[] },
      events: {} as { type: 'begin' | 'halt' | 'note' },
    },
    actions: { note: assign({ log: ({ context, event }) => [...context.log.slice(-8), event.type] }) },
    delays: { passed: () => (kind === 'after 0' ? 0 : -60_000) },
  }).createMachine({
    context: { log: [] },
    initial: 'calm',
    on: { note: { actions: 'note' }, halt: { target: '.calm', actions: 'note' } },
    states: {
      calm: { on: { begin: 'tick' } },
      tick: { after: { passed: { target: 'tock', actions: 'note' } } },
      tock: { after: { passed: { target: 'tick', actions: 'note' } } },
    },
  });
  return defineFlow({ type: 'cycle', version: 1, logic });
}

for (const kind of ['after 0', 'a computed delay that has passed'] as const) {
  describe(`an actor whose deadlines are always due (${kind}), while the clock stands still`, () => {
    const flow = cycleOf(kind);
    let runtime: Runtime;
    let clock: SimulatedClock;
    let pumping = false;
    /** What is due now fires, and fires again. */
    const pump = async () => {
      pumping = true;
      while (pumping) {
        clock.moveTo(clock.now());
        await new Promise(setImmediate);
      }
    };
    beforeEach(async () => {
      clock = new SimulatedClock();
      runtime = createRuntime({ database: ':memory:', flows: [flow], clock });
      await runtime.start();
      void pump();
    });
    afterEach(async () => {
      await runtime.stop();
      pumping = false;
    });
    const begin = async () => {
      const actor = await runtime.spawn(flow, 'p_1');
      await actor.send({ type: 'begin' });
      return actor;
    };

    it('takes an event that leaves the cycle', async () => {
      const actor = await begin();
      expect(await actor.send({ type: 'halt' })).toMatchObject({ value: 'calm', handled: true });
      expect(await actor.timers()).toEqual([]);
    });

    it('takes an event after the one deadline that was due when it came', async () => {
      const actor = await runtime.spawn(flow, 'p_1');
      pumping = false; // no alarm rings, so that nothing fires but what the event waits for
      await actor.send({ type: 'begin' });
      const { context } = await actor.send({ type: 'note' });
      expect(context.log).toHaveLength(2);
      expect(context.log.at(-1)).toBe('note');
    });

    it('is stopped, and removed', async () => {
      const actor = await begin();
      await actor.stop();
      expect(await actor.describe()).toMatchObject({ status: 'stopped' });
      await runtime.remove(flow, 'p_1');
      await expect(actor.describe()).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    });

    it('is removed amid the cycle', async () => {
      await begin();
      await runtime.remove(flow, 'p_1');
    });

    it('is looked at', async () => {
      const actor = await begin();
      expect(['tick', 'tock']).toContain((await actor.getSnapshot()).value);
      expect(await actor.timers()).toHaveLength(1);
    });

    it('takes events in a transaction, and is removed in one', async () => {
      await begin();
      const taken = await runtime.transaction(async (trx) => trx.actor(flow, 'p_1').send({ type: 'note' }));
      expect(taken.context.log.at(-1)).toBe('note');
      await runtime.transaction((trx) => trx.remove(flow, 'p_1'));
    });

    it('keeps no other actor from its turn', async () => {
      await begin();
      const other = await runtime.spawn(flow, 'p_2');
      for (let i = 0; i < 20; i++) await other.send({ type: 'note' });
      expect((await other.getSnapshot()).value).toBe('calm');
    });

    it('does not keep the runtime from stopping', async () => {
      await begin();
      await runtime.stop();
      expect(runtime.health().status).toBe('stopped');
    });
  });
}
