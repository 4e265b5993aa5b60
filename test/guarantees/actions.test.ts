import { describe, expect, it } from 'vitest';
import { type InspectionEvent, log, setup } from 'xstate';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime } from '../../src/testing/index.ts';

describe('actions: after the commit, at most once, harmless if they throw', () => {
  it('run once their turn is in the database, in order, with the event of the turn', async () => {
    const seen: unknown[] = [];
    const flow = defineFlow({
      type: 'acting',
      version: 1,
      logic: setup({
        types: { events: {} as { type: 'act'; n: number } },
        actions: {
          first: ({ event }) => void seen.push(['first', event.n]),
          second: (_, params: { of: string }) => void seen.push(['second', params.of]),
        },
      }).createMachine({
        on: {
          act: { actions: ['first', { type: 'second', params: { of: 'two' } }, log(({ event }) => `act ${event.n}`)] },
        },
      }),
    });
    const test = await createTestRuntime({ flows: [flow] });
    const logged: unknown[] = [];
    test.runtime.on('log', ({ args }) => logged.push(...args));
    const actor = await test.spawn(flow, 'p_1');
    await test.knex.raw("CREATE TRIGGER t BEFORE INSERT ON flow_journal BEGIN SELECT RAISE(ABORT, 'refused'); END");
    await expect(actor.send({ type: 'act', n: 1 })).rejects.toMatchObject({ code: 'STORE_ERROR' });
    expect(seen).toEqual([]);
    await test.knex.raw('DROP TRIGGER t');
    await actor.send({ type: 'act', n: 2 });
    expect(seen).toEqual([
      ['first', 2],
      ['second', 'two'],
    ]);
    expect(logged).toEqual(['act 2']);
    await test.crash();
    await test.restart();
    await test.actor(flow, 'p_1').getSnapshot();
    expect(seen).toHaveLength(2);
    await test.stop();
  });

  it('that throw, or reject, are told of and change nothing else', async () => {
    const flow = defineFlow({
      type: 'failing',
      version: 1,
      logic: setup({
        types: { events: {} as { type: 'act' } },
        actions: {
          throws: () => {
            throw new Error('at once');
          },
          rejects: (async () => {
            throw new Error('later');
          }) as () => void,
        },
      }).createMachine({
        initial: 'a',
        states: { a: { on: { act: { target: 'b', actions: ['throws', 'rejects'] } } }, b: {} },
      }),
    });
    const test = await createTestRuntime({ flows: [flow] });
    const failures: string[] = [];
    test.runtime.on('actionFailed', ({ error }) => failures.push((error as Error).message));
    const actor = await test.spawn(flow, 'p_1');
    expect((await actor.send({ type: 'act' })).value).toBe('b');
    await test.settle();
    expect(failures).toEqual(['at once', 'later']);
    expect((await actor.describe()).status).toBe('active');
    await test.stop();
  });

  it('may send to their own actor: that is a turn of its own', async () => {
    const flow = defineFlow({
      type: 'selfish',
      version: 1,
      logic: setup({
        types: { events: {} as { type: 'go' | 'on' } },
        actions: { again: ({ self }) => self.send({ type: 'on' }) },
      }).createMachine({
        initial: 'a',
        states: { a: { on: { go: { target: 'b', actions: 'again' } } }, b: { on: { on: 'c' } }, c: {} },
      }),
    });
    const test = await createTestRuntime({ flows: [flow] });
    const actor = await test.spawn(flow, 'p_1');
    expect((await actor.send({ type: 'go' })).value).toBe('b');
    await test.settle();
    expect((await actor.getSnapshot()).value).toBe('c');
    expect(await test.journal('p_1')).toMatchObject([{ to: 'a' }, { from: 'a', to: 'b' }, { from: 'b', to: 'c' }]);
    await test.stop();
  });

  it('are told to who inspects when they run, as in XState', async () => {
    const flow = defineFlow({
      type: 'inspected',
      version: 1,
      logic: setup({
        types: { events: {} as { type: 'act' } },
        actions: { note: (_, params: { of: string }) => void told.push(`runs ${params.of}`) },
      }).createMachine({ on: { act: { actions: { type: 'note', params: { of: 'it' } } } } }),
    });
    const told: unknown[] = [];
    const inspect = (event: InspectionEvent) => {
      if (event.type === '@xstate.action') told.push(event.action, event.actorRef.sessionId);
    };
    const test = await createTestRuntime({ flows: [flow], inspect });
    const actor = await test.spawn(flow, 'p_1');
    await actor.send({ type: 'act' });
    expect(told).toEqual([{ type: 'note', params: { of: 'it' } }, expect.stringMatching(/^x:.+:0$/), 'runs it']);
    await test.stop();
  });
});
