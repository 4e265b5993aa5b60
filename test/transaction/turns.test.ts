/** Turns in a transaction: made on copies, written at once, carried out after the commit, and let go of whatever happens. */
import type { Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import type { Work } from '../../src/engine/cell.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { defineFlow } from '../../src/index.ts';
import type { Store } from '../../src/store/store.ts';
import { TransactionPlace } from '../../src/transaction/place.ts';
import type { TransactionTurns } from '../../src/transaction/turns.ts';
import { databaseInMemory, engineOn } from '../engine/engines.ts';

const MINUTE = 60_000;
/** Which part of the flow throws. */
let bad: 'nothing' | 'deadline' | 'record' = 'nothing';
/** Notes what it is told, and says it; its deadline counts as a note. */
const notes = defineFlow({
  type: 'notes',
  version: 1,
  logic: setup({
    types: { context: {} as { log: string[] }, events: {} as { type: 'note'; text: string } },
  }).createMachine({
    context: { log: [] },
    on: {
      note: {
        actions: [
          assign(({ context, event }) => {
            if (event.text === 'throw') throw new Error('a bug');
            return { log: [...context.log, event.text] };
          }),
          emit(({ event }) => ({ type: 'message', text: event.text })),
        ],
      },
    },
    after: {
      60000: {
        actions: assign(({ context }) => {
          if (bad === 'deadline') throw new Error('a bug in the deadline');
          return { log: [...context.log, 'reminded'] };
        }),
      },
    },
  }),
  project: ({ after }) => {
    if (bad === 'record' && after.status === 'stopped') throw new Error('no words');
    return null;
  },
});

const at = (participantId: string) => ({ flowType: 'notes', participantId });
const note = (text: string, work: Partial<Work> = {}): Work => ({
  stimulus: { kind: 'event', event: { type: 'note', text } },
  ...work,
});

describe('turns in a transaction', () => {
  let knex: Knex;
  let engine: Engine;
  let store: Store;
  let begun: Awaited<ReturnType<typeof engineOn>>;
  /** What those who look at the actors hear of. */
  let heard: unknown[];

  const begin = async (cacheSize = 100) => {
    begun = await engineOn(knex, [notes], { cacheSize });
    ({ engine, store } = begun);
    begun.events.on('turn', ({ address, event, version }) =>
      heard.push(`${address.participantId} ${event} ${version}`),
    );
    await engine.start();
  };
  beforeEach(async () => {
    bad = 'nothing';
    heard = [];
    knex = await databaseInMemory();
    await begin();
    await engine.spawn(at('ada'), { input: undefined });
    heard.length = 0;
  });
  afterEach(async () => {
    await engine.drain();
    await knex.destroy();
  });

  const log = async (id: string) => (await engine.read(at(id))).snapshot.context.log;
  const run = <T>(body: (turns: TransactionTurns, trx: Knex.Transaction) => Promise<T>) =>
    new TransactionPlace(engine.parts).run(body);
  const ids = () => knex('flow_states').orderBy('participant_id').pluck('participant_id');
  const journal = () => knex('flow_journal').orderBy('id').select('event_type', 'note', 'to_state');

  it('are written in the order in which they were asked for, and told of in it, after the commit', async () => {
    await run(async (turns) => {
      turns.after(() => heard.push('before all'));
      const asked = [
        turns.post(at('ada'), note('one')),
        turns.spawn(at('bob'), { input: undefined }),
        turns.post(at('bob'), note('two')),
      ];
      await Promise.all(asked);
      turns.after(() => heard.push('after all'));
      expect(turns.commits.map(({ insert, update }) => (insert ?? update)!.version)).toEqual([2, 1, 2]);
      expect([...turns.cells].map(({ key, row }) => [key, row?.version])).toEqual([
        ['notes/ada', 1],
        ['notes/bob', undefined],
      ]);
      expect(heard).toEqual([]);
    });
    expect(heard).toEqual(['before all', 'ada note 2', 'bob xstate.init 1', 'bob note 2', 'after all']);
  });

  it.each([true, false])('hold each actor once, and let go of it in the end (committed: %s)', async (commits) => {
    await engine.drain();
    await begin(0); // nobody stays in memory who is not held
    const ended = run(async (turns) => {
      for (let i = 0; i < 3; i++) await turns.post(at('ada'), note('x'));
      await turns.remove(at('ada'), [{ kind: 'erase', actor: at('ada') }]);
      await turns.spawn(at('ada'), { input: undefined });
      await turns.ensure(at('bob'), { input: undefined });
      expect([turns.cells.size, engine.inMemory]).toEqual([2, 2]);
      if (!commits) throw new Error('no');
    });
    if (commits) await ended;
    else await expect(ended).rejects.toThrow('no');
    expect(engine.inMemory).toBe(0);
  });

  it('see a message that was applied, by whomever, and apply it no more', async () => {
    const inbound = { channel: 'sms', messageId: 'm', scope: '', text: 'Hm' };
    await run(async (turns) => {
      expect(await turns.post(at('ada'), note('Hm', { inbound }))).toMatchObject({ duplicate: false });
      expect(await turns.post(at('ada'), note('Hm', { inbound }))).toMatchObject({ duplicate: true, handled: false });
      const row = {
        id: store.nextId('inbox'),
        channel: 'sms',
        message_id: 'm',
        scope: '',
        applied_at: 0,
        sender: null,
        text: null,
      };
      expect(await turns.write({ inbound: row })).toEqual({ result: 'duplicate' });
      expect(turns.commits).toHaveLength(1);
    });
    expect(await log('ada')).toEqual(['Hm']);
  });

  it('that throw leave the copy as it was, and the next one is made of that', async () => {
    await run(async (turns) => {
      await turns.post(at('ada'), note('one'));
      await expect(turns.post(at('ada'), note('throw'))).rejects.toMatchObject({ code: 'TURN_FAILED' });
      const inbound = { channel: 'sms', messageId: 'm', scope: '', text: 'throw' };
      expect(await turns.post(at('ada'), note('throw', { inbound, onFailure: () => ({}) }))).toMatchObject({
        failed: { code: 'TURN_FAILED' },
      });
      expect((await turns.post(at('ada'), note('two'))).snapshot.context.log).toEqual(['one', 'two']);
    });
    expect(await log('ada')).toEqual(['one', 'two']);
    const [, , failed, ...rest] = await journal();
    expect([failed.note, rest.length]).toEqual([expect.stringMatching(/^failed: .*a bug/), 1]);
  });

  describe('of a stop', () => {
    it.each(['deadline', 'record'] as const)('end the actor though its %s throws', async (part) => {
      begun.clock.moveTo(begun.clock.now() + MINUTE - 1);
      await run(async (turns) => {
        begun.clock.moveTo(begun.clock.now() + 1); // due, while nothing else is written
        bad = part;
        await turns.post(at('ada'), { stimulus: { kind: 'stop' } });
      });
      expect(await engine.row(at('ada'))).toMatchObject({ status: 'stopped', next_due_at: null });
      const { note: remark } = (await journal()).at(-1);
      if (part === 'record') expect(remark).toContain('not recorded: ');
      else expect(remark).toBeNull();
    });

    it('end one that is removed, whatever throws in it, and let another one begin at its address', async () => {
      bad = 'record';
      await run(async (turns) => {
        await turns.post(at('ada'), note('old'));
        await turns.remove(at('ada'), [{ kind: 'erase', actor: at('ada') }]);
        await expect(turns.remove(at('nobody'), [])).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
        await expect(turns.read(at('ada'))).rejects.toMatchObject({ code: 'ACTOR_NOT_FOUND' });
        expect(await turns.ensure(at('ada'), { input: undefined })).toBe(true);
        expect(await turns.ensure(at('ada'), { input: undefined })).toBe(false);
        await expect(turns.spawn(at('ada'), { input: undefined })).rejects.toMatchObject({ code: 'ACTOR_EXISTS' });
      });
      expect([await log('ada'), await ids()]).toEqual([[], ['ada']]);
    });
  });

  it('end nothing of one that cannot be restored, which is removed as it is', async () => {
    await engine.abandon();
    await knex('flow_states').update({ state_data: 'broken' });
    await begin();
    await run(async (turns) => {
      await turns.remove(at('ada'), [{ kind: 'erase', actor: at('ada') }]);
      expect(turns.commits).toHaveLength(1);
    });
    expect(await ids()).toEqual([]);
  });

  it('that cannot be written leave a transaction that can only be rolled back', async () => {
    const lost = run(async (turns, trx) => {
      await turns.post(at('ada'), note('one'));
      await trx('outbox_messages').insert({
        ...(await trx('outbox_messages').first()),
        id: store.lastId('outbox_messages') + 1,
        idempotency_key: 'x',
      });
      const failed = await turns.post(at('ada'), note('two')).catch((error) => error);
      expect(failed).toMatchObject({ code: 'STORE_ERROR' });
      await expect(turns.read(at('ada'))).rejects.toBe(failed);
      await expect(turns.remove(at('ada'), [])).rejects.toBe(failed);
    });
    await expect(lost).rejects.toMatchObject({ code: 'STORE_ERROR' });
    expect([await log('ada'), heard]).toEqual([[], []]);
  });

  it('are refused where they could not be waited for, or after the end', async () => {
    let late!: TransactionTurns;
    const code = expect.objectContaining({ code: 'TRANSACTION' });
    await run(async (turns) => {
      late = turns;
      for (const ask of [() => turns.retry(at('ada')), () => turns.observe(at('ada'))]) expect(ask).toThrow(code);
    });
    expect(() => late.post(at('ada'), note('late'))).toThrow(code);
    expect(() => late.read(at('ada'))).toThrow(code);
    expect(await log('ada')).toEqual([]);
  });

  it('are not taken while an inner transaction is open, and it must have ended by the commit', async () => {
    const open = run(async (turns) => {
      let end = () => {};
      await turns.inner(
        async () => 'result',
        () =>
          new Promise<void>((resolve) => {
            end = resolve;
          }),
      );
      expect(() => turns.post(at('ada'), note('within'))).toThrow(/inner transaction/);
      end();
      await new Promise(setImmediate);
      await turns.post(at('ada'), note('after'));
      await expect(
        turns.inner(
          () => Promise.reject(new Error('undone')),
          () => undefined,
        ),
      ).rejects.toThrow('undone');
      await turns.post(at('ada'), note('after that'));
      void turns.inner(
        async () => {},
        () => new Promise(() => {}),
      );
    });
    await expect(open).rejects.toThrow('still open');
    expect(await log('ada')).toEqual([]);
  });
});
