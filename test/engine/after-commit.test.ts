/** What follows from a commit that was made, that lost, or of which nobody knows. */
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { Commits, type CommitsOptions, RETRY } from '../../src/engine/after-commit.ts';
import type { Cell, Work } from '../../src/engine/cell.ts';
import { Pauses } from '../../src/engine/pauses.ts';
import { Phase } from '../../src/engine/phase.ts';
import { StoreError } from '../../src/errors.ts';
import { EventChannel } from '../../src/events.ts';
import type { ActorRow, ActorUpdate, Commit, OutboxRow, Outcome } from '../../src/store/rows.ts';

const tick = () => new Promise(setImmediate);
const NOW = Date.UTC(2026, 0, 1);
const PHONE = '+15551234567';
const address = { flowType: 'desk', participantId: 'ada' };
const busy = new StoreError('busy', 'The database is busy.');
const constraint = new StoreError('constraint', 'A row was refused.');
const failed = (error: Error): Outcome => ({ result: 'failed', error });
const outbox = [{ id: 1 } as OutboxRow];

/** The commits of an engine whose parts write down what they are told, and whose database answers so, one by one. */
function begin(...answers: Outcome[]) {
  const heard: string[] = [];
  const doubts: unknown[] = [];
  const note = (line: string) => void heard.push(line);
  const clock = new SimulatedClock(NOW);
  const phase = new Phase();
  phase.now = 'running';
  const events = new EventChannel();
  events.on('commitFailed', ({ error }) => note(`commitFailed: ${error.message}`));
  events.on('turn', (turn) => told.push(turn));
  const told: unknown[] = [];
  /** The group that is being written; it ends at once, unless it is said otherwise. */
  const group: { ended: Promise<unknown> } = { ended: Promise.resolve() };
  const commits = new Commits({
    committer: {
      add: async () => answers.shift() ?? { result: 'committed' },
      get ended() {
        return group.ended;
      },
    },
    maker: { ambient: () => ({ now: () => NOW, random: () => 0 }) },
    outbox: {
      accept: (rows: OutboxRow[], origin: unknown) => note(`accept ${rows.length}${origin ? ` from ${origin}` : ''}`),
      doubt: (rows: OutboxRow[], committed: Promise<boolean>) => {
        note(`doubt ${rows.length}`);
        void committed.then((known) => doubts.push(known));
      },
      wake: (key: string) => note(`wake ${key}`),
    },
    alarms: { set: (_: unknown, dueAt: number | undefined) => note(`alarm ${dueAt ? dueAt - NOW : 'none'}`) },
    observers: { tell: () => note('observers') },
    inspection: { committed: () => note('inspection') },
    pacer: { committed: () => note('pacer') },
    patience: { failing: () => note('patience') },
    sweeper: { suspect: () => note('suspect') },
    pauses: new Pauses(clock, phase),
    events,
    phase,
  } as unknown as CommitsOptions);
  commits.onActivity = (phone, _, ended) => note(`activity ${phone}${ended ? ', ended' : ''}`);

  const row = { version: 4, current_state: 'calm', status: 'active', address: PHONE } as ActorRow;
  const cell = {
    address,
    key: 'desk/ada',
    row,
    live: { snapshot: 'after', nextDueAt: NOW + 60, afterCommit: () => note('actions') },
    onPause: [],
    forget: () => note('forget'),
  } as unknown as Cell;
  return { answers, cell, clock, commits, doubts, events, group, heard, phase, row, told };
}
const ALARM = ['patience', 'doubt 1', 'commitFailed: The database is busy.', 'suspect'];

describe('what is written once', () => {
  it('is taken by the outbox where it was committed, and by nobody where it lost', async () => {
    const { cell, commits, heard } = begin(
      { result: 'committed' },
      { result: 'duplicate' },
      { result: 'committed' },
      { result: 'conflict' },
    );
    expect(await commits.write({ outbox })).toEqual({ result: 'committed' });
    expect(heard.splice(0)).toEqual(['accept 1']);
    expect(await commits.write({ outbox })).toEqual({ result: 'duplicate' });
    expect(await commits.once({ outbox }, cell)).toBe('committed'); // carried out by who asked for it
    expect(heard).toEqual([]);
    expect(await commits.once({ outbox }, cell)).toBe('conflict');
    expect(heard).toEqual(['forget']);
  });

  it('is doubted where the database failed as a whole: it may have been made all the same', async () => {
    const { cell, commits, doubts, heard } = begin(failed(busy), failed(busy));
    expect(await commits.write({ outbox })).toEqual(failed(busy));
    expect(heard.splice(0)).toEqual(ALARM);
    await expect(commits.once({ outbox }, cell)).rejects.toBe(busy);
    expect(heard).toEqual(['forget', ...ALARM]);
    await tick();
    expect(doubts).toEqual([false, false]); // not tried again
  });

  it('is doubted until the group has ended that was not answered in time: only then can it be looked for', async () => {
    const { commits, doubts, group } = begin(failed(busy));
    let end = () => {};
    group.ended = new Promise<void>((resolve) => (end = resolve));
    await commits.write({ outbox });
    await tick();
    expect(doubts).toEqual([]);
    group.ended = new Promise(() => {}); // the next group is none of its concern
    end();
    await tick();
    expect(doubts).toEqual([false]);
  });

  it('is not doubted where it was refused for its own sake, which undid it', async () => {
    const { cell, commits, heard } = begin(failed(constraint), failed(constraint), failed(new Error('lost')));
    expect(await commits.write({ outbox })).toEqual(failed(constraint));
    await expect(commits.once({ outbox }, cell)).rejects.toBe(constraint);
    await expect(commits.once({ outbox })).rejects.toThrow('lost');
    expect(heard).toEqual(['forget']);
  });

  it('raises no alarm after the engine has stopped', async () => {
    const { commits, heard, phase } = begin(failed(busy));
    phase.now = 'stopped';
    await commits.write({ outbox });
    expect(heard).toEqual([]);
  });

  it('raises the alarm also for what was to be written outside of a commit', () => {
    const { commits, heard } = begin();
    commits.failed(busy);
    expect(heard.splice(0)).toEqual(ALARM.filter((line) => line !== 'doubt 1'));
    commits.failed(constraint);
    expect(heard).toEqual([]);
  });
});

describe('a turn that the database could not take', () => {
  const commit: Commit = { outbox };
  const work = (kind: string) => ({ stimulus: { kind } }) as Work;

  it.each(['event', 'cancel', 'schedule', 'stop'])(
    'is left to who asked for it, where it can be repeated (%s)',
    async (kind) => {
      const { cell, commits, doubts, heard } = begin();
      expect(await commits.again(cell, work(kind), commit, busy)).toEqual(failed(busy));
      await tick();
      expect([heard, doubts]).toEqual([ALARM, [false]]);
    },
  );

  it.each(['timer', 'relay', 'emit'])('is tried until it is made, where nobody could repeat it (%s)', async (kind) => {
    const { cell, clock, commits, doubts, heard } = begin(failed(busy), { result: 'committed' });
    const outcome = commits.again(cell, work(kind), commit, busy);
    expect([heard.splice(0), cell.trouble]).toEqual([ALARM, busy]);
    clock.moveTo(NOW + RETRY);
    await tick();
    expect([heard, doubts]).toEqual([ALARM, []]);
    clock.moveTo(NOW + 2 * RETRY);
    expect(await outcome).toEqual({ result: 'committed' });
    await tick();
    expect([cell.trouble, doubts]).toEqual([undefined, [true, true]]);
  });

  it.each<[string, Outcome]>([
    ['was made by an earlier attempt after all', { result: 'conflict' }],
    ['is refused now for its own sake', failed(constraint)],
  ])('is not tried any more where it %s', async (_, answer) => {
    const { answers, cell, clock, commits, doubts } = begin(answer);
    const outcome = commits.again(cell, work('timer'), commit, busy);
    clock.moveTo(NOW + RETRY);
    expect(await outcome).toEqual(answer);
    await tick();
    expect([answers, doubts]).toEqual([[], [false]]);
  });

  it('is left to the next process where this one goes down', async () => {
    const { cell, commits, phase } = begin();
    phase.now = 'draining';
    expect(await commits.again(cell, work('timer'), commit, busy)).toEqual(failed(busy));
  });
});

describe('a turn that has committed', () => {
  const turn = { event: { type: 'go' }, emitted: [] } as never;
  const update = (changes: Partial<ActorUpdate> = {}) =>
    ({
      version: 5,
      current_state: 'over there',
      updated_at: new Date(NOW + 7).toISOString(),
      status: 'active',
      next_due_at: NOW + 60,
      journal_id: 9,
      ...changes,
    }) as ActorUpdate;

  it('is carried out: first what is told of with it, then the row, the alarm, its actions, and those who listen', () => {
    const { cell, commits, heard, row, told } = begin();
    commits.carryOut(cell, { update: update(), outbox }, turn, 'state');
    expect(heard).toEqual(['accept 1', 'alarm 60', 'pacer', 'actions', `activity ${PHONE}`, 'inspection', 'observers']);
    expect(row).toMatchObject({ version: 5, current_state: 'over there', next_due_at: NOW + 60, journal_id: 9 });
    expect(cell.committed).toBe('state');
    expect(told).toEqual([{ address, event: 'go', from: 'calm', to: 'over there', version: 5, at: NOW + 7 }]);
  });

  it('says once that the actor has ended, leaves no alarm, and starts nothing after it', () => {
    const { cell, commits, heard, told } = begin();
    commits.carryOut(cell, { update: update({ status: 'done' }) }, turn);
    commits.carryOut(cell, { update: update({ status: 'done', version: 6 }) }, turn);
    expect(told).toMatchObject([{ ended: 'done' }, { version: 6 }]);
    expect(told[1]).not.toHaveProperty('ended');
    const activity = `activity ${PHONE}, ended`;
    expect(heard.filter((line) => line.startsWith('a'))).toEqual([
      'alarm none',
      'actions',
      activity,
      'alarm none',
      activity,
    ]);
  });

  it('says how late a deadline was, and of a first turn that it came from nowhere', () => {
    const { cell, commits, heard, row, told } = begin();
    row.version = 0;
    const insert = { ...row, ...update({ version: 1 }) };
    commits.carryOut(cell, { insert }, { ...(turn as object), firedDueAt: NOW + 2 } as never);
    expect(told).toMatchObject([{ from: null, version: 1, lateness: 5 }]);
    expect(heard[0]).toBe('wake desk/ada');
  });

  it('is only told of to the outbox where a turn that followed it was told of before, or where it changed no actor', () => {
    const { cell, commits, heard, row, told } = begin();
    row.version = 5;
    commits.carryOut(cell, { update: update(), outbox }, turn, 'state', 'the caller');
    commits.carryOut(cell, { outbox }, turn);
    expect(heard).toEqual(['accept 1 from the caller', 'accept 1']);
    expect([told, row.current_state, cell.committed]).toEqual([[], 'calm', undefined]);
  });

  it('is where its messages and its actions come from, for who traces', () => {
    const { cell, commits, events, heard } = begin();
    events.tracing = {
      origin: () => 'the caller',
      turn: (_, from) => `the turn of ${from}`,
      begin: () => ({ run: (part) => part(), end: () => {} }),
      within: (from, body) => {
        heard.push(`within ${from}`);
        return body();
      },
    };
    commits.carryOut(cell, { update: update(), outbox }, turn, 'state', 'the caller');
    expect(heard).toContain('accept 1 from the turn of the caller');
    expect(heard.indexOf('within the turn of the caller')).toBe(heard.indexOf('actions') - 1);
  });
});
