/**
 * The deadlines of one actor and its children. A turn may set and cancel thousands of them, so neither looks at all the
 * others: a new one is put at the end, a cancelled one only marked, and the list is brought into order when it is next read.
 *
 * XState finds a deadline by its source and its id, and only the last one that was scheduled under them: that one is owned,
 * and those before it are stray. They fire, and cannot be cancelled any more.
 */
import type { AnyActorRef, AnyEventObject } from 'xstate';

/** A delayed event with its absolute deadline, in whole ms since the epoch. */
export interface Timer {
  id: string | undefined;
  event: AnyEventObject;
  dueAt: number;
  source: AnyActorRef;
  target: AnyActorRef;
  /** Another one of its id was scheduled or has fired: as in XState, `cancel` does not find this one any more. */
  stray: boolean;
}

export class Timers {
  #list: Timer[] = [];
  #isInOrder = true;
  readonly #cancelled = new Set<Timer>();
  /** By source and id; one without an id is its own. */
  readonly #owned = new Map<AnyActorRef, Map<string | Timer, Timer>>();

  /** All, in order of deadline; of equal ones, the one that was added first comes first. */
  get all(): readonly Timer[] {
    if (this.#cancelled.size > 0) {
      this.#list = this.#list.filter((timer) => !this.#cancelled.has(timer));
      this.#cancelled.clear();
    }
    if (!this.#isInOrder) {
      this.#list.sort((a, b) => a.dueAt - b.dueAt);
      this.#isInOrder = true;
    }
    return this.#list;
  }

  add(timer: Timer): void {
    const last = this.#list.at(-1);
    if (last && last.dueAt > timer.dueAt) this.#isInOrder = false;
    this.#list.push(timer);
    if (timer.stray) return;
    let ids = this.#owned.get(timer.source);
    if (!ids) {
      ids = new Map();
      this.#owned.set(timer.source, ids);
    }
    ids.set(timer.id ?? timer, timer);
  }

  /** Takes the earliest one away; it has fired, or is to fire at another instant. */
  shift(): Timer | undefined {
    const [first] = this.all;
    if (!first) return undefined;
    this.#list.shift();
    this.#release(first);
    return first;
  }

  delete(timer: Timer): void {
    this.#cancelled.add(timer);
    this.#release(timer);
  }

  /** The one of that id, if there is one, is stray from now on. */
  disown(source: AnyActorRef, id: string | undefined): void {
    const timer = id === undefined ? undefined : this.#owned.get(source)?.get(id);
    if (!timer) return;
    this.#release(timer);
    timer.stray = true;
  }

  cancel(source: AnyActorRef, id: string): void {
    const timer = this.#owned.get(source)?.get(id);
    if (timer) this.delete(timer);
  }

  cancelAll(source: AnyActorRef): void {
    for (const timer of this.#owned.get(source)?.values() ?? []) this.#cancelled.add(timer);
    this.#owned.delete(source);
  }

  /** Takes away those that are not wanted. */
  retain(isWanted: (timer: Timer) => boolean): void {
    for (const timer of this.all) if (!isWanted(timer)) this.delete(timer);
  }

  #release(timer: Timer): void {
    const ids = this.#owned.get(timer.source);
    const key = timer.id ?? timer;
    if (ids?.get(key) !== timer) return;
    ids.delete(key);
    if (ids.size === 0) this.#owned.delete(timer.source);
  }
}
