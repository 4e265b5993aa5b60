/**
 * What is written beside a turn, or without one, as data: the runtime says what is to be so, and each database's store knows
 * how. A change is part of a commit, so that it is there with all of it or not at all.
 */
import { type Address, PerdureError } from '../errors.ts';
import type { ActorRow, OutboxRow } from './rows.ts';

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
