/**
 * A machine as JSON: the config that `createMachine` takes, as Stately Studio exports it
 * (https://stately.ai/docs/export-as-code). Actions, guards, actors and delays are there by name; what is computed when
 * the machine runs (its context, an invocation's input) is left out. `actors` holds the machines that it runs.
 */
import type { AnyStateMachine } from 'xstate';
import type { ChildMachine } from '../children.ts';
import { COMPUTED, plainConfig } from '../config.ts';

export function toStatelyJson(machine: AnyStateMachine, children: readonly ChildMachine[] = []): string {
  const actors = Object.fromEntries(children.map(({ src, machine: child }) => [src, plainConfig(child)]));
  const config = { ...plainConfig(machine), ...(children.length > 0 && { actors }) };
  return `${JSON.stringify(config, (_, value) => (value === COMPUTED ? undefined : value), 2)}\n`;
}
