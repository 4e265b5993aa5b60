/**
 * The quarantine: actors whose row cannot be read, or whose logic kept throwing. Each is kept with its last good state and
 * takes no events, until an operator lets it go on or ends it.
 */
import { isStoredTimer, type StoredTimer } from '../actor/live-actor.ts';
import type { Engine } from '../engine/engine.ts';
import { ActorNotFoundError, type Address, formatAddress, InvalidArgumentError } from '../errors.ts';
import { type ActorStatus, addressOf, type QuarantinedRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { checkReason, type Page, pageOf } from './page.ts';

/** An actor that was put aside. */
export interface QuarantinedActor {
  /** For the next page. */
  id: number;
  address: Address;
  /** Its last good state, as a dotted path. */
  state: string;
  /** Why it was put aside. */
  error: string;
  /** When it was put aside, in ms since the epoch; where the journal is off, when it made its
   * last turn; NaN where the row does not say. */
  since: number;
  /** Counts what was written of it, from 1: its turns, retries and migrations. */
  version: number;
  /** The version of the flow by which it was last written. */
  flowVersion: number;
}

/** An actor that was put aside, with what is kept of it. */
export interface QuarantinedDetails extends QuarantinedActor {
  /** The snapshot's `value` and `context`, as JSON; `undefined` where the row cannot be read. */
  value: unknown;
  context: unknown;
  /** Its pending deadlines; they go on once it is retried. */
  timers: StoredTimer[];
  /** The raw `state_data`, where it, or a deadline in it, cannot be read. */
  stateData: string | undefined;
}

export interface QuarantineFilter extends Page {
  flowType?: string;
  participantId?: string;
}

export interface QuarantineOptions {
  engine: Engine;
  store: Store;
  /** Told when a phone number has lost its actor. */
  unbound: (phoneNumber: string) => void;
}

/** The actors that were put aside: lists, shows, retries and discards them. */
export class Quarantine {
  readonly #options: QuarantineOptions;

  /** @internal use `runtime.quarantine` */
  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  /** Who was put aside, with the reason, a page at a time. */
  async list({ flowType, participantId, ...page }: QuarantineFilter = {}): Promise<QuarantinedActor[]> {
    const rows = await this.#options.store.quarantined({ flowType, participantId }, pageOf(page));
    return rows.map(described);
  }

  /**
   * One that was put aside, with its last good state.
   * @throws {ActorNotFoundError}
   * @throws {InvalidArgumentError} it is not quarantined
   */
  async get(address: Address): Promise<QuarantinedDetails> {
    const row = await this.#options.store.actorWithLine(address);
    if (!row) throw new ActorNotFoundError(address);
    assertQuarantined(address, row.status);
    return { ...described(row), ...kept(row.state_data) };
  }

  /**
   * Lets it take events again, from its last good state, with its deadlines. Mend first what made it fail.
   * @throws {ActorNotFoundError}
   * @throws {InvalidArgumentError} it is not quarantined
   * @throws {SnapshotIncompatibleError} its row still cannot be restored; it stays quarantined
   */
  async retry(address: Address): Promise<void> {
    assertQuarantined(address, await this.#options.engine.retry(address));
  }

  /**
   * Ends it: it is `stopped`, its phone number is free, its row and history are kept.
   * @param reason kept in the row and the journal
   * @throws {ActorNotFoundError}
   * @throws {InvalidArgumentError} it is not quarantined
   */
  async discard(address: Address, reason?: string): Promise<void> {
    checkReason(reason);
    const { engine, unbound } = this.#options;
    const row = await engine.discard(address, reason, [{ kind: 'unbind', actor: address }]);
    assertQuarantined(address, row.status);
    if (row.address) unbound(row.address);
  }
}

function described(row: QuarantinedRow): QuarantinedActor {
  return {
    id: row.id,
    address: addressOf(row),
    state: row.current_state,
    error: row.last_error ?? '',
    since: row.journal_event === 'perdure.quarantined' ? row.journal_at! : Date.parse(row.updated_at),
    version: row.version,
    flowVersion: row.flow_version,
  };
}

/** What a row keeps, as far as it can be read. That the machine knows the state is not asked. */
function kept(stateData: string): Pick<QuarantinedDetails, 'value' | 'context' | 'timers' | 'stateData'> {
  try {
    const { snapshot, timers = [] } = JSON.parse(stateData);
    if (typeof snapshot === 'object' && snapshot !== null) {
      const { value, context } = snapshot;
      const sound = Array.isArray(timers) && timers.every(isStoredTimer);
      return { value, context, timers: sound ? timers : [], stateData: sound ? undefined : stateData };
    }
  } catch {
    // It is shown as it is.
  }
  return { value: undefined, context: undefined, timers: [], stateData };
}

function assertQuarantined(address: Address, status: ActorStatus): void {
  if (status === 'quarantined') return;
  throw new InvalidArgumentError(
    `The actor ${formatAddress(address)} is not quarantined; its status is '${status}'. There is nothing to do.`,
    { address },
  );
}
