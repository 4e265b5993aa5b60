/**
 * Dead letters: events that made an actor's logic throw and were put aside, so that the actor could go on. Once the logic
 * was mended, an operator applies one after all, or gives it up.
 *
 * A retry is one turn of the actor, in whose transaction the letter is marked `retried`: whoever presses twice, and
 * whenever the process dies, the event is applied once.
 */
import type { AnyEventObject } from 'xstate';
import { encode, parse } from '../actor/codec.ts';
import { describeState } from '../actor/state.ts';
import { type Clock, formatInstant } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import {
  ActorNotFoundError,
  type Address,
  DeadLetterNotFoundError,
  formatAddress,
  InvalidArgumentError,
  type PerdureError,
  StoreError,
  TurnFailedError,
} from '../errors.ts';
import type { EventChannel } from '../events.ts';
import { eventFor, type InboundMessage, replyOf } from '../flow/flow.ts';
import { sentence } from '../sentence.ts';
import {
  addressOf,
  type Change,
  type DeadLetterRow,
  type LetterRow,
  type LetterStatus,
  NothingToChangeError,
} from '../store/rows.ts';
import { isGeneral, type Store } from '../store/store.ts';
import { checkReason, type Page, pageOf } from './page.ts';

/** An event that could not be applied. */
export interface DeadLetter {
  id: number;
  address: Address;
  /** `message`: from a person; `deadline`; `result`: of an invocation; `event`: any other. */
  kind: DeadLetterRow['kind'];
  /** The message as it came in, or the event, in JSON. */
  event: unknown;
  /** The session id of the child that it was for; null for the actor itself. */
  target: string | null;
  error: string;
  /** When it was put aside, and when it was retried or discarded, in ms since the epoch. */
  at: number;
  status: LetterStatus;
  resolvedAt: number | null;
}

export interface DeadLetterFilter extends Page {
  /** Default: `'open'`. */
  status?: LetterStatus | 'all';
  flowType?: string;
  participantId?: string;
}

/** What became of a letter that was retried. */
export interface RetriedLetter {
  /** The logic had a transition for it, in the state that it met. */
  handled: boolean;
  /** Where the actor stands now, as a dotted path. */
  state: string;
}

export interface DeadLettersOptions {
  engine: Engine;
  store: Store;
  clock: Clock;
  events: EventChannel;
}

const STATUSES = ['open', 'retried', 'discarded', 'all'];

/** The events that could not be applied: lists, shows, retries and discards them. */
export class DeadLetters {
  readonly #options: DeadLettersOptions;

  /** @internal use `runtime.deadLetters` */
  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /** The letters, in the order in which they were put aside, a page at a time. */
  async list({ status = 'open', flowType, participantId, ...page }: DeadLetterFilter = {}): Promise<DeadLetter[]> {
    if (!STATUSES.includes(status))
      throw new InvalidArgumentError(`The status '${status}' is not known. It is one of ${STATUSES.join(', ')}.`);
    const rows = await this.#options.store.deadLetters({ status, flowType, participantId }, pageOf(page));
    return rows.map(described);
  }

  /** @throws {DeadLetterNotFoundError} */
  async get(id: number): Promise<DeadLetter> {
    return described(await this.#row(id));
  }

  /**
   * Applies it after all, in the state in which the actor is now; resolves once that has committed. A message goes through
   * the flow's `receive` again.
   * @throws {DeadLetterNotFoundError}
   * @throws {InvalidArgumentError} it was retried or discarded before, its actor has ended, or it cannot be read
   * @throws {TurnFailedError} the logic threw again; the letter stays open, with the new error, as after any failure of the turn itself
   * @throws {ActorQuarantinedError | StoreError}
   */
  async retry(id: number): Promise<RetriedLetter> {
    const row = await this.#row(id);
    assertOpen(row);
    const address = addressOf(row);
    await this.#assertActive(row);
    const { engine, events } = this.#options;
    const { message, event } = eventIn(row);
    try {
      const { handled, snapshot } = await engine.post(address, {
        stimulus: { kind: 'event', event, ...(row.target !== null && { sessionId: row.target }) },
        ...(message && { prepare: (snapshot, flow) => eventFor(flow, message, snapshot) }),
        also: [this.#resolved(id, { status: 'retried' })],
        note: `dead letter ${id}, retried`,
      });
      events.emit('deadLetterRetried', { address, id });
      return { handled, state: describeState(snapshot) };
    } catch (cause) {
      if (cause instanceof NothingToChangeError) assertOpen(await this.#row(id));
      const error = TurnFailedError.of(address, event.type, cause);
      if (isOfTheTurn(error)) await this.#failedAgain(id, error);
      throw error;
    }
  }

  /**
   * Gives it up; it is kept.
   * @param reason kept beside the error
   * @throws {DeadLetterNotFoundError}
   * @throws {InvalidArgumentError} it was retried or discarded before
   */
  async discard(id: number, reason?: string): Promise<void> {
    checkReason(reason);
    const row = await this.#row(id);
    assertOpen(row);
    const error = reason ? `${row.error} (discarded: ${reason})` : row.error;
    const outcome = await this.#options.engine.write({ also: [this.#resolved(id, { status: 'discarded', error })] });
    if (outcome.result === 'failed') {
      if (outcome.error instanceof NothingToChangeError) assertOpen(await this.#row(id));
      throw outcome.error;
    }
    this.#options.events.emit('deadLetterDiscarded', { address: addressOf(row), id, reason });
  }

  /** Marks a letter that is still open. */
  #resolved(id: number, set: { status: 'retried' | 'discarded'; error?: string }): Change {
    return { kind: 'letter', id, set: { ...set, resolved_at: this.#options.clock.now() } };
  }

  async #failedAgain(id: number, { message }: Error): Promise<void> {
    const outcome = await this.#options.engine.write({ also: [{ kind: 'letter', id, set: { error: message } }] });
    if (outcome.result === 'failed' && !(outcome.error instanceof NothingToChangeError)) throw outcome.error;
  }

  async #assertActive(row: LetterRow): Promise<void> {
    const address = addressOf(row);
    const [actor] = await this.#options.store.load([address]);
    if (!actor) throw new ActorNotFoundError(address);
    if (actor.status === 'active' || actor.status === 'quarantined') return; // the engine says what is to be done
    throw new InvalidArgumentError(
      `The actor ${formatAddress(address)} has ended ('${actor.status}') and takes no events. Discard the dead letter.`,
      { address },
    );
  }

  async #row(id: number): Promise<LetterRow> {
    if (!Number.isSafeInteger(id) || id < 1)
      throw new InvalidArgumentError(`The id of a dead letter is a whole number; this is ${id}.`);
    const row = await this.#options.store.deadLetter(id);
    if (!row) throw new DeadLetterNotFoundError(id);
    return row;
  }
}

const OF_THE_TURN = ['TURN_FAILED', 'NOT_SERIALIZABLE', 'INVALID_ARGUMENT', 'UNSUPPORTED_LOGIC'];

/** Whether the turn failed for its own sake: it threw, or the database refused its rows. */
const isOfTheTurn = (error: PerdureError): boolean =>
  error instanceof StoreError ? !isGeneral(error) : OF_THE_TURN.includes(error.code);

function described(row: LetterRow): DeadLetter {
  const { id, kind, target, error, at, status, resolved_at } = row;
  return {
    id,
    address: addressOf(row),
    kind,
    event: readable(row.event),
    target,
    error,
    at,
    status,
    resolvedAt: resolved_at,
  };
}

/** @throws {InvalidArgumentError} it cannot be read */
function eventIn(row: LetterRow): { message?: InboundMessage; event: AnyEventObject } {
  let why = 'it is no event';
  try {
    const stored = parse(row.event) as any;
    if (row.kind === 'message' && typeof stored?.text === 'string') return { message: stored, event: replyOf(stored) };
    if (row.kind !== 'message' && typeof stored?.type === 'string') return { event: stored };
  } catch (error) {
    why = (error as Error).message;
  }
  throw new InvalidArgumentError(
    `The event of the dead letter ${row.id} cannot be read: ${sentence(why)} Mend it in dead_letters, or discard it.`,
    { address: addressOf(row) },
  );
}

/** The event as JSON can show it. */
function readable(text: string): unknown {
  try {
    return encode(parse(text), 'event').json;
  } catch {
    return text;
  }
}

function assertOpen(row: LetterRow): void {
  if (row.status === 'open') return;
  throw new InvalidArgumentError(
    `The dead letter ${row.id} was ${row.status} before, at ${formatInstant(row.resolved_at ?? 0)}. Only an open one can be retried or discarded.`,
    { address: addressOf(row) },
  );
}
