/**
 * Deadlines as a migration sees them. XState names the deadline of an `after` by the id of its state node and its delay;
 * a migration says `{ state, after, dueAt }`.
 */
import type { AnyActorLogic, AnyStateMachine, StateNode } from 'xstate';
import type { StoredTimer } from './live-actor.ts';
import { isMachine } from './logic.ts';
import { nodesOf } from './nodes.ts';
import type { ActorPath } from './refs.ts';
import { deadlineOf } from './shape.ts';

/** The deadline of a state's `after`. */
export interface AfterTimer {
  /** The dotted path of the state, `''` for the machine itself; or `#` and the state's id. */
  state: string;
  /** The key under `after`: a named delay, or milliseconds. */
  after: string | number;
  /** In ms since the epoch. `Infinity`: the actor is to be without this deadline. */
  dueAt: number;
  /** The child whose state it is; left out for the actor itself. */
  target?: ActorPath;
}

/** A pending deadline: of an `after`, or of a delayed event. */
export type MigratingTimer = AfterTimer | StoredTimer;

/** Stored deadlines, for a migration to look at. */
export const toMigrating = (logic: AnyActorLogic, timers: readonly StoredTimer[]): MigratingTimer[] =>
  timers.map((timer) => {
    const { dueAt, target = [] } = timer;
    const owner = target.length === 0 && isMachine(logic) ? ownerOf(logic, timer.event.type) : undefined;
    const deadline = deadlineOf(timer.event.type, owner?.id);
    if (!deadline) return timer;
    const { node, delay } = deadline;
    const root = target.length === 0 && isMachine(logic) ? logic.id : undefined;
    const state = node === root ? '' : root && node.startsWith(`${root}.`) ? node.slice(root.length + 1) : `#${node}`;
    return { state, after: delay, dueAt, ...(target.length > 0 && { target }) };
  });

const ownerOf = (machine: AnyStateMachine, type: string) =>
  nodesOf(machine).find(({ after }) => after.some(({ eventType }) => eventType === type));

/**
 * What a migration says, in stored form and in the order of deadlines.
 * @throws {TypeError} something that is no deadline
 */
export function toStored(
  logic: AnyActorLogic,
  timers: readonly MigratingTimer[],
): { timers: StoredTimer[]; waived: Set<string> } {
  const waived = new Set<string>();
  const stored = timers.flatMap((timer): StoredTimer[] => {
    const dueAt = Number(timer?.dueAt ?? Number.NaN); // null, as JSON has it for Infinity, would be 1970
    if (Number.isNaN(dueAt)) throw new TypeError(`gave a deadline without dueAt: ${JSON.stringify(timer)}`);
    if (!('after' in timer)) {
      if (typeof timer.event?.type !== 'string')
        throw new TypeError(`gave a deadline without event, or state and after: ${JSON.stringify(timer)}`);
      if (Number.isFinite(dueAt)) return [{ ...timer, dueAt: Math.ceil(dueAt) }];
      waived.add(timer.event.type);
      return [];
    }
    const type = `xstate.after.${timer.after}.${nodeId(logic, timer.state)}`;
    if (!Number.isFinite(dueAt)) {
      waived.add(type);
      return [];
    }
    const { target = [] } = timer;
    const path = target.length > 0 && { source: target, target };
    return [{ id: type, event: { type }, dueAt: Math.ceil(dueAt), ...path }];
  });
  return { timers: stored.sort((a, b) => a.dueAt - b.dueAt), waived };
}

function nodeId(logic: AnyActorLogic, state: unknown): string {
  if (typeof state !== 'string') throw new TypeError(`gave a deadline whose state is ${JSON.stringify(state)}`);
  if (state.startsWith('#') || !isMachine(logic)) return state.replace(/^#/, '');
  let node: StateNode | undefined = logic.root;
  for (const key of state === '' ? [] : state.split('.')) node = node?.states[key];
  if (!node) throw new TypeError(`gave a deadline of the state '${state}', which does not exist`);
  return node.id;
}
