/**
 * Slows actors down whose deadlines are always due, such as a cycle of `after: 0`, or of a computed delay that has passed.
 *
 * A round is what is due when an actor begins to fire. Where each of very many rounds falls due as soon as the one before has
 * begun, the actor runs away: from then on it begins a round only every `PACE` ms, until it comes to rest. What is asked of the
 * actor is not slowed down, nor are many deadlines that were set at once.
 */
import { LRUCache, upTo } from '../cache.ts';
import { type Address, formatAddress } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Cell } from './cell.ts';

/** A round that falls due so soon after the one before, in ms, follows it at once. */
const AT_ONCE = 10;
/** So many rounds may follow at once: a flow may well do some work step by step. */
const FREE = 2_000;
/** From one round to the next of an actor that runs away, in ms. */
export const PACE = 1_000;
/** Of so many actors it is known how their last rounds followed each other. */
const KNOWN = 10_000;

interface Rounds {
  count: number;
  /** When the last one began, or its last turn was made. */
  at: number;
  /** How many deadlines were pending when the first one began: these do not count. */
  pending: number;
}

export class Pacer {
  readonly #events: EventChannel;
  readonly #rounds = new LRUCache<string, Rounds>(upTo(KNOWN));
  /** Those that run away, each with the instant before which it begins no round. */
  readonly #runaways = new Map<string, number>();

  constructor(events: EventChannel) {
    this.#events = events;
  }

  /** An actor begins a round. */
  began({ address, key, live }: Cell, now: number): void {
    // Only what its turns come to tells that it is at rest: they may have been those of a transaction.
    if (this.#runaways.has(key)) {
      this.#runaways.set(key, now + PACE);
      return;
    }
    const { nextDueAt = 0, earliest } = live!;
    const rounds = this.#rounds.get(key);
    if (!rounds || nextDueAt - rounds.at >= AT_ONCE) {
      this.#rounds.set(key, { count: 1, at: now, pending: live!.pending });
      return;
    }
    rounds.at = now;
    if (++rounds.count <= FREE + rounds.pending) return;
    this.#runaways.set(key, now + PACE);
    this.#events.emit('runaway', { address, event: earliest!.event.type, every: PACE });
  }

  /** The instant before which the actor is to begin no round of itself. */
  notBefore(address: Address): number {
    if (this.#runaways.size === 0) return Number.NEGATIVE_INFINITY;
    return this.#runaways.get(formatAddress(address)) ?? Number.NEGATIVE_INFINITY;
  }

  /**
   * A turn of the actor has committed, after which its earliest deadline is `dueAt`.
   * @param fired it was the turn of a deadline, which may have been made anew since its round began
   */
  committed({ address, key }: Cell, at: number, fired: boolean, dueAt = Number.POSITIVE_INFINITY): void {
    const rounds = fired && this.#rounds.get(key);
    if (rounds) rounds.at = at;
    if (this.#runaways.size > 0 && this.#runaways.has(key) && dueAt - at >= AT_ONCE) this.rest(address);
  }

  /** The actor has no deadlines any more that are always due. */
  rest(address: Address): void {
    const key = formatAddress(address);
    this.#rounds.delete(key);
    if (this.#runaways.delete(key)) this.#events.emit('calmed', { address });
  }
}
