/** One stored actor, held against a machine: where it stands, what is pending, and what the machine that wrote it was like. */
import type { AnyStateMachine, StateNode } from 'xstate';
import type { StoredTimer } from './live-actor.ts';
import { pathOfNode } from './nodes.ts';
import { type Shape, type StateShape, shapeOf, takes } from './shape.ts';

/** What is stored of an actor, or of a child. */
export interface StoredActorState {
  snapshot: any;
  timers?: readonly StoredTimer[];
}

export class FitCase {
  readonly machine: AnyStateMachine;
  readonly stored: StoredActorState;
  /** The nodes that it is in, each before its children. */
  readonly active: readonly StateNode[];
  /** Events of deadlines that it is to be without. */
  readonly waived: ReadonlySet<string>;
  readonly #formers: readonly (Shape | undefined)[];

  constructor(
    machine: AnyStateMachine,
    stored: StoredActorState,
    active: readonly StateNode[],
    formers: readonly (Shape | undefined)[],
    waived: ReadonlySet<string>,
  ) {
    this.machine = machine;
    this.stored = stored;
    this.active = active;
    this.#formers = formers;
    this.waived = waived;
  }

  /** Whether it is known that the machine which wrote the snapshot was so. */
  readonly was = (so: (shape: Shape) => boolean): boolean =>
    this.#formers.length > 0 && this.#formers.every((shape) => shape !== undefined && so(shape));

  /** Whether that is known of a state of that machine. */
  wasState({ id }: StateNode, so: (state: StateShape) => boolean): boolean {
    return this.was(({ states }) => states?.[id] !== undefined && so(states[id]));
  }

  /** A state as the present machine has it. */
  shapeOf({ id }: StateNode): StateShape {
    return shapeOf(this.machine).states![id]!;
  }

  /** Whether some state that it is in takes the event. */
  takes(type: string): boolean {
    return this.active.some((node) => takes(this.shapeOf(node), type));
  }

  /** Whether it is known that some state that it is in took the event. */
  took(type: string): boolean {
    return this.was(({ states }) => this.active.some(({ id }) => states?.[id] && takes(states[id], type)));
  }

  /** The deadlines of the actor itself, without those of its children. */
  get timers(): readonly StoredTimer[] {
    return (this.stored.timers ?? []).filter(({ target = [] }) => target.length === 0);
  }
}

/** A state node in a sentence. */
export const named = (node: StateNode) => (node.path.length === 0 ? 'the machine' : `the state '${pathOfNode(node)}'`);
