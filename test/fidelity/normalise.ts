/** Any value as plain JSON, without loss of what distinguishes it. */
import type { AnyActorRef } from 'xstate';

/** Path of child ids from the root, which itself is the empty path. */
export function pathOf(ref: AnyActorRef): string[] {
  const path: string[] = [];
  for (let at: AnyActorRef = ref; at._parent; at = at._parent) path.unshift(at.id);
  return path;
}

/** @param root the root actor, to tell a reference to a live actor from one to an actor that is gone */
export function normalise(value: unknown, root: AnyActorRef): unknown {
  const ancestors: unknown[] = [];
  const visit = (part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return normalisePrimitive(part);
    if (isActorRef(part)) {
      const ref = { ref: pathOf(part).join('/') };
      return isInTree(part, root) ? ref : { ...ref, gone: true };
    }
    // A cycle, as the number of levels up.
    if (ancestors.includes(part)) return { $up: ancestors.length - ancestors.indexOf(part) };
    ancestors.push(part);
    const normalised = visitObject(part);
    ancestors.pop();
    return normalised;
  };
  const visitObject = (part: object): unknown => {
    if (Array.isArray(part)) return part.map(visit);
    if (part instanceof Date) return { $date: Number.isNaN(part.getTime()) ? 'invalid' : part.toISOString() };
    if (part instanceof Map) return { $map: [...part].map(([key, item]) => [visit(key), visit(item)]) };
    if (part instanceof Set) return { $set: [...part].map(visit) };
    if (part instanceof RegExp) return { $regexp: String(part) };
    if (part instanceof URL) return { $url: part.href };
    if (part instanceof Error) {
      const own = Object.entries(part).filter(([key]) => key !== 'cause' && key !== 'name');
      return {
        name: part.name,
        message: part.message,
        ...('cause' in part && { cause: visit(part.cause) }),
        ...(own.length > 0 && { own: visit(Object.fromEntries(own)) }),
      };
    }
    if (ArrayBuffer.isView(part)) return { [`$${part.constructor.name}`]: [...(part as Uint8Array)] };
    const prototype = Object.getPrototypeOf(part);
    if (prototype !== Object.prototype && prototype !== null) throw new Error(`no form for a ${part.constructor.name}`);
    return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, visit(item)]));
  };
  return visit(value);
}

function normalisePrimitive(value: unknown): unknown {
  switch (typeof value) {
    case 'undefined':
      return { $undefined: true };
    case 'bigint':
      return { $bigint: String(value) };
    case 'number':
      if (Object.is(value, -0)) return { $number: '-0' };
      return Number.isFinite(value) ? value : { $number: String(value) };
    case 'function':
    case 'symbol':
      throw new Error(`no form for a ${typeof value}`);
    default:
      return value;
  }
}

const isActorRef = (value: object): value is AnyActorRef =>
  'sessionId' in value && 'send' in value && 'getSnapshot' in value;

function isInTree(ref: AnyActorRef, root: AnyActorRef): boolean {
  let at: AnyActorRef | undefined = root;
  for (const id of pathOf(ref)) at = at?.getSnapshot()?.children?.[id];
  return at === ref;
}

/**
 * XState counts the ids that it generates (`x:12`) through the whole process. Here they are numbered in the order in which
 * they are first seen, and of those seen at once in the order in which they were generated.
 */
export class Names {
  readonly #names = new Map<string, string>();

  apply<T>(value: T): T {
    const seen = new Set<string>();
    for (const text of texts(value)) for (const [id] of text.matchAll(GENERATED)) seen.add(id);
    const unknown = [...seen].filter((id) => !this.#names.has(id));
    unknown.sort((a, b) => Number(a.split(':').at(-1)) - Number(b.split(':').at(-1)));
    for (const id of unknown) this.#names.set(id, `x#${this.#names.size + 1}`);
    return this.#rename(value) as T;
  }

  #rename(value: unknown): unknown {
    if (typeof value === 'string') return value.replaceAll(GENERATED, (id) => this.#names.get(id) ?? id);
    if (Array.isArray(value)) return value.map((item) => this.#rename(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [this.#rename(key) as string, this.#rename(item)]),
    );
  }
}

const GENERATED = /\bx:(?:[\w.]+:)?\d+\b/g;

function* texts(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    yield key;
    yield* texts(item);
  }
}
