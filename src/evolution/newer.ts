/**
 * Finds actors of a newer version of their flow than any that is registered: a release was rolled back while people went on
 * in it. Each version that ever ran on the database has its machine on record there, so that the rows are counted only
 * where there may be such actors.
 */
import { InvalidArgumentError, NewerFlowError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { FlowVersions } from '../flow/versions.ts';
import type { Store } from '../store/store.ts';

export interface NewerRows {
  flowType: string;
  version: number;
  /** The newest version that is registered. */
  newest: number;
  /** How many have not ended. */
  actors: number;
}

/** The actors, by flow and version, that nobody here can read. */
export async function newerRows(store: Store, versions: ReadonlyMap<string, FlowVersions>): Promise<NewerRows[]> {
  const found: NewerRows[] = [];
  for (const [flowType, { newest, recorded }] of versions) {
    if (![...recorded.keys()].some((version) => version > newest.version)) continue;
    for (const { version, actors } of await store.versionsAbove(flowType, newest.version))
      found.push({ flowType, version, newest: newest.version, actors });
  }
  return found;
}

/**
 * Tells of newer actors at a start.
 * @returns what is wrong, by flow, in words
 * @throws {NewerFlowError} there are some, and they are to be refused
 */
export function tellNewer(
  found: readonly NewerRows[],
  newer: 'sleep' | 'refuse' = 'sleep',
  events: EventChannel,
): Record<string, string> {
  if (newer !== 'sleep' && newer !== 'refuse')
    throw new InvalidArgumentError(`recovery.newer is 'sleep' or 'refuse'; it is ${JSON.stringify(newer)}.`);
  const lines = found.map(
    ({ flowType, version, newest, actors }) =>
      [`flow ${flowType}`, `${actors} actors are of version ${version}, and the newest here is ${newest}.`] as const,
  );
  if (newer === 'refuse' && lines.length > 0)
    throw new NewerFlowError(
      `This release is older than its database: ${lines.map(([flow, line]) => `${flow}: ${line}`).join(' ')} Start the release that wrote them, or let them sleep with recovery: { newer: 'sleep' }.`,
    );
  for (const rows of found) events.emit('newerRows', rows);
  return Object.fromEntries(
    lines.map(([flow, line]) => [flow, `${line} They sleep until a release that knows it runs again.`]),
  );
}
