/** Makes turns, in memory: what they come to and what is to be written. Nothing of them has happened yet. */
import { LiveActor, nothing, type Turn } from '../actor/live-actor.ts';
import { type Clock, LAST_INSTANT } from '../clock.ts';
import {
  ActorQuarantinedError,
  type Address,
  formatAddress,
  InvalidArgumentError,
  TurnFailedError,
} from '../errors.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { Ambient } from '../machine/ambient.ts';
import { sentence } from '../sentence.ts';
import { addressOf, type Commit, lifeOf } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import type { Cell, Row, SpawnOptions, Work } from './cell.ts';
import type { Cells } from './cells.ts';
import { chanceOf } from './chance.ts';
import { type Composer, eventOf } from './composer.ts';
import type { Alarms } from './deadlines.ts';
import type { Phase } from './phase.ts';

/** A turn that was made, and is not committed yet. */
export interface Made {
  turn: Turn;
  /** `undefined`: there is nothing to write. */
  commit: Commit | undefined;
}

export interface TurnMakerOptions {
  store: Store;
  clock: Clock;
  phase: Phase;
  cells: Cells;
  composer: Composer;
  alarms: Alarms;
  /** In place of the seeded generator. */
  random: (() => number) | undefined;
  /** Seeds `random()` in turns. */
  seed: string;
}

export class TurnMaker {
  readonly #options: TurnMakerOptions;
  readonly #clock: Clock;
  readonly #composer: Composer;

  constructor(options: TurnMakerOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#composer = options.composer;
  }

  /** The instant and the chance of one turn: done again, it sees the same numbers. */
  ambient(address: Address, version: number): Ambient {
    const at = this.#clock.now();
    const { random, seed } = this.#options;
    return { now: () => at, random: random ?? chanceOf(seed, address, version) };
  }

  /**
   * One turn.
   * @param overdue whether it is that of a deadline, which goes ahead of an event
   * @throws {PerdureError} the logic threw, or what the flow brings with it (`receive`, `record`, `project`, …)
   */
  make(cell: Cell, work: Work, ambient: Ambient, overdue: boolean): Made {
    const { event } = (work.stimulus.kind === 'timer' && cell.live!.earliest) || { event: eventOf(work.stimulus) };
    try {
      return this.#make(cell, work, ambient, overdue);
    } catch (error) {
      throw TurnFailedError.of(cell.address, event.type, error);
    }
  }

  #make(cell: Cell, work: Work, ambient: Ambient, overdue: boolean): Made {
    const live = cell.live!;
    const before = live.snapshot;
    const isTimer = work.stimulus.kind === 'timer';
    const idle = cell.row!.status !== 'active' || (this.#options.phase.quiet && isTimer && !overdue);
    const passed = !idle && isTimer && this.#passOver(cell, live);
    const step = passed ? { ...work, note: passed.note } : work;
    const turn = passed ? passed.turn : idle ? nothing() : perform(live, cell.flow, step, ambient);
    return { turn, commit: this.#composer.turn(cell, step, turn, before, ambient.now()) };
  }

  /** The next turn of a copy: of a deadline that is due (`overdue`) and that `work` waits for, or else of `work`. */
  next(copy: Cell, work: Work): { overdue: boolean; made: Made } | { overdue: boolean; error: Error } {
    const row = copy.row!;
    assertTakesEvents(row);
    const ambient = this.ambient(copy.address, row.version + 1);
    const overdue = isOvertaking(copy, work, ambient.now());
    if (overdue) work.awaits!--;
    try {
      return { overdue, made: this.make(copy, overdue ? { stimulus: { kind: 'timer' } } : work, ambient, overdue) };
    } catch (error) {
      return { overdue, error: errorOf(error) };
    }
  }

  /**
   * The first turn of an actor.
   * @param inMemory whose live actor it is to be
   */
  first(cell: Cell, inMemory: Cell, { input, phoneNumber }: SpawnOptions): { turn: Turn; commit: Commit } {
    const { cells, store } = this.#options;
    const { address } = cell;
    const flow = cells.flow(address);
    cell.flow = flow;
    const ambient = this.ambient(address, 1);
    const at = ambient.now();
    const now = new Date(at).toISOString();
    const row: Row = {
      id: store.nextId('flow_states'),
      participant_id: address.participantId,
      flow_type: address.flowType,
      current_state: '',
      created_at: now,
      updated_at: now,
      version: 0,
      flow_version: flow.version,
      status: 'active',
      next_due_at: null,
      lease_until: null,
      last_error: null,
      address: phoneNumber ?? null,
      journal_id: null,
    };
    const { actor, turn } = this.#spawn(address, () =>
      LiveActor.spawn(flow.logic, input, cells.host(inMemory), ambient, lifeOf(row)),
    );
    cell.live = actor;
    cell.row = row;
    const work: Work = { stimulus: { kind: 'event', event: turn.event! } };
    const { update, ...rest } = this.#spawn(address, () => this.#composer.turn(cell, work, turn, undefined, at)!);
    return { turn, commit: { ...rest, insert: { ...row, ...update! } } };
  }

  #spawn<T>(address: Address, part: () => T): T {
    try {
      return part();
    } catch (error) {
      throw TurnFailedError.of(address, 'xstate.init', error);
    }
  }

  /** What is written in place of a turn that threw. */
  failure(cell: Cell, work: Work, error: Error): { turn: Turn; commit: Commit } {
    const turn = { ...nothing(), event: eventOf(work.stimulus) };
    return { turn, commit: this.#composer.failure(cell, work, turn, error, this.#clock.now()) };
  }

  /** What the flow wants of a deadline that passed while nobody watched, in place of firing it late. */
  #passOver({ address, flow }: Cell, live: LiveActor): { turn: Turn; note: string } | undefined {
    const { overdue } = flow;
    if (overdue === 'fire' || !live.nextDueAt || live.nextDueAt >= this.#options.alarms.since) return undefined;
    const timer = live.timers[0]!;
    const choice = typeof overdue === 'function' ? overdue(timer, address) : overdue;
    if (choice === 'fire') return undefined;
    if (choice === 'skip') return { turn: live.dropTimer(), note: 'skipped: it passed while nothing ran' };
    const at = Math.ceil(Number(choice));
    if (!(at > this.#clock.now() && at <= LAST_INSTANT)) {
      throw new InvalidArgumentError(
        `The flow '${flow.type}' says 'overdue' with ${String(choice)}. It must be 'fire', 'skip', or an instant that is still to come.`,
        { address },
      );
    }
    return { turn: live.postpone(at), note: `postponed to ${new Date(at).toISOString()}: it passed while nothing ran` };
  }
}

/** The earliest deadline of an actor that takes events. */
export const activeDueAt = (cell: Cell) => (cell.row?.status === 'active' ? cell.live?.nextDueAt : undefined);

/**
 * Whether a deadline goes ahead of an event. An event waits for the deadlines that were due when its turn came, each of which
 * is a turn of its own, and for no more: one that is always due would keep it for ever.
 */
export function isOvertaking(cell: Cell, work: Work, now: number): boolean {
  if (work.awaits === 0 || work.stimulus.kind === 'timer' || !isDue(cell, now)) return false;
  work.awaits ??= cell.live!.countDue(now);
  return true;
}

/** Whether a deadline of the actor has passed. */
export const isDue = (cell: Cell, now: number): boolean => (activeDueAt(cell) ?? Number.POSITIVE_INFINITY) <= now;

/** @throws {ActorQuarantinedError} */
export function assertTakesEvents(row: Row): void {
  if (row.status === 'quarantined') throw putAside(row);
}

/** What whoever asks an actor that is put aside is told. */
export function putAside(row: Row): ActorQuarantinedError {
  const address = addressOf(row);
  return new ActorQuarantinedError(
    `The actor ${formatAddress(address)} is quarantined: ${sentence(row.last_error ?? '')} It takes no events until it is retried.`,
    { address },
  );
}

function perform(live: LiveActor, flow: AnyFlow, { stimulus, prepare }: Work, ambient: Ambient): Turn {
  if (!prepare) return live.perform(stimulus, ambient);
  const event = prepare(live.snapshot, flow);
  return event ? live.perform({ kind: 'event', event }, ambient) : nothing();
}
