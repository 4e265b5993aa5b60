/** Whether a machine can be exported whole: everything that it does has a name, and what it holds is plain data. */
import type { AnyStateMachine } from 'xstate';
import { MachineNotExportableError } from '../errors.ts';
import { childMachines } from './children.ts';
import { argumentsOf } from './config.ts';
import { listed } from './labels.ts';

/** Something in a machine that no file can hold. */
export interface Finding {
  /** Where it is in the machine's config, e.g. `states.idle.on.GO.actions`; of a child machine after `(its name)`. */
  path: string;
  /** What it is, and what to do about it. */
  problem: string;
}

/** @returns what of the machine, and of the machines that it runs, cannot be exported; nothing: it can be exported whole */
export function checkMachine(machine: AnyStateMachine): Finding[] {
  const { children, circular } = childMachines(machine);
  return [
    ...look(machine, ''),
    ...circular.map((src) => ({
      path: `(${src})`,
      problem: `the actor '${src}' is a machine that leads back to one above it, so that there is no end to it. Export the machines apart, or give that actor another one.`,
    })),
    ...children.flatMap(({ src, machine: child }) => look(child, `(${src}) `)),
  ];
}

/** @throws {MachineNotExportableError} with all that is in the way */
export function assertExportable(machine: AnyStateMachine): void {
  const findings = checkMachine(machine);
  if (findings.length > 0) throw new MachineNotExportableError(machine.id, findings);
}

function look({ config }: AnyStateMachine, prefix: string): Finding[] {
  const findings: Finding[] = [];
  const found = (path: string, problem: string) => findings.push({ path: `${prefix}${path || 'config'}`, problem });

  const action = (value: unknown, path: string) => {
    if (typeof value === 'string') return;
    if (typeof value === 'function') {
      const { type } = value as { type?: string };
      const builtIn = type?.startsWith('xstate.') ? type.slice('xstate.'.length) : undefined;
      if (builtIn && argumentsOf(value as never).every(([, given]) => strange(given, '') === undefined)) return;
      const what = builtIn ? `an inline ${builtIn}(…) that computes` : inline('action', value.name);
      found(path, `${what}. Name it in setup({ actions }).`);
    } else data((value as { params?: unknown }).params, `${path}.params`);
  };
  const guard = (value: unknown, path: string) => {
    if (value === undefined || typeof value === 'string') return;
    if (typeof value !== 'function') return data((value as { params?: unknown }).params, `${path}.params`);
    const { guards, stateValue } = value as { guards?: unknown[]; stateValue?: unknown };
    if (guards) for (const [i, each] of guards.entries()) guard(each, `${path}.${i}`);
    else if (stateValue === undefined)
      found(path, `${inline('guard', (value as { name: string }).name)}. Name it in setup({ guards }).`);
  };
  const actions = (value: unknown, path: string) => {
    for (const each of listed(value)) action(each, path);
  };
  const transitions = (value: unknown, path: string) => {
    const all = listed(value);
    all.forEach((each, i) => {
      if (typeof each !== 'object' || each === null) return;
      const at = all.length > 1 ? `${path}.${i}` : path;
      const { guard: condition, actions: deeds, meta } = each as Record<string, unknown>;
      guard(condition, `${at}.guard`);
      actions(deeds, `${at}.actions`);
      data(meta, `${at}.meta`);
    });
  };
  /** Computed when the machine runs, or plain. */
  const data = (value: unknown, path: string) => {
    if (typeof value === 'function') return;
    const where = strange(value, path);
    if (where) found(where.path, `${where.what}, which JSON cannot hold. Keep plain data there.`);
  };
  const state = (node: any, path: string) => {
    const at = (key: string) => (path ? `${path}.${key}` : key);
    actions(node.entry, at('entry'));
    actions(node.exit, at('exit'));
    if (typeof node.initial === 'object') actions(node.initial.actions, at('initial.actions'));
    for (const [event, each] of Object.entries(node.on ?? {})) transitions(each, at(`on.${event}`));
    for (const [delay, each] of Object.entries(node.after ?? {})) transitions(each, at(`after.${delay}`));
    transitions(node.always, at('always'));
    transitions(node.onDone, at('onDone'));
    transitions(node.route, at('route'));
    listed(node.invoke).forEach((each: any, i, all) => {
      const where = at(all.length > 1 ? `invoke.${i}` : 'invoke');
      if (typeof each.src !== 'string') found(`${where}.src`, 'an actor without a name. Name it in setup({ actors }).');
      data(each.input, `${where}.input`);
      for (const key of ['onDone', 'onError', 'onSnapshot']) transitions(each[key], `${where}.${key}`);
    });
    data(node.meta, at('meta'));
    data(node.output, at('output'));
    for (const [key, child] of Object.entries(node.states ?? {})) state(child, at(`states.${key}`));
  };
  state(config, '');
  data((config as { context?: unknown }).context, 'context');
  return findings;
}

/** JavaScript names a function after the key that it was written under. */
const KEYS = ['', 'entry', 'exit', 'actions', 'guard'];

function inline(what: 'action' | 'guard', name: string): string {
  const a = what === 'action' ? 'an action' : 'a guard';
  return KEYS.includes(name) ? `an inline ${what}` : `the function ${name} where ${a} is to be named`;
}

/** The first thing in a value that JSON cannot hold. */
function strange(value: unknown, path: string, above: object[] = []): { path: string; what: string } | undefined {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean')
    return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : { path, what: `the number ${value}` };
  if (typeof value !== 'object') return { path, what: `a ${typeof value}` };
  if (above.includes(value)) return { path, what: 'an object that holds itself' };
  const prototype = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null)
    return { path, what: `a ${prototype.constructor?.name ?? 'object of a class'}` };
  for (const [key, inner] of Object.entries(value)) {
    const found = strange(inner, `${path}.${key}`, [...above, value]);
    if (found) return found;
  }
  return undefined;
}
