/**
 * Wakes actors at their deadlines. Deadlines are data: the truth is `flow_states.next_due_at`, and an alarm only asks the
 * actor to look at its own earliest deadline. A stale alarm therefore does nothing, and a lost one is found again by the
 * next look into the database. In memory are only the deadlines of the near future.
 *
 * Deadlines that passed while nobody watched (before the start, or while the machine slept) are a backlog of their own,
 * worked off at a limited pace: `since` is the instant that divides the two.
 */
import TinyQueue from 'tinyqueue';
import type { Clock } from '../clock.ts';
import { type Address, formatAddress } from '../errors.ts';
import { addressOf, type DueCursor, type DueRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { Backlog, type Pace } from './backlog.ts';

/** How far ahead deadlines are held in memory, in ms. */
export const HORIZON = 60_000;
/** So long before the first deadline beyond the horizon the database is looked into again, in ms. */
const LEAD = HORIZON / 2;
/** After a failure, in ms. */
const RETRY = 5_000;
const PAGE = 1_000;
/** So many deadlines fire side by side; more would only wait, in front of messages from people. */
const ABREAST = 300;
/** A timer that comes so much too late, in ms, shows that the machine slept or that its clock was set. */
const SLEPT = 30_000;

interface Alarm {
  key: string;
  address: Address;
  dueAt: number;
}

export class Alarms {
  readonly #store: Store;
  readonly #clock: Clock;
  /** Lets the actor at the address fire its earliest deadline, if it is due; resolves when it has, or waits to try again. */
  readonly #fire: (address: Address) => Promise<void>;
  /** The same in passing, for the backlog: actors that nobody else asks for. */
  readonly #pass: (address: Address) => Promise<void>;
  /** Nobody here can read the row, whose deadlines wait for a release that can. */
  readonly #sleeps: (row: DueRow) => boolean;
  readonly #fault: (error: unknown) => void;
  readonly #queue = new TinyQueue<Alarm>([], (a, b) => a.dueAt - b.dueAt);
  readonly #armed = new Map<string, number>();
  readonly #backlog: Backlog<DueRow>;
  /** Those that are being fired. */
  readonly #firing = new Set<Promise<void>>();
  #since = Number.NEGATIVE_INFINITY;
  #horizon = Number.NEGATIVE_INFINITY;
  /** The earliest deadline beyond the horizon, as far as is known: no later than it is. */
  #beyond = Number.POSITIVE_INFINITY;
  #timer: unknown;
  /** When the timer is to come. */
  #expected = Number.POSITIVE_INFINITY;
  #stopped = true;
  #looking: Promise<void> | undefined;

  constructor(
    store: Store,
    clock: Clock,
    pace: Pace,
    fire: (address: Address) => Promise<void>,
    pass: (address: Address) => Promise<void>,
    sleeps: (row: DueRow) => boolean,
    fault: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#fire = fire;
    this.#pass = pass;
    this.#sleeps = sleeps;
    this.#fault = fault;
    this.#backlog = new Backlog<DueRow>({
      clock,
      pace,
      page: (after, limit) => store.due(this.#since - 1, after, limit),
      take: async (row) => {
        if (!sleeps(row)) await this.#ring(addressOf(row), this.#pass);
      },
      failed: fault,
    });
  }

  /** Deadlines before this instant passed while nobody watched. */
  get since(): number {
    return this.#since;
  }

  /** From now on somebody watches. */
  begin(): void {
    this.#since = this.#clock.now();
  }

  async start(): Promise<void> {
    this.#stopped = false;
    await this.#look();
    this.#backlog.start();
    this.#wake();
  }

  /** Fires nothing more; resolves once what is being fired has been. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#armed.clear();
    await Promise.all([this.#backlog.stop(), this.#looking, ...this.#firing]);
  }

  /** Looks into the database again, for what a failed step may have left behind. */
  sweep(): void {
    if (this.#stopped) return;
    this.#backlog.start();
    this.#lookBefore(this.#clock.now() + LEAD);
  }

  /** Nothing is being fired, and nothing that is due waits for it. */
  get idle(): boolean {
    const next = this.#stopped ? undefined : this.#next();
    return (
      this.#firing.size === 0 && this.#backlog.idle && !this.#looking && !(next && next.dueAt <= this.#clock.now())
    );
  }

  /** The actor's earliest deadline is now this one. */
  set(address: Address, dueAt: number | undefined, key: string = formatAddress(address)): void {
    if (dueAt === undefined || dueAt > this.#horizon) {
      this.#armed.delete(key);
      if (dueAt !== undefined) this.#lookBefore(dueAt);
      return;
    }
    if (this.#armed.get(key) === dueAt) return;
    this.#armed.set(key, dueAt);
    this.#queue.push({ key, address, dueAt });
    if (this.#queue.peek()?.dueAt === dueAt) this.#schedule();
  }

  /** The first alarm that is not stale. */
  #next(): Alarm | undefined {
    for (let alarm = this.#queue.peek(); alarm; alarm = this.#queue.peek()) {
      if (this.#armed.get(alarm.key) === alarm.dueAt) return alarm;
      this.#queue.pop();
    }
    return undefined;
  }

  #lookBefore(dueAt: number): void {
    if (dueAt >= this.#beyond) return;
    this.#beyond = dueAt;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#clock.clearTimeout(this.#timer);
    const now = this.#clock.now();
    // A turn may be the first to run after the sleep.
    if (now > this.#expected + SLEPT) this.#beginAnew(now);
    const at = Math.min(this.#next()?.dueAt ?? Number.POSITIVE_INFINITY, this.#beyond - LEAD);
    // What is asked for too late does not come too late.
    this.#expected = Math.max(now, at);
    if (at < Number.POSITIVE_INFINITY) this.#timer = this.#clock.setTimeout(() => this.#wake(), Math.max(0, at - now));
  }

  #wake(): void {
    if (this.#stopped) return;
    const now = this.#clock.now();
    if (now > this.#expected + SLEPT) this.#beginAnew(now);
    this.#expected = Number.POSITIVE_INFINITY;
    for (let alarm = this.#next(); alarm && alarm.dueAt <= now && this.#firing.size < ABREAST; alarm = this.#next()) {
      this.#queue.pop();
      this.#armed.delete(alarm.key);
      void this.#ring(alarm.address);
    }
    if (now >= this.#beyond - LEAD) {
      this.#looking ??= this.#look()
        .catch((error) => this.#failed(error))
        .finally(() => {
          this.#looking = undefined;
          this.#wake();
        });
    } else if (this.#firing.size < ABREAST) this.#schedule();
  }

  /** Nobody watched until now: what has passed is a backlog. */
  #beginAnew(now: number): void {
    this.begin();
    for (const [key, dueAt] of this.#armed) if (dueAt < now) this.#armed.delete(key);
    this.#beyond = now;
    this.#backlog.start();
  }

  /** Never rejects. */
  #ring(address: Address, fire = this.#fire): Promise<void> {
    const firing = fire(address)
      .catch((error) => this.#failed(error))
      .then(() => {
        this.#firing.delete(firing);
        if (this.#next()) this.#wake();
      });
    this.#firing.add(firing);
    return firing;
  }

  /** What could not be fired or read is found by another look into the database. */
  #failed(error: unknown): void {
    this.#fault(error);
    this.#lookBefore(this.#clock.now() + LEAD + RETRY);
  }

  /** A row may be older than what a turn has told meanwhile: the earlier deadline counts, and too early does no harm. */
  #found(address: Address, dueAt: number): void {
    const key = formatAddress(address);
    const armed = this.#armed.get(key);
    if (armed === undefined || armed > dueAt) this.set(address, dueAt, key);
  }

  /** Reads the deadlines up to the horizon from the database. */
  async #look(): Promise<void> {
    const horizon = this.#clock.now() + HORIZON;
    // Deadlines that turns set meanwhile are told by `set`, so that the horizon may move first.
    this.#horizon = horizon;
    this.#beyond = Number.POSITIVE_INFINITY;
    let after = behind(this.#since - 1);
    for (;;) {
      const rows = await this.#store.due(horizon, after, PAGE);
      for (const row of rows) if (!this.#sleeps(row)) this.#found(addressOf(row), row.next_due_at);
      const last = rows.at(-1);
      if (!last || rows.length < PAGE || this.#stopped) break;
      after = last;
    }
    const [next] = await this.#store.due(Number.MAX_SAFE_INTEGER, behind(horizon), 1);
    if (next) this.#lookBefore(next.next_due_at);
  }
}

/** After all deadlines of an instant. */
const behind = (instant: number): DueCursor => ({
  next_due_at: instant,
  flow_type: '\u{10ffff}',
  id: Number.MAX_SAFE_INTEGER,
});
