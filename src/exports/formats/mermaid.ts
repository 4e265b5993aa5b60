/**
 * A machine as a Mermaid state diagram (https://mermaid.js.org/syntax/stateDiagram.html): every state with its transitions,
 * guards and deadlines. What a state does without leaving it is listed in the state. Where Mermaid would draw the label of an
 * arrow under a box, the label is a box without a border, in the midst of the arrow.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { type Arrow, arrowsOf, crossesBorder, hasStates, isWithin, whereWithin } from '../arrows.ts';
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
    ...new Sheet('', machine.root).lines('  '),
  ];
  children.forEach(({ src, machine: child }, i) => {
    lines.push(`  state ${quoted(`${child.id} (the actor ${src})`)} as child_${i + 1} {`);
    lines.push(...new Sheet(`child_${i + 1}_`, child.root).lines('    '), '  }');
  });
  return `${lines.join('\n')}\n`;
}

/** The lines of one machine; the prefix keeps its names apart from those of another. */
class Sheet {
  readonly #prefix: string;
  readonly #names = new Map<AnyStateNode | Arrow, string>();

  readonly #root: AnyStateNode;
  readonly #arrows: readonly Arrow[];

  constructor(prefix: string, root: AnyStateNode) {
    this.#prefix = prefix;
    this.#root = root;
    this.#arrows = arrowsOf(root);
  }

  lines(indent: string): string[] {
    const root = this.#root;
    // What happens in the machine as a whole, and side by side, needs a state around it.
    const framed =
      root.type === 'parallel' || this.#notes(root).length > 0 || this.#arrows.some(({ from }) => from === root);
    const lines = framed ? this.#state(root, indent, root.machine.id) : this.#inside(root, indent);
    for (const arrow of this.#arrows) lines.push(...this.#arrow(arrow).map((line) => indent + line));
    const labels = this.#arrows.filter(hasPlace).map((arrow) => this.#label(arrow));
    for (const label of labels) lines.push(`${indent}style ${label} fill:none,stroke:none`);
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
    for (const arrow of this.#arrows)
      if (hasPlace(arrow) && arrow.frame === node)
        lines.push(`${indent}state "${this.#text(arrow).replaceAll('"', "'")}" as ${this.#label(arrow)}`);
    for (const target of node.type === 'compound' ? (node.initial?.target ?? []) : []) {
      lines.push(`${indent}[*] --> ${this.#name(target)}`);
    }
    return lines;
  }

  #state(node: AnyStateNode, indent: string, title = node.key): string[] {
    const name = this.#name(node);
    const label = node.type === 'history' ? `${title} (${node.history === 'deep' ? 'H*' : 'H'})` : title;
    const declaration = `${indent}state ${quoted(label)} as ${name}`;
    const lines = !hasStates(node)
      ? [declaration]
      : [`${declaration} {`, ...this.#inside(node, `${indent}  `), `${indent}}`];
    lines.push(...this.#described(node).map((line) => indent + line));
    if (node.type === 'final') lines.push(`${indent}${name} --> [*]`);
    return lines;
  }

  /** A state's notes: in it, or beside it where it holds other states, since Mermaid gives those no room. */
  #described(node: AnyStateNode): string[] {
    const [name, lines] = [this.#name(node), this.#notes(node)];
    if (!hasStates(node)) return lines.map((note) => `${name} : ${note}`);
    return lines.length === 0 ? [] : [`note right of ${name}`, ...lines.map((note) => `  ${note}`), 'end note'];
  }

  /** What happens in a state without leaving it. */
  #notes(node: AnyStateNode): string[] {
    return [
      ...node.invoke.map(({ src }) => `invoke / ${plain(actorText(src))}`),
      ...deedsOf(node, 'entry').map((action) => `entry / ${plain(actionText(action))}`),
      ...deedsOf(node, 'exit').map((action) => `exit / ${plain(actionText(action))}`),
      ...transitionsOf(node)
        .filter((transition) => isWithin(node, transition))
        .map((transition) => labelOf(node, transition)),
    ];
  }

  /** In two halves where the label has a place of its own. */
  #arrow(arrow: Arrow): string[] {
    const [from, to, text] = [this.#name(arrow.from), this.#name(arrow.to), this.#text(arrow)];
    if (!hasPlace(arrow)) return [`${from} --> ${to}${text && ` : ${text}`}`];
    const label = this.#label(arrow);
    return [`${from} --> ${label}`, `${label} --> ${to}`];
  }

  /** One line a transition. */
  #text({ from, transitions }: Arrow): string {
    return transitions.map((transition) => labelOf(from, transition)).join('<br/>');
  }

  #label(arrow: Arrow): string {
    return this.#unique(arrow, () => `${this.#name(arrow.from)}_to_${this.#name(arrow.to)}`);
  }

  #name(node: AnyStateNode): string {
    return this.#unique(node, () => {
      const path = (node.path.length > 0 ? node.path.join('_') : node.id).replaceAll(/\W/g, '_');
      return this.#prefix + (KEYWORDS.test(path) || path in {} ? `${path}_` : path);
    });
  }

  /** The same name each time, which nothing else has. */
  #unique(named: AnyStateNode | Arrow, wanted: () => string): string {
    let name = this.#names.get(named);
    if (name === undefined) {
      const [base, taken] = [wanted(), new Set(this.#names.values())];
      name = base;
      for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
      this.#names.set(named, name);
    }
    return name;
  }
}

/** The label is a box of its own: Mermaid would draw it under another one. */
const hasPlace = (arrow: Arrow): boolean => arrow.frame !== undefined && crossesBorder(arrow);

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

function labelOf(node: AnyStateNode, transition: Transition): string {
  const { guard, actions } = transition;
  const deeds = actions.map(nameOf);
  const condition = guard === undefined ? '' : ` [${guardText(guard)}]`;
  return plain(
    `${eventText(node, transition)}${condition}${whereWithin(node, transition)}${deeds.length > 0 ? ` / ${deeds.join(', ')}` : ''}`,
  );
}

/** Without what Mermaid reads as its own. */
const line = (text: string) => text.replaceAll(/[;#]/g, '·').replaceAll(/\s+/g, ' ');
const plain = (text: string) => markup(text.replaceAll(/[:;#{}]/g, '·'));
const quoted = (text: string) => `"${markup(text.replaceAll('"', "'").replaceAll('#', '#35;'))}"`;
/** It draws what looks like an element as one, which is not to be seen then. */
const markup = (text: string) => text.replaceAll('<', '#lt;').replaceAll('>', '#gt;').replaceAll(/\s+/g, ' ');
