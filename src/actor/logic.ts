/**
 * What kinds of actor logic there are, and which of them can be durable.
 *
 * | kind | in a turn | after a crash |
 * |---|---|---|
 * | machine | pure | restored from its snapshot |
 * | reducer (`fromTransition`, `fromStore`) | pure | restored from its snapshot |
 * | promise | starts after the commit; its result is a turn of its own | runs again |
 * | callback | starts after the commit; what it sends back is a turn of its own | starts again, without what it had received |
 * | observable | subscribes after the commit; each value is a turn of its own | subscribes again |
 * | by hand | with a `start` of its own, whose effects nobody can tell from its state | refused |
 */
import type { AnyActorLogic, AnyStateMachine, StateNode } from 'xstate';
import { InvalidArgumentError, UnsupportedLogicError } from '../errors.ts';
import { assertReferences } from './references.ts';

export type LogicKind = 'machine' | 'reducer' | 'promise' | 'callback' | 'observable' | 'by hand';

/** Logic with a process behind it, which runs outside of turns. */
export type ProcessKind = Exclude<LogicKind, 'machine' | 'reducer' | 'by hand'>;

const kinds = new WeakMap<object, LogicKind>();

export function kindOf(logic: AnyActorLogic): LogicKind {
  let kind = kinds.get(logic);
  if (!kind) {
    kind = classify(logic);
    kinds.set(logic, kind);
  }
  return kind;
}

export const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === 'object' && logic !== null && 'root' in logic && 'implementations' in logic;

// XState does not tag its logics; those that it makes of a function keep it as `config`, and their transitions tell which
// kind they are: a promise and an observable by what they end at, a callback because it knows no actor that it did not start.
function classify(logic: AnyActorLogic): LogicKind {
  if (isMachine(logic)) return 'machine';
  if (!logic.start) return 'reducer';
  if (typeof (logic as { config?: unknown }).config !== 'function') return 'by hand';
  if (statusAfter(logic, { type: 'xstate.promise.resolve', data: 1 }) === 'done') return 'promise';
  if (statusAfter(logic, { type: 'xstate.observable.complete' }) === 'done') return 'observable';
  return statusAfter(logic, { type: 'perdure.probe' }) === 'threw' ? 'callback' : 'by hand';
}

function statusAfter(logic: AnyActorLogic, event: { type: string; data?: unknown }): string | undefined {
  try {
    return logic.transition({ status: 'active' } as never, event as never, { self: {} } as never)?.status;
  } catch {
    return 'threw';
  }
}

/** The config of the machine that an actor runs; `undefined`: it runs something else. */
export const machineConfigOf = ({ logic }: { logic?: unknown }): object | undefined =>
  isMachine(logic) ? logic.config : undefined;

/**
 * Checks that a flow's logic can be durable, as far as that can be seen before it runs.
 * @throws {UnsupportedLogicError} or {@link InvalidArgumentError}, saying what to write instead
 */
export function assertDurable(logic: unknown, flowType: string): asserts logic is AnyActorLogic {
  const where = `The logic of flow '${flowType}'`;
  assertLogic(logic, where, 'Give it a machine, fromTransition(...) or fromStore(...).');
  const kind = kindOf(logic);
  if (kind !== 'machine' && kind !== 'reducer') {
    throw new UnsupportedLogicError(
      `${where} is a ${kind}, whose state lives outside of its snapshot. ` +
        `Write a machine that invokes it: createMachine({ invoke: { src: '…' } }).`,
    );
  }
  if (isMachine(logic)) assertMachine(logic, `Flow '${flowType}'`, new Set());
}

/**
 * Checks that it is actor logic, of a kind that can be durable.
 * @param advice what to give where it is none
 */
function assertLogic(logic: unknown, where: string, advice: string): asserts logic is AnyActorLogic {
  const { transition, getInitialSnapshot, getPersistedSnapshot } = Object(logic) as Partial<AnyActorLogic>;
  const isLogic = [transition, getInitialSnapshot, getPersistedSnapshot].every((part) => typeof part === 'function');
  if (!isLogic) {
    // A store of @xstate/store has a transition, too.
    const isStore = typeof transition === 'function' && typeof getInitialSnapshot === 'function';
    throw new InvalidArgumentError(
      isStore
        ? `${where} is a store, not the logic of one. Give it fromStore({ context, on }) in place of createStore({ context, on }).`
        : `${where} is not actor logic. ${advice}`,
    );
  }
  if (kindOf(logic as AnyActorLogic) === 'by hand') throw byHand(where);
}

/** Logic with a `start` of its own. */
export const byHand = (where: string) =>
  new UnsupportedLogicError(
    `${where} is written by hand, with a start(): what that begins cannot be known after a restart. ` +
      'Write it with fromPromise, fromCallback or fromObservable; or leave start out, if it has nothing to begin.',
  );

function assertMachine(machine: AnyStateMachine, where: string, seen: Set<AnyStateMachine>): void {
  if (seen.has(machine)) return;
  seen.add(machine);
  assertReferences(machine, where);
  const actors = machine.implementations.actors as Record<string, unknown>;
  for (const node of (machine as unknown as { idMap: Map<string, StateNode> }).idMap.values()) {
    for (const invocation of node.invoke) {
      const logic = invokedLogic(
        machine,
        node.config.invoke,
        invocation.src as string,
        node.invoke.indexOf(invocation),
      );
      if (!logic) {
        throw new InvalidArgumentError(
          `${where}, state '#${node.id}' invokes '${invocation.src}', which the machine does not provide. ` +
            `Name it in setup({ actors: { … } }) or give it with machine.provide({ actors: { … } }).`,
        );
      }
      assertLogic(logic, `${where}, state '#${node.id}': what it invokes as '${invocation.src}'`, WRAP);
      if (isMachine(logic)) assertMachine(logic, `${where}, invoked in '#${node.id}'`, seen);
    }
    const transitions = [...node.transitions.values()].flat();
    const actions = [
      node.entry,
      node.exit,
      ...transitions.map((t) => t.actions),
      ...(node.always ?? []).map((t) => t.actions),
    ];
    for (const action of actions.flat()) assertNamedSpawn(action, `${where}, state '#${node.id}'`);
  }
  for (const action of Object.values(machine.implementations.actions)) assertNamedSpawn(action, where);
  for (const [name, logic] of Object.entries(actors)) {
    if (logic !== undefined && logic !== null) assertLogic(logic, `${where}: the actor '${name}'`, WRAP);
    if (isMachine(logic)) assertMachine(logic, where, seen);
  }
}

const WRAP = 'Wrap a function with fromPromise, fromCallback or fromTransition.';

/** The names of what the logic, and the machines in it, can invoke or spawn. */
export function invocationNames(logic: AnyActorLogic, seen = new Set<unknown>(), names = new Set<string>()) {
  if (!isMachine(logic) || seen.has(logic)) return names;
  seen.add(logic);
  for (const [name, actor] of Object.entries(logic.implementations.actors as Record<string, AnyActorLogic>)) {
    names.add(name);
    invocationNames(actor, seen, names);
  }
  return names;
}

/** What a stored child of the machine runs, by its `src`; `undefined`: the machine does not provide it. */
export function resolveActor(machine: AnyStateMachine, src: string): AnyActorLogic | undefined {
  const [, index, id] = /^xstate\.invoke\.(\d+)\.(.*)$/s.exec(src) ?? [];
  if (index === undefined) return machine.implementations.actors[src] as AnyActorLogic | undefined;
  const node = (machine as unknown as { idMap: Map<string, StateNode> }).idMap.get(id!);
  return node && (invokedLogic(machine, node.config.invoke, src, Number(index)) as AnyActorLogic | undefined);
}

function invokedLogic(machine: AnyStateMachine, config: unknown, src: string, index: number): unknown {
  const inline = [config].flat()[index] as { src: unknown } | undefined;
  return typeof inline?.src === 'string' ? machine.implementations.actors[src] : inline?.src;
}

function assertNamedSpawn(action: unknown, where: string): void {
  const { type, src } = (action ?? {}) as { type?: string; src?: unknown };
  if (type === 'xstate.spawnChild' && typeof src !== 'string') throw inlineSpawn(where);
}

/** An actor spawned from a logic object, not from a name: after a restart nobody knows what it was. */
export const inlineSpawn = (where: string) =>
  new UnsupportedLogicError(
    `${where} spawns an actor from inline logic, which cannot be restored. ` +
      `Name the logic in setup({ actors: { worker: … } }) and spawn it by that name: spawn('worker') or spawnChild('worker').`,
  );
