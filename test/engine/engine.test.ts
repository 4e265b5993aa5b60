/** The engine begins and ends in order: what is taken up when, what comes to its end, and who is told where it does not. */
import type { Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import type { Engine, EngineOptions } from '../../src/engine/engine.ts';
import { defineFlow } from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { databaseInMemory, engineOn } from './engines.ts';

const MINUTE = 60_000;
/** Promises that were begun, and cut off. */
const jobs: string[] = [];
/** Says what it is told; works for ever where it is told to; says after a minute that it did. */
const desk = defineFlow({
  type: 'desk',
  version: 1,
  logic: setup({
    types: {
      context: {} as { said: number },
      events: {} as { type: 'say'; text: string } | { type: 'work' } | { type: 'throw later' },
      emitted: {} as { type: 'message'; text: string },
    },
    actors: {
      job: fromPromise(({ signal }) => {
        jobs.push('begun');
        signal.addEventListener('abort', () => jobs.push('cut off'));
        return new Promise(() => {});
      }),
    },
  }).createMachine({
    context: { said: 0 },
    initial: 'open',
    on: {
      say: {
        actions: [
          assign({ said: ({ context }) => context.said + 1 }),
          emit(({ event }) => ({ type: 'message', text: event.text })),
        ],
      },
    },
    states: {
      open: {
        on: { work: 'working', 'throw later': 'doomed' },
        after: { 60000: { actions: emit({ type: 'message', text: 'still here' }) } },
      },
      working: { invoke: { src: 'job' } },
      doomed: {
        after: {
          1000: {
            guard: () => {
              throw new Error('a bug');
            },
          },
        },
      },
    },
  }),
});

const at = (participantId: string) => ({ flowType: 'desk', participantId });
const event = (type: string, text?: string) => ({ stimulus: { kind: 'event' as const, event: { type, text } } });
const say = (text: string) => event('say', text);
const ticks = async (n = 20) => {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
};

describe('an engine', () => {
  let knex: Knex;
  let begun: Awaited<ReturnType<typeof engineOn>>;
  let engine: Engine;
  let sent: string[];
  const { commit, unsent } = SqliteStore.prototype;

  /** Another engine on the database, where the time goes on. */
  const begin = async (options: Partial<EngineOptions> = {}) => {
    const now = begun?.clock.now();
    begun = await engineOn(knex, [desk], { transport: { send: ({ text }) => void sent.push(text) }, ...options });
    if (now) begun.clock.moveTo(now);
    ({ engine } = begun);
  };
  beforeEach(async () => {
    [sent, jobs.length] = [[], 0];
    begun = undefined as never;
    knex = await databaseInMemory();
    await begin();
  });
  afterEach(async () => {
    Object.assign(SqliteStore.prototype, { commit, unsent });
    await engine.drain();
    await knex.destroy();
  });
  const spawn = (id: string) => engine.spawn(at(id), { input: undefined });
  const wait = async (ms: number) => {
    begun.clock.moveTo(begun.clock.now() + ms);
    await begun.idle();
  };
  const said = async (id: string) => (await engine.read(at(id))).snapshot.context.said;

  it('takes turns once it is open, and nothing goes out or fires of itself before its start', async () => {
    await expect(engine.post(at('ada'), say('early'))).rejects.toMatchObject({
      code: 'NOT_RUNNING',
      message: expect.stringContaining('not started yet'),
    });
    engine.open();
    await spawn('ada');
    await engine.post(at('ada'), say('one'));
    await wait(MINUTE);
    expect(sent).toEqual([]);
    await engine.start();
    await begun.idle();
    expect(sent).toEqual(['one', 'still here']);
  });

  it('takes up what a former one left: messages, deadlines, and what was invoked', async () => {
    engine.open();
    for (const id of ['ada', 'bob']) await spawn(id);
    await engine.post(at('ada'), say('left behind'));
    await engine.post(at('bob'), event('work'));
    await engine.abandon();
    jobs.length = 0;
    begun.clock.moveTo(begun.clock.now() + MINUTE);
    await begin();
    await engine.start();
    await begun.idle();
    expect([sent, jobs]).toEqual([['left behind', 'still here'], ['begun']]);
  });

  it('that is quiet leaves all that to the next one, also what others invoke', async () => {
    engine.open();
    for (const id of ['ada', 'bob']) await spawn(id);
    await engine.post(at('bob'), event('work'));
    await engine.abandon();
    jobs.length = 0;
    begun.clock.moveTo(begun.clock.now() + MINUTE);
    await begin();
    await engine.start(true);
    engine.reviveInvocations();
    expect(engine.idle).toBe(true);
    await engine.post(at('ada'), say('one'));
    await begun.idle();
    expect([sent, jobs, await said('ada')]).toEqual([[], [], 1]);
    await engine.drain();
    await begin();
    await engine.start();
    await begun.idle();
    expect([sent, jobs]).toEqual([['still here', 'one'], ['begun']]); // the deadline was not overtaken
  });

  it('that drains lets what was begun come to its end, and refuses the rest', async () => {
    await engine.start();
    await spawn('ada');
    await engine.post(at('ada'), event('work'));
    const over: string[] = [];
    engine.observe(
      at('ada'),
      () => {},
      ({ code }) => over.push(code),
    );
    const asked = Array.from({ length: 5 }, (_, i) => engine.post(at('ada'), say(`${i}`)));
    const drained = engine.drain();
    await expect(engine.post(at('ada'), say('late'))).rejects.toMatchObject({
      message: expect.stringContaining('stopping'),
    });
    await Promise.all(asked);
    await drained;
    expect([engine.running, engine.idle, over, jobs]).toEqual([false, true, ['NOT_RUNNING'], ['begun', 'cut off']]);
    await begin();
    engine.open();
    expect(await said('ada')).toBe(5);
  });

  it('that drains waits also for a turn whose actor has to be read first', async () => {
    engine.open();
    await spawn('ada');
    await engine.drain();
    await begin();
    await engine.start();
    await begun.idle();
    const order: string[] = [];
    const turn = engine.post(at('ada'), say('one')).then(() => order.push('turn'));
    expect(engine.idle).toBe(false);
    await engine.drain();
    order.push('drained');
    await turn;
    expect(order).toEqual(['turn', 'drained']);
  });

  it('that drains waits for nobody who waits for another attempt', async () => {
    await engine.start();
    await spawn('ada');
    await engine.post(at('ada'), event('throw later'));
    await wait(1_000);
    expect(engine.pausing).toEqual([at('ada')]);
    await engine.drain();
    expect(engine.pausing).toEqual([]);
  });

  it('that goes without goodbye tells who waits that nobody knows, and has nothing in memory', async () => {
    await engine.start();
    await spawn('ada');
    await engine.post(at('ada'), event('work'));
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    SqliteStore.prototype.commit = async function (group) {
      const outcomes = await commit.call(this, group);
      await answered;
      return outcomes;
    };
    const over: string[] = [];
    engine.observe(
      at('ada'),
      () => {},
      ({ code }) => over.push(code),
    );
    const asked = [engine.post(at('ada'), say('one')), engine.post(at('ada'), say('two'))].map((each) =>
      each.catch((error) => error),
    );
    await ticks();
    let hasEnded = false;
    const gone = engine.abandon().then(() => {
      hasEnded = true;
    });
    await ticks();
    expect([hasEnded, engine.inMemory, over, jobs]).toEqual([false, 0, ['NOT_RUNNING'], ['begun', 'cut off']]);
    answer();
    await gone;
    for (const error of await Promise.all(asked))
      expect(error).toMatchObject({ code: 'NOT_RUNNING', message: expect.stringContaining('is not known') });
    SqliteStore.prototype.commit = commit;
    await begin();
    await engine.start();
    await begun.idle();
    expect([sent, await said('ada')]).toEqual([['one'], 1]); // as in a crash: the first one had been written
  });

  it('reads its actors anew once a commit has ended of which nobody knew how it would', async () => {
    await begin({ answerWithin: 1_000 });
    await engine.start();
    await spawn('ada');
    let write = async () => {};
    SqliteStore.prototype.commit = function (group) {
      return new Promise((resolve) => {
        write = async () => resolve(await commit.call(this, group));
      });
    };
    await expect(engine.remove(at('ada'), [{ kind: 'erase', actor: at('ada') }])).rejects.toMatchObject({
      reason: 'timeout',
      message: expect.stringContaining('is not known'),
    });
    expect(await said('ada')).toBe(0); // it is still there, and in memory
    SqliteStore.prototype.commit = commit;
    await write();
    await begun.idle();
    await expect(said('ada')).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
    await spawn('ada');
    expect(await said('ada')).toBe(0);
  });

  it('is idle while a promise runs, or an actor waits, and not while a turn or a message is under way', async () => {
    await engine.start();
    await spawn('ada');
    const turn = engine.post(at('ada'), say('one'));
    expect(engine.idle).toBe(false);
    await turn;
    await begun.idle();
    await engine.post(at('ada'), event('work'));
    await begun.idle();
    await spawn('bob');
    await engine.post(at('bob'), event('throw later'));
    await wait(1_000);
    expect([engine.idle, engine.pausing.length, jobs]).toEqual([true, 1, ['begun']]);
  });

  it('lets happen at once what is to happen once it is durable, and introduces nobody amid a turn', async () => {
    let effects = 0;
    engine.after(() => effects++);
    expect(effects).toBe(1);
    const looked: string[] = [];
    const inspection = { idle: false, introduce: ({ key }: { key: string }) => looked.push(key), committed: () => {} };
    begun = await engineOn(knex, [desk], { inspection: inspection as never });
    ({ engine } = begun);
    await engine.start();
    for (const id of ['ada', 'bob']) await spawn(id);
    await begun.idle();
    looked.length = 0;
    const turn = engine.post(at('ada'), say('one'));
    engine.introduce();
    expect(looked).toEqual(['desk/bob']);
    await turn;
  });

  describe('that looks around now and then', () => {
    it('finds what a failed step left behind', async () => {
      await engine.start();
      await spawn('ada');
      await begun.idle();
      const row = {
        ...(await engine.composer.message(at('ada'), 'key', 'ada', { type: 'message', text: 'found' }, 0)),
        status: 'pending' as const,
      };
      await begun.store.commit([{ outbox: [row] }]); // nobody is told of it
      await wait(299_999);
      expect(sent).toEqual(['still here']);
      await wait(1);
      expect(sent).toEqual(['still here', 'found']);
    });

    it('says where it cannot, and asks soon whether the database takes writes again', async () => {
      await engine.start();
      await spawn('ada');
      const heard: string[] = [];
      begun.events.on('fault', ({ during }) => heard.push(during));
      begun.events.on('writable', () => heard.push('writable'));
      SqliteStore.prototype.unsent = async () => {
        throw new Error('the disk is gone');
      };
      await wait(300_000);
      expect(heard).toEqual(['sweeping']);
      SqliteStore.prototype.unsent = unsent;
      await wait(5_000);
      expect(heard).toEqual(['sweeping', 'writable']);
      expect(await begun.store.setting('probe')).toBe(begun.clock.now());
    });
  });
});
