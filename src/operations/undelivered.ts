/**
 * Undelivered messages: those to people that failed or are held back, and events between actors that wait for their receiver.
 * An operator sends one again, or gives it up.
 *
 * A message that is sent again keeps its idempotency key, and is marked as one that may have been sent. It is put among the
 * unsent in one transaction: whoever presses twice, and whenever the process dies, it is there once.
 */
import { encode } from '../actor/codec.ts';
import type { Clock } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import { payloadOf } from '../engine/payload.ts';
import { type Address, InvalidArgumentError, UndeliveredNotFoundError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import { formsOf } from '../messaging/address.ts';
import type { OutboxRow } from '../store/rows.ts';
import { type Change, NothingToChangeError } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { checkReason, type Page, pageOf } from './page.ts';

/** A message that did not arrive. */
export interface UndeliveredMessage {
  /** The row of `outbox_messages`. */
  id: number;
  /** `message`: to a person; `event`: to another actor. */
  kind: 'message' | 'event';
  /**
   * `failed`: the last attempt failed, or it cannot be read. `held`: it may have been sent before a crash, and its flow would
   * rather lose it than repeat it. `waiting`: its receiver does not take events now.
   */
  status: 'failed' | 'held' | 'waiting';
  /** The actor that sent it; null where none did. */
  from: Address | null;
  /** A phone number or another address of a person; `flow/participant` of an actor. */
  to: string;
  /** The emitted event, in JSON; undefined where it cannot be read. */
  payload: unknown;
  /** Why it did not arrive. */
  error: string | null;
  attempts: number;
  idempotencyKey: string;
  /** When it was emitted, and when it was last changed, in ms since the epoch. */
  createdAt: number;
  updatedAt: number;
}

export interface UndeliveredFilter extends Page {
  /** Default: all of them. */
  status?: UndeliveredMessage['status'];
  /** The actor that sent it. */
  flowType?: string;
  participantId?: string;
}

export interface UndeliveredOptions {
  engine: Engine;
  store: Store;
  clock: Clock;
  events: EventChannel;
}

const STATUSES = ['failed', 'held', 'waiting'];

/** The messages that did not arrive: lists, shows, sends again and discards them. */
export class Undelivered {
  readonly #options: UndeliveredOptions;

  /** @internal use `runtime.undelivered` */
  constructor(options: UndeliveredOptions) {
    this.#options = options;
  }

  /** The messages, in the order in which they were emitted, a page at a time. */
  async list({ status, flowType, participantId, ...page }: UndeliveredFilter = {}): Promise<UndeliveredMessage[]> {
    if (status !== undefined && !STATUSES.includes(status))
      throw new InvalidArgumentError(`The status '${status}' is not known. It is one of ${STATUSES.join(', ')}.`);
    const rows = await this.#options.store.undelivered({ status, flowType, participantId }, pageOf(page));
    return rows.map(described);
  }

  /** @throws {UndeliveredNotFoundError} */
  async get(id: number): Promise<UndeliveredMessage> {
    return described(await this.#row(id));
  }

  /**
   * Has it sent again, under its key and marked as one that may have been sent; it gets as many attempts as a new one. Of an
   * event, all that wait for its receiver are tried, in their order.
   * @throws {UndeliveredNotFoundError} there is none of this id, or it was sent or discarded meanwhile
   * @throws {InvalidArgumentError} it cannot be read, or the person asked not to be written to
   */
  async resend(id: number): Promise<void> {
    const { engine, clock, events } = this.#options;
    const row = await this.#row(id);
    const payload = payloadOf(row.payload);
    if (!payload)
      throw new InvalidArgumentError(
        `The undelivered message ${id} cannot be read. Mend its payload in outbox_messages, or discard it.`,
      );
    const forms = row.kind === 'message' && !payload['essential'] ? formsOf(row.recipient) : [];
    await this.#write(id, {
      kind: 'resend',
      id,
      of: row.kind,
      at: clock.now(),
      unlessOptedOut: forms,
    }).catch(async (error) => {
      if (error instanceof UndeliveredNotFoundError && (await this.#options.store.hasOptedOut(forms)))
        throw new InvalidArgumentError(
          `The recipient of the message ${id} asked not to be written to (STOP). Discard it, or wait for their START.`,
        );
      throw error;
    });
    engine.outbox.refresh(row);
    events.emit('resent', { id });
  }

  /**
   * Gives it up; its row is kept as `cancelled`.
   * @param reason kept beside the error
   * @throws {UndeliveredNotFoundError} there is none of this id, or it was sent or discarded meanwhile
   */
  async discard(id: number, reason?: string): Promise<void> {
    checkReason(reason);
    const { clock, events } = this.#options;
    const row = await this.#row(id);
    const error = reason ? `${row.last_error ?? ''} (discarded: ${reason})`.trim() : row.last_error;
    await this.#write(id, { kind: 'giveUp', id, error, at: clock.now() });
    events.emit('undeliveredDiscarded', { id, reason });
  }

  /** Changes the row, if it is still undelivered. */
  async #write(id: number, change: Change): Promise<void> {
    const outcome = await this.#options.engine.write({ also: [change] });
    if (outcome.result !== 'failed') return;
    throw outcome.error instanceof NothingToChangeError ? new UndeliveredNotFoundError(id) : outcome.error;
  }

  async #row(id: number): Promise<OutboxRow> {
    if (!Number.isSafeInteger(id) || id < 1)
      throw new InvalidArgumentError(`The id of an undelivered message is a whole number; this is ${id}.`);
    const row = await this.#options.store.undeliveredMessage(id);
    if (!row) throw new UndeliveredNotFoundError(id);
    return row;
  }
}

function described(row: OutboxRow): UndeliveredMessage {
  const payload = payloadOf(row.payload);
  const { participant_id: participantId, flow_type: flowType } = row;
  return {
    id: row.id,
    kind: row.kind,
    status: row.status as UndeliveredMessage['status'],
    from: participantId !== null && flowType !== null ? { participantId, flowType } : null,
    to: row.recipient,
    payload: payload && encode(payload, 'message').json,
    error: row.last_error,
    attempts: row.attempts,
    idempotencyKey: row.idempotency_key,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
