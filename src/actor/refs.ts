/**
 * Actor references inside snapshots. XState stores a reference in a machine's context as the bare id of a direct child,
 * and any other one (a parent given as `input`, a grandchild, a stopped actor) is lost or comes back as plain data. Here
 * every reference is stored with its path of child ids and comes back as the live actor; one to an actor that is gone
 * comes back as an actor that is stopped, so that sending to it does nothing, as before.
 */
import { type AnyActorLogic, type AnyActorRef, createActor, fromTransition } from 'xstate';
import { flawOf, isMap, isPlainObject, isSet } from './values.ts';

/** Path of keys under `children` from the root actor, as a rule the children's ids; the root itself is the empty path. */
export type ActorPath = readonly string[];

interface StoredRef {
  xstate$$type: 1;
  id: string;
  path?: ActorPath;
  gone?: unknown;
}

const ROOT: ActorPath = [];

export const isActorRef = (value: unknown): value is AnyActorRef & { logic: AnyActorLogic } =>
  typeof value === 'object' && value !== null && 'sessionId' in value && 'send' in value && 'ref' in value;

export function pathOf(ref: AnyActorRef): ActorPath {
  if (!ref._parent) return ROOT;
  const path: string[] = [];
  for (let at = ref; at._parent; at = at._parent) path.unshift(keyOf(at, at._parent));
  return path;
}

function keyOf(child: AnyActorRef, parent: AnyActorRef): string {
  const children = (parent.getSnapshot()?.children ?? {}) as Record<string, unknown>;
  if (children[child.id] === child) return child.id;
  return Object.keys(children).find((key) => children[key] === child) ?? child.id;
}

export function resolvePath(root: AnyActorRef, path: ActorPath): AnyActorRef | undefined {
  let at: AnyActorRef | undefined = root;
  for (const id of path) at = at?.getSnapshot()?.children?.[id] as AnyActorRef | undefined;
  return at;
}

/** The actor at its own path is this very one, not a later one of the same name. */
export const isInTree = (root: AnyActorRef, ref: AnyActorRef) => resolvePath(root, pathOf(ref)) === ref;

/**
 * `value` with parts replaced; `value` itself where nothing is. What a copy would lose something of stays as it is, so that
 * whoever stores it finds it there and refuses it.
 * @param replace gives what stands in a part's place; `undefined`: its own parts are looked at
 */
export function rewrite<T>(value: T, replace: (part: object) => unknown): T {
  const copies = new Map<object, unknown>();
  const visit = (part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (copies.has(part)) return copies.get(part);
    const replaced = replace(part);
    if (replaced !== undefined) {
      copies.set(part, replaced);
      return replaced;
    }
    // While a part is under way it stands for itself: a cycle through it keeps it as it is unless it holds a reference.
    copies.set(part, part);
    let copy: unknown = part;
    if (Array.isArray(part)) {
      const items = part.map(visit);
      if (items.some((item, i) => item !== part[i]) && flawOf(part) === undefined) copy = items;
    } else if (isMap(part)) {
      const entries = [...part].map(([k, v]) => [visit(k), visit(v)] as const);
      const changes = entries.some(([k, v]) => !part.has(k) || part.get(k) !== v);
      if (changes && flawOf(part) === undefined) copy = new Map(entries);
    } else if (isSet(part)) {
      const items = [...part].map(visit);
      if (items.some((item) => !part.has(item)) && flawOf(part) === undefined) copy = new Set(items);
    } else if (isPlainObject(part) && flawOf(part) === undefined) {
      for (const key in part) {
        const before = (part as Record<string, unknown>)[key];
        const after = visit(before);
        if (after === before) continue;
        if (copy === part) copy = Object.assign(Object.create(Object.getPrototypeOf(part)), part);
        (copy as Record<string, unknown>)[key] = after;
      }
    }
    copies.set(part, copy);
    return copy;
  };
  return visit(value) as T;
}

/**
 * `value` with every actor reference replaced by its stored form; `value` itself where it holds none. A reference to an actor
 * of another system stays: nobody would find it after a restart.
 */
export function detachRefs<T>(root: AnyActorRef, value: T, persist: (ref: AnyActorRef) => unknown): T {
  const gone = new Map<object, StoredRef>();
  const detach = <V>(part: V): V =>
    rewrite(part, (each) => {
      if (!isActorRef(each) || each.system !== root.system) return undefined;
      if (isInTree(root, each)) return { xstate$$type: 1, id: each.id, path: pathOf(each) };
      let stored = gone.get(each);
      if (!stored) {
        stored = { xstate$$type: 1, id: each.id };
        gone.set(each, stored); // its own context may lead back to it
        stored.gone = detach(persist(each));
      }
      return stored;
    });
  return detach(value);
}

/**
 * Finds the stored references in a decoded snapshot. Called before the actors are made (XState would touch them);
 * the function it returns puts the live actors in their places.
 */
export function collectRefs(value: unknown): (root: AnyActorRef) => void {
  const places: ((resolve: (stored: StoredRef) => unknown) => void)[] = [];
  const seen = new Set<object>();
  const visit = (part: unknown) => {
    if (typeof part !== 'object' || part === null || seen.has(part)) return;
    seen.add(part);
    if (part instanceof Map) {
      for (const [key, item] of part) {
        if (isStoredRef(item)) places.push((resolve) => part.set(key, resolve(item)));
        visit(isStoredRef(item) ? item.gone : item);
      }
    } else if (part instanceof Set) {
      const items = [...part];
      if (items.some(isStoredRef)) {
        places.push((resolve) => {
          part.clear();
          for (const item of items) part.add(isStoredRef(item) ? resolve(item) : item);
        });
      }
      for (const item of items) visit(isStoredRef(item) ? item.gone : item);
    } else {
      for (const key in part) {
        const holder = part as Record<string, unknown>;
        const item = holder[key];
        if (isStoredRef(item)) places.push((resolve) => (holder[key] = resolve(item)));
        visit(isStoredRef(item) ? item.gone : item);
      }
    }
  };
  visit(value);
  return (root) => {
    const gone = new Map<StoredRef, AnyActorRef>();
    const revive = (stored: StoredRef) => {
      const there = (stored.path && resolvePath(root, stored.path)) ?? gone.get(stored) ?? goneActor(root, stored);
      if (!stored.path) gone.set(stored, there);
      return there;
    };
    for (const place of places) place(revive);
  };
}

const isStoredRef = (value: unknown): value is StoredRef =>
  typeof value === 'object' && value !== null && (value as StoredRef).xstate$$type === 1;

function goneActor(root: AnyActorRef, { id, gone }: StoredRef): AnyActorRef {
  const ref = createActor(
    fromTransition((state) => state, undefined),
    { id, parent: root, src: 'gone', snapshot: gone ?? { status: 'stopped' } } as never,
  ) as unknown as AnyActorRef;
  (ref as unknown as { _processingStatus: number })._processingStatus = STOPPED;
  return ref;
}

/** `ProcessingStatus.Stopped` of XState. */
const STOPPED = 2;
