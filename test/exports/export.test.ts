/** Every format, held by golden files and by reading each export back with what reads it elsewhere. */
import { createRequire } from 'node:module';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import * as xstate from 'xstate';
import { exportMachine } from '../../src/exports/index.ts';
import { nodesOf, transitionsOf } from '../../src/exports/labels.ts';
import { machines } from './machines.ts';

const tools = createRequire(new URL('./tools/package.json', import.meta.url));

/** What a machine does, state by state, without what is computed when it runs. */
function behaviour(machine: AnyStateMachine) {
  const plain = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value ?? null, (_, each) =>
        typeof each === 'function' ? { ...each, name: each.check ? each.name : undefined } : each,
      ),
    );
  return [...nodesOf(machine.root)].map((node) => ({
    id: node.id,
    type: node.type,
    description: node.description,
    tags: node.tags,
    meta: plain(node.meta),
    entry: plain(node.entry),
    exit: plain(node.exit),
    history: node.history,
    invoke: node.invoke.map(({ id, src }) => ({ id, src })),
    initial: node.type === 'compound' && node.initial.target?.map(({ id }) => id),
    transitions: transitionsOf(node).map(({ eventType, target, guard, actions, reenter, description }) => ({
      eventType,
      target: target?.map(({ id }) => id),
      guard: plain(guard),
      actions: plain(actions),
      reenter,
      description,
    })),
  }));
}

/** Runs a module of TypeScript; the machines that it exports. */
function evaluate(source: string): Record<string, AnyStateMachine> {
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.CommonJS } });
  const exports = {};
  new Function('exports', 'require', outputText)(exports, () => xstate);
  return exports;
}

const extensions = { 'stately-json': 'json', xstate: 'ts.txt', mermaid: 'mmd', scxml: 'scxml' } as const;

describe.each(machines)('%s', (name, machine) => {
  it.each(Object.entries(extensions))('is the same as %s as it was', async (format, extension) => {
    const text = await exportMachine(machine, { format: format as keyof typeof extensions });
    await expect(text).toMatchFileSnapshot(`golden/${name}.${extension}`);
  });

  it('is drawn as it is in the docs', async () => {
    const folder = name === 'kitchen-sink' ? 'golden' : '../../docs/machines';
    await expect(await exportMachine(machine, { format: 'svg' })).toMatchFileSnapshot(`${folder}/${name}.svg`);
  });

  it('is whole as XState source: run, that is a machine which does the same', async () => {
    const exported = Object.values(evaluate(await exportMachine(machine, { format: 'xstate' }))).at(-1)!;
    expect(behaviour(exported)).toEqual(behaviour(machine));
    for (const kind of ['actions', 'guards', 'delays', 'actors'] as const) {
      expect(Object.keys(exported.implementations[kind]).sort()).toEqual(
        Object.keys(machine.implementations[kind]).sort(),
      );
    }
  });

  it('has every state, transition and description as SCXML, as XState 4 reads it', async () => {
    const scxml = await exportMachine(machine, { format: 'scxml' });
    const read = tools('xstate/lib/scxml').toMachine(readable(scxml), { delimiter: '$' });
    const root = read.states[Object.keys(read.states)[0]!];
    const found = (node: any): Outline => ({
      id: node.id,
      type: node.type,
      initial: node.type === 'compound' ? node.initialStateNodes.map(({ id }: any) => id) : null,
      transitions: node.transitions.map(({ eventType, target }: any) => [
        eventType,
        target?.map(({ id }: any) => id) ?? null,
      ]),
      states: Object.values(node.states).map(found),
    });
    expect(found(root)).toEqual(outline(machine.root));
    for (const { description } of nodesOf(machine.root)) {
      if (description) expect(scxml).toContain(description.replaceAll('--', '\u2010-'));
    }
  });
});

it.each(['stately-json', 'xstate'] as const)('forbids as %s the events that the machine forbids', async (format) => {
  const machine = xstate.createMachine({
    id: 'door',
    initial: 'locked',
    on: { open: '.opened' },
    states: { locked: { on: { open: undefined } }, opened: {} },
  });
  const text = await exportMachine(machine, { format });
  const again = format === 'xstate' ? Object.values(evaluate(text))[0]! : xstate.createMachine(JSON.parse(text));
  const actor = xstate.createActor(again).start();
  actor.send({ type: 'open' });
  expect(actor.getSnapshot().value).toBe('locked');
});

it.each(['stately-json', 'xstate'] as const)('says as %s whose snapshots are told', async (format) => {
  const actors = { clock: xstate.fromTransition((at: number) => at + 1, 0) };
  const machine = xstate.setup({ actors }).createMachine({
    entry: [
      xstate.spawnChild('clock', { id: 'loud', syncSnapshot: true }),
      xstate.spawnChild('clock', { id: 'quiet' }),
    ],
  });
  const text = await exportMachine(machine, { format });
  expect(text.match(/syncSnapshot.*true/g)).toHaveLength(1);
  expect(text).not.toMatch(/syncSnapshot.*false/);
});

it('writes SCXML with names that XML and expressions take', async () => {
  const delays = { 'a long nap': () => 1, 'nap.short': 2 };
  const machine = xstate.setup({ delays }).createMachine({
    id: 'sleeper',
    initial: '*',
    entry: xstate.raise({ type: 'LATER' }, { delay: 'a long nap' }),
    states: { '*': { after: { 'a long nap': 'up', 'nap.short': 'up' } }, up: {} },
  });
  const scxml = await exportMachine(machine, { format: 'scxml' });
  expect([...scxml.matchAll(/<data id="([^"]*)"/g)].map(([, id]) => id)).toEqual(['a_long_nap', 'nap_short']);
  expect([...scxml.matchAll(/delayexpr="([^"]*)"/g)].map(([, name]) => name)).toEqual(['a_long_nap', 'a_long_nap']);
  for (const [, id] of scxml.matchAll(/<(?:state|send) [^>]*\bid="([^"]*)"/g)) expect(id).toMatch(/^[A-Za-z_][\w.-]*$/);
});

it('compiles as XState source, strictly', async () => {
  const sources = new Map<string, string>();
  for (const [name, machine] of machines) {
    const file = new URL(`./exported-${name}.ts`, import.meta.url).pathname;
    sources.set(file, await exportMachine(machine, { format: 'xstate' }));
  }
  const looking = xstate.createMachine({
    id: 'looking',
    type: 'parallel',
    states: {
      door: {
        initial: 'shut',
        states: { shut: { on: { go: { guard: xstate.stateIn({ lamp: 'on' }), target: 'open' } } }, open: {} },
      },
      lamp: { initial: 'on', states: { on: {} } },
    },
  });
  // Names, and nothing that implements them: a machine as Studio exports it.
  const bare = xstate.createMachine({
    id: 'bare',
    initial: 'asking',
    entry: ['greet', { type: 'note', params: { text: 'begun' } }],
    states: {
      asking: {
        initial: { target: 'first', actions: 'begin' },
        invoke: { src: 'answer', onDone: { target: 'done', guard: 'isGood' }, onError: { actions: 'complain' } },
        after: { patience: 'done', 1000: { actions: xstate.raise({ type: 'HURRY' }, { delay: 'soon' as never }) } },
        on: {
          HURRY: { guard: xstate.not(xstate.and(['isCalm', { type: 'over', params: { n: 1 } }])), target: 'done' },
        },
        exit: xstate.spawnChild('watcher'),
        states: { first: {} },
      },
      done: { type: 'final' },
    },
  });
  for (const each of [looking, bare]) {
    const file = new URL(`./exported-${each.id}.ts`, import.meta.url).pathname;
    sources.set(file, await exportMachine(each, { format: 'xstate' }));
  }
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => sources.has(file) || fileExists(file);
  host.getSourceFile = (file, ...rest) => {
    const text = sources.get(file);
    return text === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, text, ts.ScriptTarget.ES2022);
  };
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([...sources.keys()], options, host));
  expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
});

interface Outline {
  id: string;
  type: string;
  initial: string[] | null;
  transitions: [event: string, targets: string[] | null][];
  states: Outline[];
}

/** What SCXML should say of a state, in its own words. */
function outline(node: AnyStateNode): Outline {
  const id = (each: AnyStateNode) => each.id.replaceAll(/[^\w.-]/g, '_');
  const event = (type: string) => {
    if (type.startsWith('xstate.after.'))
      return `after.${type.slice('xstate.after.'.length, -node.id.length - 1)}.${id(node)}`;
    const [, what, rest] = /^xstate\.(done\.actor|error\.actor|done\.state)\.(.*)$/.exec(type) ?? [];
    const names: Record<string, string> = { 'done.actor': 'done.invoke.', 'error.actor': 'error.platform.' };
    return `${what ? (names[what] ?? 'done.state.') : ''}${(rest ?? type).replace(/^\d/, '_$&').replaceAll(/[^\w.*-]/g, '_')}`;
  };
  return {
    id: id(node),
    type: node.type,
    initial: node.type === 'compound' ? beginning(node.initial.target ?? []).map(id) : null,
    transitions:
      node.type === 'history'
        ? []
        : transitionsOf(node).map(({ eventType, target, reenter }) => [
            event(eventType),
            // To stay is no target in SCXML.
            !target || (target[0] === node && !reenter) ? null : target.map(id),
          ]),
    states: Object.values(node.states).map(outline),
  };
}

/** Where one stands after entering. */
const beginning = (nodes: readonly AnyStateNode[]): AnyStateNode[] =>
  nodes.flatMap((node) => {
    if (node.type === 'compound') return beginning(node.initial.target ?? []);
    return node.type === 'parallel' ? beginning(Object.values(node.states)) : [node];
  });

/** XState 4 reads neither scripts nor cancellations, nor actors that are no SCXML. */
const readable = (scxml: string) =>
  scxml
    .replaceAll(/<invoke [^>]*type="xstate:[^>]*\/>/g, '')
    .replaceAll(/<cancel [^>]*>|<script>.*<\/script>/g, '<log expr="1"/>');
