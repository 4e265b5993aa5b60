/**
 * Whether what an actor waits for is there, and leads somewhere: deadlines, delayed events, invocations.
 *
 * What a state should have and the snapshot has not may be missing by right: a deadline that fired and whose guard said no,
 * one that was cancelled, an invocation that is done. So it counts only where the machine that wrote the snapshot did not
 * have it in that state, or where nothing is known of that machine.
 */
import type { StateNode } from 'xstate';
import type { Misfit } from '../errors.ts';
import { type FitCase, named } from './fit-case.ts';
import { deadlineOf, knowsEvent, shapeOf } from './shape.ts';

export const misfitsOfPending = (it: FitCase): Misfit[] => [
  ...it.timers.flatMap(({ event, source = [] }) => uselessDeadline(it, event.type, source.length === 0)),
  ...it.active.flatMap((node) => [...missingDeadlines(it, node), ...missingInvocations(it, node)]),
  ...unheardChildren(it),
];

const deadline = (reason: string): Misfit => ({ kind: 'deadline', reason });
const invocation = (reason: string): Misfit => ({ kind: 'invocation', reason });

/** A pending deadline that would do nothing when it fires. */
function uselessDeadline(it: FitCase, type: string, isOwn: boolean): Misfit[] {
  const after = isOwn && deadlineOf(type);
  if (after) {
    if (it.active.some((node) => node.after.some(({ eventType }) => eventType === type))) return [];
    return [deadline(`its pending deadline '${after.delay}' of the state '${after.node}' does not exist any more`)];
  }
  const { machine } = it;
  if (!knowsEvent(shapeOf(machine), type)) {
    // It may never have meant anything.
    const unknown = it.was((shape) => !knowsEvent(shape, type));
    return unknown ? [] : [deadline(`its pending deadline brings the event '${type}', which no state takes any more`)];
  }
  if (it.took(type) && !it.takes(type))
    return [deadline(`its pending deadline brings the event '${type}', which no state that it is in takes any more`)];
  return [];
}

function missingDeadlines(it: FitCase, node: StateNode): Misfit[] {
  const { timers, waived } = it;
  const types = [...new Set(node.after.map(({ eventType }) => eventType))];
  return types.flatMap((type) => {
    if (timers.some(({ event }) => event.type === type) || waived.has(type)) return [];
    const { delay } = deadlineOf(type, node.id)!;
    if (it.wasState(node, ({ after }) => after?.[delay] !== undefined)) return [];
    return [deadline(`${named(node)} has a deadline '${delay}', which the snapshot has not: it would wait for ever`)];
  });
}

function missingInvocations(it: FitCase, node: StateNode): Misfit[] {
  return node.invoke.flatMap(({ id, src }) => {
    const child = it.stored.snapshot.children?.[id];
    if (child && child.src !== src)
      return [invocation(`${named(node)} invokes '${src}' as '${id}', and in the snapshot that is '${child.src}'`)];
    if (child) return [];
    if (it.wasState(node, ({ invoke }) => invoke?.[id] !== undefined)) return [];
    return [invocation(`${named(node)} invokes '${id}', which the snapshot has not: it would wait for ever`)];
  });
}

/** Children that are under way, and whose end the actor no longer hears. */
function unheardChildren(it: FitCase): Misfit[] {
  const running = Object.entries<any>(it.stored.snapshot.children ?? {}).filter(
    ([, child]) => child?.snapshot?.status === 'active',
  );
  return running.flatMap(([id]) =>
    HEARD.filter(([type]) => it.took(`${type}.${id}`) && !it.takes(`${type}.${id}`)).map(([, what]) =>
      invocation(`its child '${id}' is under way, and no state that it is in takes its ${what} any more`),
    ),
  );
}

/** What an actor hears of a child. */
const HEARD = [
  ['xstate.done.actor', 'result'],
  ['xstate.error.actor', 'error'],
  ['xstate.snapshot', 'snapshots'],
] as const;
