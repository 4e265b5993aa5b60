/** Snapshot files of Vitest and Jest that a person can read, and that change only where an actor changed. */
import { isMachineSnapshot } from 'xstate';
import { ActorView, formatSnapshot } from './actor-view.ts';
import { TestActor } from './test-actor.ts';

/**
 * Prints what `test.view(actor)` gives, and snapshots of machines, as their actors give them. Plain data, such as a persisted
 * snapshot, is left to others. `perdure/testing/vitest` and `perdure/testing/jest` add it;
 * elsewhere: `expect.addSnapshotSerializer(serializer)`.
 */
export const serializer = {
  /** Whether it prints such a value. */
  test: (value: unknown): boolean =>
    value instanceof ActorView || value instanceof TestActor || isMachineSnapshot(value),

  /** Prints it. */
  serialize(value: unknown, _config: unknown, indentation: string): string {
    if (value instanceof TestActor) {
      throw new TypeError(
        'A handle holds nothing to take a snapshot of. Write: expect(await actor.view()).toMatchSnapshot()',
      );
    }
    const text = value instanceof ActorView ? value.toString() : formatSnapshot(value);
    // Within another value, what belongs to it stands to the right of its name.
    return text.replaceAll('\n', `\n${indentation && `${indentation}  `}`);
  },
};

/** A snapshot of a machine, or of other logic of XState's. */
export function isSnapshot(value: unknown): value is { status: string; value?: unknown; context?: unknown } {
  if (typeof value !== 'object' || value === null || !('status' in value)) return false;
  return 'output' in value && 'error' in value && ('context' in value || 'input' in value) && isStatus(value.status);
}

const isStatus = (status: unknown) => ['active', 'done', 'error', 'stopped'].includes(status as string);
