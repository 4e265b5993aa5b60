/**
 * A machine as W3C SCXML 1.0 (https://www.w3.org/TR/scxml/). What the machine names is a call of a function of that name,
 * in `cond` and `script`; a named delay is a variable. Both are the reader's to provide, as in XState.
 *
 * | XState | SCXML |
 * |---|---|
 * | `after` | a delayed `send` on entry, cancelled on exit |
 * | `done`, `error` of an actor | the events `done.invoke.ID`, `error.platform.ID` |
 * | an invoked machine | `invoke` with the machine as its `content` |
 * | any other actor | `invoke` with `src="NAME"`, `type="xstate:promise"` and so on |
 * | a transition without `reenter` | `type="internal"` where SCXML knows that; to the state itself: without a target |
 */
import type { AnyActorLogic, AnyStateMachine, AnyStateNode } from 'xstate';
import { kindOf } from '../../actor/logic.ts';
import { isMachine } from '../children.ts';
import { deedsOf, delayInMs, delayOf, historyTargets, listed, type Transition, transitionsOf } from '../labels.ts';

export function toScxml(machine: AnyStateMachine): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new Document(machine).text('')}`;
}

class Document {
  readonly #machine: AnyStateMachine;
  readonly #ids = new Map<AnyStateNode, string>();

  constructor(machine: AnyStateMachine) {
    this.#machine = machine;
  }

  text(indent: string): string {
    const { root, id } = this.#machine;
    const names = Object.entries(this.#machine.implementations.delays);
    const data = names.map(([name, delay]) =>
      element('data', { id: variable(name), ...(typeof delay === 'number' && { expr: `'${delay}ms'` }) }),
    );
    const attributes = {
      xmlns: 'http://www.w3.org/2005/07/scxml',
      version: '1.0',
      datamodel: 'ecmascript',
      name: id.replaceAll(/\s/g, '_'),
      initial: this.#id(root),
    };
    const parts = [...(data.length > 0 ? [element('datamodel', {}, data)] : []), this.#state(root)];
    return print(element('scxml', attributes, parts), indent);
  }

  #state(node: AnyStateNode): Element {
    const id = this.#id(node);
    const comment = node.description ? [node.description] : [];
    if (node.type === 'history') {
      const targets = historyTargets(node);
      const parent = node.parent!;
      const goes =
        targets.length > 0
          ? targets
          : parent.type === 'compound'
            ? (parent.initial.target ?? [])
            : Object.values(parent.states).filter((each) => each.type !== 'history');
      const transition = element('transition', { target: goes.map((each) => this.#id(each)).join(' ') });
      return element('history', { id, type: node.history || 'shallow' }, [...comment, transition]);
    }
    const tag = node.type === 'parallel' ? 'parallel' : node.type === 'final' ? 'final' : 'state';
    return element(tag, { id }, [
      ...comment,
      ...(node.type === 'compound' ? [this.#initial(node)] : []),
      ...handler('onentry', [
        ...deedsOf(node, 'entry').flatMap((each) => deed(each)),
        ...this.#deadlines(node, 'send'),
      ]),
      ...handler('onexit', [
        ...deedsOf(node, 'exit').flatMap((each) => deed(each)),
        ...this.#deadlines(node, 'cancel'),
      ]),
      ...node.invoke.map((each) => this.#invoke(each)),
      ...transitionsOf(node).map((each) => this.#transition(node, each)),
      ...Object.values(node.states).map((child) => this.#state(child)),
      ...(node.type === 'final' && node.output !== undefined && typeof node.output !== 'function'
        ? [element('donedata', {}, [element('content', { expr: JSON.stringify(node.output) })])]
        : []),
    ]);
  }

  #initial(node: AnyStateNode): Element {
    const { target, actions } = node.initial;
    return element('initial', {}, [
      element(
        'transition',
        { target: this.#targets(target) },
        listed(actions).flatMap((each) => deed(each)),
      ),
    ]);
  }

  #transition(node: AnyStateNode, transition: Transition): Element {
    const { eventType, guard, actions, target, reenter } = transition;
    const delay = delayOf(node, transition);
    const event = delay === undefined ? eventOf(eventType) : this.#deadline(node, delay);
    const self = target?.length === 1 && target[0] === node;
    // Staying where it is, an atomic state has nothing to enter; any other begins anew inside.
    const stays = self && !reenter && node.type !== 'compound';
    const goes = self && !reenter && node.type === 'compound' ? node.initial.target : target;
    const internal = !reenter && node.type === 'compound' && goes?.every((each) => isInside(each, node));
    return element(
      'transition',
      {
        ...(event && { event }),
        ...(guard !== undefined && { cond: condition(guard, (id) => this.#idOf(id)) }),
        ...(goes && !stays && { target: this.#targets(goes) }),
        ...(internal && { type: 'internal' }),
      },
      [...(transition.description ? [transition.description] : []), ...actions.flatMap((each) => deed(each))],
    );
  }

  /** Delayed events of a state, sent on entry and cancelled on exit. */
  #deadlines(node: AnyStateNode, tag: 'send' | 'cancel'): Element[] {
    const delays = new Set(transitionsOf(node).flatMap((each) => delayOf(node, each) ?? []));
    return [...delays].map((delay) => {
      const event = this.#deadline(node, delay);
      if (tag === 'cancel') return element('cancel', { sendid: event });
      const ms = delayInMs(node, delay);
      return element('send', {
        event,
        id: event,
        ...(ms === undefined ? { delayexpr: variable(delay) } : { delay: `${ms}ms` }),
      });
    });
  }

  #deadline(node: AnyStateNode, delay: string): string {
    return `after.${token(delay)}.${this.#id(node)}`;
  }

  #invoke({ id, src }: { id: string; src: unknown }): Element {
    const name = String(src);
    const logic = this.#machine.implementations.actors[name] as AnyActorLogic | undefined;
    if (isMachine(logic)) {
      const content = element('content', {}, [new Document(logic).text('')]);
      return element('invoke', { id: xmlName(id), type: 'http://www.w3.org/TR/scxml/' }, [content]);
    }
    return element('invoke', { id: xmlName(id), type: `xstate:${logic ? kindOf(logic) : 'actor'}`, src: name });
  }

  #targets(nodes: readonly AnyStateNode[] | undefined): string {
    return (nodes ?? []).map((each) => this.#id(each)).join(' ');
  }

  #idOf(id: string): string {
    return this.#id(this.#machine.getStateNodeById(id.replace(/^#/, '')));
  }

  /** SCXML's ids are XML names. */
  #id(node: AnyStateNode): string {
    let id = this.#ids.get(node);
    if (id === undefined) {
      const base = xmlName(node.id);
      id = base;
      for (let n = 2; [...this.#ids.values()].includes(id); n++) id = `${base}_${n}`;
      this.#ids.set(node, id);
    }
    return id;
  }
}

/** An element, a text that is its parent's comment, or a document that is set in as it is. */
type Part = Element | string;
interface Element {
  tag: string;
  attributes: Record<string, string>;
  parts: Part[];
}

const element = (tag: string, attributes: Record<string, string>, parts: Part[] = []): Element => ({
  tag,
  attributes,
  parts,
});
const handler = (tag: string, parts: Part[]): Element[] => (parts.length > 0 ? [element(tag, {}, parts)] : []);

function print({ tag, attributes, parts }: Element, indent: string): string {
  const open = `${indent}<${tag}${Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escaped(value)}"`)
    .join('')}`;
  if (parts.length === 0) return `${open}/>\n`;
  if (tag === 'script') return `${open}>${escaped(parts.join(''))}</${tag}>\n`;
  const inner = parts.map((part) => {
    if (typeof part !== 'string') return print(part, `${indent}  `);
    if (tag === 'content') return part.replaceAll(/^(?=.)/gm, `${indent}  `);
    return `${indent}  <!-- ${part.replaceAll(/-(?=-|$)/g, '\u2010').replaceAll(/\p{Cc}/gu, ' ')} -->\n`;
  });
  return `${open}>\n${inner.join('')}${indent}</${tag}>\n`;
}

/** An action as executable content. */
function deed(action: unknown): Part[] {
  if (typeof action === 'string') return [element('script', {}, [call(action)])];
  if (typeof action !== 'function') {
    const { type, params } = action as { type: string; params?: unknown };
    return [element('script', {}, [call(type, params)])];
  }
  const built = action as unknown as Record<string, any>;
  const { type, event, id, delay, sendId, to, value, label, assignment, src, input, systemId, actorRef } = built;
  const timing = {
    ...(id !== undefined && { id: xmlName(String(id)) }),
    ...(typeof delay === 'number'
      ? { delay: `${delay}ms` }
      : delay !== undefined && { delayexpr: variable(String(delay)) }),
  };
  switch (type) {
    case 'xstate.raise':
      if (Object.keys(timing).length > 0) return [send(event, timing)];
      return [hasData(event) ? send(event, { target: '#_internal' }) : element('raise', { event: token(event.type) })];
    case 'xstate.sendTo':
      return [send(event, { target: String(to).startsWith('#_') ? to : `#_${xmlName(String(to))}`, ...timing })];
    case 'xstate.cancel':
      return [element('cancel', { sendid: xmlName(String(sendId)) })];
    case 'xstate.log':
      return [element('log', { ...(label !== undefined && { label }), expr: JSON.stringify(value) })];
    case 'xstate.assign':
      return Object.entries(assignment).map(([location, each]) =>
        element('assign', { location, expr: JSON.stringify(each) ?? 'undefined' }),
      );
    case 'xstate.spawnChild':
      return [element('script', {}, [call('spawnChild', src, { id, systemId, input })])];
    default:
      return [element('script', {}, [call(type.slice('xstate.'.length), event ?? actorRef)])];
  }
}

const hasData = (event: object) => Object.keys(event).length > 1;

function send({ type, ...data }: Record<string, unknown>, attributes: Record<string, string>): Element {
  const params = Object.entries(data).map(([name, value]) =>
    element('param', { name, expr: JSON.stringify(value) ?? 'undefined' }),
  );
  return element('send', { event: token(String(type)), ...attributes }, params);
}

/** A guard as an expression. */
function condition(guard: unknown, idOf: (id: string) => string): string {
  if (typeof guard === 'string') return call(guard);
  if (typeof guard !== 'function') {
    const { type, params } = guard as { type: string; params?: unknown };
    return call(type, params);
  }
  const {
    guards = [],
    stateValue,
    name,
  } = guard as unknown as { guards?: unknown[]; stateValue?: unknown; name: string };
  if (typeof stateValue === 'string' && stateValue.startsWith('#')) return `In('${idOf(stateValue)}')`;
  if (stateValue !== undefined) return call('stateIn', stateValue);
  const parts = guards.map((each) => condition(each, idOf));
  if (name === 'not') return `!${parts[0]}`;
  return `(${parts.join(name === 'or' ? ' || ' : ' && ')})`;
}

function call(name: string, ...params: unknown[]): string {
  const known = params.map((each) => JSON.stringify(each)).filter((each) => each !== undefined && each !== '{}');
  const callee = /^[A-Za-z_$][\w$.]*$/.test(name) ? name : `this[${JSON.stringify(name)}]`;
  return `${callee}(${known.join(', ')})`;
}

/** An event as SCXML names it. */
function eventOf(type: string): string {
  const [, what, of, id] = /^xstate\.(done|error)\.(actor|state)\.(.*)$/s.exec(type) ?? [];
  if (!what) return token(type);
  if (of === 'state') return `done.state.${token(id!)}`;
  return `${what === 'done' ? 'done.invoke' : 'error.platform'}.${xmlName(id!)}`;
}

const xmlName = (text: string) =>
  token(text)
    .replaceAll('*', '_')
    .replace(/^[^A-Za-z_]/, '_$&');
/** A named delay is read in expressions. */
const variable = (name: string) => name.replaceAll(/[^\w$]/g, '_').replace(/^\d/, '_$&');
const token = (text: string) => text.replaceAll(/[^\w.*-]/g, '_');

const escaped = (text: string) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;')
    .replaceAll(/\p{Cc}/gu, ' ');

function isInside(node: AnyStateNode, frame: AnyStateNode): boolean {
  return node.parent !== undefined && (node.parent === frame || isInside(node.parent, frame));
}
