/**
 * What was pending before a migration, and is left out by what it gave, though the actor still waits for it: the deadline of
 * a state that it is in, a delayed event that the state takes, an invocation of the state. It stays, as it was: a migration
 * that builds its snapshot anew must not lose what it does not think of. What is to go is said: a deadline with
 * `dueAt: Infinity`, a child with `undefined` under its id.
 */
import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import { enter } from './fit-states.ts';
import type { StoredTimer } from './live-actor.ts';
import { isMachine, resolveActor } from './logic.ts';
import { deadlineOf, shapeOf, takes } from './shape.ts';

/** What is stored of an actor. */
interface Stored {
  snapshot: any;
  timers: readonly StoredTimer[];
}

/**
 * Puts into the snapshot of `after` the invocations that were left out.
 * @param waived types of the events of deadlines that are to go
 * @returns the deadlines of `after`, with those that were left out
 */
export function keepPending(
  logic: AnyActorLogic,
  before: Stored,
  after: Stored,
  waived: ReadonlySet<string>,
): readonly StoredTimer[] {
  if (!isMachine(logic)) return after.timers;
  const timers = [...after.timers, ...left(logic, before, after, waived, [])];
  return timers.sort((a, b) => a.dueAt - b.dueAt);
}

function left(
  machine: AnyStateMachine,
  before: Stored,
  after: Stored,
  waived: ReadonlySet<string>,
  path: readonly string[],
): StoredTimer[] {
  const [was, is] = [before.snapshot, after.snapshot];
  if (was?.status !== 'active' || is?.status !== 'active') return [];
  const active = enter(machine, is.value);
  if (typeof active === 'string') return []; // it does not fit, and is refused
  const stays = JSON.stringify(was.value) === JSON.stringify(is.value);
  const shape = shapeOf(machine);
  const isOwn = ({ target = [] }: StoredTimer) => target.join() === path.join();
  const has = (type: string) => after.timers.some((timer) => isOwn(timer) && timer.event.type === type);
  const isAwaited = (type: string) =>
    deadlineOf(type)
      ? active.some((node) => node.after.some(({ eventType }) => eventType === type))
      : stays && active.some(({ id }) => takes(shape.states![id]!, type));
  const timers = before.timers.filter(
    (timer) => isOwn(timer) && !waived.has(timer.event.type) && !has(timer.event.type) && isAwaited(timer.event.type),
  );
  for (const { id, src } of active.flatMap((node) => node.invoke)) {
    const child = was.children?.[id];
    if (child?.snapshot?.status !== 'active' || child.src !== src || id in Object(is.children)) continue;
    is.children = { ...is.children, [id]: child };
  }
  for (const [id, child] of Object.entries<any>(is.children ?? {})) {
    const former = was.children?.[id];
    const logic = child && former?.src === child.src && resolveActor(machine, String(child.src));
    if (!logic || !isMachine(logic)) continue;
    const inner = { ...before, snapshot: former.snapshot };
    timers.push(...left(logic, inner, { ...after, snapshot: child.snapshot }, waived, [...path, id]));
  }
  return timers;
}
