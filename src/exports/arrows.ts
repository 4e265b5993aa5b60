/** The arrows in a picture of a machine: which there are, and where there is room for what they are called. */
import type { AnyStateNode } from 'xstate';
import { historyTargets, nodesOf, type Transition, transitionsOf } from './labels.ts';

/** All that leads from one state to another: one arrow, however many transitions. */
export interface Arrow {
  from: AnyStateNode;
  to: AnyStateNode;
  /** None: a history state's arrow to where its parent begins. */
  transitions: Transition[];
  /**
   * The frame in which the label may be a box of its own, between two halves of the arrow. Layouts put a label beside the middle
   * of an arrow, which may be under another box or on the border of a frame. `undefined`: there is no label, or no room.
   */
  frame: AnyStateNode | undefined;
}

/** The arrows of a machine. What stays within a state, or leads to the machine as a whole, is none: see {@link isWithin}. */
export function arrowsOf(root: AnyStateNode): Arrow[] {
  const arrows = new Map<string, Arrow>();
  const arrowFor = (from: AnyStateNode, to: AnyStateNode): Arrow => {
    const key = `${from.order}>${to.order}`;
    const arrow = arrows.get(key) ?? { from, to, transitions: [], frame: undefined };
    arrows.set(key, arrow);
    return arrow;
  };
  for (const from of nodesOf(root)) {
    for (const transition of transitionsOf(from)) {
      if (isWithin(from, transition)) continue;
      for (const to of transition.target ?? []) {
        const arrow = arrowFor(from, to);
        arrow.transitions.push(transition);
        arrow.frame = frameOf(from, to);
      }
    }
    for (const to of from.type === 'history' ? historyTargets(from) : []) arrowFor(from, to);
  }
  return [...arrows.values()];
}

/** A transition that is a line in its state, not an arrow: to itself, to a state in it, or to the machine as a whole. */
export function isWithin(from: AnyStateNode, { target }: Transition): boolean {
  return !target || target.every((to) => to === from || to.parent === undefined || isInside(to, from));
}

/** An arrow that leads into a frame, out of one, or to or from a frame itself. */
export const crossesBorder = ({ from, to }: Arrow): boolean =>
  from.parent !== to.parent || hasStates(from) || hasStates(to);

export const hasStates = (node: AnyStateNode): boolean => Object.keys(node.states).length > 0;

/** ` → itself`, ` → day.asking` or nothing, behind the event of such a line. */
export function whereWithin(from: AnyStateNode, transition: Transition): string {
  if (!isWithin(from, transition)) return '';
  const names = (transition.target ?? []).map((to) => {
    if (to === from) return 'itself';
    return to.parent ? to.path.slice(from.path.length).join('.') : to.machine.id;
  });
  return names.map((name) => ` → ${name}`).join();
}

function isInside(node: AnyStateNode, frame: AnyStateNode): boolean {
  return node.parent !== undefined && (node.parent === frame || isInside(node.parent, frame));
}

function frameOf(from: AnyStateNode, to: AnyStateNode): AnyStateNode | undefined {
  let frame = to.parent;
  // Between regions there is no room: a label there would be a region itself.
  while (frame && (!isInside(from, frame) || frame.type === 'parallel')) frame = frame.parent;
  return frame;
}
