/** The machines that a machine runs as actors: those that it names in `setup({ actors })`, and theirs. */
import type { AnyStateMachine } from 'xstate';

export interface ChildMachine {
  /** Its name in `setup({ actors })`; below a child, `child.grandchild`. */
  src: string;
  machine: AnyStateMachine;
}

/** Every machine below a machine, each once, those that it runs before itself; `circular` names those that lead back. */
export function childMachines(machine: AnyStateMachine): { children: ChildMachine[]; circular: string[] } {
  const children: ChildMachine[] = [];
  const circular: string[] = [];
  const look = (parent: AnyStateMachine, path: string[], above: unknown[]): void => {
    for (const [name, logic] of Object.entries(parent.implementations.actors)) {
      if (!isMachine(logic)) continue;
      const src = [...path, name].join('.');
      // `provide` makes another machine of the same config.
      if (above.includes(logic.config)) circular.push(src);
      else if (!children.some((known) => known.machine === logic)) {
        look(logic, [...path, name], [...above, logic.config]);
        children.push({ src, machine: logic });
      }
    }
  };
  look(machine, [], [machine.config]);
  return { children, circular };
}

/** A machine of this copy of XState or another. */
export function isMachine(value: unknown): value is AnyStateMachine {
  const { root, config, implementations } = (value ?? {}) as Partial<AnyStateMachine>;
  return root !== undefined && config !== undefined && implementations !== undefined;
}
