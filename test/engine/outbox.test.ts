import createKnex, { type Knex } from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Outbox, type OutgoingMessage } from '../../src/engine/outbox.ts';
import { ActorNotFoundError, type Address } from '../../src/errors.ts';
import { EventChannel } from '../../src/events.ts';
import type { ActorRow, Commit, OutboxRow } from '../../src/store/rows.ts';
import { migrate } from '../../src/store/sqlite/schema.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';

describe('the outbox', () => {
  let knex: Knex;
  let store: SqliteStore;
  let clock: SimulatedClock;
  let outbox: Outbox;
  let sent: OutgoingMessage[];
  /** What becomes of an attempt. */
  let send: (message: OutgoingMessage) => Promise<void>;
  /** What the receiver of an event does with it. */
  let deliver: (to: Address) => Promise<undefined>;
  /** Committed, and not told of yet. */
  const open = new Set<Commit>();

  const make = (most?: number) =>
    new Outbox({
      clock,
      events: new EventChannel(),
      store,
      transport: {
        send: async (message) => {
          await send(message);
          sent.push(message);
        },
      },
      eventPatience: 3_600_000,
      ...(most && { most }),
      commit: async (commit) => (await store.commit([commit]))[0]!,
      open: () => open,
      deliver: (to) => deliver(to),
      policy: () => 'resend',
    });

  beforeEach(async () => {
    knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true, pool: { min: 1, max: 1 } });
    await migrate(knex);
    store = await SqliteStore.open(knex);
    clock = new SimulatedClock();
    sent = [];
    send = async () => {};
    deliver = async () => undefined;
    open.clear();
    outbox = make();
  });
  afterEach(async () => {
    await outbox.stop();
    await knex.destroy();
  });

  const row = (recipient: string, change: Partial<OutboxRow> = {}): OutboxRow => ({
    id: store.nextId('outbox_messages'),
    participant_id: null,
    flow_type: null,
    recipient,
    kind: 'message',
    payload: '{"type":"message","text":"Hello"}',
    status: 'pending',
    attempts: 0,
    next_attempt_at: null,
    idempotency_key: '',
    last_error: null,
    created_at: 0,
    updated_at: 0,
    ...change,
  });
  const write = async (rows: OutboxRow[]) => {
    for (let i = 0; i < rows.length; i += 10_000) await store.commit([{ outbox: rows.slice(i, i + 10_000) }]);
  };
  const settle = async (isDone = () => outbox.idle) => {
    do await new Promise(setImmediate);
    while (!isDone());
  };
  /** Whether the messages to each recipient went in the order of their ids. */
  const inOrder = () => {
    const last = new Map<string, number>();
    return sent.every(({ to, id }) => {
      const isNext = id > (last.get(to) ?? 0);
      last.set(to, id);
      return isNext;
    });
  };

  it('sends thousands of unsent messages, with no more than a bound of them in memory', async () => {
    outbox = make(500);
    const all = Array.from({ length: 6_000 }, (_, i) => row(`+1555${i % 5_500}`));
    await write(all);
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let underWay = 0;
    let most = 0;
    send = async () => {
      most = Math.max(most, ++underWay);
      await answered;
      underWay--;
    };
    await outbox.recover(0);
    await settle();
    expect(most).toBeGreaterThan(400);
    expect(most).toBeLessThanOrEqual(500);
    answer();
    await settle();
    expect(sent).toHaveLength(all.length);
    expect(inOrder()).toBe(true);
    expect(await knex('outbox_messages').whereNot({ status: 'sent' }).first()).toBeUndefined();
  }, 60_000);

  it('keeps the order of a recipient, whatever finds no room in memory', async () => {
    const ada = Array.from({ length: 250 }, () => row('ada'));
    await write([...ada, row('bob')]);
    let answer = () => {};
    let hold = new Promise<void>((resolve) => {
      answer = resolve;
    });
    send = ({ to }) => (to === 'ada' ? hold : Promise.resolve());
    await outbox.recover(0);
    await settle();
    expect(sent.map(({ to }) => to)).toEqual(['bob']); // whom she does not keep back
    // What comes now goes after what is in the database.
    const later = [row('ada'), row('ada')];
    await write(later);
    outbox.accept(later, undefined);
    hold = Promise.resolve();
    answer();
    await settle();
    expect(sent.filter(({ to }) => to === 'ada')).toHaveLength(252);
    expect(inOrder()).toBe(true);
  });

  it('lets who waits long for another attempt make room for the others', async () => {
    outbox = make(20);
    await write(Array.from({ length: 50 }, (_, i) => row(`a${String(i).padStart(2, '0')}`)));
    await write([row('b')]);
    send = async ({ to }) => {
      if (to.startsWith('a')) throw new Error('busy');
    };
    await outbox.recover(0);
    for (let minute = 0; minute < 60; minute++) {
      await settle();
      clock.moveTo(clock.now() + 60_000);
    }
    await settle();
    expect(sent.map(({ to }) => to)).toEqual(['b']);
    send = async () => {};
    for (let minute = 0; minute < 60 && sent.length < 51; minute++) {
      clock.moveTo(clock.now() + 60_000);
      await settle();
    }
    expect(new Set(sent.map(({ to }) => to)).size).toBe(51);
    expect(sent).toHaveLength(51);
  });

  it('leaves alone what is in the database and about to be told of, and sends what nobody tells of', async () => {
    await outbox.recover(0);
    const told = [row('ada')];
    const commit = { outbox: told };
    open.add(commit);
    await write(told);
    await write([row('bob')]); // its commit seemed to fail
    await outbox.sweep();
    await settle();
    expect(sent.map(({ to }) => to)).toEqual(['bob']);
    open.clear();
    outbox.accept(told, undefined);
    await outbox.sweep();
    await settle();
    expect(sent.map(({ to }) => to)).toEqual(['bob', 'ada']);
  });

  it('takes no message of this process for one that a crash left uncertain', async () => {
    const former = row('ada', { status: 'sending' });
    await write([former]);
    const first = row('bob', { status: 'sending' });
    await write([first]);
    await outbox.recover(former.id);
    await settle();
    expect(sent.map(({ to, maybeSent }) => [to, maybeSent]).sort()).toEqual([
      ['ada', true],
      ['bob', false],
    ]);
  });

  describe('an event whose receiver comes to take events just while it is put to wait', () => {
    const to = { flowType: 'diary', participantId: 'bob' };
    const event = () =>
      row('diary/bob', {
        kind: 'event',
        payload: JSON.stringify({ to, event: { type: 'hello' } }),
        idempotency_key: 'e1',
        created_at: clock.now(),
      });
    const actor = (status: ActorRow['status']) =>
      ({
        id: 1,
        participant_id: 'bob',
        flow_type: 'diary',
        current_state: 'calm',
        state_data: '{}',
        created_at: new Date(0).toISOString(),
        updated_at: new Date(0).toISOString(),
        version: 1,
        flow_version: 1,
        status,
        next_due_at: null,
        lease_until: null,
        last_error: null,
        address: null,
        journal_id: null,
      }) satisfies ActorRow;
    const spawned = async () => {
      await store.commit([{ insert: actor('active') }]);
      outbox.wake('diary/bob');
    };
    const statusOf = async () => (await knex('outbox_messages').first('status')).status;
    let refusals: number;
    beforeEach(() => {
      refusals = 0;
    });

    it('is delivered soon, where it was told between the refusal and the look at the database', async () => {
      deliver = async () => {
        if (++refusals > 1) return undefined;
        await spawned();
        throw new ActorNotFoundError(to);
      };
      await write([event()]);
      await outbox.recover(store.lastId('outbox_messages'));
      await settle(() => refusals === 1 && clock.nextTimer() !== undefined);
      clock.moveTo(clock.nextTimer()!);
      await settle();
      expect([refusals, await statusOf()]).toEqual([2, 'sent']);
    });

    it('is delivered at once, where it was told while that was written', async () => {
      deliver = async () => {
        if (++refusals > 1) return undefined;
        throw new ActorNotFoundError(to);
      };
      const commit = store.commit.bind(store);
      let isWaiting = false;
      store.commit = async (group) => {
        isWaiting ||= group.some(({ also }) => also?.some(({ kind }) => kind === 'letWait'));
        if (isWaiting && refusals === 1 && !(await store.load([to]))[0]) {
          await commit([{ insert: actor('active') }]);
          outbox.wake('diary/bob');
        }
        return commit(group);
      };
      await write([event()]);
      await outbox.recover(store.lastId('outbox_messages'));
      await settle(() => refusals === 2 && outbox.idle);
      expect(await statusOf()).toBe('sent');
    });

    it('waits, where it does not', async () => {
      deliver = async () => {
        refusals++;
        throw new ActorNotFoundError(to);
      };
      await write([event()]);
      await outbox.recover(store.lastId('outbox_messages'));
      await settle();
      expect([refusals, await statusOf()]).toEqual([1, 'waiting']);
      deliver = async () => undefined;
      await spawned();
      await settle();
      expect(await statusOf()).toBe('sent');
    });
  });
});
