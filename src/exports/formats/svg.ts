/**
 * A machine as a picture: drawn by Graphviz (https://graphviz.org/doc/info/lang.html), which runs in this process.
 *
 * States are boxes with what they do; states that hold others are frames, parallel regions dashed ones. A transition that
 * stays within its state, goes to one inside of it, or to the machine as a whole, is a line in the state; every other one
 * is an arrow, and arrows between the same two states are one. Its label is a node between two halves of the arrow, which
 * Graphviz puts under nothing and on no border. What transitions are for shows when the pointer rests on them.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { assertInstalled } from '../../packages.ts';
import { type Arrow, arrowsOf, hasStates, isWithin, whereWithin } from '../arrows.ts';
import type { ChildMachine } from '../children.ts';
import {
  actionText,
  actorText,
  deedsOf,
  eventText,
  guardText,
  isOwnId,
  nameOf,
  type Transition,
  transitionsOf,
} from '../labels.ts';

/**
 * @returns an SVG document
 * @throws {PackageMissingError} Graphviz is not installed
 */
export async function toSvg(machine: AnyStateMachine, children: readonly ChildMachine[] = []): Promise<string> {
  assertInstalled('A picture of a machine', '@hpcc-js/wasm-graphviz');
  const { Graphviz } = await import('@hpcc-js/wasm-graphviz');
  const titles: Titles = new Map();
  const svg = (await Graphviz.load()).dot(toDot(machine, children, titles));
  return svg
    .slice(svg.indexOf('<svg'))
    .replace('<svg ', `<svg role="img" aria-label="${escaped(`The machine ${machine.id}`)}" `)
    .replace(/<!--.*?-->\n?/gs, '')
    .replace(/<title>(.*)<\/title>\n/g, (_, name: string) => {
      const title = titles.get(name.replaceAll('&#45;', '-').replaceAll('&gt;', '>'));
      return title === undefined ? '' : `<title>${escaped(title)}</title>\n`;
    })
    .replaceAll('font-family="Helvetica,sans-Serif"', 'font-family="Helvetica,Arial,Liberation Sans,sans-serif"');
}

/** What a browser shows when the pointer rests on a part, by the part's name in Graphviz. */
type Titles = Map<string, string>;

const COLUMNS = 44;
const INK = '#1f2430';
const QUIET = '#5b6472';
const LINE = '#7a8494';
const ARROW = '#3d4756';

function toDot(machine: AnyStateMachine, children: readonly ChildMachine[], titles: Titles): string {
  const sheet = new Sheet('', titles, machine.root);
  const lines = [
    'digraph {',
    '  compound=true; rankdir=TB; nodesep=0.35; ranksep=0.35; pad=0.3; labelloc=t; labeljust=l',
    `  fontname="Helvetica"; fontsize=11; fontcolor="${INK}"; label=${heading(machine.root, machine.id)}`,
    `  node [shape=plain, fontname="Helvetica", fontsize=11, fontcolor="${INK}"]`,
    `  edge [fontname="Helvetica", fontsize=10, fontcolor="${INK}", color="${ARROW}", arrowsize=0.7]`,
    ...sheet.inside(machine.root, '  ', 0),
    ...sheet.arrows(),
  ];
  children.forEach(({ src, machine: child }, i) => {
    const aside = new Sheet(`c${i}_`, titles, child.root);
    lines.push(
      `  subgraph "cluster_${aside.name(child.root)}" {`,
      `    label=${heading(child.root, `${child.id} (the actor ${src})`)}; style="rounded,dotted"; color="${LINE}"; margin=14`,
      ...aside.inside(child.root, '    ', 1),
      '  }',
      ...aside.arrows(),
    );
  });
  return `${lines.join('\n')}\n}\n`;
}

/** The nodes of one machine; the prefix keeps them apart from those of another. */
class Sheet {
  readonly #prefix: string;
  readonly #titles: Titles;
  readonly #arrows: readonly Arrow[];

  constructor(prefix: string, titles: Titles, root: AnyStateNode) {
    this.#prefix = prefix;
    this.#titles = titles;
    this.#arrows = arrowsOf(root);
  }

  name(node: AnyStateNode): string {
    return `${this.#prefix}s${node.order}`;
  }

  inside(node: AnyStateNode, indent: string, depth: number): string[] {
    const lines: string[] = [];
    if (node.type === 'compound') {
      const start = `${this.name(node)}_start`;
      lines.push(`${indent}"${start}" [shape=circle, style=filled, fillcolor="${INK}", label="", width=0.13]`);
      for (const target of node.initial.target ?? [])
        lines.push(`${indent}"${start}" -> ${this.#end(target, 'lhead')}`);
    }
    for (const child of Object.values(node.states)) lines.push(...this.#state(child, indent, depth));
    for (const arrow of this.#arrows)
      if (arrow.frame === node) lines.push(`${indent}"${this.#label(arrow)}" [label=${text(arrow)}]`);
    return lines;
  }

  #state(node: AnyStateNode, indent: string, depth: number): string[] {
    const name = this.name(node);
    for (const part of [name, `cluster_${name}`]) this.#titles.set(part, node.id);
    if (node.type === 'history') {
      const label = node.history === 'deep' ? 'H*' : 'H';
      return [`${indent}"${name}" [shape=circle, label="${label}", width=0.3, fixedsize=true, color="${LINE}"]`];
    }
    if (!hasStates(node)) return [`${indent}"${name}" [label=${box(node)}]`];
    const region = node.parent?.type === 'parallel';
    return [
      `${indent}subgraph "cluster_${name}" {`,
      `${indent}  label=${heading(node, node.key)}; style="${region ? 'rounded,dashed,filled' : 'rounded,filled'}"`,
      `${indent}  color="${LINE}"; fillcolor="${depth % 2 === 0 ? '#f5f7fa' : '#ffffff'}"; margin=14`,
      `${indent}  "${name}" [shape=point, style=invis, width=0, height=0]`,
      ...this.inside(node, `${indent}  `, depth + 1),
      `${indent}}`,
    ];
  }

  /** Where an arrow begins or ends: at a box, or at the frame around a node that is not to be seen. */
  #end(node: AnyStateNode, side: 'lhead' | 'ltail'): string {
    return `"${this.name(node)}"${hasStates(node) ? ` [${this.#border(node, side)}]` : ''}`;
  }

  #border(node: AnyStateNode, side: 'lhead' | 'ltail'): string {
    return hasStates(node) ? `${side}="cluster_${this.name(node)}"` : '';
  }

  /** The node with the label of an arrow that has a place for it. */
  #label({ from, to }: Arrow): string {
    return `${this.name(from)}_to_${this.name(to)}`;
  }

  arrows(): string[] {
    return this.#arrows.flatMap((arrow) => {
      const { from, to, transitions, frame } = arrow;
      const [tail, head] = [this.name(from), this.name(to)];
      const purposes = transitions.flatMap(({ description }) => description ?? []);
      const title = purposes.join('\n') || `${from.id} → ${to.id}`;
      if (!frame) {
        this.#titles.set(`${tail}->${head}`, title);
        return [`  "${tail}" -> "${head}" [label=${text(arrow)}]`];
      }
      const label = this.#label(arrow);
      for (const part of [`${tail}->${label}`, label, `${label}->${head}`]) this.#titles.set(part, title);
      return [
        `  "${tail}" -> "${label}" [${['arrowhead=none', this.#border(from, 'ltail')].filter(Boolean).join(', ')}]`,
        `  "${label}" -> "${head}" [${this.#border(to, 'lhead')}]`,
      ];
    });
  }
}

/** A state that holds no others. */
function box(node: AnyStateNode): string {
  const does = doings(node);
  const border = node.type === 'final' ? 'BORDER="3" SIDES="LTRB"' : 'BORDER="1"';
  const rows = [
    row(bold(node.key), 'CENTER'),
    ...wrapped(node.description ?? '').map((line) => row(quiet(line), 'CENTER')),
    ...(does.length > 0 ? ['<HR/>', ...does.map((line) => row(line))] : []),
  ];
  return `<<TABLE ${border} CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" STYLE="ROUNDED" COLOR="${LINE}" BGCOLOR="#ffffff">${rows.join('')}</TABLE>>`;
}

/** Over a frame: what it is, and what happens in all of it. */
function heading(node: AnyStateNode, title: string): string {
  const rows = [bold(title), ...wrapped(node.description ?? '', 2 * COLUMNS).map(quiet), ...doings(node, 2 * COLUMNS)];
  return `<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">${rows.map((line) => row(line)).join('')}</TABLE>>`;
}

/** What a state does without leaving it. */
function doings(node: AnyStateNode, columns = COLUMNS): string[] {
  const all = (label: string, texts: string[]) =>
    texts.flatMap((each) => indented(`${label} / ${each}`, '', columns).map(escaped));
  return [
    ...all(
      'invoke',
      node.invoke.map((each) => `${actorText(each.src)}${isOwnId(each) ? ` (as ${each.id})` : ''}`),
    ),
    ...all('entry', deedsOf(node, 'entry').map(actionText)),
    ...all('exit', deedsOf(node, 'exit').map(actionText)),
    ...transitionsOf(node)
      .filter((transition) => isWithin(node, transition))
      .flatMap((transition) => transitionLines(node, transition, columns)),
  ];
}

/** Event and guard, then what is done, each as long as it needs. */
function transitionLines(from: AnyStateNode, transition: Transition, columns = COLUMNS): string[] {
  const { guard, actions } = transition;
  const when = `${eventText(from, transition)}${guard === undefined ? '' : ` [${guardText(guard)}]`}${whereWithin(from, transition)}`;
  const deeds = actions.map(nameOf).join(', ');
  if (deeds && when.length + deeds.length < columns) return [`${escaped(when)}&#160; ${quietly(`/ ${deeds}`)}`];
  return [
    ...indented(when, '', columns).map(escaped),
    ...(deeds ? indented(`/ ${deeds}`, '  ', columns).map(quietly) : []),
  ];
}

const row = (content: string, align = 'LEFT') => `<TR><TD ALIGN="${align}">${content}</TD></TR>`;
/** What an arrow is called: on a ground of its own, since lines may pass below it. */
const text = ({ from, transitions }: Arrow) => {
  const lines = transitions.flatMap((transition) => transitionLines(from, transition));
  if (lines.length === 0) return '""';
  const rows = lines.map((line) => row(`<FONT POINT-SIZE="10">&#160;${line}&#160;</FONT>`)).join('');
  return `<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1" BGCOLOR="#ffffffcc">${rows}</TABLE>>`;
};
const escaped = (value: string) =>
  value
    .replaceAll(/\p{Cc}/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replace(/^ +/, (spaces) => '&#160;'.repeat(spaces.length));
const bold = (value: string) => `<B>${escaped(value || ' ')}</B>`;
const quiet = (value: string) => `<FONT COLOR="${QUIET}" POINT-SIZE="10">${escaped(value)}</FONT>`;
const quietly = (value: string) => `<FONT COLOR="${QUIET}">${escaped(value)}</FONT>`;

/** What does not fit into a line goes on in the next, set in. */
const indented = (value: string, indent = '', columns = COLUMNS): string[] =>
  wrapped(value, columns).map((line, i) => (i === 0 ? indent : `${indent}    `) + line);

function wrapped(value: string, columns = COLUMNS): string[] {
  const lines: string[] = [];
  for (const word of value.split(/\s+/).filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
