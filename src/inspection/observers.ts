/** Who is told of the commits of which actor. */
import type { AnyEventObject } from 'xstate';
import { type Address, formatAddress, type PerdureError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import { harmless } from '../thrown.ts';

/** Told of a snapshot that was committed, and of what its turn emitted. */
export type Observer = (snapshot: any, emitted: AnyEventObject[]) => unknown;

interface Entry {
  observer: Observer;
  /** Told why nothing is to come, for now or ever. */
  over: (reason: PerdureError) => void;
}

export class Observers {
  readonly #events: EventChannel;
  readonly #entries = new Map<string, Set<Entry>>();

  constructor(events: EventChannel) {
    this.#events = events;
  }

  /**
   * Calls `observer` after each commit of the actor, until the result is called.
   * @param over called where no commit is to be expected: the actor was put aside or removed, or the engine has stopped
   */
  add(address: Address, observer: Observer, over: Entry['over'] = () => {}): () => void {
    const key = formatAddress(address);
    const entries = this.#entries.get(key) ?? new Set();
    const entry = { observer, over };
    this.#entries.set(key, entries.add(entry));
    return () => {
      entries.delete(entry);
      if (entries.size === 0 && this.#entries.get(key) === entries) this.#entries.delete(key);
    };
  }

  /** @param actor its address as one text, and its snapshot as of this commit */
  tell({ key, committed }: { key: string; committed: any }, emitted: AnyEventObject[]): void {
    const failed = (error: unknown) => this.#events.emit('fault', { during: `a subscriber of ${key}`, error });
    for (const { observer } of this.#entries.get(key) ?? []) harmless(() => observer(committed, emitted), failed);
  }

  /** The actor takes no more turns, unless an operator lets it: who waits for one need not, and who observes it still does. */
  aside(address: Address, reason: PerdureError): void {
    for (const { over } of this.#entries.get(formatAddress(address)) ?? []) over(reason);
  }

  /** The actor is gone: another one at its address is not observed by those who observed this one. */
  gone(address: Address, reason: PerdureError): void {
    this.aside(address, reason);
    this.#entries.delete(formatAddress(address));
  }

  /** Nothing takes turns any more. */
  end(reason: PerdureError): void {
    for (const entries of this.#entries.values()) for (const { over } of entries) over(reason);
    this.#entries.clear();
  }
}
