/**
 * A machine as a Mermaid state diagram (https://mermaid.js.org/syntax/stateDiagram.html): every state with its transitions,
 * guards and deadlines. What a state does without leaving it is listed in the state.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';

/** @returns the text of a `stateDiagram-v2`, one line per state and transition */
export function toMermaid(machine: AnyStateMachine): string {
  const lines = ['stateDiagram-v2', ...inside(machine.root, '  ')];
  for (const node of nodesOf(machine.root)) lines.push(...transitions(node).map((line) => `  ${line}`));
  return `${lines.join('\n')}\n`;
}

function* nodesOf(node: AnyStateNode): Generator<AnyStateNode> {
  yield node;
  for (const child of Object.values(node.states)) yield* nodesOf(child);
}

/** The states of a node; parallel ones are told apart by `--`. */
function inside(node: AnyStateNode, indent: string): string[] {
  const lines: string[] = [];
  const children = Object.values(node.states);
  children.forEach((child, i) => {
    if (node.type === 'parallel' && i > 0) lines.push(`${indent}--`);
    const declaration = `${indent}state ${JSON.stringify(child.key)} as ${nameOf(child)}`;
    if (Object.keys(child.states).length === 0) lines.push(declaration);
    else lines.push(`${declaration} {`, ...inside(child, `${indent}  `), `${indent}}`);
    lines.push(...described(child).map((line) => indent + line));
    if (child.type === 'final') lines.push(`${indent}${nameOf(child)} --> [*]`);
  });
  for (const target of node.type === 'compound' ? (node.initial?.target ?? []) : []) {
    lines.push(`${indent}[*] --> ${nameOf(target)}`);
  }
  return lines;
}

/** A state's notes: in it, or beside it where it holds other states, since Mermaid gives those no room. */
function described(node: AnyStateNode): string[] {
  const lines = notes(node);
  if (Object.keys(node.states).length === 0) return lines.map((note) => `${nameOf(node)} : ${note}`);
  return lines.length === 0 ? [] : [`note right of ${nameOf(node)}`, ...lines.map((note) => `  ${note}`), 'end note'];
}

/** What happens in a state without leaving it. */
function notes(node: AnyStateNode): string[] {
  return [
    ...node.invoke.map(({ src }) => `invoke / ${text(src)}`),
    ...node.entry.map((action) => `entry / ${text(typeOf(action))}`),
    ...node.exit.map((action) => `exit / ${text(typeOf(action))}`),
    ...allTransitions(node)
      .filter(({ target }) => !target)
      .map((transition) => labelOf(node, transition)),
  ].filter((note) => !note.endsWith('/ '));
}

function transitions(node: AnyStateNode): string[] {
  return allTransitions(node).flatMap((transition) =>
    (transition.target ?? []).map((target) => {
      const from = node === node.machine.root ? '[*]' : nameOf(node);
      return `${from} --> ${nameOf(target)} : ${labelOf(node, transition)}`;
    }),
  );
}

interface Transition {
  eventType: string;
  target?: readonly AnyStateNode[] | undefined;
  guard?: unknown;
  actions: readonly unknown[];
}

const allTransitions = (node: AnyStateNode): Transition[] => [
  ...[...node.transitions.values()].flat(),
  ...(node.always ?? []),
];

function labelOf(node: AnyStateNode, { eventType, guard, actions }: Transition): string {
  const condition = guard === undefined ? '' : ` [${guardOf(guard)}]`;
  const deeds = actions.map(typeOf).filter((type) => type !== '' && !type.startsWith('xstate.'));
  return `${eventOf(node, eventType)}${condition}${deeds.length > 0 ? ` / ${deeds.join(', ')}` : ''}`.replaceAll(
    /[:;#]/g,
    '·',
  );
}

/** An event as people call it: deadlines and results have technical types. */
function eventOf(node: AnyStateNode, type: string): string {
  if (type === '') return 'always';
  const suffix = `.${node.id}`;
  if (type.startsWith('xstate.after.') && type.endsWith(suffix)) return `after ${type.slice(13, -suffix.length)}`;
  const [, what] = /^xstate\.(done|error)\.(actor|state)\./.exec(type) ?? [];
  if (what) return what;
  return type.startsWith('xstate.snapshot.') ? 'snapshot' : type;
}

function guardOf(guard: unknown): string {
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'function') {
    // and(…), or(…), not(…) carry their parts.
    const { guards, check, name } = guard as unknown as { guards?: unknown[]; check?: { name?: string }; name: string };
    if (!guards) return name || '…';
    return `${(check?.name ?? 'check').replace(/^check/, '').toLowerCase()}(${guards.map(guardOf).join(', ')})`;
  }
  const { type = '…', params } = guard as { type?: string; params?: unknown };
  const values = Object.values(typeof params === 'object' ? (params ?? {}) : {});
  return [type, ...values.filter((value) => typeof value === 'string' || typeof value === 'number')].join(' ');
}

function typeOf(action: unknown): string {
  if (typeof action === 'string') return action;
  if (typeof action === 'function') return '';
  return (action as { type?: string }).type ?? '';
}

const text = (value: unknown) => (typeof value === 'string' && !value.startsWith('xstate.') ? value : '');

const nameOf = (node: AnyStateNode) => node.path.join('_').replaceAll(/\W/g, '_') || 'root';
