/** The state nodes of a machine. */
import type { AnyStateMachine, StateNode } from 'xstate';

/** All of them, each once: what the machine itself finds by an id. */
export const nodesOf = (machine: AnyStateMachine): StateNode[] => [...idMapOf(machine).values()];

/** Whether the machine has a node of that id. */
export const hasNode = (machine: AnyStateMachine, id: string): boolean => idMapOf(machine).has(id);

/** The state of a node as people write it; the root is `''`. */
export const pathOfNode = (node: { path: string[] }) => node.path.join('.');

const idMapOf = (machine: AnyStateMachine) => (machine as unknown as { idMap: Map<string, StateNode> }).idMap;
