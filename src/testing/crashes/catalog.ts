/** The states and transitions of the machines in a flow, by names that people can read. */
import type { AnyActorLogic, AnyStateMachine, InspectionEvent } from 'xstate';
import { kindOf } from '../../actor/logic.ts';

interface Node {
  id: string;
  type: string;
  path: string[];
  machine: AnyStateMachine;
  transitions: Map<string, Transition[]>;
  always?: Transition[];
  invoke: { id: string; src: unknown }[];
}
interface Transition {
  target?: Node[];
  guard?: unknown;
  eventType: string;
}

/** What there is to be covered, and what of it an inspection event covers. */
export class Catalog {
  readonly states = new Set<string>();
  readonly transitions = new Set<string>();
  readonly #states = new Map<object, string>();
  readonly #transitions = new Map<object, string>();

  constructor(logic: AnyActorLogic) {
    this.#add(logic, '', new Set());
  }

  /** Names of the states that are entered, and of the transitions that are taken. */
  covered(event: InspectionEvent): { states: string[]; transitions: string[] } {
    if (event.type !== '@xstate.microstep' && event.type !== '@xstate.snapshot') return { states: [], transitions: [] };
    const { _nodes: nodes = [] } = event.snapshot as unknown as { _nodes?: object[] };
    const taken = event.type === '@xstate.microstep' ? (event._transitions as unknown as object[]) : [];
    return {
      states: nodes.flatMap((node) => this.#states.get(node) ?? []),
      transitions: taken.flatMap((transition) => this.#transitions.get(transition) ?? []),
    };
  }

  #add(logic: AnyActorLogic, prefix: string, seen: Set<unknown>): void {
    if (kindOf(logic) !== 'machine' || seen.has(logic)) return;
    seen.add(logic);
    const machine = logic as AnyStateMachine;
    for (const node of (machine as unknown as { idMap: Map<string, Node> }).idMap.values()) {
      const name = prefix + (node.path.join('.') || '(root)');
      if (node.type !== 'history') this.#name(this.#states, this.states, node, name);
      for (const transition of [...[...node.transitions.values()].flat(), ...(node.always ?? [])])
        this.#name(this.#transitions, this.transitions, transition, `${name}: ${describe(node, transition)}`);
    }
    for (const [name, actor] of Object.entries(machine.implementations.actors as Record<string, AnyActorLogic>))
      this.#add(actor, `${prefix}${name}/`, seen);
  }

  /** Of two that would be called the same, the second one gets a number. */
  #name(names: Map<object, string>, all: Set<string>, thing: object, name: string): void {
    let unique = name;
    for (let i = 2; all.has(unique); i++) unique = `${name} (${i})`;
    all.add(unique);
    names.set(thing, unique);
  }
}

function describe(node: Node, { eventType, guard, target }: Transition): string {
  const targets = target?.map(({ path }) => path.join('.') || '(root)').join(', ');
  const name = typeof guard === 'string' ? guard : ((guard as any)?.type ?? (guard as any)?.name);
  return `${eventName(node, eventType)}${guard ? ` [${name || 'guard'}]` : ''}${targets ? ` → ${targets}` : ''}`;
}

function eventName({ invoke }: Node, type: string): string {
  const [, kind, rest = ''] =
    /^xstate\.(after|done\.actor|error\.actor|done\.state|snapshot|error\.\w+)\.?(.*)$/.exec(type) ?? [];
  if (type === '') return 'always';
  if (kind === 'after') return `after ${rest.split('.')[0]}`;
  if (kind === 'done.state') return 'onDone';
  if (!kind) return type;
  const src = invoke.find(({ id }) => id === rest)?.src;
  return `${kind === 'done.actor' ? 'done' : kind === 'snapshot' ? 'snapshot' : 'error'} ${typeof src === 'string' ? src : rest}`;
}
