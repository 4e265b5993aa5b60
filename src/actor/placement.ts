/**
 * An actor that stands in a state which was entered elsewhere: by a system before, or by hand. The machine itself says what
 * the state means: which deadlines it has, and how long they are. Nothing is done that entering the state does.
 */
import type { AnyStateMachine, StateNode, StateValue } from 'xstate';
import { LAST_INSTANT } from '../clock.ts';
import { type Address, SnapshotIncompatibleError } from '../errors.ts';
import { withAmbient } from '../machine/ambient.ts';
import { encodeState } from './codec.ts';
import type { StoredTimer } from './live-actor.ts';
import { describeState } from './state.ts';

export interface Standing {
  value: StateValue;
  context: object;
  /** When the state was entered, in ms since the epoch: its deadlines count from here, also those that have passed. */
  at: number;
  /** Deadlines that the actor has besides those of its state. */
  timers?: readonly StoredTimer[];
}

/** What is stored of an actor that stands in a state. */
export interface Placed {
  /** As `LiveActor.restore` reads it. */
  stateData: string;
  /** Dotted state path. */
  state: string;
  status: 'active' | 'done';
  /** In order of deadline. */
  timers: StoredTimer[];
}

/**
 * The actor that stands there.
 * @throws {SnapshotIncompatibleError} the machine has no such state, or none in which an actor can stand: it leaves it at
 *   once, or begins something on the way in
 */
export function placeActor(
  machine: AnyStateMachine,
  { value, context, at, timers = [] }: Standing,
  address: Address,
): Placed {
  const refuse = (why: string, cause?: unknown) =>
    new SnapshotIncompatibleError(`No actor can stand in ${JSON.stringify(value)}: ${why}.`, { address, cause });
  let resolved: any;
  try {
    resolved = machine.resolveState({ value, context });
  } catch (cause) {
    throw refuse((cause as Error).message, cause);
  }
  const nodes = resolved._nodes as StateNode[];
  for (const { id, always, invoke } of nodes) {
    if (always && always.length > 0) throw refuse(`'#${id}' is left at once`);
    if (invoke.length > 0) throw refuse(`'#${id}' begins '${invoke[0]!.id}' on the way in`);
  }
  const status = nodes.some(({ type, parent }) => type === 'final' && parent === machine.root) ? 'done' : 'active';
  const snapshot = { status, value: resolved.value, context, historyValue: {}, children: {} };
  const pending =
    status === 'done' ? [] : [...nodes.flatMap((node) => deadlines(machine, node, context, at)), ...timers];
  pending.sort((a, b) => a.dueAt - b.dueAt);
  const stateData = encodeState({ snapshot, births: 0, ...(pending.length > 0 && { timers: pending }) });
  return { stateData, state: describeState(resolved), status, timers: pending };
}

/** What `after` of a state schedules. */
function deadlines(machine: AnyStateMachine, node: StateNode, context: object, at: number): StoredTimer[] {
  const delays = new Map(node.after.map(({ delay, eventType }) => [eventType, delay]));
  return [...delays].flatMap(([type, delay]) => {
    const named = typeof delay === 'string' ? machine.implementations.delays[delay] : delay;
    const event = { type };
    const length = withAmbient({ now: () => at, random: Math.random }, () =>
      typeof named === 'function' ? named({ context, event } as never, undefined as never) : named,
    );
    const dueAt = Math.ceil(at + Number(length));
    if (Number.isNaN(dueAt)) throw new TypeError(`The delay of '${type}' is not a number.`);
    return dueAt > LAST_INSTANT ? [] : [{ id: type, event, dueAt }];
  });
}
