/**
 * Wakes actors at their deadlines. Deadlines are data: the truth is `flow_states.next_due_at`, and an alarm only asks the
 * actor to look at its own earliest deadline. A stale alarm therefore does nothing, and a lost one is found again by the
 * next look into the database. In memory are only the deadlines of the near future.
 */
import TinyQueue from 'tinyqueue';
import type { Clock } from '../clock.ts';
import { type Address, formatAddress } from '../errors.ts';
import type { Store } from '../store/store.ts';

/** How far ahead deadlines are held in memory, in ms. */
const HORIZON = 60_000;
/** So long before the first deadline beyond the horizon the database is looked into again, in ms. */
const LEAD = HORIZON / 2;
/** After a failure, in ms. */
const RETRY = 5_000;
const PAGE = 1_000;
/** So many deadlines fire side by side; more would only wait, in front of messages from people. */
const ABREAST = 500;

interface Alarm {
  key: string;
  address: Address;
  dueAt: number;
}

export class Alarms {
  readonly #store: Store;
  readonly #clock: Clock;
  /** Lets the actor at the address fire its earliest deadline, if it is due; resolves when it has. */
  readonly #fire: (address: Address) => Promise<void>;
  readonly #fault: (error: unknown) => void;
  readonly #queue = new TinyQueue<Alarm>([], (a, b) => a.dueAt - b.dueAt);
  readonly #armed = new Map<string, number>();
  /** The actors whose deadlines are being fired. */
  readonly #firing: string[] = [];
  #horizon = Number.NEGATIVE_INFINITY;
  /** The earliest deadline beyond the horizon, as far as is known: no later than it is. */
  #beyond = Number.POSITIVE_INFINITY;
  #timer: unknown;
  #stopped = true;
  #looking: Promise<void> | undefined;

  constructor(store: Store, clock: Clock, fire: (address: Address) => Promise<void>, fault: (error: unknown) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#fire = fire;
    this.#fault = fault;
  }

  async start(): Promise<void> {
    this.#stopped = false;
    await this.#look();
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#armed.clear();
  }

  /** Nothing is being fired, but by actors that wait for another attempt, and nothing that is due waits for it. */
  idle(pausing: (key: string) => boolean): boolean {
    return this.#firing.every(pausing) && !this.#looking && !(this.#next() && this.#next()!.dueAt <= this.#clock.now());
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
    const next = Math.min(this.#next()?.dueAt ?? Number.POSITIVE_INFINITY, this.#beyond - LEAD);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.setTimeout(() => this.#wake(), Math.max(0, next - this.#clock.now()));
  }

  #wake(): void {
    if (this.#stopped) return;
    const now = this.#clock.now();
    for (let alarm = this.#next(); alarm && alarm.dueAt <= now && this.#firing.length < ABREAST; alarm = this.#next()) {
      this.#queue.pop();
      this.#armed.delete(alarm.key);
      const { key } = alarm;
      this.#firing.push(key);
      this.#fire(alarm.address)
        .catch((error) => this.#failed(error))
        .finally(() => {
          this.#firing.splice(this.#firing.indexOf(key), 1);
          if (this.#next()) this.#wake();
        });
    }
    if (now >= this.#beyond - LEAD) {
      this.#looking ??= this.#look()
        .catch((error) => this.#failed(error))
        .finally(() => {
          this.#looking = undefined;
          this.#wake();
        });
    } else if (this.#firing.length < ABREAST) this.#schedule();
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
    let after = { next_due_at: Number.MIN_SAFE_INTEGER, id: 0 };
    for (;;) {
      const rows = await this.#store.due(horizon, after, PAGE);
      for (const row of rows)
        this.#found({ participantId: row.participant_id, flowType: row.flow_type }, row.next_due_at!);
      const last = rows.at(-1);
      if (!last || rows.length < PAGE || this.#stopped) break;
      after = { next_due_at: last.next_due_at!, id: last.id };
    }
    const [next] = await this.#store.due(
      Number.MAX_SAFE_INTEGER,
      { next_due_at: horizon, id: Number.MAX_SAFE_INTEGER },
      1,
    );
    if (next) this.#lookBefore(next.next_due_at!);
  }
}
