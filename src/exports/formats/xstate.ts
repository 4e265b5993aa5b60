/**
 * A machine as the source text of a TypeScript module: its config as one literal, and a stub in `setup` for every name.
 * It compiles as it is; put the implementations in place of the stubs.
 */
import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import { kindOf } from '../../actor/logic.ts';
import { type ChildMachine, isMachine } from '../children.ts';
import { type BuiltIn, COMPUTED, isBuiltIn, plainConfig } from '../config.ts';
import { deedsOf, delayOf, listed, nodesOf, transitionsOf } from '../labels.ts';

export function toXState(machine: AnyStateMachine, children: readonly ChildMachine[] = []): string {
  const module = new Module();
  for (const { machine: child } of children) module.add(child);
  module.add(machine);
  return module.text;
}

class Module {
  readonly #imports = new Set<string>(['setup']);
  readonly #names = new Map<AnyStateMachine, string>();
  readonly #machines: string[] = [];

  get text(): string {
    const imports = [...this.#imports].sort((a, b) => a.localeCompare(b, 'en'));
    return `import { ${imports.join(', ')} } from 'xstate';\n${this.#machines.map((each) => `\n${each}`).join('')}`;
  }

  add(machine: AnyStateMachine): void {
    const name = this.#nameFor(machine);
    this.#names.set(machine, name);
    this.#machines.push(
      `export const ${name} = setup(${this.#setup(machine)}).createMachine(${this.#literal(plainConfig(machine), '')});\n`,
    );
  }

  #nameFor({ id }: AnyStateMachine): string {
    const words = id.split(/[^A-Za-z0-9]+/).filter(Boolean);
    const camel = words.map((word, i) => (i === 0 ? word : `${word[0]!.toUpperCase()}${word.slice(1)}`)).join('');
    const base = `${/^[A-Za-z]/.test(camel) ? camel : `_${camel}`}Machine`;
    const taken = [...this.#names.values()];
    for (let n = 1; ; n++) {
      const name = n === 1 ? base : `${base}${n}`;
      if (!taken.includes(name)) return name;
    }
  }

  #setup(machine: AnyStateMachine): string {
    const { implementations } = machine;
    const open = openNames(machine);
    const actors = { ...implementations.actors, ...open.actors };
    const delays = { ...implementations.delays, ...open.delays };
    const guards = { ...implementations.guards, ...open.guards };
    const actions = { ...implementations.actions, ...open.actions };
    const sections: [string, Record<string, string>][] = [
      ['actors', mapped(actors, (logic) => this.#actor(logic as AnyActorLogic | undefined))],
      ['delays', mapped(delays, (delay) => (typeof delay === 'number' ? String(delay) : '() => 0'))],
      ['guards', mapped(guards, () => '(_: unknown, _params: any) => false')],
      ['actions', mapped(actions, () => '(_: unknown, _params: any) => {}')],
    ];
    const lines = [
      // Without a name of a guard, XState's types take no guard at all, not even its own.
      ...(Object.keys(guards).length === 0 && hasBuiltInGuard(plainConfig(machine))
        ? ['  guards: {} as Record<string, any>,\n']
        : []),
      ...sections
        .filter(([, stubs]) => Object.keys(stubs).length > 0)
        .map(([section, stubs]) => {
          const entries = Object.entries(stubs).map(([name, stub]) => `    ${key(name)}: ${stub},\n`);
          return `  ${section}: {\n${entries.join('')}  },\n`;
        }),
    ];
    return `{\n  types: {} as { context: any; events: any; input: any; emitted: any },\n${lines.join('')}}`;
  }

  #actor(logic: AnyActorLogic | undefined): string {
    if (isMachine(logic)) return this.#names.get(logic)!;
    const [maker, stub] = {
      promise: ['fromPromise', 'fromPromise<any, any>(async () => {})'],
      callback: ['fromCallback', 'fromCallback<any, any>(() => {})'],
      observable: ['fromObservable', 'fromObservable<any, any>(() => ({ subscribe: () => ({ unsubscribe() {} }) }))'],
      reducer: ['fromTransition', 'fromTransition((state: any) => state, {})'],
      'by hand': ['fromCallback', 'fromCallback<any, any>(() => {})'],
      machine: ['', ''],
    }[logic ? kindOf(logic) : 'promise'] as [string, string];
    this.#imports.add(maker);
    return stub;
  }

  /** A value as a literal, on one line where it fits. */
  #literal(value: unknown, indent: string): string {
    if (value === COMPUTED) return '() => ({}) as any';
    if (isBuiltIn(value)) return this.#call(value, indent);
    if (typeof value === 'string') return quoted(value);
    if (typeof value !== 'object' || value === null) return String(value);
    const inner = `${indent}  `;
    const parts = Array.isArray(value)
      ? value.map((each) => this.#literal(each, inner))
      : Object.entries(value).map(([name, each]) => `${key(name)}: ${this.#literal(each, inner)}`);
    const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{ ', ' }'];
    if (parts.length === 0) return `${open}${close}`.replace(/ +/g, '');
    const line = `${open}${parts.join(', ')}${close}`;
    if (indent !== '' && line.length + indent.length < 100 && !line.includes('\n')) return line;
    return `${open.trim()}\n${parts.map((part) => `${inner}${part},\n`).join('')}${indent}${close.trim()}`;
  }

  #call({ type, params }: BuiltIn, indent: string): string {
    const name = type.slice('xstate.'.length);
    this.#imports.add(name);
    const { event, delay, id, to, sendId, actorRef, src, guards, stateValue, value, label, assignment, ...rest } =
      params;
    const options = { ...defined({ id, delay }), ...rest };
    const args = {
      sendTo: [to, event, options],
      spawnChild: [src, { ...defined({ id }), ...rest }],
      not: (guards as unknown[] | undefined) ?? [],
      log: [value, label],
    }[name] ?? [event ?? sendId ?? actorRef ?? guards ?? stateValue ?? assignment, options];
    return `${name}(${args
      .filter((each) => each !== undefined && !isEmpty(each))
      .map((each) => this.#literal(each, indent || '  '))
      .join(', ')})`;
  }
}

/** What the config names and nothing implements: a machine may be given its implementations later. */
function openNames(machine: AnyStateMachine) {
  type Names = Record<string, undefined>;
  const names = { actors: {} as Names, delays: {} as Names, guards: {} as Names, actions: {} as Names };
  const add = (kind: keyof typeof names, name: unknown) => {
    if (typeof name === 'string' && !Object.hasOwn(machine.implementations[kind], name)) names[kind][name] = undefined;
  };
  const action = (each: unknown) => {
    if (typeof each !== 'function') return add('actions', typeof each === 'string' ? each : (each as BuiltIn).type);
    const { src, delay } = each as { src?: unknown; delay?: unknown };
    add('actors', src);
    add('delays', delay);
  };
  const guard = (each: unknown) => {
    if (typeof each !== 'function') return add('guards', typeof each === 'string' ? each : (each as BuiltIn)?.type);
    for (const inner of (each as { guards?: unknown[] }).guards ?? []) guard(inner);
  };
  for (const node of nodesOf(machine.root)) {
    const begin = node.type === 'compound' ? listed(node.initial.actions) : [];
    for (const each of [...deedsOf(node, 'entry'), ...deedsOf(node, 'exit'), ...begin]) action(each);
    for (const { src } of node.invoke) add('actors', src);
    for (const transition of transitionsOf(node)) {
      for (const each of transition.actions) action(each);
      guard(transition.guard);
      const delay = delayOf(node, transition);
      if (delay !== undefined && !Number.isFinite(Number(delay))) add('delays', delay);
    }
  }
  return names;
}

function hasBuiltInGuard(config: unknown): boolean {
  if (typeof config !== 'object' || config === null) return false;
  return Object.entries(config).some(([name, each]) => (name === 'guard' && isBuiltIn(each)) || hasBuiltInGuard(each));
}

const isEmpty = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
const defined = (object: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const mapped = <T>(object: Record<string, T>, text: (value: T) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, text(value)]));
const key = (name: string) =>
  /^([A-Za-z_$][\w$]*|[1-9]\d{0,14}|0)$/.test(name) && name !== '__proto__' ? name : quoted(name);
const quoted = (text: string) =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'").replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`;
