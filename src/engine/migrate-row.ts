/**
 * Leads a row to the version of its flow in which it goes on. A row is taken as it is, or led through `migrate`, step by
 * step; what comes out is looked at before anything is restored from it. What does not fit is an error that says all of it:
 * nothing is guessed, and the row stays as it is.
 */
import { decodeState, encodeState } from '../actor/codec.ts';
import { misfitsOf } from '../actor/fit.ts';
import { keepPending } from '../actor/keep-pending.ts';
import { type StoredTimer, sessionIdOf } from '../actor/live-actor.ts';
import { type MigratingTimer, toMigrating, toStored } from '../actor/migrating-timers.ts';
import {
  formatAddress,
  type Misfit,
  NotSerializableError,
  SnapshotIncompatibleError,
  SnapshotNewerError,
  UnknownFlowError,
} from '../errors.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { FlowVersions } from '../flow/versions.ts';
import { type ActorRow, addressOf } from '../store/rows.ts';
import { errorOf } from '../thrown.ts';

export type MigratedRow = Pick<ActorRow, 'state_data' | 'flow_version' | 'flow_type' | 'participant_id' | 'updated_at'>;

export interface Migrated {
  /** The version in which the actor goes on. */
  flow: AnyFlow;
  /** Its `state_data` in the form of that version. */
  text: string;
  /** It is of another form than the row's. */
  changed: boolean;
}

/**
 * @param at the present instant, for the migration
 * @throws {SnapshotIncompatibleError} a step is missing or throws, or what it gives does not fit
 * @throws {SnapshotNewerError} the row is of a newer version than any that is registered
 * @throws {UnknownFlowError} no version of the flow is registered
 */
export function migrateRow(versions: FlowVersions | undefined, row: MigratedRow, at: number): Migrated {
  const address = addressOf(row);
  if (!versions)
    throw new UnknownFlowError(`There is no flow '${row.flow_type}'. Give it to createRuntime({ flows }).`, {
      address,
    });
  const { newest } = versions;
  const refuse = (misfits: Misfit[], cause?: unknown) => {
    const Refused = versions.isOlderThan(row) ? SnapshotNewerError : SnapshotIncompatibleError;
    return new Refused(
      `The snapshot of ${formatAddress(address)} is of version ${row.flow_version}, the flow of version ${newest.version}: ${misfits.map(({ reason }) => reason).join('; ')}.`,
      { address, cause, misfits },
    );
  };
  const { flow, why } = versions.from(row.flow_version);
  if (!flow) throw refuse([{ kind: 'migration', reason: why }]);
  if (flow.version === row.flow_version) return { flow, text: row.state_data, changed: false };
  let stored: any;
  try {
    stored = decodeState(row.state_data);
  } catch (cause) {
    const reason = `state_data is not readable (${(cause as Error).message})`;
    throw refuse([{ kind: 'unreadable', reason }], cause);
  }
  const before = { snapshot: stored.snapshot, timers: (stored.timers ?? []) as StoredTimer[] };
  let last = row.flow_version;
  try {
    let timers = toMigrating(flow.logic, before.timers);
    for (; last < flow.version; last++) {
      const actor = { participantId: row.participant_id, timers, at, updatedAt: Date.parse(row.updated_at) };
      const result = flow.migrate![last]!(stored.snapshot, actor);
      ({ snapshot: stored.snapshot, timers } = understood(result, timers));
    }
    last--;
    const { waived, timers: given } = declared(flow, timers);
    const pending = keepPending(flow.logic, before, { snapshot: stored.snapshot, timers: given }, waived);
    complete(stored);
    delete stored.timers;
    if (pending.length > 0) stored.timers = pending;
    const options = { formers: versions.shapesOf(row.flow_version), context: flow.context, waived };
    const misfits = misfitsOf(flow.logic, stored, options);
    if (misfits.length > 0)
      throw refuse(misfits.map(({ kind, reason }) => ({ kind, reason: `after migrate[${last}], ${reason}` })));
    return { flow, text: encodeState(stored), changed: true };
  } catch (cause) {
    if (cause instanceof SnapshotIncompatibleError) throw cause;
    let why = `threw: ${errorOf(cause).message}`;
    if (cause instanceof Misunderstood) why = cause.message;
    if (cause instanceof NotSerializableError) why = `returned what cannot be stored: ${cause.message}`;
    why = why.replace(/\.$/, '');
    throw refuse([{ kind: 'migration', reason: `migrate[${last}] ${why}` }], cause);
  }
}

/** What a migration gave is not what it may give. */
class Misunderstood extends Error {}

const STATUSES = ['active', 'done', 'error', 'stopped'];

function understood(result: any, former: MigratingTimer[]): { snapshot: any; timers: MigratingTimer[] } {
  if (typeof result?.then === 'function')
    throw new Misunderstood('returned a promise; it must give the snapshot at once');
  const whole = typeof result === 'object' && result !== null && 'snapshot' in result && !('status' in result);
  const { snapshot, timers = former } = whole ? result : { snapshot: result };
  if (typeof snapshot !== 'object' || snapshot === null || !STATUSES.includes(snapshot.status))
    throw new Misunderstood('did not return a snapshot: an object with a status, or { snapshot, timers }');
  if (!Array.isArray(timers)) throw new Misunderstood('returned timers that are no list');
  return { snapshot, timers };
}

function declared(flow: AnyFlow, timers: MigratingTimer[]) {
  try {
    return toStored(flow.logic, timers);
  } catch (cause) {
    throw new Misunderstood((cause as Error).message);
  }
}

/** Fills in what XState needs and people leave out; a child that was added gets an identity. */
function complete(stored: { snapshot: any; births?: number; life?: string }): void {
  const visit = (snapshot: any) => {
    if ('value' in snapshot) {
      snapshot.children ??= {};
      snapshot.historyValue ??= {};
    }
    for (const [id, child] of Object.entries<any>(snapshot.children ?? {})) {
      if (child === undefined || child === null) delete snapshot.children[id]; // it is to go
      if (!child?.snapshot) continue;
      if (child.sessionId === undefined) {
        stored.births = (stored.births ?? 0) + 1;
        child.sessionId = sessionIdOf(stored.life, stored.births);
      }
      visit(child.snapshot);
    }
  };
  visit(stored.snapshot);
}
