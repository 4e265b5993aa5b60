import type { AnyStateMachine } from 'xstate';
import { conversationMachine } from '../../machines/conversation.ts';
import { microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { InvalidArgumentError } from '../errors.ts';
import { toMermaid } from '../stately/index.ts';

const MACHINES: Record<string, AnyStateMachine> = {
  micro_health_intervention: microHealthInterventionMachine,
  conversation: conversationMachine,
  supervisor: supervisorMachine,
};

/** `perdure machine export FLOW`: prints a machine as a diagram. */
export function exportMachine(flow: string): void {
  const machine = MACHINES[flow];
  if (!machine) {
    throw new InvalidArgumentError(
      `There is no machine '${flow}'. These are known: ${Object.keys(MACHINES).join(', ')}.`,
    );
  }
  process.stdout.write(toMermaid(machine));
}
