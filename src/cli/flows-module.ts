/** The flows that a command is about: those that a module of the user's exports, or the two that Perdure brings. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidArgumentError } from '../errors.ts';
import type { AnyFlow } from '../flow.ts';
import { createConversationFlow } from '../flows/conversation.ts';
import { offlineResponder } from '../flows/generator.ts';
import { microHealthInterventionFlow } from '../flows/micro-health-intervention.ts';

/**
 * @param path of a module that exports flows, one by one or in lists, with old versions that stay registered
 * @throws {InvalidArgumentError} there is no such module, it cannot be imported, or it exports no flow
 */
export async function flowsOf(path: string | undefined): Promise<AnyFlow[]> {
  if (path === undefined) return [microHealthInterventionFlow, createConversationFlow({ generate: offlineResponder })];
  const file = resolve(path);
  if (!existsSync(file))
    throw new InvalidArgumentError(`There is no module ${path}. Give the file that exports your flows.`);
  const loaded = await load(file, path);
  // What a CommonJS module exports may be found under `default` alone.
  const { default: inner } = loaded;
  const exported = typeof inner === 'object' && inner !== null && !isFlow(inner) ? { ...inner, ...loaded } : loaded;
  const flows = [...new Set(Object.values(exported).flat())].filter(isFlow);
  if (flows.length > 0) return flows;
  const names = Object.keys(exported).join(', ') || 'nothing';
  throw new InvalidArgumentError(
    `${path} exports no flow (it exports ${names}). Export what defineFlow(…) gives, or a list of it.`,
  );
}

async function load(file: string, path: string): Promise<Record<string, unknown>> {
  const tsx = /\.[cm]?tsx?$/.test(file) ? typeScriptOf(file) : undefined;
  if (tsx) await import(pathToFileURL(tsx).href);
  try {
    return await import(pathToFileURL(file).href);
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'ERR_UNKNOWN_FILE_EXTENSION')
      throw new InvalidArgumentError(`${path} cannot be imported: ${(cause as Error)?.message ?? cause}`, { cause });
    throw new InvalidArgumentError(
      `This Node (${process.version}) cannot import ${path}. Add tsx to your project (npm install --save-dev tsx), use Node 22.18 or later, or give the compiled .js file.`,
      { cause },
    );
  }
}

/** The project's own tsx, which lets this process import TypeScript once it is imported, as with `node --import tsx`. */
function typeScriptOf(file: string): string | undefined {
  try {
    return createRequire(file).resolve('tsx');
  } catch {
    return undefined;
  }
}

const isFlow = (value: unknown): value is AnyFlow => {
  const { type, version, logic, supervision, invocations } = Object(value);
  return typeof type === 'string' && typeof version === 'number' && !!logic && !!supervision && !!invocations;
};
