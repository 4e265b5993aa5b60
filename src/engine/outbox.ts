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
import type { Clock } from '../clock.ts';
import type { Address } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Commit, OutboxMark, OutboxRow, Outcome } from '../store/rows.ts';

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

export interface OutboxOptions {
  clock: Clock;
  events: EventChannel;
  transport: Transport | undefined;
  commit(commit: Commit): Promise<Outcome>;
  deliver(to: Address, event: any, key: string): Promise<void>;
  policy(flowType: string | null): 'resend' | 'hold';
}

interface Pending {
  row: OutboxRow;
  maybeSent: boolean;
  /** Its row is gone, and so is the wish to send it. */
  forgotten?: true;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<string, Pending[]>();
  readonly #optedOut = new Set<string>();
  /** Ends the waits between attempts. */
  readonly #waits = new Map<unknown, () => void>();
  #stopped = false;
  /** Until what a former process left is known, nothing goes out: the older messages to a person go first. */
  #held = true;
  /** Rows that were found unsent, and that nobody here knew of. */
  #unknown = new Set<number>();
  #waiting = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Nothing is being sent; messages that wait for another attempt do not count. */
  get idle(): boolean {
    return this.#queues.size === this.#waiting;
  }

  /** Takes up what a former process left unsent. */
  recover(rows: OutboxRow[]): void {
    this.#held = false;
    for (const row of rows) {
      const uncertain = row.status === 'sending' && row.kind === 'message';
      if (uncertain && this.#options.policy(row.flow_type) === 'hold') {
        void this.#mark(row, { status: 'held', last_error: 'It may have been sent before a crash.' });
      } else this.#enqueue({ row, maybeSent: uncertain || row.attempts > 0 });
    }
  }

  /**
   * Takes up messages that a commit left behind whose outcome was not known: those that nobody here knew of the last time
   * either, since one whose commit is just being told is known by then.
   * @param rows all that are not sent
   */
  sweep(rows: OutboxRow[]): void {
    const known = new Set<number>();
    for (const queue of this.#queues.values()) for (const { row } of queue) known.add(row.id);
    const unknown = rows.filter(({ id, kind }) => !known.has(id) && (kind === 'event' || this.#options.transport));
    this.recover(unknown.filter(({ id }) => this.#unknown.has(id)));
    this.#unknown = new Set(unknown.map(({ id }) => id));
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
  accept(rows: OutboxRow[]): void {
    for (const row of rows) this.#enqueue({ row, maybeSent: false });
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
    if (out) this.#optedOut.add(address);
    else this.#optedOut.delete(address);
  }

  /** Lets attempts under way end; nothing new is begun. */
  async stop(): Promise<void> {
    this.abandon();
    while (this.#queues.size > 0) await new Promise(setImmediate);
  }

  abandon(): void {
    this.#stopped = true;
    for (const [handle, wake] of this.#waits) {
      this.#options.clock.clearTimeout(handle);
      wake();
    }
  }

  #enqueue(pending: Pending): void {
    if (this.#stopped || this.#held || (pending.row.kind === 'message' && !this.#options.transport)) return;
    const { recipient, kind } = pending.row;
    const key = `${kind}:${recipient}`;
    const queue = this.#queues.get(key);
    if (queue) queue.push(pending);
    else {
      const fresh = [pending];
      this.#queues.set(key, fresh);
      void this.#work(key, fresh);
    }
  }

  async #work(key: string, queue: Pending[]): Promise<void> {
    while (queue.length > 0 && !this.#stopped) {
      try {
        if (await this.#attempt(queue[0]!)) queue.shift();
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
    const payload = parse(row.payload) as Record<string, unknown>;
    if (row.next_attempt_at !== null) await this.#wait(row.next_attempt_at - this.#options.clock.now());
    if (this.#stopped) return false;
    if (pending.forgotten) return true;
    if (row.kind === 'message' && this.#optedOut.has(row.recipient) && !payload['essential']) {
      await this.#mark(row, { status: 'cancelled', last_error: 'The recipient opted out.' });
      return true;
    }
    row.attempts++;
    const began = performance.now();
    try {
      if (row.kind === 'event')
        await this.#options.deliver(payload['to'] as Address, payload['event'], row.idempotency_key);
      else {
        if (row.status !== 'sending' || pending.maybeSent) await this.#mark(row, { status: 'sending' });
        await this.#options.transport!.send(outgoing(pending, payload));
      }
    } catch (cause) {
      return this.#failed(pending, cause as Error, performance.now() - began);
    }
    const ms = performance.now() - began;
    await this.#mark(row, { status: 'sent', next_attempt_at: null, last_error: null });
    this.#options.events.emit('sent', { recipient: row.recipient, id: row.id, attempts: row.attempts, ms });
    return true;
  }

  async #failed(pending: Pending, error: Error, ms: number): Promise<boolean> {
    const { row } = pending;
    const final = error instanceof PermanentSendError || row.attempts >= ATTEMPTS || isHopeless(error);
    pending.maybeSent = true;
    const wait = Math.min(FIRST_RETRY * 2 ** (row.attempts - 1), LAST_RETRY);
    await this.#mark(row, {
      status: final ? 'failed' : 'pending',
      next_attempt_at: final ? null : this.#options.clock.now() + wait,
      last_error: String(error?.message ?? error),
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
    const until = this.#options.clock.now() + ms;
    this.#waiting++;
    while (!this.#stopped && this.#options.clock.now() < until) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waits.delete(handle);
          resolve();
        };
        const handle = this.#options.clock.setTimeout(wake, until - this.#options.clock.now());
        this.#waits.set(handle, wake);
      });
    }
    this.#waiting--;
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

/** Another actor that does not exist, or does not take events, will not do so in a minute either. */
const isHopeless = (error: Error) =>
  ['ACTOR_NOT_FOUND', 'UNKNOWN_FLOW', 'ACTOR_QUARANTINED', 'TURN_FAILED'].includes(
    (error as { code?: string }).code ?? '',
  );
