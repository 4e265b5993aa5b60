import { decodeState, encodeState } from '../actor/codec.ts';
import { formatAddress, SnapshotIncompatibleError } from '../errors.ts';
import type { AnyFlow } from '../flow.ts';
import type { ActorRow } from '../store/rows.ts';

/**
 * The row's `state_data` in the form of the flow's present version: as it is, or led through the flow's `migrate` functions.
 * @throws {SnapshotIncompatibleError} a function is missing or throws, or the row is of a newer version
 */
export function migrateState(
  flow: AnyFlow,
  row: Pick<ActorRow, 'state_data' | 'flow_version' | 'flow_type' | 'participant_id'>,
): string {
  if (row.flow_version === flow.version) return row.state_data;
  const address = { flowType: row.flow_type, participantId: row.participant_id };
  const refuse = (why: string, cause?: unknown) =>
    new SnapshotIncompatibleError(
      `The snapshot of ${formatAddress(address)} is of version ${row.flow_version}, the flow of version ${flow.version}: ${why}.`,
      { address, cause },
    );
  if (row.flow_version > flow.version) throw refuse("start the release of Perdure's application that wrote it");
  let stored: any;
  try {
    stored = decodeState(row.state_data);
  } catch (cause) {
    throw refuse(`state_data is not readable (${(cause as Error).message})`, cause);
  }
  for (let version = row.flow_version; version < flow.version; version++) {
    const migrate = flow.migrate?.[version];
    if (!migrate) throw refuse(`defineFlow has no migrate[${version}]`);
    try {
      stored.snapshot = migrate(stored.snapshot);
    } catch (cause) {
      throw refuse(`migrate[${version}] threw: ${(cause as Error).message}`, cause);
    }
    if (typeof stored.snapshot?.status !== 'string') throw refuse(`migrate[${version}] did not return a snapshot`);
  }
  return encodeState(stored);
}
