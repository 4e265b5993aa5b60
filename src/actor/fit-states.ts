/**
 * Whether an actor can stand where its snapshot says, and go on from there. XState does only when a state is entered what
 * follows from being in it: it raises the end of a parent, and leaves a state that is left at once. Who stands in a state
 * that has become so stays there.
 */
import { type AnyStateMachine, type StateNode, transition } from 'xstate';
import type { Misfit } from '../errors.ts';
import { type FitCase, named } from './fit-case.ts';
import { hasNode, nodesOf } from './nodes.ts';
import { leadsOn } from './shape.ts';

/** The active nodes of a stored value; a text: what the value names and the machine has not, or the other way round. */
export function enter(machine: AnyStateMachine, value: unknown): StateNode[] | string {
  const active: StateNode[] = [];
  return enterNode(machine.root, value, active) ?? active;
}

function enterNode(node: StateNode, value: unknown, active: StateNode[]): string | undefined {
  active.push(node);
  const inner: Record<string, unknown> =
    typeof value === 'string' ? { [value]: undefined } : ((value as Record<string, unknown> | undefined) ?? {});
  const keys = Object.keys(inner);
  for (const key of keys) {
    const path = [...node.path, key].join('.');
    if (!node.states[key]) return `the state '${path}' is gone`;
    if (node.states[key].type === 'history') return `the state '${path}' is a history, in which nobody can be`;
  }
  if (node.type === 'parallel') {
    const missing = Object.keys(node.states).find((key) => !keys.includes(key));
    if (missing !== undefined)
      return `${named(node)} has a region '${missing}', and the snapshot does not say where that stands`;
  } else if (node.type === 'compound' && keys.length !== 1) {
    return `${named(node)} has inner states, and the snapshot does not say which of them it is in`;
  }
  for (const key of keys) {
    const wrong = enterNode(node.states[key]!, inner[key], active);
    if (wrong) return wrong;
  }
  return undefined;
}

/** What a snapshot's history remembers and the machine has not. */
export function misfitsOfHistory(machine: AnyStateMachine, history: Record<string, { id: string }[]>): string[] {
  const nodes = new Map(nodesOf(machine).map((node) => [node.id, node]));
  return Object.entries(history).flatMap(([id, remembered]) => [
    ...(nodes.get(id)?.type === 'history'
      ? []
      : [`the history '${id}', which remembers where it was, is gone: it would begin anew there`]),
    ...remembered
      .filter((state) => !hasNode(machine, state.id))
      .map((state) => `the state '${state.id}', which its history remembers, is gone`),
  ]);
}

/** States in which the actor would wait for ever, or not be as it is meant. */
export function misfitsOfStates(it: FitCase): Misfit[] {
  const { machine, active } = it;
  if (hasEnded(machine.root, active))
    return [state('it stands where the machine ends, and has not ended: it would wait for ever')];
  return [...becameFinal(it), ...noLongerFinal(it), ...becameTransient(it), ...deadEnds(it)];
}

const state = (reason: string): Misfit => ({ kind: 'state', reason });

/** A node ends when it enters such states; one that is restored in them never does. */
function hasEnded(node: StateNode, active: readonly StateNode[]): boolean {
  const inner = active.filter(({ parent }) => parent === node);
  if (node.type === 'compound') return inner.some(({ type }) => type === 'final');
  return node.type === 'final' || (node.type === 'parallel' && inner.every((region) => hasEnded(region, active)));
}

/** The end of a parent was not raised when the state was entered, which was not final then. */
function becameFinal(it: FitCase): Misfit[] {
  const { active } = it;
  const fresh = active.filter((node) => node.type === 'final' && it.wasState(node, ({ type }) => type !== 'final'));
  return fresh.flatMap((node) =>
    parentsOf(node)
      .filter((parent) => hasEnded(parent, active) && it.takes(doneOf(parent)))
      .map((parent) =>
        state(`${named(node)} has become final, and it stands there: ${named(parent)} would never be done`),
      ),
  );
}

/** A region that was at its end is not any more, and who stands there cannot get there again. */
function noLongerFinal(it: FitCase): Misfit[] {
  const former = it.active.filter((node) => node.type !== 'final' && it.wasState(node, ({ type }) => type === 'final'));
  return former.flatMap((node) =>
    parentsOf(node)
      .filter((parent) => parent.type === 'parallel' && (!parent.parent || it.takes(doneOf(parent))))
      .map((parent) =>
        state(`${named(node)} is no longer final, and it stands there: ${named(parent)} may never be done`),
      ),
  );
}

/** XState looks at `always` only with the next event. */
function becameTransient(it: FitCase): Misfit[] {
  const fresh = it.active.filter(
    (node) => (node.always ?? []).length > 0 && it.wasState(node, ({ always = [] }) => always.length === 0),
  );
  return fresh
    .filter((node) => node.always!.some(({ guard }) => guard === undefined) || isLeftAtOnce(it, node))
    .map((node) =>
      state(`${named(node)} is left at once now, and it stands there: it would stay until the next event`),
    );
}

/** Whether a guard lets it leave the state, as far as that can be told without its children. */
function isLeftAtOnce({ machine, stored }: FitCase, node: StateNode): boolean {
  const probe = { type: 'perdure.probe' };
  try {
    const { value, context } = stored.snapshot;
    const [next] = transition(machine, machine.resolveState({ value, context } as never), probe as never);
    return next.status !== 'active' || !next._nodes.some(({ id }) => id === node.id);
  } catch {
    return false; // the guard asks for more than is known here
  }
}

/** Something led on from where it stands, and nothing does any more. */
function deadEnds(it: FitCase): Misfit[] {
  const { active } = it;
  const leaves = active.filter((node) => node.type === 'atomic' && !active.some(({ parent }) => parent === node));
  return leaves.flatMap((leaf) => {
    const chain = [leaf, ...parentsOf(leaf)];
    if (chain.some((node) => leadsOn(it.shapeOf(node)))) return [];
    const led = it.was(({ states }) => chain.some(({ id }) => states?.[id] && leadsOn(states[id])));
    return led ? [state(`nothing leads on from ${named(leaf)} any more: it would wait for ever`)] : [];
  });
}

/** The states around a state, the innermost first. */
function parentsOf(node: StateNode): StateNode[] {
  return node.parent ? [node.parent, ...parentsOf(node.parent)] : [];
}

const doneOf = ({ id }: StateNode) => `xstate.done.state.${id}`;
