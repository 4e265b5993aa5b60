/** Turns are made in memory, of one instant and one chance; what was due goes first, and nothing of them has happened yet. */
import { beforeEach, describe, expect, it } from 'vitest';
import { assign, emit, setup } from 'xstate';
import { SimulatedClock } from '../../src/clock.ts';
import type { Cell, SpawnOptions } from '../../src/engine/cell.ts';
import { Cells } from '../../src/engine/cells.ts';
import { Composer } from '../../src/engine/composer.ts';
import type { Alarms } from '../../src/engine/deadlines.ts';
import type { Outbox } from '../../src/engine/outbox.ts';
import { Phase } from '../../src/engine/phase.ts';
import { isOvertaking, TurnMaker } from '../../src/engine/turn-maker.ts';
import { EventChannel } from '../../src/events.ts';
import { defineFlow, type Overdue } from '../../src/index.ts';
import { Inspection } from '../../src/inspection/inspection.ts';
import type { Store } from '../../src/store/store.ts';

const MINUTE = 60_000;
/** What the flow does with a deadline that passed while nothing ran. */
let overdue: Overdue = 'fire';
/** Has two deadlines, after one and two minutes; throws where it is told to. */
const reminder = defineFlow({
  type: 'reminder',
  version: 3,
  logic: setup({
    types: {
      context: {} as { log: string[] },
      input: {} as { bad?: boolean } | undefined,
      events: {} as { type: 'reply'; text: string } | { type: 'throw' } | { type: 'end' },
    },
  }).createMachine({
    context: ({ input }) => {
      if (input?.bad) throw new Error('no such input');
      return { log: [] };
    },
    initial: 'waiting',
    states: {
      waiting: {
        after: {
          60000: { actions: assign({ log: ({ context }) => [...context.log, 'first'] }) },
          120000: {
            actions: [assign({ log: ({ context }) => [...context.log, 'second'] }), emit({ type: 'message' })],
          },
        },
        on: {
          reply: { actions: assign({ log: ({ context, event }) => [...context.log, event.text] }) },
          throw: {
            actions: assign(() => {
              throw new Error('a bug');
            }),
          },
          end: 'over',
        },
      },
      over: { type: 'final' },
    },
  }),
  overdue: (timer, address) => (typeof overdue === 'function' ? overdue(timer, address) : overdue),
});

const address = { flowType: 'reminder', participantId: 'ada' };
const reply = (text: string) => ({ stimulus: { kind: 'event', event: { type: 'reply', text } } }) as const;
const timer = { stimulus: { kind: 'timer' } } as const;

describe('the turn maker', () => {
  let clock: SimulatedClock;
  let phase: Phase;
  let cells: Cells;
  let maker: TurnMaker;
  let since: number;

  const make = (random?: () => number, seed = 'test') => {
    let id = 0;
    const store = { nextId: () => ++id } as Pick<Store, 'nextId'> as Store;
    const outbox = { statusOf: () => 'pending' } as Pick<Outbox, 'statusOf'> as Outbox;
    const alarms = {
      get since() {
        return since;
      },
    } as Alarms;
    return new TurnMaker({
      store,
      clock,
      phase,
      cells,
      composer: new Composer(store, outbox, true),
      alarms,
      random,
      seed,
    });
  };
  beforeEach(() => {
    clock = new SimulatedClock();
    phase = new Phase();
    since = Number.NEGATIVE_INFINITY;
    overdue = 'fire';
    cells = new Cells({
      flows: new Map([[reminder.type, reminder]]),
      clock,
      phase,
      events: new EventChannel(),
      inspection: new Inspection(() => {}),
      inspect: undefined,
      chance: () => 0,
      capacity: 1,
      push: () => {},
    });
    maker = make();
  });

  const spawn = (options: SpawnOptions = { input: undefined }) => {
    const cell = cells.copy(address);
    return { cell, ...maker.first(cell, cell, options) };
  };
  /** As if the turn had been committed. */
  const keep = (cell: Cell, made: ReturnType<TurnMaker['next']>) => {
    if (!('made' in made)) throw made.error;
    if (made.made.commit) Object.assign(cell.row!, made.made.commit.update);
    return made;
  };
  const next = (cell: Cell, work: Parameters<TurnMaker['next']>[1]) => keep(cell, maker.next(cell, work));
  const log = (cell: Cell) => cell.live!.snapshot.context.log;

  describe('the instant and the chance of a turn', () => {
    it('are the same whenever it is made again, and others for another actor, turn or seed', () => {
      const draw = (ambient: { random(): number }) => [ambient.random(), ambient.random()];
      const [first] = [draw(maker.ambient(address, 7))];
      expect(draw(maker.ambient(address, 7))).toEqual(first);
      const others = [
        maker.ambient(address, 8),
        maker.ambient({ ...address, participantId: 'bob' }, 7),
        make(undefined, 'other').ambient(address, 7),
      ].map(draw);
      expect(new Set([first, ...others].flat()).size).toBe(8);
      expect(draw(make(() => 0.5).ambient(address, 7))).toEqual([0.5, 0.5]);
    });

    it('stands still while the turn is made', () => {
      const { now } = maker.ambient(address, 1);
      const began = now();
      clock.moveTo(began + MINUTE);
      expect(now()).toBe(began);
    });
  });

  describe('the first turn', () => {
    it('gives a row of the newest version, and of its own life, of which nothing is committed', () => {
      const { cell, commit } = spawn({ input: undefined, phoneNumber: '+15551234567' });
      expect(commit).not.toHaveProperty('update');
      expect(commit.insert).toMatchObject({
        version: 1,
        flow_version: 3,
        status: 'active',
        current_state: 'waiting',
        address: '+15551234567',
        next_due_at: clock.now() + MINUTE,
        created_at: new Date(clock.now()).toISOString(),
      });
      expect(commit.handlers).toMatchObject([{ phone_number: '+15551234567', participant_id: 'ada' }]);
      expect(cell.row).toMatchObject({ id: commit.insert!.id, version: 0, next_due_at: null });
      expect(spawn().commit.insert!.id).not.toBe(commit.insert!.id);
    });

    it('that throws names the actor and its birth', () => {
      expect(() => spawn({ input: { bad: true } })).toThrow(
        expect.objectContaining({
          code: 'TURN_FAILED',
          message: expect.stringContaining("'xstate.init' made reminder/ada"),
        }),
      );
    });
  });

  describe('a turn', () => {
    it('that throws is an error which names its event, also that of a deadline', () => {
      const { cell } = spawn();
      expect(maker.next(cell, { stimulus: { kind: 'event', event: { type: 'throw' } } })).toMatchObject({
        overdue: false,
        error: {
          code: 'TURN_FAILED',
          message: expect.stringContaining("The event 'throw' made reminder/ada throw: a bug"),
        },
      });
      const { cell: another } = spawn();
      overdue = () => {
        throw new Error('no idea');
      };
      since = clock.now() + 2 * MINUTE;
      clock.moveTo(clock.now() + MINUTE);
      expect(maker.next(another, timer)).toMatchObject({
        error: { message: expect.stringMatching(/xstate\.after\.60000.*no idea/) },
      });
    });

    it('is made of what the state that it meets says, or of nothing', () => {
      const { cell } = spawn();
      const prepared = { ...timer, prepare: ({ value }: any) => ({ type: 'reply', text: `I am ${value}` }) };
      next(cell, prepared);
      expect(log(cell)).toEqual(['I am waiting']);
      const { made } = next(cell, { ...reply('lost'), prepare: () => null });
      expect([log(cell), made.commit]).toEqual([['I am waiting'], undefined]);
      const inbound = { channel: 'sms', messageId: 'm', scope: '', text: 'Hm' };
      const { made: kept } = next(cell, { ...reply('lost'), prepare: () => null, inbound });
      expect(kept.commit).toMatchObject({ inbound: { message_id: 'm' }, journal: { note: 'ignored' } });
    });

    it('of an actor that has ended does nothing, and of one that is put aside is refused', () => {
      const { cell } = spawn();
      next(cell, { stimulus: { kind: 'event', event: { type: 'end' } } });
      expect(cell.row).toMatchObject({ status: 'done', next_due_at: null });
      expect(next(cell, reply('late'))).toMatchObject({ made: { turn: { event: undefined }, commit: undefined } });
      Object.assign(cell.row!, { status: 'quarantined', last_error: 'a bug' });
      expect(() => maker.next(cell, reply('late'))).toThrow(
        expect.objectContaining({
          code: 'ACTOR_QUARANTINED',
          message: 'The actor reminder/ada is quarantined: a bug. It takes no events until it is retried.',
        }),
      );
    });

    it('that failed leaves the actor as it is, and in its place what there is to write', () => {
      const { cell } = spawn();
      const inbound = { channel: 'sms', messageId: 'm', scope: '', text: 'Hm' };
      const notices = [{ recipient: '+15551234567', payload: { type: 'message', text: 'Sorry' } }];
      const work = { ...reply('Hm'), inbound, onFailure: () => ({ notices }) };
      const { commit } = maker.failure(cell, work, new Error('a bug'));
      expect(commit).toMatchObject({
        update: { version: 1, status: 'active', current_state: 'waiting' },
        inbound: { message_id: 'm' },
        outbox: [{ recipient: '+15551234567' }],
        journal: { event_type: 'reply', note: 'failed: a bug', outbox_count: 1 },
      });
      expect(log(cell)).toEqual([]);
    });
  });

  describe('deadlines that are due', () => {
    it('go ahead of an event, each in a turn of its own', () => {
      const { cell } = spawn();
      clock.moveTo(clock.now() + 2 * MINUTE);
      const work = reply('Hello');
      expect([next(cell, work), next(cell, work), next(cell, work)].map((each) => each.overdue)).toEqual([
        true,
        true,
        false,
      ]);
      expect(log(cell)).toEqual(['first', 'second', 'Hello']);
    });

    it('are those that were due when the turn of the event came, and no others', () => {
      const { cell } = spawn();
      clock.moveTo(clock.now() + MINUTE);
      const work: Parameters<typeof isOvertaking>[1] = reply('Hello');
      expect(isOvertaking(cell, work, clock.now())).toBe(true);
      expect(work.awaits).toBe(1);
      next(cell, work);
      clock.moveTo(clock.now() + MINUTE); // the second one is due by now
      expect(isOvertaking(cell, work, clock.now())).toBe(false);
      next(cell, work);
      expect(log(cell)).toEqual(['first', 'Hello']);
      expect(isOvertaking(cell, { ...timer }, clock.now())).toBe(false); // a deadline waits for none
    });

    it('fire of themselves not while only commands are taken, but ahead of a command', () => {
      const { cell } = spawn();
      clock.moveTo(clock.now() + MINUTE);
      phase.quiet = true;
      expect(next(cell, timer).made.commit).toBeUndefined();
      const work = reply('Hello');
      next(cell, work);
      next(cell, work);
      expect(log(cell)).toEqual(['first', 'Hello']);
    });
  });

  describe('a deadline that passed while nothing ran', () => {
    let cell: Cell;
    beforeEach(() => {
      ({ cell } = spawn());
      clock.moveTo(clock.now() + MINUTE + 1);
      since = clock.now();
    });

    it('fires late, where the flow says nothing else of it', () => {
      const { made } = next(cell, timer);
      expect(made.turn.firedDueAt).toBe(clock.now() - 1);
      expect(log(cell)).toEqual(['first']);
    });

    it('is dropped, or moved, with a line in the journal that says so', () => {
      overdue = 'skip';
      const { made } = next(cell, timer);
      expect(made.commit!.journal).toMatchObject({ note: 'skipped: it passed while nothing ran' });
      clock.moveTo(clock.now() + MINUTE);
      since = clock.now() + 1;
      const later = clock.now() + MINUTE;
      overdue = () => new Date(later);
      const { commit } = next(cell, timer).made;
      expect(commit).toMatchObject({
        update: { next_due_at: later },
        journal: { note: `postponed to ${new Date(later).toISOString()}: it passed while nothing ran` },
      });
      expect(log(cell)).toEqual([]);
    });

    it('is not the one that passed while this process ran', () => {
      overdue = 'skip';
      since = clock.now() - 1; // the very instant of the deadline
      next(cell, timer);
      expect(log(cell)).toEqual(['first']);
    });

    it.each(['now', 'soon', Number.NaN, Number.POSITIVE_INFINITY])('is not moved to %s', (wrong) => {
      overdue = () => (wrong === 'now' ? clock.now() : wrong) as number;
      expect(maker.next(cell, timer)).toMatchObject({
        error: {
          code: 'INVALID_ARGUMENT',
          message: expect.stringMatching(/'reminder' says 'overdue' with .*still to come/),
        },
      });
    });
  });
});
