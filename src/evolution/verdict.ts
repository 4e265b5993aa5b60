/** What becomes of a stored actor under the registered versions of its flow. Nothing is changed by asking. */
import { decodeState } from '../actor/codec.ts';
import { misfitsOf } from '../actor/fit.ts';
import { LiveActor } from '../actor/live-actor.ts';
import { onlooker } from '../actor/onlooker.ts';
import { type MigratedRow, migrateRow } from '../engine/migrate-row.ts';
import { type Misfit, SnapshotIncompatibleError } from '../errors.ts';
import type { FlowVersions } from '../flow/versions.ts';
import { addressOf } from '../store/rows.ts';
import { errorOf } from '../thrown.ts';

/**
 * `goesOn`: in the newest version, as it is. `migrates`: through `migrate`. `finishes`: on its own, older version.
 * `impaired`: it is restored, but something does not fit, and it may wait for ever. `stranded`: it cannot be restored, and
 * would be quarantined at its next event. `flowless`: no version of its flow was given; it would stay as it is.
 */
export type Fate = 'goesOn' | 'migrates' | 'finishes' | 'impaired' | 'stranded' | 'flowless';

export interface Verdict {
  fate: Fate;
  /** The version in which it goes on. */
  to?: number;
  misfits: readonly Misfit[];
  /** The actor, where it can be restored. */
  live?: LiveActor;
}

/** @param at the present instant, for migrations */
export function verdictOf(versions: FlowVersions, row: MigratedRow, at: number): Verdict {
  try {
    const { flow, text, changed } = migrateRow(versions, row, at);
    const { version } = flow;
    const misfits = changed
      ? [] // they were looked for
      : misfitsOf(flow.logic, read(text), { formers: versions.shapesOf(version), context: flow.context });
    const live = LiveActor.restore(flow.logic, text, onlooker(addressOf(row)));
    const fate = changed ? 'migrates' : version === versions.newest.version ? 'goesOn' : 'finishes';
    return { fate: misfits.length > 0 ? 'impaired' : fate, to: version, misfits, live };
  } catch (error) {
    return { fate: 'stranded', misfits: misfitsIn(error) };
  }
}

function misfitsIn(error: unknown): readonly Misfit[] {
  if (error instanceof SnapshotIncompatibleError && error.misfits.length > 0) return error.misfits;
  return [{ kind: 'restore', reason: errorOf(error).message }];
}

function read(text: string) {
  let stored: any;
  try {
    stored = decodeState(text);
  } catch (error) {
    throw unreadable(`state_data is not readable (${(error as Error).message})`);
  }
  if (typeof stored?.snapshot !== 'object' || stored.snapshot === null)
    throw unreadable('state_data holds no snapshot');
  return stored;
}

const unreadable = (reason: string) =>
  new SnapshotIncompatibleError(reason, { misfits: [{ kind: 'unreadable', reason }] });
