/**
 * Keeps the shape of each version's machine in the database, so that a change without a new version shows. It is told once
 * for each shape: nodes of an old and a new release that start one after the other do not tell it again and again.
 */
import { differences, fingerprintOf, type Shape, shapeOf } from '../actor/shape.ts';
import type { EventChannel } from '../events.ts';
import type { FlowVersions } from '../flow/versions.ts';
import type { Store } from '../store/store.ts';

interface Recorded {
  fingerprint: string;
  /** ISO 8601. */
  seen: string;
  shape: Shape;
}

/** So many shapes of a version are kept: the first, and the last ones. */
const KEPT = 10;

const key = (flowType: string, version: number) => `shape:${flowType}@${version}`;
const PREFIX = 'shape:';

/** What is on record of each version, by its key. */
export type ShapeRecords = Map<string, Recorded[]>;

/**
 * Reads which shapes each version was seen with.
 * @param fault hears of a record that cannot be read; nothing is known of that version then
 */
export async function loadShapes(
  store: Store,
  versions: ReadonlyMap<string, FlowVersions>,
  fault: (error: unknown) => void = () => {},
): Promise<ShapeRecords> {
  const records: ShapeRecords = new Map();
  for (const { key, value } of await store.settings(PREFIX)) {
    const [, flowType = '', version] = /^shape:(.+)@(\d+)$/.exec(key) ?? [];
    try {
      const recorded: Recorded[] = JSON.parse(value);
      const shapes = recorded.map(({ shape }) => shape);
      records.set(key, recorded);
      versions.get(flowType)?.recorded.set(Number(version), shapes);
    } catch (error) {
      fault(error);
    }
  }
  return records;
}

/** Records the shapes of the registered machines, and tells which of them were changed under the same version. */
export async function recordShapes(
  store: Store,
  versions: ReadonlyMap<string, FlowVersions>,
  records: ShapeRecords,
  events: EventChannel,
  now: number,
): Promise<void> {
  for (const [flowType, { all, recorded }] of versions) {
    for (const { version, logic } of all) {
      const shape = shapeOf(logic);
      const fingerprint = fingerprintOf(shape);
      let known = records.get(key(flowType, version)) ?? [];
      if (known.some((each) => each.fingerprint === fingerprint)) continue;
      if (known.length > 0 && !(await store.hasActors(flowType, version))) known = [];
      const last = known.at(-1);
      if (last) {
        const changes = differences(last.shape, shape);
        events.emit('flowChanged', { flowType, version, changes });
      }
      known = [...known, { fingerprint, seen: new Date(now).toISOString(), shape }];
      if (known.length > KEPT) known.splice(1, known.length - KEPT);
      await store.saveSetting(key(flowType, version), known);
      recorded.set(
        version,
        known.map((each) => each.shape),
      );
    }
  }
}
