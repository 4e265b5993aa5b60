/** States as tests write them: `'asking'`, `'day.asking'`, `'day.asking,week.counting'`, or a state value. */
import { type AnyMachineSnapshot, type AnyStateNode, isMachineSnapshot, matchesState, type StateValue } from 'xstate';
import { InvalidArgumentError } from '../../errors.ts';

/**
 * Whether the snapshot is in the state; of parallel states those that are named count. Without states, its status counts.
 * @throws {InvalidArgumentError} its machine has no such state, so that it could never be there
 */
export function isInState(snapshot: { status: string; value?: unknown }, state: string | StateValue): boolean {
  if (snapshot.value === undefined) return snapshot.status === state;
  const parts = typeof state === 'string' ? state.split(',').map((part) => valueAt(part.trim())) : [state];
  if (isMachineSnapshot(snapshot)) {
    const { machine } = snapshot as AnyMachineSnapshot;
    for (const part of parts) assertKnown(machine.root, part, machine.id);
  }
  return parts.every((part) => matchesState(part, snapshot.value as StateValue));
}

const valueAt = (path: string): StateValue =>
  path.split('.').reduceRight<StateValue>((inner, key) => (inner === '' ? key : { [key]: inner }), '');

function assertKnown(node: AnyStateNode, state: StateValue, machine: string): void {
  for (const key of typeof state === 'string' ? [state] : Object.keys(state)) {
    const inner = node.states[key];
    if (!inner) {
      const there = Object.keys(node.states).map((name) => [...node.path, name].join('.'));
      throw new InvalidArgumentError(
        `The machine '${machine}' has no state '${[...node.path, key].join('.')}'. ${there.length > 0 ? `There is: ${there.join(', ')}.` : `There is nothing in '${node.path.join('.')}'.`}`,
      );
    }
    const next = typeof state === 'string' ? undefined : state[key];
    if (next !== undefined) assertKnown(inner, next, machine);
  }
}
