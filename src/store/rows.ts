/** What the tables hold, as the code above the store sees it. Instants are ms since the epoch. */
import { type Address, PerdureError } from '../errors.ts';

/** `active` takes events; `done`, `error` and `stopped` have ended; `quarantined` was put aside until an operator decides. */
export type ActorStatus = 'active' | 'done' | 'error' | 'stopped' | 'quarantined';

export const isEnded = (status: ActorStatus): status is 'done' | 'error' | 'stopped' =>
  status === 'done' || status === 'error' || status === 'stopped';

/** A row of `flow_states`. */
export interface ActorRow {
  id: number;
  participant_id: string;
  flow_type: string;
  current_state: string;
  state_data: string;
  created_at: string;
  updated_at: string;
  version: number;
  flow_version: number;
  status: ActorStatus;
  next_due_at: number | null;
  lease_until: number | null;
  last_error: string | null;
  address: string | null;
  /** The actor's last line in the journal. */
  journal_id: number | null;
}

/** Whose row it is. */
export const addressOf = ({ flow_type, participant_id }: Pick<ActorRow, 'flow_type' | 'participant_id'>): Address => ({
  flowType: flow_type,
  participantId: participant_id,
});

/**
 * Tells one life of an actor from every other one: at its own address, since a row's id is never given twice, and in a database
 * that is begun anew, by the instant. Idempotency keys and session ids are made with it.
 */
export const lifeOf = ({ id, created_at }: Pick<ActorRow, 'id' | 'created_at'>): string =>
  `${id}.${Date.parse(created_at).toString(36)}`;

/** An actor that has a deadline. */
export type DueRow = Pick<ActorRow, 'id' | 'participant_id' | 'flow_type' | 'flow_version'> & { next_due_at: number };

/** Behind which actor the next page of those with deadlines begins. */
export type DueCursor = Pick<DueRow, 'next_due_at' | 'flow_type' | 'id'>;

/** An actor that has processes outside of turns. */
export type LeasedRow = Pick<ActorRow, 'id' | 'participant_id' | 'flow_type' | 'flow_version'> & {
  lease_until: number;
};

/** What a turn changes in its actor's row; applied only if the row still has `version - 1`. */
export type ActorUpdate = Pick<
  ActorRow,
  | 'id'
  | 'version'
  | 'current_state'
  | 'state_data'
  | 'updated_at'
  | 'flow_version'
  | 'status'
  | 'next_due_at'
  | 'lease_until'
  | 'last_error'
  | 'journal_id'
>;

/** That an inbound message was applied. */
export interface InboxRow {
  id: number;
  channel: string;
  message_id: string;
  /** Whose ids these are: a digest of the sender's address, so that it is not kept; `''`, where the runtime gave the id. */
  scope: string;
  applied_at: number;
  /** Only of a message that reached no actor; otherwise it is in the journal. */
  sender: string | null;
  text: string | null;
}

/**
 * pending → sending (handed to the transport) → sent | failed; `held` when it may have been sent before a crash and the
 * flow's policy is to hold; `cancelled` when the recipient opted out, or an operator gave it up. Of an event for another actor:
 * `waiting` until that takes events again; `dead` when it became a dead letter.
 */
export type OutboxStatus = 'pending' | 'sending' | 'sent' | 'failed' | 'held' | 'cancelled' | 'waiting' | 'dead';

export interface OutboxRow {
  id: number;
  participant_id: string | null;
  flow_type: string | null;
  recipient: string;
  /** `message` goes to the transport, `event` to another actor of this runtime. */
  kind: 'message' | 'event';
  payload: string;
  status: OutboxStatus;
  attempts: number;
  next_attempt_at: number | null;
  idempotency_key: string;
  last_error: string | null;
  created_at: number;
  updated_at: number;
  /** How many of the attempts were made before an operator had it sent again; only of rows that were read. */
  attempts_before?: number;
}

export type OutboxMark = Pick<
  OutboxRow,
  'id' | 'status' | 'attempts' | 'next_attempt_at' | 'last_error' | 'updated_at'
>;

export interface JournalRow {
  id: number;
  /** The line of the actor's turn before. */
  previous_id: number | null;
  participant_id: string;
  flow_type: string;
  version: number;
  event_type: string;
  from_state: string | null;
  to_state: string;
  at: number;
  /** The deadline that fired; `at - due_at` is how late it was. */
  due_at: number | null;
  /** The message that the turn applied, and what the person wrote. */
  inbox_id: number | null;
  text: string | null;
  /** The first of the messages that the turn sent; their ids follow one another. */
  outbox_id: number | null;
  outbox_count: number;
  note: string | null;
}

/** What a line has of a turn, where it is about none: no deadline fired, and nothing was said. */
export const NO_TURN = { due_at: null, inbox_id: null, text: null, outbox_id: null, outbox_count: 0 } as const;

export interface HandlerRow {
  phone_number: string;
  flow_type: string;
  participant_id: string;
  handler_type: string;
  bound_at: number;
  expires_at: number;
}

/** That an actor claims an address: it is bound to it, or it has not ended and has it in its row. */
export interface Claim extends Pick<ActorRow, 'participant_id' | 'flow_type' | 'status' | 'updated_at'> {
  phone_number: string;
  /** When the address was bound to it, in its first turn or in its last one; null: it is not. */
  bound_at: number | null;
  /** Until when it leads to it, once it has ended. */
  expires_at: number | null;
  /** The address is the one in its row. */
  own: boolean;
}

/** An event that could not be applied, as it is put aside. */
export interface DeadLetterRow {
  participant_id: string;
  flow_type: string;
  /** 'message': from a person, as it came in; 'deadline'; 'result': of an invocation; 'event': any other. */
  kind: 'event' | 'message' | 'deadline' | 'result';
  /** The session id of the child that it was for; null for the actor itself. */
  target: string | null;
  event: string;
  error: string;
  at: number;
}

export type LetterStatus = 'open' | 'retried' | 'discarded';

/** An event that could not be applied, as it is kept. */
export interface LetterRow extends DeadLetterRow {
  id: number;
  status: LetterStatus;
  resolved_at: number | null;
}

/** A text that a person wrote, as a log has it. `id` is the log's own. */
export interface WrittenRow {
  id: number;
  at: number;
  from: string | null;
  participant: string | null;
  channel: string | null;
  text: string;
}

/** Counts of what went in and out, and of what waits for an operator. */
export interface TrafficFigures {
  /** Texts that people wrote. */
  messagesIn: number;
  /** Messages to people, by status. */
  messagesOut: Partial<Record<OutboxStatus, number>>;
  quarantined: number;
  /** Dead letters that are open. */
  deadLetters: number;
}

/** All actors, or those of a flow, of a participant, or both. */
export interface ActorsOf {
  flowType?: string | undefined;
  participantId?: string | undefined;
}

/** A part of a list in the order of ids: up to `limit` rows behind the id `after`. */
export interface PageAfter {
  limit: number;
  after: number;
}

/** An actor's row with its last line in the journal; null: the journal is off. */
export type QuarantinedRow = ActorRow & { journal_event: string | null; journal_at: number | null };

/** A row, and who its address is bound to until when, and whether it is enrolled; null: nobody, never, no. */
export type BoundRow = ActorRow & {
  bound_to: string | null;
  bound_until: number | null;
  /** Of who has the address, where that is another one. */
  bound_status: ActorRow['status'] | null;
  enrolled: string | null;
};

/** Behind which deadline, and which row of that instant, a page begins. */
export interface DuePlace {
  at: number;
  id: number;
}

/** What of a row tells whether another machine could restore it. */
export type ShapeRow = Pick<
  ActorRow,
  'id' | 'participant_id' | 'flow_type' | 'current_state' | 'state_data' | 'flow_version' | 'status' | 'updated_at'
>;

/** How many active actors are of a version. */
export interface VersionCount {
  version: number;
  actors: number;
}

/** What is counted of a flow. */
export interface FlowFigures {
  actors: number;
  quarantined: number;
  /** Deadlines before now, up to the horizon, and after it. */
  deadlines: { overdue: number; armed: number; beyond: number };
  /** Actors that have processes outside of turns. */
  leased: number;
  unsent: number;
  handlers: { bound: number; expired: number };
}

/** All that one turn writes: together, or not at all. */
export interface Commit {
  insert?: ActorRow;
  update?: ActorUpdate;
  inbound?: InboxRow;
  outbox?: OutboxRow[];
  journal?: JournalRow;
  handlers?: HandlerRow[];
  /** Rows to add to the flow's own tables, or columns to set in them. */
  records?: (
    | { table: string; row: Record<string, unknown> }
    | { table: string; where: Record<string, unknown>; set: Record<string, unknown> }
  )[];
  deadLetter?: DeadLetterRow;
  marks?: OutboxMark[];
  /** What else is to be changed, in this order. A commit with these is a transaction of its own. */
  also?: readonly Change[];
}

/**
 * What became of a commit. `conflict`: the row has another version (or, for an insert, exists already). `duplicate`: the
 * inbound message was applied before. In all cases but `committed` nothing of it was written.
 */
export type Outcome =
  | { result: 'committed' }
  | { result: 'conflict' }
  | { result: 'duplicate' }
  | { result: 'failed'; error: Error };

/** What was said, in either direction. */
export interface SaidRow {
  /** The turn's line of the journal. */
  line: number;
  at: number;
  direction: 'in' | 'out';
  /** The channel's id of a message from the person (unknown once its mark was pruned), or the id of the outbox row. */
  id: string | number | null;
  channel: string | null;
  /** The person's text, or the emitted event as text. */
  payload: string;
  recipient: string | null;
  status: OutboxStatus | null;
}

/** A process that serves a database over HTTP. */
export interface Server {
  pid: number;
  url: string;
}

/** Where it is kept in `runtime_settings`, as JSON. */
export const SERVER_SETTING = 'server';

/**
 * A write beside a turn, or without one, as data: the runtime says what is to be so, and each database's store knows how. A
 * change is part of a commit, so that it is there with all of it or not at all.
 */
export type Change =
  /** Sets columns of an actor's row that has this version; where it has another one, the commit loses with `conflict`. */
  | { kind: 'rewrite'; id: number; version: number; set: Partial<ActorRow> }
  /** Keeps results beside an actor's snapshot. `results` is a JSON array. */
  | { kind: 'keepResults'; id: number; results: string }
  /** Lets all unsent events for a receiver wait; for as long as `patience` says, in ms from when each was made. */
  | { kind: 'letWait'; recipient: string; patience: number | null; error: string; at: number }
  /** Puts the events that wait for a receiver among the unsent again. */
  | { kind: 'takeUp'; recipient: string }
  /** Keeps that a person wants no messages, in whichever of the forms of their address, and cancels what is not sent yet. */
  | { kind: 'optOut'; forms: readonly string[]; address: string; source: string; at: number }
  | { kind: 'optIn'; forms: readonly string[] }
  /** Binds no address to the actor any more. */
  | { kind: 'unbind'; actor: Address }
  /**
   * Deletes what is kept of an actor, but the marks of its messages; cancels the events that others have sent it.
   * `left`: only what is left of one that has no row; nothing where it has one.
   */
  | { kind: 'erase'; actor: Address; left?: true }
  /** Changes an open dead letter. Fails with {@link NothingToChangeError} where it is open no more. */
  | { kind: 'letter'; id: number; set: { status?: 'retried' | 'discarded'; error?: string; resolved_at?: number } }
  /** Has an undelivered message sent again; fails with {@link NothingToChangeError} where it is undelivered no more. */
  | { kind: 'resend'; id: number; of: OutboxRow['kind']; at: number; unlessOptedOut: readonly string[] }
  /** Cancels an undelivered message; fails with {@link NothingToChangeError} where it is undelivered no more. */
  | { kind: 'giveUp'; id: number; error: string | null; at: number }
  | { kind: 'setting'; key: string; value: unknown };

/** A change found nothing that it could change: somebody else was faster. Nothing of its commit was written. */
export class NothingToChangeError extends PerdureError {
  readonly code = 'NOTHING_TO_CHANGE';
  constructor({ kind }: Change) {
    super(`What was to be changed (${kind}) is not there any more, or is decided on already. Nothing was written.`);
  }
}
