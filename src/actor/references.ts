/**
 * The names that a machine refers to: its guards, actions, delays, and the actors that it spawns. XState looks them up when
 * it needs them, and passes over an action or a spawn that it does not find, takes an unknown delay for none, and throws at
 * an unknown guard: weeks later, for whoever stands there. Here all that can be seen in the machine are looked up at once.
 * What `enqueueActions` names within its function is not seen.
 */
import type { AnyStateMachine, StateNode } from 'xstate';
import { InvalidArgumentError } from '../errors.ts';
import { asText } from './codec.ts';
import { nodesOf } from './nodes.ts';

type Implementations = Record<'guards' | 'actions' | 'delays' | 'actors', Record<string, unknown>>;

/** A transition, as a state node holds it. */
interface Transition {
  guard?: unknown;
  actions?: readonly unknown[];
}

/**
 * Checks that the machine provides what it names.
 * @param where names the machine in the error
 * @throws {InvalidArgumentError} the first name that it does not provide, and where it stands
 */
export function assertReferences(machine: AnyStateMachine, where: string): void {
  const implementations = machine.implementations as unknown as Implementations;
  for (const node of nodesOf(machine)) {
    const here = `${where}, state '#${node.id}'`;
    const refuse = (what: string, kind: keyof Implementations) => {
      throw new InvalidArgumentError(
        `${here} ${what}, which the machine does not provide. Name it in setup({ ${kind}: { … } }) or give it with machine.provide({ ${kind}: { … } }).`,
      );
    };
    const assertDelay = (name: unknown, what: string) => {
      if (typeof name !== 'string' || !Number.isNaN(Number(name))) return;
      const { delays } = implementations;
      if (!(name in delays)) refuse(`${what} '${name}'`, 'delays');
      // XState would take it for no delay.
      if (typeof delays[name] !== 'number' && typeof delays[name] !== 'function') {
        throw new InvalidArgumentError(
          `${here} ${what} '${name}', whose delay is ${asText(delays[name])}. A delay is a number of milliseconds, or a function that gives one.`,
        );
      }
    };
    const assertGuard = (guard: unknown, seen: readonly unknown[] = []): void => {
      if (guard === undefined || seen.includes(guard)) return;
      // and(), or() and not() are functions that hold the guards that they combine.
      const { guards } = guard as { guards?: readonly unknown[] };
      for (const inner of guards ?? []) assertGuard(inner, [...seen, guard]);
      if (typeof guard === 'function') return;
      const name = nameOf(guard);
      if (!(name in implementations.guards)) refuse(`asks the guard '${name}'`, 'guards');
      assertGuard(implementations.guards[name], [...seen, guard]);
    };
    const assertAction = (action: unknown): void => {
      const { type, src, delay } = Object(action) as { type?: string; src?: unknown; delay?: unknown };
      // Built-in actions are functions with a type of XState's.
      if (typeof action !== 'function') {
        const name = nameOf(action);
        if (name.startsWith('xstate.')) return; // a built-in action as data, as in a machine's JSON
        if (!(name in implementations.actions)) refuse(`runs the action '${name}'`, 'actions');
        const named = implementations.actions[name];
        if (typeof named === 'function') assertAction(named);
      } else if (type === 'xstate.spawnChild' && typeof src === 'string') {
        if (!(src in implementations.actors)) refuse(`spawns '${src}'`, 'actors');
      } else if (type === 'xstate.raise' || type === 'xstate.sendTo') {
        assertDelay(delay, 'sends an event after the delay');
      }
    };
    for (const { delay } of node.after) assertDelay(delay, 'has a deadline');
    for (const { guard, actions = [] } of transitionsOf(node)) {
      assertGuard(guard);
      actions.forEach(assertAction);
    }
    [...node.entry, ...node.exit].forEach(assertAction);
  }
}

function transitionsOf(node: StateNode): Transition[] {
  const initial = node.type === 'compound' ? [node.initial as Transition] : [];
  return [...[...node.transitions.values()].flat(), ...(node.always ?? []), ...initial] as Transition[];
}

/** The name of a guard or action that is given by name, alone or with `params`. */
const nameOf = (reference: unknown): string =>
  typeof reference === 'string' ? reference : String((reference as { type?: unknown }).type);
