import type { AnyMachineSnapshot } from 'xstate';
import type { FlowRecord } from '../flow/flow.ts';

export type ParticipantStatus = 'active' | 'paused' | 'completed' | 'withdrawn';

export function statusOf(snapshot: AnyMachineSnapshot, isPaused: boolean): ParticipantStatus {
  // One that was stopped, by an operator or by its supervision, takes no part any more.
  if (snapshot.hasTag('withdrawn') || snapshot.status === 'stopped') return 'withdrawn';
  if (snapshot.status === 'done' || snapshot.hasTag('completed')) return 'completed';
  return isPaused ? 'paused' : 'active';
}

/**
 * Keeps a participant's row in step with the machine.
 * @param columnsOf what the row should say of a snapshot; only what changed is written
 */
export function participation<S extends AnyMachineSnapshot>(
  table: string,
  { participantId, before, after, at }: { participantId: string; before: S | undefined; after: S; at: number },
  columnsOf: (snapshot: S) => { status: ParticipantStatus; [column: string]: string | null },
): FlowRecord | null {
  if (!before) return null; // enrolment writes the row, in the same transaction
  const former = columnsOf(before);
  const changed = Object.entries(columnsOf(after)).filter(([column, value]) => former[column] !== value);
  if (changed.length === 0) return null;
  const set = { ...Object.fromEntries(changed), updated_at: new Date(at).toISOString() };
  return { table, where: { id: participantId }, set };
}
