import { afterEach, describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { defineFlow, type Supervision } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

/** How often guards and assigners still throw. */
let trouble = 0;
const mayThrow = () => {
  if (trouble > 0) {
    trouble--;
    throw new Error('trouble');
  }
  return true;
};

const flowWith = (supervision?: Supervision) =>
  defineFlow({
    type: 'supervised',
    version: 1,
    logic: setup({
      types: {
        context: {} as { log: string[] },
        events: {} as { type: 'note' } | { type: 'ask' },
        emitted: {} as { type: 'message'; text: string },
      },
      actors: { answer: fromPromise(async () => 'an answer') },
      guards: { mayThrow },
    }).createMachine({
      context: { log: [] },
      initial: 'waiting',
      on: { note: { actions: assign({ log: ({ context }) => [...context.log, 'note'] }) } },
      states: {
        waiting: {
          after: {
            60000: { target: 'reminded', guard: 'mayThrow', actions: emit({ type: 'message', text: 'hello?' }) },
          },
          on: { ask: 'asking' },
        },
        reminded: {},
        asking: {
          invoke: {
            src: 'answer',
            onDone: { target: 'answered', guard: 'mayThrow' },
            onError: 'refused',
          },
        },
        answered: {},
        refused: {},
      },
    }),
    ...(supervision && { supervision }),
  });

describe('supervision: how an actor goes on whose deadline or result makes it throw', () => {
  let test: TestRuntime;
  const heard: string[] = [];
  afterEach(async () => {
    heard.length = 0;
    trouble = 0;
    await test.stop();
  });
  const begin = async (supervision?: Supervision) => {
    const flow = flowWith(supervision);
    test = await createTestRuntime({ flows: [flow] });
    for (const type of ['restarting', 'quarantined', 'deadLetter'] as const) {
      test.runtime.on(type, (event) => heard.push('escalated' in event && event.escalated ? 'escalated' : type));
    }
    return test.spawn(flow, 'p_1', { phoneNumber: '+15551234567' });
  };

  it('restart: tries again after a growing pause, and fires once', async () => {
    const actor = await begin();
    trouble = 2;
    await test.advance('1m');
    expect(heard).toEqual(['restarting']);
    // Whoever looks meanwhile sees the last good state, and does not have to wait.
    expect((await actor.getSnapshot()).value).toBe('waiting');
    await test.advance('3s');
    expect(heard).toEqual(['restarting', 'restarting']);
    expect((await actor.getSnapshot()).value).toBe('reminded');
    expect(await test.outbox('p_1')).toHaveLength(1);
    expect((await actor.timers()).length).toBe(0);
  });

  it('restart: once it has failed too often, the actor is put aside with its last good state', async () => {
    const actor = await begin({ maxRestarts: 2, backoff: { initial: '1s' } });
    trouble = 99;
    await test.advance('2m');
    expect(heard).toEqual(['restarting', 'restarting', 'quarantined']);
    expect(await actor.describe()).toMatchObject({ state: 'waiting', status: 'quarantined' });
    expect((await actor.describe()).lastError).toContain('trouble');
    expect(trouble).toBe(96);
  });

  it('restart: failures of a former life at the address do not count', async () => {
    await begin({ maxRestarts: 1, within: '1h', backoff: { initial: '1s' } });
    const { flows } = test.runtime;
    trouble = 99;
    await test.advance('2m');
    await test.runtime.remove('supervised', 'p_1');
    await test.spawn(flows.get('supervised')!, 'p_1');
    await test.advance('2m');
    expect(heard).toEqual(['restarting', 'quarantined', 'restarting', 'quarantined']);
  });

  it('restart: failures that lie further apart than the window do not count together', async () => {
    const actor = await begin({ maxRestarts: 1, within: '1s', backoff: { initial: '5s', max: '5s' } });
    trouble = 4;
    await test.advance('2m');
    expect(heard).toEqual(Array(4).fill('restarting'));
    expect((await actor.getSnapshot()).value).toBe('reminded');
  });

  it('restart: a message waits for the deadline before it, and is applied after', async () => {
    const actor = await begin();
    trouble = 1;
    await test.advance('1m');
    const sent = actor.send({ type: 'note' });
    await test.advance('2s');
    expect(await sent).toMatchObject({ value: 'reminded', context: { log: ['note'] } });
  });

  it('restart: a crash during the pause begins anew', async () => {
    await begin();
    trouble = 2;
    await test.advance('1m');
    await test.crash();
    await test.restart();
    await test.advance('10s');
    expect((await test.runtime.actor('supervised', 'p_1').getSnapshot()).value).toBe('reminded');
  });

  it('resume: drops the deadline, keeps the state, and keeps the event as a dead letter', async () => {
    const actor = await begin({ strategy: 'resume' });
    trouble = 1;
    await test.advance('1m');
    expect(heard).toEqual(['deadLetter']);
    expect(await actor.timers()).toEqual([]);
    expect((await actor.send({ type: 'note' })).value).toBe('waiting');
    expect(await test.knex('dead_letters')).toMatchObject([
      {
        participant_id: 'p_1',
        event: expect.stringContaining('xstate.after'),
        error: expect.stringContaining('trouble'),
      },
    ]);
    expect((await test.journal('p_1')).map(({ note }) => note)).toContainEqual(expect.stringContaining('failed: '));
    await test.crash();
    await test.restart();
    await test.advance('1h');
    expect((await test.runtime.actor('supervised', 'p_1').getSnapshot()).value).toBe('waiting');
  });

  it('resume: a result that made it throw goes to onError', async () => {
    const actor = await begin({ strategy: 'resume' });
    trouble = 1;
    await actor.send({ type: 'ask' });
    await test.settle();
    expect((await actor.getSnapshot()).value).toBe('refused');
  });

  it('restart: a result that made it throw is applied again', async () => {
    const actor = await begin();
    trouble = 1;
    await actor.send({ type: 'ask' });
    await test.advance('2s');
    expect((await actor.getSnapshot()).value).toBe('answered');
  });

  it('stop: ends the actor, and keeps the event as a dead letter', async () => {
    const actor = await begin({ strategy: 'stop' });
    trouble = 1;
    await test.advance('1m');
    expect(heard).toEqual(['deadLetter']);
    expect((await actor.describe()).status).toBe('stopped');
    expect(await actor.send({ type: 'note' })).toMatchObject({ handled: false });
  });

  it('escalate: puts the actor aside at once, and says so', async () => {
    const actor = await begin({ strategy: 'escalate' });
    trouble = 1;
    await test.advance('1m');
    expect(heard).toEqual(['escalated']);
    expect((await actor.describe()).status).toBe('quarantined');
  });

  it('refuses a strategy or a number that cannot be one', () => {
    expect(() => flowWith({ strategy: 'pray' as never })).toThrow(/'pray' is not known/);
    expect(() => flowWith({ maxRestarts: -1 })).toThrow(/maxRestarts/);
    expect(() => flowWith({ within: 'a while' as never })).toThrow(/duration/);
    expect(() => flowWith({ within: 0 })).toThrow(/within must be longer than 0/);
  });
});
