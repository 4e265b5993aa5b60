import { sentence } from './sentence.ts';
import { errorOf } from './thrown.ts';

/** The address of an actor: which flow, which participant. */
export interface Address {
  flowType: string;
  participantId: string;
}

/** An address as people write it: `flow_type/participant_id`. */
export const formatAddress = ({ flowType, participantId }: Address) => `${flowType}/${participantId}`;

/**
 * The base of all errors that Perdure throws. `code` is stable across releases; `message` says what happened, to whom,
 * and what to do; `address` names the actor, where there is one.
 */
export abstract class PerdureError extends Error {
  abstract readonly code: string;
  readonly address?: Address;

  constructor(message: string, options: { address?: Address; cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    if (options.address) this.address = options.address;
  }
}

/** A flow definition, a runtime option or an argument that cannot be used. */
export class InvalidArgumentError extends PerdureError {
  readonly code = 'INVALID_ARGUMENT';
}

/** Logic that cannot be made durable as it is written; the message says what to write instead. */
export class UnsupportedLogicError extends PerdureError {
  readonly code = 'UNSUPPORTED_LOGIC';
}

/** No flow of this type was given to `createRuntime({ flows })`. */
export class UnknownFlowError extends PerdureError {
  readonly code = 'UNKNOWN_FLOW';
}

/** There is no actor at this address: spawn it first. */
export class ActorNotFoundError extends PerdureError {
  readonly code = 'ACTOR_NOT_FOUND';
  constructor(address: Address) {
    super(`There is no actor ${formatAddress(address)}. Spawn it first, or check the participant's id.`, { address });
  }
}

/** There is already an actor at this address. */
export class ActorExistsError extends PerdureError {
  readonly code = 'ACTOR_EXISTS';
  constructor(address: Address) {
    super(
      `The actor ${formatAddress(address)} exists already. Send it events with runtime.actor(), get it with runtime.ensure(), or use another id.`,
      {
        address,
      },
    );
  }
}

/** The actor has ended, or was removed: it takes no event of another actor, or did not come where somebody waits for it (`waitFor`). */
export class ActorEndedError extends PerdureError {
  readonly code = 'ACTOR_ENDED';
}

/** The actor failed repeatedly or its row is bad; its last good snapshot is kept and it takes no events. */
export class ActorQuarantinedError extends PerdureError {
  readonly code = 'ACTOR_QUARANTINED';
}

/** There is no undelivered message of this id. */
export class UndeliveredNotFoundError extends PerdureError {
  readonly code = 'UNDELIVERED_NOT_FOUND';
  constructor(id: number) {
    super(`There is no undelivered message ${id}. List them to see which there are: it may have been sent meanwhile.`);
  }
}

/** There is no dead letter of this id. */
export class DeadLetterNotFoundError extends PerdureError {
  readonly code = 'DEAD_LETTER_NOT_FOUND';
  constructor(id: number) {
    super(`There is no dead letter ${id}. List them to see which there are.`);
  }
}

/**
 * The event made the actor's logic throw, or the flow's `receive`, `record`, `project`, `note` or `overdue`: `cause` is what
 * they threw. The turn was undone: the actor is as it was before the event.
 */
export class TurnFailedError extends PerdureError {
  readonly code = 'TURN_FAILED';

  /** What a turn threw, as an error that names the actor and the event. One of Perdure's own stays as it is. */
  static of(address: Address, event: string, cause: unknown): PerdureError {
    if (cause instanceof PerdureError) return cause;
    return new TurnFailedError(
      `The event '${event}' made ${formatAddress(address)} throw: ${sentence(errorOf(cause).message)} The turn was undone; the actor is as it was before.`,
      { address, cause },
    );
  }
}

/** A value that cannot be stored without loss: a function, a socket, a class instance. `path` says where it is. */
export class NotSerializableError extends PerdureError {
  readonly code = 'NOT_SERIALIZABLE';
  readonly path: string;
  readonly #what: string;

  constructor(path: string, what: string, options: { address?: Address } = {}) {
    const where = path.replace(/^\./, '');
    const whose = options.address ? ` of ${formatAddress(options.address)}` : '';
    super(
      `${where}${whose} is ${what}, which cannot be stored. Keep plain data there (JSON, Date, Map, Set, BigInt, Error, …).`,
      options,
    );
    this.path = where;
    this.#what = what;
  }

  /** The same error, with the actor that it is about. */
  at(address: Address): NotSerializableError {
    return new NotSerializableError(this.path, this.#what, { address });
  }
}

/** A stored snapshot that is not readable, or does not fit the flow's machine. */
export class SnapshotIncompatibleError extends PerdureError {
  readonly code: 'SNAPSHOT_INCOMPATIBLE' | 'SNAPSHOT_NEWER' = 'SNAPSHOT_INCOMPATIBLE';
  /** What does not fit, apart from whose it is. */
  readonly misfits: readonly Misfit[];
  constructor(message: string, options: { address?: Address; cause?: unknown; misfits?: readonly Misfit[] } = {}) {
    super(message, options);
    this.misfits = options.misfits ?? [];
  }
}

/**
 * A stored snapshot of a newer version of its flow than any that is registered. The actor stays asleep, as it is: its deadlines
 * wait, and it takes no events, until the release that wrote it runs again.
 */
export class SnapshotNewerError extends SnapshotIncompatibleError {
  override readonly code = 'SNAPSHOT_NEWER';
}

/** The database has actors of a newer version of a flow than any that is registered, and `recovery.newer` says `refuse`. */
export class NewerFlowError extends PerdureError {
  readonly code = 'NEWER_FLOW';
}

/** A golden snapshot does not go on under the present flow, is missing, or was changed by hand; the message names the file. */
export class GoldenSnapshotError extends PerdureError {
  readonly code = 'GOLDEN_SNAPSHOT';
}

/** Something in a stored actor that does not fit its flow. `reason` names no participant, so that like ones can be counted. */
export interface Misfit {
  kind: 'unreadable' | 'state' | 'child' | 'invocation' | 'deadline' | 'context' | 'migration' | 'restore';
  reason: string;
}

/** A phone number that cannot be one. */
export class InvalidPhoneNumberError extends PerdureError {
  readonly code = 'INVALID_PHONE_NUMBER';
}

/** The phone number belongs to another active participant of this flow. */
export class PhoneNumberTakenError extends PerdureError {
  readonly code = 'PHONE_NUMBER_TAKEN';
}

/** An inbound message that lacks its channel, id or sender. */
export class InvalidMessageError extends PerdureError {
  readonly code = 'INVALID_MESSAGE';
}

/**
 * The database refused to open, read or write; the turn in question was not committed, unless the message says that this is
 * not known. With the reasons `busy`, `full`, `readonly`, `corrupt`, `io` and `timeout` (it did not answer in time) the
 * database as a whole is at fault: try again later. With `constraint` and `unknown` it is what was to be written.
 */
export class StoreError extends PerdureError {
  readonly code = 'STORE_ERROR';
  readonly reason: 'busy' | 'full' | 'readonly' | 'corrupt' | 'io' | 'timeout' | 'constraint' | 'unknown';
  constructor(reason: StoreError['reason'], message: string, options: { address?: Address; cause?: unknown } = {}) {
    super(message, options);
    this.reason = reason;
  }
}

/** A component that recovers called a service that no callback is registered for. */
export class RecoveryServiceMissingError extends PerdureError {
  readonly code = 'RECOVERY_SERVICE_MISSING';
}

/** The database was written by a newer Perdure than this one. */
export class NewerDatabaseError extends PerdureError {
  readonly code = 'NEWER_DATABASE';
}

/** Another process runs on this SQLite file. `pid` is its process id, where it is known. */
export class DatabaseInUseError extends PerdureError {
  readonly code = 'DATABASE_IN_USE';
  readonly pid: number | undefined;
  constructor(message: string, pid: number | undefined) {
    super(message);
    this.pid = pid;
  }
}

/** A machine that no file can hold as a whole; `findings` says where and why. */
export class MachineNotExportableError extends PerdureError {
  readonly code = 'MACHINE_NOT_EXPORTABLE';
  readonly findings: readonly { path: string; problem: string }[];
  constructor(id: string, findings: readonly { path: string; problem: string }[]) {
    super(
      `The machine '${id}' cannot be exported whole:\n${findings.map(({ path, problem }) => `- ${path}: ${problem}`).join('\n')}`,
    );
    this.findings = findings;
  }
}

/**
 * A part of Perdure needs packages that are not installed, or only in an older version; the message has the line that installs
 * them, `packages` names them.
 */
export class PackageMissingError extends PerdureError {
  readonly code = 'PACKAGE_MISSING';
  /** Each with its range of versions, e.g. `'ws@^8.23.0'`. */
  readonly packages: readonly string[];
  constructor(part: string, packages: readonly { name: string; range: string; version?: string | undefined }[]) {
    const listed = packages.map(({ name, version }) => (version ? `${name} (${version} is too old)` : name));
    const ranged = packages.map(({ name, range }) => `${name}@${range}`);
    const quoted = ranged.map((each) => `"${each}"`); // a caret, or a greater-than sign, means something to some shells
    super(`${part} needs what is not installed: ${listed.join(', ')}. Install it with npm install ${quoted.join(' ')}`);
    this.packages = ranged;
  }
}

/** A file that `adopt` cannot take over; it was not changed. */
export class NotAdoptableError extends PerdureError {
  readonly code = 'NOT_ADOPTABLE';
  readonly file: string;
  constructor(file: string, why: string, options: { cause?: unknown } = {}) {
    super(`${file} ${why} Nothing was changed.`, options);
    this.file = file;
  }
}

/** The runtime is not running: it was not started yet, or is stopping. */
export class NotRunningError extends PerdureError {
  readonly code = 'NOT_RUNNING';
}

/** What belongs to a transaction was asked of the runtime, or the other way round, or after its end. */
export class TransactionError extends PerdureError {
  readonly code = 'TRANSACTION';
}

/** `waitFor` gave up, or a transaction took too long and was rolled back. */
export class TimeoutError extends PerdureError {
  readonly code = 'TIMEOUT';
}

/** An attempt of an invocation took longer than its policy allows. */
export class InvocationTimeoutError extends PerdureError {
  readonly code = 'INVOCATION_TIMEOUT';
}

/** Throw it in an invoked promise where another attempt is no help: the failure goes to `onError` at once. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError';
}
