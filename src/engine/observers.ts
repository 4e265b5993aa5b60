/** Who is told of the commits of which actor. */
import type { AnyEventObject } from 'xstate';
import { type Address, formatAddress } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import { harmless } from '../thrown.ts';
import type { Cell } from './cell.ts';

/** Told of a snapshot that was committed, and of what its turn emitted. */
export type Observer = (snapshot: any, emitted: AnyEventObject[]) => unknown;

export class Observers {
  readonly #events: EventChannel;
  readonly #observers = new Map<string, Set<Observer>>();

  constructor(events: EventChannel) {
    this.#events = events;
  }

  /** Calls `observer` after each commit of the actor, until the result is called. */
  add(address: Address, observer: Observer): () => void {
    const key = formatAddress(address);
    const observers = this.#observers.get(key) ?? new Set();
    this.#observers.set(key, observers.add(observer));
    return () => {
      observers.delete(observer);
      if (observers.size === 0) this.#observers.delete(key);
    };
  }

  tell({ key, committed }: Cell, emitted: AnyEventObject[]): void {
    const failed = (error: unknown) => this.#events.emit('fault', { during: `a subscriber of ${key}`, error });
    for (const observer of this.#observers.get(key) ?? []) harmless(() => observer(committed, emitted), failed);
  }

  /** The actor is gone. */
  delete(address: Address): void {
    this.#observers.delete(formatAddress(address));
  }

  clear(): void {
    this.#observers.clear();
  }
}
