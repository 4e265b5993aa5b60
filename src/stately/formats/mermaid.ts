/**
 * A machine as a Mermaid state diagram (https://mermaid.js.org/syntax/stateDiagram.html): every state with its transitions,
 * guards and deadlines. What a state does without leaving it is listed in the state.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import type { ChildMachine } from '../children.ts';
import {
  actionText,
  actorText,
  deedsOf,
  eventText,
  guardText,
  historyTargets,
  nameOf,
  nodesOf,
  type Transition,
  transitionsOf,
} from '../labels.ts';

/**
 * @param children the machines that it runs: each is drawn beside it
 * @returns the text of a `stateDiagram-v2`, one line per state and transition
 */
export function toMermaid(machine: AnyStateMachine, children: readonly ChildMachine[] = []): string {
  const { description } = machine.root;
  const lines = [
    'stateDiagram-v2',
    ...(description ? [`  accTitle: ${line(machine.id)}`, `  accDescr: ${line(description)}`] : []),
    ...new Sheet('').lines(machine.root, '  '),
  ];
  children.forEach(({ src, machine: child }, i) => {
    lines.push(`  state ${quoted(`${child.id} (the actor ${src})`)} as child_${i + 1} {`);
    lines.push(...new Sheet(`child_${i + 1}_`).lines(child.root, '    '), '  }');
  });
  return `${lines.join('\n')}\n`;
}

/** The lines of one machine; the prefix keeps its names apart from those of another. */
class Sheet {
  readonly #prefix: string;
  readonly #names = new Map<AnyStateNode, string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  lines(root: AnyStateNode, indent: string): string[] {
    // What happens in the machine as a whole, and side by side, needs a state around it.
    const framed = root.type === 'parallel' || this.#notes(root).length > 0 || isSource(root) || isTarget(root);
    const lines = framed ? this.#state(root, indent, root.machine.id) : this.#inside(root, indent);
    for (const node of nodesOf(root)) lines.push(...this.#transitions(node).map((line) => indent + line));
    return lines;
  }

  /** The states of a node; parallel ones are told apart by `--` where Mermaid can draw it. */
  #inside(node: AnyStateNode, indent: string): string[] {
    const lines: string[] = [];
    const apart = node.type === 'parallel' && !Object.values(node.states).some(isEntangled);
    Object.values(node.states).forEach((child, i) => {
      if (apart && i > 0 && child.type !== 'history') lines.push(`${indent}--`);
      lines.push(...this.#state(child, indent));
    });
    for (const target of node.type === 'compound' ? (node.initial?.target ?? []) : []) {
      lines.push(`${indent}[*] --> ${this.#name(target)}`);
    }
    return lines;
  }

  #state(node: AnyStateNode, indent: string, title = node.key): string[] {
    const name = this.#name(node);
    const label = node.type === 'history' ? `${title} (${node.history === 'deep' ? 'H*' : 'H'})` : title;
    const declaration = `${indent}state ${quoted(label)} as ${name}`;
    const lines =
      Object.keys(node.states).length === 0
        ? [declaration]
        : [`${declaration} {`, ...this.#inside(node, `${indent}  `), `${indent}}`];
    lines.push(...this.#described(node).map((line) => indent + line));
    if (node.type === 'final') lines.push(`${indent}${name} --> [*]`);
    return lines;
  }

  /** A state's notes: in it, or beside it where it holds other states, since Mermaid gives those no room. */
  #described(node: AnyStateNode): string[] {
    const [name, lines] = [this.#name(node), this.#notes(node)];
    if (Object.keys(node.states).length === 0) return lines.map((note) => `${name} : ${note}`);
    return lines.length === 0 ? [] : [`note right of ${name}`, ...lines.map((note) => `  ${note}`), 'end note'];
  }

  /** What happens in a state without leaving it. */
  #notes(node: AnyStateNode): string[] {
    return [
      ...node.invoke.map(({ src }) => `invoke / ${plain(actorText(src))}`),
      ...deedsOf(node, 'entry').map((action) => `entry / ${plain(actionText(action))}`),
      ...deedsOf(node, 'exit').map((action) => `exit / ${plain(actionText(action))}`),
      ...transitionsOf(node)
        .filter(({ target }) => !target)
        .map((transition) => labelOf(node, transition)),
    ];
  }

  #transitions(node: AnyStateNode): string[] {
    const name = this.#name(node);
    return [
      ...transitionsOf(node).flatMap((transition) =>
        (transition.target ?? []).map((target) => `${name} --> ${this.#name(target)} : ${labelOf(node, transition)}`),
      ),
      ...historyTargets(node).map((target) => `${name} --> ${this.#name(target)}`),
    ];
  }

  #name(node: AnyStateNode): string {
    let name = this.#names.get(node);
    if (name === undefined) {
      const path = (node.path.length > 0 ? node.path.join('_') : node.id).replaceAll(/\W/g, '_');
      const base = this.#prefix + (KEYWORDS.test(path) || path in {} ? `${path}_` : path);
      name = base;
      for (let n = 2; [...this.#names.values()].includes(name); n++) name = `${base}_${n}`;
      this.#names.set(node, name);
    }
    return name;
  }
}

const KEYWORDS = /^(state|note|end|direction|class|classdef|style|click|default|as|fork|join|choice|hide|scale|root)$/i;

/**
 * Within a region, an arrow begins or ends at a state that holds others. Mermaid 11 reads `--` beside such a region, but
 * fails to draw the arrow ("Cannot set properties of undefined (setting 'rank')"); without it, regions are frames side by
 * side.
 */
function isEntangled(region: AnyStateNode): boolean {
  const inside = [...nodesOf(region)];
  const frames = inside.filter((node) => node !== region && Object.keys(node.states).length > 0);
  return inside.some((from) => {
    const begins = from.type === 'compound' ? (from.initial.target ?? []) : historyTargets(from);
    const leads = transitionsOf(from).flatMap(({ target = [] }) => target.filter((to) => inside.includes(to)));
    return (leads.length > 0 && frames.includes(from)) || [...begins, ...leads].some((to) => frames.includes(to));
  });
}

const isSource = (node: AnyStateNode) => transitionsOf(node).some(({ target }) => target !== undefined);
/** Something leads to the machine as a whole, which begins anew. */
const isTarget = (root: AnyStateNode) =>
  [...nodesOf(root)].some((node) => transitionsOf(node).some(({ target }) => target?.includes(root)));

function labelOf(node: AnyStateNode, transition: Transition): string {
  const { guard, actions } = transition;
  const deeds = actions.map(nameOf);
  const condition = guard === undefined ? '' : ` [${guardText(guard)}]`;
  return plain(`${eventText(node, transition)}${condition}${deeds.length > 0 ? ` / ${deeds.join(', ')}` : ''}`);
}

/** Without what Mermaid reads as its own. */
const line = (text: string) => text.replaceAll(/[;#]/g, '·').replaceAll(/\s+/g, ' ');
const plain = (text: string) => markup(text.replaceAll(/[:;#{}]/g, '·'));
const quoted = (text: string) => `"${markup(text.replaceAll('"', "'").replaceAll('#', '#35;'))}"`;
/** It draws what looks like an element as one, which is not to be seen then. */
const markup = (text: string) => text.replaceAll('<', '#lt;').replaceAll('>', '#gt;').replaceAll(/\s+/g, ' ');
