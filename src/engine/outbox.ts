/**
 * Hands emitted messages over: at least once, in order per recipient, each with its idempotency key.
 *
 *   pending → sending → sent
 *      ↑         └→ pending again (the attempt failed; after a backoff) → … → failed
 *   found `sending` at start: it may have been sent before the crash → resend, marked so, or hold
 *
 * Rows are written by the turns that emit them and are marked here; the marks join the same groups as the turns. While the
 * first message to a recipient has not been sent (or failed for good), the later ones wait behind it. Which of them are in
 * memory, says unsent.ts.
 *
 * Events between actors (kind `event`) go the same way; there the receiver's inbox makes a repetition harmless:
 *
 *   pending → sent
 *      ↕ the receiver is in quarantine, does not exist or sleeps
 *   waiting (all that there is for the receiver, which nothing overtakes) → pending, once it may take events again
 *      ↓ the receiver has ended, threw, or does not exist for too long
 *   dead (it is a dead letter)
 */
import { stringify } from '../actor/codec.ts';
import { type Clock, wakeAt } from '../clock.ts';
import { type BackoffOptions, backoffOf, type Duration, milliseconds } from '../duration.ts';
import { type Address, formatAddress, InvalidArgumentError, TimeoutError } from '../errors.ts';
import type { EventChannel, Watched } from '../events.ts';
import { type Commit, isEnded, type OutboxMark, type OutboxRow, type Outcome } from '../store/rows.ts';
import { isGeneral, type Store } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import { payloadOf } from './payload.ts';
import { keyOf, type Pending, type Queue, Unsent } from './unsent.ts';
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
  /** How long a message that could not be sent is tried. Default: for a day. */
  retry?: SendPolicy;
}

/** How often a message is tried that the transport does not take, and how far apart. */
export interface SendPolicy {
  /** How many attempts at most; Infinity: as many as it takes. Default: 60, which with the default waits are more than 24 h. */
  attempts?: number;
  /** The waits between them: doubled each time, from `initial` up to `max`. Default: from `'1s'` to `'30m'`. */
  backoff?: BackoffOptions;
  /** After that, an attempt without an answer has failed, and may have gone through. Default: `'2m'`. */
  timeout?: Duration;
}

/** A message that cannot be delivered, now or later. */
export class PermanentSendError extends Error {}

interface Policy {
  attempts: number;
  /** In ms. */
  initial: number;
  max: number;
  timeout: number;
}

/** @throws {InvalidArgumentError} numbers that cannot be used */
export function sendPolicyOf({ attempts = 60, backoff = {}, timeout = '2m' }: SendPolicy = {}): Policy {
  if (!(attempts >= 1 && (Number.isInteger(attempts) || attempts === Number.POSITIVE_INFINITY)))
    throw new InvalidArgumentError(
      `transport.retry.attempts must be a whole number from 1, or Infinity; it is ${attempts}.`,
    );
  return { attempts, ...backoffOf({ max: '30m', ...backoff }), timeout: milliseconds(timeout) };
}

/** For events between actors, where what fails is the receiver's own. */
const EVENTS: Policy = { attempts: 12, initial: 1_000, max: 300_000, timeout: Number.POSITIVE_INFINITY };
/** So many messages are in memory at most. */
const MOST = 10_000;
/** Between attempts at what nobody else would do, in ms. */
const RETRY = 1_000;
/** So long a stop waits for attempts under way, in ms. What has no answer by then is marked as maybe sent at the next start. */
const GRACE = 10_000;

/** The receiver takes no events now, and will when it is retried, created, or its flow is there. */
const FOR_NOW = ['ACTOR_QUARANTINED', 'SNAPSHOT_INCOMPATIBLE', 'SNAPSHOT_NEWER', 'ACTOR_NOT_FOUND', 'UNKNOWN_FLOW'];
/** Of these, the ones of which nobody knows whether it ever will. */
const UNKNOWN = ['ACTOR_NOT_FOUND', 'UNKNOWN_FLOW'];

export interface OutboxOptions {
  clock: Clock;
  events: EventChannel;
  store: Store;
  transport: Transport | undefined;
  /** How long an event waits for a receiver that does not exist, in ms. */
  eventPatience: number;
  /** How many messages are in memory at most. Default: 10,000. */
  most?: number;
  commit(commit: Commit): Promise<Outcome>;
  /** Commits whose outcome is about to be told. */
  open(): Iterable<Commit>;
  /**
   * Applies an event to its receiver.
   * @returns the error that it threw and was put aside with, if any
   * @throws where the receiver takes no events
   */
  deliver(to: Address, event: any, key: string): Promise<Error | undefined>;
  policy(flowType: string | null): 'resend' | 'hold';
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #policy: Policy;
  readonly #unsent: Unsent;
  /** Those who work the queues off. */
  readonly #workers = new Set<Promise<void>>();
  readonly #optedOut = new Set<string>();
  /** Addresses of which it is being decided whether they may be written to. */
  readonly #undecided = new Map<string, Promise<unknown>>();
  /** Receivers for which events wait. */
  readonly #awaited = new Set<string>();
  /** After something could not be written. */
  readonly #waits: Waits;
  /** When the next event has waited for too long, and what keeps it from being looked for then. */
  #expiry = { at: Number.POSITIVE_INFINITY, cancel: () => {} };
  #reviewing = false;
  #stopped = false;
  /** Until what a former process left is known, nothing goes out: the older messages to a person go first. */
  #held = true;
  /** The last message of a former process. */
  #former = 0;
  /** How many queues wait: for another attempt, for the transport's answer, for a receiver's turn. */
  #resting = 0;

  constructor(options: OutboxOptions) {
    const { clock, events, store, transport, open, most = MOST } = options;
    this.#options = options;
    this.#policy = sendPolicyOf(transport?.retry);
    this.#waits = new Waits(clock);
    this.#unsent = new Unsent({
      clock,
      most,
      page: (after, limit) => store.unsent(after, limit),
      of: (recipient, limit) => store.unsentOf(recipient, limit),
      open,
      read: (row) => this.#read(row),
      sends: (kind) => kind === 'event' || transport !== undefined,
      work: (queue) => this.#begin(queue),
      failed: (error) => events.emit('fault', { during: 'reading unsent messages', error }),
    });
  }

  /** Nothing is to be done here; messages that wait for another attempt, or for an answer, do not count. */
  get idle(): boolean {
    return this.#unsent.idle && !this.#reviewing && this.#unsent.queues.size === this.#resting;
  }

  /** Takes up what a former process left unsent; resolves once the first of it was taken up. @param last its last message */
  async recover(last: number): Promise<void> {
    this.#held = false;
    this.#former = last;
    for (const receiver of await this.#options.store.awaited()) this.#awaited.add(receiver);
    await this.#unsent.look();
    await this.#review();
  }

  /** Takes up what a failed step left behind, and events whose receiver may take them again. */
  async sweep(): Promise<void> {
    if (this.#stopped || this.#held) return;
    await this.#unsent.look();
    await this.#review();
  }

  /** Takes up the events that wait for an actor, which may take them again. */
  wake(receiver: string): void {
    if (this.#awaited.has(receiver)) this.#unsent.refresh({ kind: 'event', recipient: receiver }, true);
  }

  /** A message of this recipient was put among the unsent again. */
  refresh(recipient: Pick<OutboxRow, 'kind' | 'recipient'>): void {
    if (!this.#stopped && !this.#held) this.#unsent.refresh(recipient, recipient.kind === 'event');
  }

  /**
   * The status that a new message is committed with: `sending` where it is handed over right after the commit, which
   * saves a write. A crash in between then marks it as maybe sent; where that matters, the policy `hold` is exact.
   */
  statusOf(recipient: string, flowType: string | null): 'pending' | 'sending' {
    const atOnce =
      this.#options.transport &&
      !this.#stopped &&
      !this.#held &&
      this.#unsent.sendsAtOnce(keyOf({ kind: 'message', recipient }));
    return atOnce && this.#options.policy(flowType) === 'resend' ? 'sending' : 'pending';
  }

  /** Takes messages that have just been committed. */
  accept(rows: OutboxRow[], origin: unknown): void {
    if (!this.#stopped && !this.#held)
      for (const row of rows) this.#unsent.add({ row, maybeSent: false, ...(origin !== undefined && { origin }) });
  }

  /**
   * Takes messages of a commit that failed, which may have gone through after all, or is made again: they are sent in their
   * place, before those that come later, or not at all.
   * @param committed resolves once the commit is not tried any more, with whether it is known to have been made
   */
  doubt(rows: OutboxRow[], committed: Promise<boolean>): void {
    if (!this.#stopped && !this.#held)
      for (const row of rows) this.#unsent.add({ row, maybeSent: false, doubt: committed });
  }

  /** The messages of an actor that was deleted are not sent, and none to it; the attempt under way comes to its end. */
  forget(address: Address): void {
    const { participantId, flowType } = address;
    for (const pending of this.#unsent.queues.get(keyOf({ kind: 'event', recipient: formatAddress(address) }))
      ?.pending ?? []) {
      pending.forgotten = true;
    }
    for (const queue of this.#unsent.queues.values()) {
      for (const pending of queue.pending) {
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
      const queue = this.#unsent.queues.get(keyOf({ kind: 'message', recipient: address }));
      for (const pending of queue?.pending ?? []) pending.unwanted = true;
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
    this.#unsent.stop();
    this.#waits.endAll();
    this.#expiry.cancel();
  }

  /** A message as it was read. */
  #read(row: OutboxRow): Pending {
    // What this process wrote as `sending` and finds in the database has not been handed over.
    const uncertain = row.status === 'sending' && row.kind === 'message' && row.id <= this.#former;
    const toHold = uncertain && this.#options.policy(row.flow_type) === 'hold';
    row.attempts = Number(row.attempts) || 0;
    if (typeof row.next_attempt_at !== 'number') row.next_attempt_at = null;
    return { row, maybeSent: uncertain || row.attempts > 0, ...(toHold && { toHold }) };
  }

  /** Wakes receivers that exist and are not put aside, or whose events have waited for too long. */
  async #review(): Promise<void> {
    const { clock, store } = this.#options;
    for (const receiver of await store.wakeable(clock.now())) {
      this.#awaited.add(receiver);
      this.wake(receiver);
    }
    const until = await store.nextExpiry();
    // What is due already has just been woken; a sweep would find it again.
    if (until !== null && until > clock.now()) this.#expireAt(until);
  }

  #expireAt(at: number): void {
    const { clock, events } = this.#options;
    if (at >= this.#expiry.at || this.#stopped) return;
    this.#expiry.cancel();
    const look = () => {
      this.#expiry = { at: Number.POSITIVE_INFINITY, cancel: () => {} };
      this.#reviewing = true;
      void this.#review()
        .catch((error) => events.emit('fault', { during: 'looking for events that have waited for too long', error }))
        .finally(() => {
          this.#reviewing = false;
        });
    };
    this.#expiry = { at, cancel: wakeAt(clock, at, look) };
  }

  #begin(queue: Queue): void {
    const worker = this.#work(queue).finally(() => this.#workers.delete(worker));
    this.#workers.add(worker);
  }

  async #work(queue: Queue): Promise<void> {
    try {
      while (!this.#stopped) {
        try {
          if (queue.woken) await this.#takeUpAwaited(queue);
          const pending = isAtHand(queue) ? queue.pending[0] : await this.#unsent.next(queue);
          if (pending) {
            const done = await this.#attempt(pending, queue);
            if (done === 'leave') break;
            if (done && queue.pending[0] === pending) this.#unsent.shift(queue);
          } else if (isAtHand(queue) && queue.pending.length === 0 && !queue.woken) break;
        } catch (error) {
          this.#options.events.emit('fault', { during: 'sending messages', error });
          await this.#rest(RETRY);
        }
      }
    } finally {
      this.#unsent.end(queue);
    }
  }

  /** One attempt; true when the message is done with, `leave` where its queue is to leave memory. */
  async #attempt(pending: Pending, queue: Queue): Promise<boolean | 'leave'> {
    const { row } = pending;
    if (pending.forgotten) return true;
    if (pending.toHold) {
      await this.#mark(row, { status: 'held', last_error: 'It may have been sent before a crash.' });
      return true;
    }
    if (pending.doubt) {
      if (!(await pending.doubt) && !(await this.#options.store.isUnsent(row.id))) return true;
      delete pending.doubt;
    }
    const payload = payloadOf(row.payload);
    if (!payload || (row.kind === 'event' && !isEvent(payload))) return this.#unreadable(row);
    if (row.next_attempt_at !== null && row.next_attempt_at > this.#options.clock.now()) {
      if (!(await this.#counting(this.#unsent.pause(queue, row.next_attempt_at)))) return 'leave';
      // What came meanwhile goes first.
      if (queue.woken || queue.unread) return false;
    }
    if (this.#stopped) return false;
    if (pending.forgotten) return true;
    return row.kind === 'event'
      ? this.#deliver(pending, queue, payload as unknown as Delivery)
      : this.#send(pending, payload);
  }

  async #unreadable(row: OutboxRow): Promise<true> {
    const error = new Error('The message cannot be read: its payload is damaged.');
    await this.#mark(row, { status: 'failed', next_attempt_at: null, last_error: error.message });
    const { recipient, id, attempts } = row;
    this.#options.events.emit('sendFailed', { recipient, id, attempts, error, final: true, ms: 0 });
    return true;
  }

  async #send(pending: Pending, payload: Record<string, unknown>): Promise<boolean> {
    const { row } = pending;
    row.attempts++;
    if (row.status !== 'sending' || pending.maybeSent) await this.#mark(row, { status: 'sending' });
    while (this.#undecided.has(row.recipient)) await this.#undecided.get(row.recipient);
    if ((pending.unwanted || this.#optedOut.has(row.recipient)) && !payload['essential']) {
      await this.#mark(row, { status: 'cancelled', last_error: 'The recipient opted out.' });
      return true;
    }
    if (this.#stopped) return false;
    const began = performance.now();
    const watched = this.#watch(pending);
    try {
      const handOver = () => this.#handOver(outgoing(pending, payload));
      await (watched ? watched.run(handOver) : handOver());
      watched?.end();
    } catch (cause) {
      watched?.end(cause);
      const final = cause instanceof PermanentSendError || isSpent(row, this.#policy);
      return this.#failed(pending, cause as Error, final, performance.now() - began);
    }
    return this.#sent(row, performance.now() - began);
  }

  async #deliver(pending: Pending, queue: Queue, { to, event }: Delivery): Promise<boolean> {
    const { row } = pending;
    if (this.#awaited.has(row.recipient)) {
      await this.#mark(row, { status: 'waiting' }); // behind those that wait already
      return true;
    }
    row.attempts++;
    const began = performance.now();
    const watched = this.#watch(pending);
    let threw: Error | undefined;
    try {
      const deliver = () => this.#options.deliver(to, event, row.idempotency_key);
      threw = await this.#counting(watched ? watched.run(deliver) : deliver());
      watched?.end(threw);
    } catch (cause) {
      watched?.end(cause);
      return this.#refused(pending, queue, { to, event }, errorOf(cause), performance.now() - began);
    }
    if (!threw) return this.#sent(row, performance.now() - began);
    await this.#mark(row, { status: 'dead', next_attempt_at: null, last_error: threw.message });
    return true;
  }

  /** The receiver takes no events, or the turn could not be written. */
  async #refused(pending: Pending, queue: Queue, delivery: Delivery, error: Error, ms: number): Promise<boolean> {
    const { clock, eventPatience } = this.#options;
    const { row } = pending;
    const { code = '' } = error as { code?: string };
    if (this.#stopped || code === 'NOT_RUNNING') return false;
    if (isGeneral(error) || code === 'TIMEOUT') {
      row.attempts--; // the database fails as a whole, or the receiver waits for another attempt: no event is to blame
      return this.#failed(pending, error, false, ms);
    }
    if (!FOR_NOW.includes(code) && code !== 'ACTOR_ENDED') {
      if (!isSpent(row, EVENTS)) return this.#failed(pending, error, false, ms);
      await this.#bury(row, delivery, error);
      return true;
    }
    const isUnknown = UNKNOWN.includes(code);
    let waits = false;
    this.#awaited.add(row.recipient); // a receiver that comes to be, or is taken up again, from here on wakes the queue
    try {
      const [actor] = await this.#options.store.load([delivery.to]);
      const hasEnded = actor !== undefined && isEnded(actor.status); // also where its row cannot be restored
      // It may have been applied before a crash, whatever became of the receiver since.
      const mark = { channel: 'perdure', message_id: row.idempotency_key, scope: '' };
      if (await this.#options.store.isApplied(mark)) return this.#sent(row, ms);
      if (code === 'ACTOR_ENDED' || hasEnded || (isUnknown && row.created_at + eventPatience <= clock.now())) {
        await this.#bury(row, delivery, error);
        return true;
      }
      // It has changed since it refused, and told so before anybody waited.
      const takesEvents = actor?.status === 'active' && (code === 'ACTOR_NOT_FOUND' || code === 'ACTOR_QUARANTINED');
      if (takesEvents && !isSpent(row, EVENTS)) return this.#failed(pending, error, false, ms);
      await this.#await(queue, delivery.to, error, isUnknown);
      waits = true;
      return true;
    } finally {
      if (!waits) this.#awaited.delete(row.recipient);
    }
  }

  /** Lets all events for the receiver wait until it may take them. */
  async #await(queue: Queue, to: Address, error: Error, isUnknown: boolean): Promise<void> {
    const { clock, eventPatience } = this.#options;
    const { recipient } = queue;
    const limited = isUnknown && Number.isFinite(eventPatience);
    const patience = limited ? eventPatience : null;
    await this.#write({
      also: [{ kind: 'letWait', recipient, patience, error: error.message, at: clock.now() }],
    });
    if (limited) this.#expireAt(queue.pending[0]!.row.created_at + eventPatience);
    this.#unsent.clear(queue);
    this.#options.events.emit('eventWaits', { address: to, error });
  }

  /** Puts the events that wait for the queue's receiver among the unsent again. */
  async #takeUpAwaited(queue: Queue): Promise<void> {
    const { recipient } = queue;
    await this.#write({ also: [{ kind: 'takeUp', recipient }] });
    this.#awaited.delete(recipient);
    queue.woken = false;
    queue.unread = true;
  }

  /** An event that will not be applied becomes a dead letter of its receiver. */
  async #bury(row: OutboxRow, { to, event }: Delivery, error: Error): Promise<void> {
    const { clock, events } = this.#options;
    Object.assign(row, { status: 'dead', next_attempt_at: null, last_error: error.message, updated_at: clock.now() });
    await this.#write({
      marks: [row],
      deadLetter: {
        participant_id: to.participantId,
        flow_type: to.flowType,
        kind: 'event',
        target: null,
        event: stringify(event, 'event'),
        error: error.message,
        at: clock.now(),
      },
    });
    events.emit('deadLetter', { address: to, event: event.type, error });
  }

  #watch(pending: Pending): Watched | undefined {
    const { id, attempts: attempt } = pending.row;
    return this.#options.events.tracing?.begin({ kind: 'send', id, attempt }, pending.origin);
  }

  async #handOver(message: OutgoingMessage): Promise<void> {
    const { clock, transport } = this.#options;
    const { timeout } = this.#policy;
    const sent = transport!.send(message);
    if (!sent) return;
    let stopWaiting = () => {};
    const timedOut = new Promise<never>((_, reject) => {
      stopWaiting = wakeAt(clock, clock.now() + timeout, () =>
        reject(new TimeoutError(`The transport did not answer within ${timeout / 1_000} s.`)),
      );
    });
    await this.#counting(Promise.race([sent, timedOut])).finally(stopWaiting);
  }

  async #sent(row: OutboxRow, ms: number): Promise<true> {
    await this.#mark(row, { status: 'sent', next_attempt_at: null, last_error: null });
    this.#options.events.emit('sent', { recipient: row.recipient, id: row.id, attempts: row.attempts, ms });
    return true;
  }

  async #failed(pending: Pending, error: Error, final: boolean, ms: number): Promise<boolean> {
    const { row } = pending;
    const { recipient, id, attempts } = row;
    const { initial, max } = row.kind === 'event' ? EVENTS : this.#policy;
    pending.maybeSent = true;
    const wait = Math.min(initial * 2 ** Math.max(0, madeSince(row) - 1), max);
    await this.#mark(row, {
      status: final ? 'failed' : 'pending',
      next_attempt_at: final ? null : this.#options.clock.now() + wait,
      last_error: errorOf(error).message,
    });
    this.#options.events.emit('sendFailed', { recipient, id, attempts, error, final, ms });
    return final;
  }

  /** Writes what became of a message. */
  #mark(row: OutboxRow, change: Partial<OutboxMark>): Promise<void> {
    Object.assign(row, change, { updated_at: this.#options.clock.now() });
    return this.#write({ marks: [row] });
  }

  /** Tries until it is written, since nobody else will. */
  async #write(commit: Commit): Promise<void> {
    for (;;) {
      const outcome = await this.#options.commit(commit);
      if (outcome.result !== 'failed') return;
      if (this.#stopped) throw outcome.error;
      await this.#rest(RETRY);
    }
  }

  async #rest(ms: number): Promise<void> {
    if (!this.#stopped) await this.#counting(this.#waits.wait(ms));
  }

  /** Counts a queue as one that waits, until then. */
  async #counting<T>(waiting: Promise<T>): Promise<T> {
    this.#resting++;
    try {
      return await waiting;
    } finally {
      this.#resting--;
    }
  }
}

interface Delivery {
  to: Address;
  event: { type: string };
}

const isEvent = ({ to, event }: Record<string, any>) =>
  typeof to?.flowType === 'string' && typeof to.participantId === 'string' && typeof event?.type === 'string';

/** Nothing is to be read before the next message. */
const isAtHand = ({ unread, more, pending }: Queue) => !unread && !(more && pending.length === 0);

/** How many attempts were made since an operator had it sent again, or ever. */
const madeSince = ({ attempts, attempts_before = 0 }: OutboxRow) => attempts - attempts_before;

const isSpent = (row: OutboxRow, { attempts }: Policy) => madeSince(row) >= attempts;

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
