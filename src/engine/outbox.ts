/**
 * Hands emitted messages to the transport: at least once, in order per recipient, each with its idempotency key.
 *
 *   pending → sending → sent
 *      ↑         └→ pending again (it failed; after a backoff) → … → failed
 *   found `sending` at start: it may have been sent before the crash → resend, marked so, or hold
 *
 * Rows are written by the turns that emit them and are marked here; the marks join the same groups as the turns. While the
 * first message to a recipient has not been sent (or failed for good), the later ones wait behind it. Messages between
 * actors (kind `event`) go the same way; there the receiver's inbox makes a repetition harmless.
 */
import { parse } from '../actor/codec.ts';
import { type Clock, wakeAt } from '../clock.ts';
import { type Address, TimeoutError } from '../errors.ts';
import type { EventChannel, Watched } from '../events.ts';
import type { Commit, OutboxMark, OutboxRow, Outcome } from '../store/rows.ts';
import { errorOf } from '../thrown.ts';
import { takesNoEvents } from './refusal.ts';
import { Waits } from './waits.ts';

/** A message on its way out. */
export interface OutgoingMessage {
  /** The row of `outbox_messages`. */
  id: number;
  participantId: string | null;
  flowType: string | null;
  /** A phone number (E.164) or another address; the participant's id, where the actor has no address. */
  to: string;
  text: string;
  /** The whole emitted event, with `options` and whatever else the machine put there. */
  payload: Record<string, unknown>;
  /** The same for every attempt at this message, and for no other message, ever. */
  idempotencyKey: string;
  /** 1 for the first attempt. */
  attempt: number;
  /** A former attempt may have gone through: the process died, or the attempt failed, before its outcome was known. */
  maybeSent: boolean;
}

/** Delivers messages to people. */
export interface Transport {
  /** Resolves once the message is accepted for delivery. Throw {@link PermanentSendError} where a repetition is useless. */
  send(message: OutgoingMessage): Promise<void> | void;
}

/** A message that cannot be delivered, now or later. */
export class PermanentSendError extends Error {}

/** Attempts at one message, and the waits between them in ms: from the first, doubled each time, up to the last. */
const ATTEMPTS = 12;
const FIRST_RETRY = 1_000;
const LAST_RETRY = 300_000;
/** A transport that has not answered by then, in ms, will not: the attempt has failed, and may have gone through. */
const SEND_TIMEOUT = 120_000;
/** So long a stop waits for attempts under way, in ms. What has no answer by then is marked as maybe sent at the next start. */
const GRACE = 10_000;

export interface OutboxOptions {
  clock: Clock;
  events: EventChannel;
  transport: Transport | undefined;
  commit(commit: Commit): Promise<Outcome>;
  /** Whether there is a row of that id, which was not sent. */
  isUnsent(id: number): Promise<boolean>;
  deliver(to: Address, event: any, key: string): Promise<void>;
  policy(flowType: string | null): 'resend' | 'hold';
}

interface Pending {
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

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<string, Pending[]>();
  /** Ids of those in the queues that came in doubt. */
  readonly #doubted = new Set<number>();
  /** Those who work the queues off. */
  readonly #workers = new Set<Promise<void>>();
  readonly #optedOut = new Set<string>();
  /** Addresses of which it is being decided whether they may be written to. */
  readonly #undecided = new Map<string, Promise<unknown>>();
  /** Between attempts. */
  readonly #waits: Waits;
  #stopped = false;
  /** Until what a former process left is known, nothing goes out: the older messages to a person go first. */
  #held = true;
  /** How many messages the transport has not answered yet. */
  #handedOver = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#waits = new Waits(options.clock);
  }

  /** Nothing is to be done here; messages that wait for another attempt, or for the transport's answer, do not count. */
  get idle(): boolean {
    return this.#queues.size === this.#waits.size + this.#handedOver;
  }

  /** Takes up what a former process left unsent. */
  recover(rows: OutboxRow[]): void {
    this.#held = false;
    for (const row of rows) {
      const uncertain = row.status === 'sending' && row.kind === 'message';
      const toHold = uncertain && this.#options.policy(row.flow_type) === 'hold';
      this.#enqueue({ row, maybeSent: uncertain || row.attempts > 0, ...(toHold && { toHold }) });
    }
  }

  /**
   * Takes up messages that a failed step left behind.
   * @param rows all that are not sent, as they were a moment ago
   * @param open commits whose outcome is about to be told
   */
  sweep(rows: OutboxRow[], open: Iterable<Commit>): void {
    const known = new Set<number>();
    for (const queue of this.#queues.values()) for (const { row } of queue) known.add(row.id);
    for (const { outbox = [] } of open) for (const { id } of outbox) known.add(id);
    for (const row of rows) {
      // It may have been sent since it was read: so it is read again when its turn has come.
      if (!known.has(row.id)) this.#enqueue({ row, maybeSent: false, doubt: Promise.resolve(false) });
    }
  }

  /**
   * The status that a new message is committed with: `sending` where it is handed over right after the commit, which
   * saves a write. A crash in between then marks it as maybe sent; where that matters, the policy `hold` is exact.
   */
  statusOf(recipient: string, flowType: string | null): 'pending' | 'sending' {
    const atOnce =
      this.#options.transport && !this.#stopped && !this.#held && !this.#queues.has(`message:${recipient}`);
    return atOnce && this.#options.policy(flowType) === 'resend' ? 'sending' : 'pending';
  }

  /** Takes messages that have just been committed. */
  accept(rows: OutboxRow[], origin: unknown): void {
    for (const row of rows) if (!this.#doubted.has(row.id)) this.#enqueue({ row, maybeSent: false, origin });
  }

  /**
   * Takes messages of a commit that failed, which may have gone through after all, or is made again: they are sent in their
   * place, before those that come later, or not at all.
   * @param committed resolves once the commit is not tried any more, with whether it is known to have been made
   */
  doubt(rows: OutboxRow[], committed: Promise<boolean>): void {
    for (const row of rows) if (!this.#doubted.has(row.id)) this.#enqueue({ row, maybeSent: false, doubt: committed });
  }

  /** The messages of an actor that was deleted are not sent; the attempt under way comes to its end. */
  forget({ participantId, flowType }: Address): void {
    for (const queue of this.#queues.values()) {
      for (const pending of queue) {
        const { row } = pending;
        if (row.participant_id === participantId && row.flow_type === flowType) pending.forgotten = true;
      }
    }
  }

  /** No message goes to this address any more, or again. A message marked `essential` still does. */
  optOut(address: string, out: boolean): void {
    if (!out) this.#optedOut.delete(address);
    else {
      this.#optedOut.add(address);
      // Those that wait are not wanted any more, whatever is wanted later.
      for (const pending of this.#queues.get(`message:${address}`) ?? []) pending.unwanted = true;
    }
  }

  /** Nothing is handed over to this address before it is decided whether it may be, e.g. while a STOP is being committed. */
  hold(address: string, decision: Promise<unknown>): void {
    const decided = Promise.allSettled([this.#undecided.get(address), decision]).then(() => {
      if (this.#undecided.get(address) === decided) this.#undecided.delete(address);
    });
    this.#undecided.set(address, decided);
  }

  /** Lets attempts under way end, for a while; nothing new is begun. */
  async stop(): Promise<void> {
    this.abandon();
    const { clock } = this.#options;
    let stopWaiting = () => {};
    const patience = new Promise<void>((resolve) => {
      stopWaiting = wakeAt(clock, clock.now() + GRACE, resolve);
    });
    await Promise.race([Promise.all(this.#workers), patience]);
    stopWaiting();
  }

  abandon(): void {
    this.#stopped = true;
    this.#waits.endAll();
  }

  #enqueue(pending: Pending): void {
    if (this.#stopped || this.#held || (pending.row.kind === 'message' && !this.#options.transport)) return;
    if (pending.doubt) this.#doubted.add(pending.row.id);
    const { recipient, kind } = pending.row;
    const key = `${kind}:${recipient}`;
    const queue = this.#queues.get(key);
    if (queue) queue.push(pending);
    else {
      const fresh = [pending];
      this.#queues.set(key, fresh);
      const worker = this.#work(key, fresh).finally(() => this.#workers.delete(worker));
      this.#workers.add(worker);
    }
  }

  async #work(key: string, queue: Pending[]): Promise<void> {
    while (queue.length > 0 && !this.#stopped) {
      try {
        if (await this.#attempt(queue[0]!)) this.#doubted.delete(queue.shift()!.row.id);
      } catch (error) {
        this.#options.events.emit('fault', { during: `sending to ${queue[0]!.row.recipient}`, error });
        await this.#wait(FIRST_RETRY);
      }
    }
    this.#queues.delete(key);
  }

  /** One attempt; true when the message is done with. */
  async #attempt(pending: Pending): Promise<boolean> {
    const { row } = pending;
    if (pending.forgotten) return true;
    if (pending.toHold) {
      await this.#mark(row, { status: 'held', last_error: 'It may have been sent before a crash.' });
      return true;
    }
    if (pending.doubt) {
      if (!(await pending.doubt) && !(await this.#options.isUnsent(row.id))) return true;
      delete pending.doubt;
    }
    const payload = parse(row.payload) as Record<string, unknown>;
    if (row.next_attempt_at !== null) await this.#wait(row.next_attempt_at - this.#options.clock.now());
    if (this.#stopped) return false;
    if (pending.forgotten) return true;
    row.attempts++;
    const began = performance.now();
    let watched: Watched | undefined;
    const watch = <T>(part: () => T): T => {
      const { id, attempts: attempt } = row;
      watched = this.#options.events.tracing?.begin({ kind: 'send', id, attempt }, pending.origin);
      return watched ? watched.run(part) : part();
    };
    try {
      if (row.kind === 'event') {
        const { deliver } = this.#options;
        await watch(() => deliver(payload['to'] as Address, payload['event'], row.idempotency_key));
      } else {
        if (row.status !== 'sending' || pending.maybeSent) await this.#mark(row, { status: 'sending' });
        while (this.#undecided.has(row.recipient)) await this.#undecided.get(row.recipient);
        if ((pending.unwanted || this.#optedOut.has(row.recipient)) && !payload['essential']) {
          await this.#mark(row, { status: 'cancelled', last_error: 'The recipient opted out.' });
          return true;
        }
        if (this.#stopped) return false;
        await watch(() => this.#handOver(outgoing(pending, payload)));
      }
      watched?.end();
    } catch (cause) {
      watched?.end(cause);
      return this.#failed(pending, cause as Error, performance.now() - began);
    }
    const ms = performance.now() - began;
    await this.#mark(row, { status: 'sent', next_attempt_at: null, last_error: null });
    this.#options.events.emit('sent', { recipient: row.recipient, id: row.id, attempts: row.attempts, ms });
    return true;
  }

  async #handOver(message: OutgoingMessage): Promise<void> {
    const { clock, transport } = this.#options;
    const sent = transport!.send(message);
    if (!sent) return;
    let stopWaiting = () => {};
    const timeout = new Promise<never>((_, reject) => {
      stopWaiting = wakeAt(clock, clock.now() + SEND_TIMEOUT, () =>
        reject(new TimeoutError(`The transport did not answer within ${SEND_TIMEOUT / 1_000} s.`)),
      );
    });
    this.#handedOver++;
    try {
      await Promise.race([sent, timeout]);
    } finally {
      this.#handedOver--;
      stopWaiting();
    }
  }

  async #failed(pending: Pending, error: Error, ms: number): Promise<boolean> {
    const { row } = pending;
    const final = error instanceof PermanentSendError || row.attempts >= ATTEMPTS || takesNoEvents(error);
    pending.maybeSent = true;
    const wait = Math.min(FIRST_RETRY * 2 ** (row.attempts - 1), LAST_RETRY);
    await this.#mark(row, {
      status: final ? 'failed' : 'pending',
      next_attempt_at: final ? null : this.#options.clock.now() + wait,
      last_error: errorOf(error).message,
    });
    this.#options.events.emit('sendFailed', {
      recipient: row.recipient,
      id: row.id,
      attempts: row.attempts,
      error,
      final,
      ms,
    });
    return final;
  }

  /** Writes what became of a message; tries until it is written, since nobody else will. */
  async #mark(row: OutboxRow, change: Partial<OutboxMark>): Promise<void> {
    Object.assign(row, change, { updated_at: this.#options.clock.now() });
    for (;;) {
      const outcome = await this.#options.commit({ marks: [row] });
      if (outcome.result !== 'failed') return;
      if (this.#stopped) throw outcome.error;
      await this.#wait(FIRST_RETRY);
    }
  }

  async #wait(ms: number): Promise<void> {
    if (!this.#stopped) await this.#waits.wait(ms);
  }
}

const outgoing = ({ row, maybeSent }: Pending, payload: Record<string, unknown>): OutgoingMessage => ({
  id: row.id,
  participantId: row.participant_id,
  flowType: row.flow_type,
  to: row.recipient,
  text: String(payload['text'] ?? ''),
  payload,
  idempotencyKey: row.idempotency_key,
  attempt: row.attempts,
  maybeSent,
});
