import type { AnyMachineSnapshot } from 'xstate';
import type { FlowRecord } from '../flow.ts';

export type ParticipantStatus = 'active' | 'paused' | 'completed' | 'withdrawn';

/** Keeps the status in a participants table in step with the machine; null where it did not change. */
export function participation<S extends AnyMachineSnapshot>(
  table: string,
  participantId: string,
  before: S | undefined,
  after: S,
  at: number,
  isPaused: (snapshot: S) => boolean,
): FlowRecord | null {
  const statusOf = (snapshot: S): ParticipantStatus => {
    if (snapshot.hasTag('withdrawn')) return 'withdrawn';
    if (snapshot.status === 'done' || snapshot.hasTag('completed')) return 'completed';
    return isPaused(snapshot) ? 'paused' : 'active';
  };
  const status = statusOf(after);
  // A new participant's row is written as active in the same transaction.
  if (status === (before ? statusOf(before) : 'active')) return null;
  return { table, where: { id: participantId }, set: { status, updated_at: new Date(at).toISOString() } };
}
