/**
 * What Perdure needs of a database. `sqlite/` keeps these promises on SQLite; another database is a folder beside it, and has to pass
 * the same suite: test/store/conformance.ts.
 *
 * - **Turns are atomic.** What a {@link Commit} holds is written as a whole or not at all, and is durable once its outcome is
 *   `committed`. A group may share a transaction, but each of its commits has an outcome of its own.
 * - **Losers write nothing.** A commit whose row has another version by now, whose address or id is taken, or whose inbound message
 *   was applied before, loses: it is told so, and the others of its group stand.
 * - **A fault is a commit's or the database's.** An error that lies in one commit fails that one alone. A general one ({@link isGeneral})
 *   fails all of a group; each of them may be tried again. Where the answer of a COMMIT is lost, the outcome is `failed` with a general
 *   error, and the commit may have been written all the same: whoever needs to know asks (`load`, `isApplied`, `isUnsent`).
 * - **Ids rise, and are never given twice**, whatever was deleted since, also after a restart.
 * - **A list is read page by page**, behind the last row of the page before: no row that stays in the list is left out or comes twice,
 *   whatever is written meanwhile.
 * - **Values come back as they were written**: instants and deadlines to the last bit, text in Unicode, `null` as `null`.
 */
import type { Knex } from 'knex';
import { type Address, StoreError } from '../errors.ts';
import type { Kind } from '../flow/retention-periods.ts';
import type {
  ActorRow,
  ActorsOf,
  BoundRow,
  Claim,
  Commit,
  DueCursor,
  DuePlace,
  DueRow,
  FlowFigures,
  HandlerRow,
  InboxRow,
  JournalRow,
  LeasedRow,
  LetterRow,
  LetterStatus,
  OutboxRow,
  Outcome,
  PageAfter,
  QuarantinedRow,
  SaidRow,
  ShapeRow,
  TrafficFigures,
  VersionCount,
  WrittenRow,
} from './rows.ts';

/** Reasons that lie in the database as a whole: every commit of a group fails alike, and each may be tried again. */
const GENERAL = new Set<StoreError['reason']>(['busy', 'full', 'readonly', 'corrupt', 'io', 'timeout']);

/** Tells an error of the database as a whole from one that lies in what was to be written. */
export const isGeneral = (error: unknown): error is StoreError =>
  error instanceof StoreError && GENERAL.has(error.reason);

/** Tables whose rows get their ids from the store, before they are written. */
export type Sequence = 'flow_states' | 'inbox' | 'outbox_messages' | 'flow_journal';

/** Before which instant rows are too old: those of a flow, and of all others. In ms since the epoch, or -Infinity. */
export interface Cutoffs {
  flows: ReadonlyMap<string, number>;
  others: number;
}

/** What a step of pruning did. */
export interface Pruned {
  deleted: number;
  /** The last id that was looked at; `undefined`: what follows is too young. */
  last: number | undefined;
}

export interface Store {
  /** The application's handle on the same database. The runtime itself asks only through the calls below. */
  readonly knex: Knex;

  // Writing.

  /** Gives the next id of a table. */
  nextId(table: Sequence): number;
  /** The last id that was given. */
  lastId(table: Sequence): number;
  /** Writes a group of turns; the outcomes come in the order of the group. Never rejects: what fails is an outcome too. */
  commit(group: readonly Commit[]): Promise<Outcome[]>;
  /** The database's error as a general one; `undefined` where it lies in the statement, or is none of the database's. */
  general(error: unknown): StoreError | undefined;

  // A transaction that the application shares.

  /** Opens a transaction on a connection of its own. */
  begin(): Promise<Knex.Transaction>;
  /** The same tables, seen and written within a transaction that is open. */
  within(trx: Knex.Transaction): Store;
  /**
   * Takes the lock for writing now, so that nothing that the transaction ({@link within}) reads can change any more.
   * @param atMost how long it is waited for, in ms
   * @throws {StoreError} `busy`: another one kept it, or has written since the transaction began to read
   */
  lock(atMost?: number): Promise<void>;
  /**
   * Writes what one turn writes into the transaction that is open ({@link within}).
   * @throws where it cannot be written; then part of it may be, and the transaction must be rolled back
   */
  write(commit: Commit): Promise<void>;
  /**
   * Makes what the open transaction ({@link within}) wrote durable; it is ended with a commit or a rollback of nothing.
   * @throws {TransactionError} not all that was written is in it any more; nothing is committed
   */
  seal(): Promise<void>;

  // Actors.

  /** The rows of these actors, in their order; `undefined` of one that does not exist. */
  load(addresses: readonly Address[]): Promise<(ActorRow | undefined)[]>;
  /** Up to `limit` active actors whose earliest deadline is at or before `until`, in order of deadline. */
  due(until: number, after: DueCursor | undefined, limit: number): Promise<DueRow[]>;
  /** Up to `limit` active actors that have processes outside of turns (see actor/processes.ts), the oldest lease first. */
  leased(after: LeasedRow | undefined, limit: number): Promise<LeasedRow[]>;
  /** Up to `limit` of a participant's turns behind the line `after` (0: from the first one, or from the last one). */
  journal(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<JournalRow[]>;
  /** What was said in up to `limit` of a participant's turns in which anything was, behind the line `after`. */
  messages(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<SaidRow[]>;

  // Messages.

  /** Tells whether an inbound message was applied. */
  isApplied(message: Pick<InboxRow, 'channel' | 'message_id' | 'scope'>): Promise<boolean>;
  /** Up to `limit` messages that are not sent yet, by kind, recipient and id: those of recipients after `after`. */
  unsent(after: Pick<OutboxRow, 'kind' | 'recipient'> | undefined, limit: number): Promise<OutboxRow[]>;
  /** The first messages to a recipient that are not sent yet, in the order of their ids. */
  unsentOf(of: Pick<OutboxRow, 'kind' | 'recipient'>, limit: number): Promise<OutboxRow[]>;
  /** Tells whether a message was written, and not sent. */
  isUnsent(id: number): Promise<boolean>;
  /** The receivers for which events wait, as `flow/participant`. */
  awaited(): Promise<string[]>;
  /** The instant at which the first event has waited for too long for a receiver that does not exist. */
  nextExpiry(): Promise<number | null>;
  /** Of the awaited receivers, those that exist and are not in quarantine, or whose events have waited for too long at `now`. */
  wakeable(now: number): Promise<string[]>;
  /** When a person was last answered by no actor, in whichever form of their address; 0: never. */
  lastAnswer(forms: readonly string[]): Promise<number>;

  // Addresses of people.

  /** The claims to each of these addresses, which are given in all their forms; in no particular order. */
  claims(addresses: readonly (readonly string[])[]): Promise<Claim[][]>;
  /** Binds an address to an actor, unless another one of the flow that has not ended has it; tells whether it did. */
  bind(handler: HandlerRow): Promise<boolean>;
  /** The addresses of people who want no messages. */
  optOuts(): Promise<string[]>;
  /** Tells whether a person wants no messages, in whichever form of their address. */
  hasOptedOut(forms: readonly string[]): Promise<boolean>;

  // Operations.

  /** The flows of a participant's actors, in the order in which these began. */
  flowsOf(participantId: string): Promise<string[]>;
  /** Messages to people, whatever their status, in the order in which they were made. */
  outgoing(participantId: string | undefined, page: PageAfter): Promise<OutboxRow[]>;
  /** Texts of people that actors were told, the last first: up to `limit` before the line `before` of the journal (0: the last ones). */
  told(before: number, limit: number): Promise<WrittenRow[]>;
  /** Texts of people that were for no actor, the last first: up to `limit` before the mark `before` (0: the last ones). */
  untold(before: number, limit: number): Promise<WrittenRow[]>;
  traffic(): Promise<TrafficFigures>;
  /** Active actors that have deadlines, in the order of their first one: up to `limit` behind a place. */
  withDeadlines(of: ActorsOf, after: DuePlace | undefined, limit: number): Promise<ActorRow[]>;
  /** Actors in quarantine, in the order of their ids. */
  quarantined(of: ActorsOf, page: PageAfter): Promise<QuarantinedRow[]>;
  /** An actor's row, whatever its status, with its last line in the journal. */
  actorWithLine(address: Address): Promise<QuarantinedRow | undefined>;
  /** Events that could not be applied, in the order in which they were put aside. */
  deadLetters(of: ActorsOf & { status: LetterStatus | 'all' }, page: PageAfter): Promise<LetterRow[]>;
  deadLetter(id: number): Promise<LetterRow | undefined>;
  /** Messages and events that are `failed`, `held` or `waiting`, in the order in which they were made. */
  undelivered(of: ActorsOf & { status: OutboxRow['status'] | undefined }, page: PageAfter): Promise<OutboxRow[]>;
  /** One of the undelivered messages; `undefined`, too, where it is undelivered no more. */
  undeliveredMessage(id: number): Promise<OutboxRow | undefined>;
  /**
   * Deletes old rows that nothing needs any more, a step of a few ms at a time.
   * @param after the last id that was looked at; 0 at first
   */
  prune(kind: Kind, after: number, cutoffs: Cutoffs): Promise<Pruned>;

  // Recovery and evolution.

  /** Counts of each flow that has rows; no snapshot is read. `horizon` in ms from `now`. */
  figures(now: number, horizon: number): Promise<Map<string, FlowFigures>>;
  /**
   * A flow's rows in the order of their ids, each with who has its address.
   * @param which.participants the application's table of participants, if it has one
   */
  boundRows(
    flowType: string,
    after: number,
    limit: number,
    which: { participants?: string | undefined; participantId?: string | undefined },
  ): Promise<BoundRow[]>;
  /** A flow's active rows whose deadline is behind a place and before an instant, in the order of their deadlines. */
  dueBetween(flowType: string, after: DuePlace, until: number, limit: number): Promise<ActorRow[]>;
  /**
   * Participants in the application's table, active or paused, that have no actor of the flow, in the order of their ids.
   * @returns with another flow of theirs, if they have one
   */
  withoutActor(
    flowType: string,
    participants: string,
    after: string,
    limit: number,
  ): Promise<{ id: string; other: string | null }[]>;
  /** The first participants of a flow, in the order of their ids. */
  participantsOf(flowType: string, limit: number): Promise<string[]>;
  /** All actors in the order of their ids. */
  allRows(after: number, limit: number): Promise<ShapeRow[]>;
  countRows(): Promise<number>;
  /** A flow's active actors of other versions than this one, in the order of their ids. */
  ofOtherVersions(flowType: string, version: number, after: number, limit: number): Promise<ActorRow[]>;
  countOtherVersions(flowType: string, version: number): Promise<number>;
  /** A flow's active actors of newer versions, by version. */
  versionsAbove(flowType: string, version: number): Promise<VersionCount[]>;
  /** Tells whether a flow has active actors of a version. */
  hasActors(flowType: string, flowVersion: number): Promise<boolean>;

  // Settings.

  /** The settings whose keys begin so, as JSON. */
  settings(prefix: string): Promise<{ key: string; value: string }[]>;
  setting<T>(key: string): Promise<T | undefined>;
  saveSetting(key: string, value: unknown): Promise<void>;
}
