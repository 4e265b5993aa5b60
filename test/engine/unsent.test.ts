/** Which unsent messages are in memory: in order per recipient, each of them once, and no more than a bound. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { type Pending, type Queue, Unsent, type UnsentOptions } from '../../src/engine/unsent.ts';
import type { Commit, OutboxRow } from '../../src/store/rows.ts';

const MINUTE = 60_000;
const ticks = async (n = 5) => {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
};

describe('the unsent messages in memory', () => {
  let clock: SimulatedClock;
  /** What the database has, and is not sent. */
  let table: OutboxRow[];
  let lastId: number;
  /** What was read of the database: `page`, or the recipient. */
  let reads: string[];
  let failures: unknown[];
  let open: Commit[];
  let begun: Queue[];
  let unsent: Unsent;
  /** While it is set, pages of the table are given only once it resolves. */
  let slow: Promise<void> | undefined;

  const make = (options: Partial<UnsentOptions> = {}) =>
    new Unsent({
      clock,
      most: 1_000,
      page: async (after, limit) => {
        reads.push('page');
        const key = ({ kind, recipient }: { kind: string; recipient: string }) => `${kind} ${recipient}`;
        const rows = table
          .filter((row) => !after || key(row) > key(after))
          .sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id - b.id))
          .slice(0, limit);
        await slow;
        return rows;
      },
      of: async ({ kind, recipient }, limit) => {
        reads.push(recipient);
        return table.filter((row) => row.kind === kind && row.recipient === recipient).slice(0, limit);
      },
      open: () => open,
      read: (row) => ({ row, maybeSent: false }),
      sends: () => true,
      work: (queue) => begun.push(queue),
      failed: (error) => failures.push(error),
      ...options,
    });
  beforeEach(() => {
    clock = new SimulatedClock();
    [table, reads, failures, open, begun] = [[], [], [], [], []];
    [lastId, slow] = [0, undefined];
    unsent = make();
  });

  /** A row that is not in the table yet. */
  const row = (recipient: string, change: Partial<OutboxRow> = {}) =>
    ({ id: ++lastId, recipient, kind: 'message', next_attempt_at: null, ...change }) as OutboxRow;
  const write = (recipient: string, change?: Partial<OutboxRow>) => {
    const written = row(recipient, change);
    table.push(written);
    return written;
  };
  const pending = (each: OutboxRow, change: Partial<Pending> = {}): Pending => ({
    row: each,
    maybeSent: false,
    ...change,
  });
  /** Sends all of a queue; the ids, in the order in which they went. */
  const workOff = async (queue: Queue): Promise<number[]> => {
    const ids: number[] = [];
    for (;;) {
      const next = await unsent.next(queue);
      if (!next) break;
      ids.push(next.row.id);
      table = table.filter(({ id }) => id !== next.row.id);
      unsent.shift(queue);
    }
    unsent.end(queue);
    return ids;
  };
  const recipients = () => begun.map(({ recipient }) => recipient);

  it('begin a queue without a look at the database, once all there was in it is in memory', async () => {
    const old = write('ada');
    expect(unsent.sendsAtOnce('message:bob')).toBe(false);
    await unsent.look();
    expect([unsent.sendsAtOnce('message:ada'), unsent.sendsAtOnce('message:bob')]).toEqual([false, true]);
    const fresh = write('bob');
    unsent.add(pending(fresh));
    unsent.add(pending(fresh));
    expect(await Promise.all(begun.map(workOff))).toEqual([[old.id], [fresh.id]]);
    expect(reads).toEqual(['page']);
  });

  it('let none overtake an older one that is only in the database', async () => {
    const [first, second, third] = [write('ada'), write('ada'), write('ada')];
    unsent.add(pending(third)); // nobody has looked yet
    expect(await workOff(begun[0]!)).toEqual([first.id, second.id, third.id]);
  });

  it('are no more than a hundred of one recipient; the others are read when these are sent', async () => {
    const all = Array.from({ length: 250 }, () => write('ada').id);
    await unsent.look();
    const [queue] = begun;
    expect(queue!.pending).toHaveLength(100);
    unsent.add(pending(write('ada')));
    expect(queue!.pending).toHaveLength(100);
    expect(await workOff(queue!)).toEqual([...all, lastId]);
    expect(reads).toEqual(['page', 'ada', 'ada']);
  });

  it('leave out what finds no room, and take it up when there is', async () => {
    unsent = make({ most: 2 });
    await unsent.look();
    for (const id of ['ada', 'bob', 'cy', 'dan']) unsent.add(pending(write(id)));
    await ticks();
    expect([recipients(), unsent.queues.size, unsent.idle]).toEqual([['ada', 'bob'], 2, true]);
    await workOff(begun[0]!);
    await ticks();
    expect(recipients()).toEqual(['ada', 'bob', 'cy']);
    for (const queue of begun.slice(1)) await workOff(queue);
    await ticks();
    await workOff(begun[3]!);
    await ticks();
    expect([recipients(), table, unsent.sendsAtOnce('message:ada')]).toEqual([['ada', 'bob', 'cy', 'dan'], [], true]);
  });

  it('are not read a second time by a page that was asked for before their queue ended', async () => {
    write('ada');
    unsent.refresh({ kind: 'message', recipient: 'ada' });
    let answer = () => {};
    slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const looked = unsent.look();
    await workOff(begun[0]!);
    answer();
    await looked;
    expect(recipients()).toEqual(['ada', 'ada']);
    expect(await workOff(begun[1]!)).toEqual([]);
  });

  it('leave out those whose commit is about to be told, and are told of them then', async () => {
    const [told, untold, later] = [write('ada'), write('ada'), write('bob')];
    open = [{ outbox: [untold, later] }];
    await unsent.look();
    const [queue] = begun;
    expect([recipients(), queue!.pending.map(({ row: { id } }) => id)]).toEqual([['ada'], [told.id]]);
    unsent.refresh(queue!);
    open = [];
    unsent.add(pending(untold));
    expect(await workOff(queue!)).toEqual([told.id, untold.id]);
  });

  it('keep in its place one whose commit is in doubt, once, and whatever is cleared', async () => {
    await unsent.look();
    const doubted = row('ada');
    unsent.add(pending(doubted, { doubt: Promise.resolve(false) }));
    unsent.add(pending(write('ada')));
    unsent.add(pending(doubted)); // it was committed after all
    const [queue] = begun;
    const ids = () => queue!.pending.map(({ row: { id } }) => id);
    expect(ids()).toEqual([1, 2]);
    unsent.clear(queue!);
    expect(ids()).toEqual([1]);
    unsent.refresh(queue!);
    await unsent.next(queue!);
    expect(ids()).toEqual([1, 2]);
    unsent.shift(queue!);
    unsent.add(pending(doubted));
    expect(ids()).toEqual([2, 1]); // and may be told of again, when it is not here any more
  });

  it('have none of a kind that cannot be sent', async () => {
    unsent = make({ sends: (kind) => kind === 'event' });
    write('ada');
    write('ada', { kind: 'event' });
    await unsent.look();
    unsent.add(pending(write('bob')));
    unsent.refresh({ kind: 'message', recipient: 'bob' });
    expect(begun.map(({ key }) => key)).toEqual(['event:ada']);
  });

  describe('of a queue that waits for another attempt', () => {
    it('stay where there is room, until then, or until something has changed', async () => {
      await unsent.look();
      unsent.add(pending(write('ada')));
      const [queue] = begun;
      const stays: boolean[] = [];
      const pause = async () => stays.push(await unsent.pause(queue!, clock.now() + 60 * MINUTE));
      void pause();
      clock.moveTo(clock.now() + 60 * MINUTE);
      await ticks();
      expect(stays).toEqual([true]);
      void pause();
      await ticks();
      unsent.refresh(queue!, true);
      await ticks();
      expect([stays, queue!.woken, queue!.unread]).toEqual([[true, true], true, true]);
    });

    it('leave memory to others where the wait is long, and are taken up when it is over', async () => {
      const sent: string[] = [];
      const work = async (queue: Queue) => {
        const { row: first } = (await unsent.next(queue))!;
        const until = first.next_attempt_at ?? 0;
        if (until > clock.now() && !(await unsent.pause(queue, until))) return unsent.end(queue);
        await workOff(queue);
        sent.push(queue.recipient);
      };
      unsent = make({ most: 2, work: (queue) => void work(queue) });
      for (const id of ['ada', 'bob']) write(id, { next_attempt_at: clock.now() + 10 * MINUTE });
      await unsent.look();
      for (const id of ['cy', 'dan', 'eve']) unsent.add(pending(write(id)));
      await ticks(20);
      expect(sent.splice(0)).toEqual(['cy', 'dan', 'eve']);
      for (let minute = 0; minute < 11; minute++) {
        clock.moveTo(clock.now() + MINUTE);
        await ticks();
      }
      expect([sent, table]).toEqual([['ada', 'bob'], []]);
    });

    it('stay where the wait is short, though others have no room', async () => {
      unsent = make({ most: 1 });
      await unsent.look();
      unsent.add(pending(write('ada')));
      const paused = unsent.pause(begun[0]!, clock.now() + 1_000);
      unsent.add(pending(write('bob')));
      await ticks();
      clock.moveTo(clock.now() + 1_000);
      expect(await paused).toBe(true);
    });
  });

  describe('while the database cannot be read', () => {
    const broken = async (): Promise<OutboxRow[]> => {
      throw new Error('the disk is gone');
    };

    it('tell who looks, and begin no queue without a look', async () => {
      unsent = make({ page: broken });
      await expect(unsent.look()).rejects.toThrow('the disk is gone');
      expect([unsent.sendsAtOnce('message:ada'), unsent.idle]).toEqual([false, true]);
    });

    it('still have to be read before one is sent', async () => {
      unsent = make({ of: broken });
      unsent.add(pending(write('ada')));
      const [queue] = begun;
      await expect(unsent.next(queue!)).rejects.toThrow('the disk is gone');
      expect(queue!.unread).toBe(true);
    });

    it('are looked for again after a while, where something was left out', async () => {
      let pages = 0;
      unsent = make({
        most: 1,
        page: async () => {
          if (++pages === 2) return broken();
          return table.filter(({ recipient }) => !recipients().includes(recipient));
        },
      });
      await unsent.look();
      for (const id of ['ada', 'bob']) unsent.add(pending(write(id)));
      await workOff(begun[0]!);
      await ticks();
      expect([failures, recipients()]).toEqual([[new Error('the disk is gone')], ['ada']]);
      clock.moveTo(clock.now() + 1_000);
      await ticks();
      expect(recipients()).toEqual(['ada', 'bob']);
    });
  });

  it('are not added to, and keep nobody waiting, once all is to end', async () => {
    await unsent.look();
    unsent.add(pending(write('ada')));
    const paused = unsent.pause(begun[0]!, clock.now() + MINUTE);
    unsent.stop();
    expect(await paused).toBe(true);
    unsent.add(pending(write('bob')));
    unsent.refresh({ kind: 'message', recipient: 'cy' });
    expect(recipients()).toEqual(['ada']);
  });
});
