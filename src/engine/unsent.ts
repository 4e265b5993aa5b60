/**
 * Unsent messages in memory: a queue for each recipient, in the order of their ids, and no more of them than a bound.
 *
 * The database is the truth, and the queues are what was read of it. While all that is unsent is in the queues (`complete`), a
 * message that has just been committed joins them without a look at the database. Otherwise a new queue begins by reading
 * what its recipient has there, so that an older message never goes after a newer one; and what finds no room is left out,
 * for a pass. A pass goes through the unsent messages by recipient, a page at a time, and waits while there is no room. Queues
 * whose first message waits long for its next attempt make room for the others.
 *
 * A message may be in the database and not yet told of (its commit is `open`): it is left out of what was read, since
 * {@link Unsent.add} will be called with it.
 */
import type { Clock } from '../clock.ts';
import type { Commit, OutboxRow } from '../store/rows.ts';
import { Waits } from './waits.ts';

/** A message that is to be sent. */
export interface Pending {
  row: OutboxRow;
  maybeSent: boolean;
  /** Where it comes from, if somebody traces. */
  origin?: unknown;
  /** Its row is gone, and so is the wish to send it. */
  forgotten?: true;
  /** Its recipient opted out. */
  unwanted?: true;
  /** It may have been sent before a crash, and its flow would rather lose it than repeat it. */
  toHold?: true;
  /**
   * Its commit failed, or is not known to have been made; resolves, once nothing is tried any more, with whether it is known
   * now to have been committed.
   */
  doubt?: Promise<boolean>;
}

/** The messages of one recipient. */
export interface Queue {
  readonly key: string;
  readonly kind: OutboxRow['kind'];
  readonly recipient: string;
  /** In the order in which they are sent. */
  pending: Pending[];
  /** The database has later ones, to be read once these are sent. */
  more: boolean;
  /** The database may have earlier ones, to be read before any is sent. */
  unread: boolean;
  /** The receiver may take events again: those that wait for it are taken up first. */
  woken: boolean;
  /** Set while its first message waits for another attempt: until when, and how to end that. */
  pause?: { until: number; end(): void };
}

/** Which page of the unsent messages comes next. */
export type UnsentCursor = Pick<OutboxRow, 'kind' | 'recipient'>;

export interface UnsentOptions {
  clock: Clock;
  /** How many messages are in memory at most. */
  most: number;
  /** Up to `limit` unsent messages, by kind, recipient and id: those of recipients after `after`. */
  page(after: UnsentCursor | undefined, limit: number): Promise<OutboxRow[]>;
  /** The first unsent messages of a recipient, by id. */
  of(recipient: UnsentCursor, limit: number): Promise<OutboxRow[]>;
  /** Commits that may be in the database, and of which nobody has been told. */
  open(): Iterable<Commit>;
  /** A message as it was read. */
  read(row: OutboxRow): Pending;
  /** Whether messages of that kind can be sent at all. */
  sends(kind: OutboxRow['kind']): boolean;
  /** Works a new queue off, and calls {@link Unsent.end} when it is empty. */
  work(queue: Queue): void;
  failed(error: unknown): void;
}

/** So many messages of one recipient are in memory at most. */
const MOST_OF_ONE = 100;
const PAGE = 1_000;
/** A queue that waits longer than this, in ms, leaves memory where others have no room; and so long a pass waits at least. */
const LONG = 60_000;
/** After a pass failed, in ms. */
const AGAIN = 1_000;

export class Unsent {
  readonly #options: UnsentOptions;
  readonly queues = new Map<string, Queue>();
  /** Ids of those in the queues that came in doubt. */
  readonly #doubted = new Set<number>();
  readonly #waits: Waits;
  /** How many messages are in the queues. */
  #size = 0;
  /** All unsent messages are in the queues, or will be read by one. */
  #complete = false;
  /** A pass is to be made, since something was left out. */
  #again = false;
  /** When one is to be made for those that left memory while they wait. */
  #nextPass = Number.POSITIVE_INFINITY;
  #taking: Promise<void> | undefined;
  /** The pass under way waits, for room or for a later attempt. */
  #resting: (() => void) | undefined;
  #waitsForRoom = false;
  /** Queues that have ended since the page under way was asked for. */
  #ended: Set<string> | undefined;
  #stopped = false;

  constructor(options: UnsentOptions) {
    this.#options = options;
    this.#waits = new Waits(options.clock);
  }

  /** No pass is under way that goes on by itself. */
  get idle(): boolean {
    return !this.#taking || this.#resting !== undefined;
  }

  /** A new message to this recipient would be sent at once. */
  sendsAtOnce(key: string): boolean {
    return this.#complete && this.#hasRoom && !this.queues.has(key);
  }

  /**
   * Takes up what is in the database and not in memory; resolves once a page of it was taken up, and goes on by itself.
   * @throws the database cannot be read
   */
  async look(): Promise<void> {
    if (this.#taking) {
      this.#again = true;
      this.#resting?.();
      return;
    }
    const page = this.#takePage(undefined);
    const taking = page.then(ignore, ignore);
    this.#taking = taking;
    try {
      const { after, done } = await page;
      if (done && !this.#again && this.#nextPass === Number.POSITIVE_INFINITY) this.#complete = true;
      else this.#take(done ? undefined : after);
    } finally {
      if (this.#taking === taking) this.#taking = undefined;
    }
  }

  /** Adds a message that was committed, or came in doubt, unless it is there already. */
  add(pending: Pending): void {
    const { row } = pending;
    if (this.#stopped || !this.#options.sends(row.kind) || this.#doubted.has(row.id)) return;
    const known = this.queues.get(keyOf(row));
    if (known) {
      if (known.more || known.pending.length >= MOST_OF_ONE || this.#size >= this.#options.most) known.more = true;
      else if (!known.pending.some(({ row: { id } }) => id === row.id)) this.#push(known, pending);
    } else if (this.#hasRoom) this.#start(row, [pending], { unread: !this.#complete });
    else this.#leaveOut();
  }

  /** Reads a recipient's messages anew. @param woken those that wait for the receiver, too */
  refresh(recipient: UnsentCursor, woken = false): void {
    if (this.#stopped || !this.#options.sends(recipient.kind)) return;
    const queue = this.queues.get(keyOf(recipient));
    if (!queue) {
      this.#start(recipient, [], { unread: true, woken });
      return;
    }
    queue.unread = true;
    queue.woken ||= woken;
    queue.pause?.end();
  }

  /** The next message of a queue; `undefined`: there is none. */
  async next(queue: Queue): Promise<Pending | undefined> {
    while (queue.unread || (queue.more && queue.pending.length === 0)) await this.#read(queue);
    return queue.pending[0];
  }

  /** The first message of the queue is done with. */
  shift(queue: Queue): void {
    const done = queue.pending.shift();
    if (done) this.#drop([done]);
  }

  /** None of these is to be sent from memory, but those whose commit is not known to have been made. */
  clear(queue: Queue): void {
    const kept = queue.pending.filter(({ doubt }) => doubt);
    this.#drop(queue.pending.filter(({ doubt }) => !doubt));
    queue.pending = kept;
  }

  /** The queue waits until then for another attempt; false: it left memory for others, and is taken up again later. */
  async pause(queue: Queue, until: number): Promise<boolean> {
    const left = () => until - this.#options.clock.now();
    if (!(this.#isCrowded && left() > LONG)) {
      const { over, end } = this.#waits.begin(left());
      queue.pause = { until, end };
      await over;
      delete queue.pause;
    }
    if (this.#stopped || !this.#isCrowded || left() <= LONG || queue.woken || queue.unread) return true;
    this.#complete = false;
    this.#nextPass = Math.min(this.#nextPass, until);
    return false;
  }

  /** The queue is worked off, or leaves memory. */
  end(queue: Queue): void {
    this.queues.delete(queue.key);
    this.#drop(queue.pending.splice(0));
    this.#ended?.add(queue.key);
    if (this.#hasRoom && this.#isCrowded) this.#resting?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#waits.endAll();
  }

  get #hasRoom(): boolean {
    return this.#size < this.#options.most && this.queues.size < this.#options.most;
  }

  /** Something is left out for want of room. */
  get #isCrowded(): boolean {
    return this.#again || this.#waitsForRoom;
  }

  #leaveOut(): void {
    this.#complete = false;
    this.#again = true;
    if (!this.#taking) this.#take(undefined);
    else if (!this.#waitsForRoom) this.#resting?.();
  }

  #start({ kind, recipient }: UnsentCursor, pending: Pending[], flags: Partial<Queue>): void {
    const queue: Queue = {
      key: keyOf({ kind, recipient }),
      kind,
      recipient,
      pending: [],
      more: false,
      unread: false,
      woken: false,
      ...flags,
    };
    for (const each of pending) this.#push(queue, each);
    this.queues.set(queue.key, queue);
    this.#options.work(queue);
  }

  #push(queue: Queue, pending: Pending): void {
    queue.pending.push(pending);
    this.#size++;
    if (pending.doubt) this.#doubted.add(pending.row.id);
  }

  #drop(pending: readonly Pending[]): void {
    this.#size -= pending.length;
    if (this.#doubted.size > 0) for (const { row } of pending) this.#doubted.delete(row.id);
  }

  /** Reads the first messages of the recipient, and joins them with those that are here. */
  async #read(queue: Queue): Promise<void> {
    queue.unread = false;
    queue.more = false;
    const limit = Math.max(1, Math.min(MOST_OF_ONE, this.#options.most - this.#size));
    let rows: OutboxRow[];
    try {
      rows = await this.#options.of(queue, limit + 1);
    } catch (error) {
      queue.unread = true;
      throw error;
    }
    const isPart = rows.length > limit;
    if (isPart) rows.pop();
    const last = isPart ? rows.at(-1)!.id : Number.POSITIVE_INFINITY;
    const untold = this.#untold();
    const here = new Map(queue.pending.map((pending) => [pending.row.id, pending]));
    const joined = rows
      .filter(({ id }) => here.has(id) || !untold.has(id))
      .map((row) => here.get(row.id) ?? this.#options.read(row));
    const read = new Set(rows.map(({ id }) => id));
    for (const pending of queue.pending) if (!read.has(pending.row.id) && pending.row.id <= last) joined.push(pending);
    joined.sort((a, b) => a.row.id - b.row.id);
    this.#drop(queue.pending);
    queue.pending = [];
    for (const pending of joined) this.#push(queue, pending);
    queue.more ||= isPart;
  }

  #untold(): Set<number> {
    const ids = new Set<number>();
    for (const { outbox = [] } of this.#options.open()) for (const { id } of outbox) ids.add(id);
    return ids;
  }

  #take(after: UnsentCursor | undefined): void {
    const taking = this.#passes(after)
      .catch((error) => this.#options.failed(error))
      .finally(() => {
        if (this.#taking === taking) this.#taking = undefined;
      });
    this.#taking = taking;
  }

  /** Passes, until nothing is left out. */
  async #passes(from: UnsentCursor | undefined): Promise<void> {
    let after = from;
    do {
      try {
        if (!after) {
          this.#again = false;
          this.#nextPass = Number.POSITIVE_INFINITY;
        }
        for (let done = false; !done && !this.#stopped; ) {
          if (!this.#hasRoom) await this.#room();
          ({ after, done } = await this.#takePage(after));
        }
        after = undefined;
        if (!this.#again && this.#nextPass < Number.POSITIVE_INFINITY)
          await this.#rest(Math.max(this.#nextPass - this.#options.clock.now(), LONG));
        else if (!this.#again) {
          this.#complete = true;
          return;
        }
        if (!this.#hasRoom) await this.#room();
      } catch (error) {
        this.#options.failed(error);
        await this.#rest(AGAIN);
      }
    } while (!this.#stopped);
  }

  /** Waits for room, which queues make that wait long. */
  async #room(): Promise<void> {
    this.#waitsForRoom = true;
    const far = this.#options.clock.now() + LONG;
    for (const { pause } of this.queues.values()) if (pause && pause.until > far) pause.end();
    while (!this.#hasRoom && !this.#stopped) await this.#rest(LONG);
    this.#waitsForRoom = false;
  }

  async #rest(ms: number): Promise<void> {
    if (this.#stopped) return;
    const { over, end } = this.#waits.begin(ms);
    this.#resting = end;
    await over;
    this.#resting = undefined;
  }

  async #takePage(from: UnsentCursor | undefined): Promise<{ after: UnsentCursor | undefined; done: boolean }> {
    const ended = new Set<string>();
    this.#ended = ended;
    const rows = await this.#options.page(from, PAGE);
    this.#ended = undefined;
    const isLast = rows.length < PAGE;
    const untold = this.#untold();
    let after = from;
    for (let i = 0; i < rows.length; ) {
      const { kind, recipient } = rows[i]!;
      const key = keyOf({ kind, recipient });
      const of: OutboxRow[] = [];
      for (; i < rows.length && rows[i]!.kind === kind && rows[i]!.recipient === recipient; i++) of.push(rows[i]!);
      if (!this.#options.sends(kind)) {
        after = { kind, recipient };
        continue;
      }
      const isPart = !isLast && i === rows.length;
      if (!this.#takeUp(key, of, isPart, untold, ended.has(key))) return { after, done: false };
      after = { kind, recipient };
    }
    return { after, done: isLast };
  }

  /** Takes up the messages of a recipient; false: there is no room. */
  #takeUp(key: string, rows: OutboxRow[], isPart: boolean, untold: Set<number>, hasEnded: boolean): boolean {
    const told = rows.filter(({ id }) => !untold.has(id));
    const [first] = told;
    if (!first) return true;
    const queue = this.queues.get(key);
    if (queue) {
      const here = new Set(queue.pending.map(({ row }) => row.id));
      const isKnown = queue.more || queue.unread || told.every(({ id }) => here.has(id));
      if (!isKnown) queue.unread = true;
      return true;
    }
    const until = Number(first.next_attempt_at);
    if (this.#size > this.#options.most / 2 && until > this.#options.clock.now() + LONG) {
      this.#complete = false;
      this.#nextPass = Math.min(this.#nextPass, until);
      return true;
    }
    if (!this.#hasRoom) return false;
    if (hasEnded) this.#start(first, [], { unread: true });
    else {
      const some = told.slice(0, Math.min(MOST_OF_ONE, this.#options.most - this.#size));
      this.#start(
        first,
        some.map((row) => this.#options.read(row)),
        { more: isPart || some.length < told.length },
      );
    }
    return true;
  }
}

const ignore = () => {};

export const keyOf = ({ kind, recipient }: UnsentCursor): string => `${kind}:${recipient}`;
