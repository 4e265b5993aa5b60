/** What a command is about: the flows that a module of the user's exports, or the two that Perdure brings. */
import type { Command } from 'commander';
import { InvalidArgumentError } from '../errors.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { Recoverable } from '../recovery/index.ts';
import { createRuntime, type Runtime } from '../runtime/runtime.ts';
import { createConversationFlow } from '../study/conversation.ts';
import { offlineResponder } from '../study/generator.ts';
import { microHealthInterventionFlow } from '../study/micro-health-intervention.ts';
import { importModule } from './module.ts';
import { createService } from './service.ts';

/** Adds the argument that names the module. */
export const takingModule = (command: Command): Command =>
  command.argument(
    '[module]',
    'the one file that exports your flows, in JavaScript or TypeScript; default: the two that Perdure brings',
  );

/** What to do where a flow is not there. */
export const adviceOf = (module: string | undefined): string =>
  module === undefined
    ? 'Name the module that exports it as the last argument: without one, only the two flows that Perdure brings are known.'
    : `${module} does not export it.`;

/** Tells on stderr, for those who read a report, of the flows in it that are not there. */
export function tellUnknown(flowTypes: string[], module: string | undefined): void {
  for (const flowType of flowTypes) console.error(`There is no flow '${flowType}'. ${adviceOf(module)}`);
}

/**
 * @param path of a module that exports flows, one by one or in lists, with old versions that stay registered
 * @throws {InvalidArgumentError} there is no such module, it cannot be imported, or it exports no flow
 */
export async function flowsOf(path: string | undefined): Promise<AnyFlow[]> {
  if (path === undefined) return [microHealthInterventionFlow, createConversationFlow({ generate: offlineResponder })];
  return (await applicationIn(path)).flows;
}

/**
 * A runtime with these flows, and with the components of recovery that the module exports beside them; not started yet.
 * @throws {InvalidArgumentError} as {@link flowsOf}
 */
export async function runtimeOf(database: string, path: string | undefined): Promise<Runtime> {
  if (path === undefined) return createService({ database }).runtime;
  const { flows, components } = await applicationIn(path);
  const runtime = createRuntime({ database: `sqlite:${database}`, flows });
  for (const component of components) runtime.recovery.registerRecoverable(component);
  return runtime;
}

async function applicationIn(path: string): Promise<{ flows: AnyFlow[]; components: Recoverable[] }> {
  const exported = await importModule(path);
  const values = [...new Set(Object.values(exported).flat())];
  const flows = values.filter(isFlow);
  if (flows.length > 0) return { flows, components: values.filter(isRecoverable) };
  const names = Object.keys(exported).join(', ') || 'nothing';
  throw new InvalidArgumentError(
    `${path} exports no flow (it exports ${names}). Export what defineFlow(…) gives, or a list of it.`,
  );
}

const isFlow = (value: unknown): value is AnyFlow => {
  const { type, version, logic, supervision, invocations } = Object(value);
  return typeof type === 'string' && typeof version === 'number' && !!logic && !!supervision && !!invocations;
};

const isRecoverable = (value: unknown): value is Recoverable => {
  const { name, recoverState } = Object(value);
  return typeof name === 'string' && typeof recoverState === 'function';
};
