/**
 * Who gets a message from an address. The tables are the truth: `response_handlers` says to whom an address is bound, and the
 * rows of the actors, who runs and whose address it is; this is a bounded cache in front of them.
 *
 * - While an actor runs, its address leads to it, however long it is silent; and from its end for the `handlerTtl` of its flow.
 * - Of one flow, an address leads to the actor that it was bound to last. Where that has ended, to the one that runs and has the
 *   address as well, if there is one.
 * - Of several flows, to those that run first, the one whose last turn is the most recent before the others: who spoke last is
 *   answered. Then come those that have ended, the last one first.
 *
 * An address may be written in several forms (`formsOf`), and any of them leads to the same handlers.
 * What was read is kept only if the address was not bound anew meanwhile.
 */
import { LRUCache, upTo } from '../cache.ts';
import { LAST_INSTANT } from '../clock.ts';
import { Loader } from '../engine/loader.ts';
import type { Address } from '../errors.ts';
import { addressOf, type Claim, isEnded } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { formsOf, lineOf } from './address.ts';

/** An actor that an address leads to. */
export interface Handler extends Address {
  /** It takes messages, or is put aside; it has not ended. */
  running: boolean;
  /** Until when the address leads to it, in ms since the epoch. */
  expiresAt: number;
}

export interface Binding {
  phoneNumber: string;
  flowType: string;
  participantId: string;
  handlerType: string;
  /** In ms; it counts from the actor's end. */
  ttl: number;
}

export class Handlers {
  readonly #store: Store;
  readonly #cache: LRUCache<string, readonly Handler[]>;
  readonly #claims: Loader<readonly string[], Claim[]>;
  /** Reads under way whose answers are to be kept. */
  readonly #reading = new Map<string, Promise<readonly Handler[]>>();
  /** Those who take an address for a new actor, by address and flow: one after another. */
  readonly #taking = new Map<string, Promise<unknown>>();

  /** @param cacheSize how many addresses are kept in memory */
  constructor(store: Store, cacheSize: number) {
    this.#store = store;
    this.#cache = new LRUCache(upTo(cacheSize));
    this.#claims = new Loader((asked) => store.claims(asked));
  }

  /** Those that an address leads to, one of each flow, and those that it no longer leads to; who gets its messages comes first. */
  of(address: string): readonly Handler[] | Promise<readonly Handler[]> {
    const line = lineOf(address);
    return this.#cache.get(line) ?? this.#reading.get(line) ?? this.#read(line);
  }

  #read(line: string): Promise<readonly Handler[]> {
    const reading: Promise<readonly Handler[]> = this.#claims.load(formsOf(line)).then(
      (claims) => {
        if (this.#reading.get(line) !== reading) return this.of(line); // it was bound anew meanwhile
        this.#reading.delete(line);
        const handlers = ranked(claims);
        // The end of an actor tells of its own address alone, and is to be heard of.
        if (claims.length > 0 && claims.every(({ own }) => own)) this.#cache.set(line, handlers);
        return handlers;
      },
      (error) => {
        if (this.#reading.get(line) === reading) this.#reading.delete(line);
        throw error;
      },
    );
    this.#reading.set(line, reading);
    return reading;
  }

  /** Binds an address to an actor; false: another participant of the flow, who has not ended, has it. */
  async bind({ phoneNumber, flowType, participantId, handlerType, ttl }: Binding, now: number): Promise<boolean> {
    const bound = await this.#store.bind({
      phone_number: phoneNumber,
      flow_type: flowType,
      participant_id: participantId,
      handler_type: handlerType,
      bound_at: now,
      expires_at: Math.min(now + ttl, LAST_INSTANT),
    });
    this.forget(phoneNumber);
    return bound;
  }

  /**
   * Creates an actor that has the address from then on, if `create` does create one.
   * @returns who of its flow had the address until then, and has not ended
   */
  async take(
    address: string,
    { flowType, participantId }: Address,
    create: () => Promise<boolean>,
  ): Promise<{ created: boolean; from?: Address }> {
    const key = `${lineOf(address)} ${flowType}`;
    const take = async () => {
      const holder = (await this.of(address)).find((handler) => handler.flowType === flowType && handler.running);
      try {
        const created = await create();
        if (!created || !holder || holder.participantId === participantId) return { created };
        return { created, from: { flowType, participantId: holder.participantId } };
      } finally {
        this.forget(address);
      }
    };
    const taking = (this.#taking.get(key) ?? Promise.resolve()).then(take, take);
    this.#taking.set(key, taking);
    try {
      return await taking;
    } finally {
      if (this.#taking.get(key) === taking) this.#taking.delete(key);
    }
  }

  /** An actor of this address has made a turn, its last one or not. */
  touch(address: string, { flowType, participantId }: Address, ended: boolean): void {
    const line = lineOf(address);
    if (ended || this.#reading.has(line)) this.forget(address);
    const handlers = this.#cache.peek(line);
    const at = handlers?.findIndex((each) => each.flowType === flowType && each.participantId === participantId) ?? -1;
    if (at > 0) this.#cache.set(line, [handlers![at]!, ...handlers!.toSpliced(at, 1)]);
  }

  /** The address was bound anew. */
  forget(address: string): void {
    const line = lineOf(address);
    this.#cache.delete(line);
    this.#reading.delete(line);
  }
}

/** Who gets the messages, in order, of all that claim an address. */
function ranked(claims: readonly Claim[]): Handler[] {
  const handlers = new Map<string, Claim>();
  for (const claim of claims) {
    const former = handlers.get(claim.flow_type);
    if (!former || isBefore(claim, former)) handlers.set(claim.flow_type, claim);
  }
  return [...handlers.values()]
    .sort((a, b) => {
      const [endedA, endedB] = [isEnded(a.status), isEnded(b.status)];
      if (endedA !== endedB) return endedA ? 1 : -1;
      return endedA ? (b.bound_at ?? 0) - (a.bound_at ?? 0) : later(a, b);
    })
    .map(handlerOf);
}

/** Of one flow: who runs before who has ended, and then who is bound before who only has the address in its row. */
function isBefore(a: Claim, b: Claim): boolean {
  const [endedA, endedB] = [isEnded(a.status), isEnded(b.status)];
  if (endedA !== endedB) return endedB;
  const [boundA, boundB] = [a.expires_at !== null, b.expires_at !== null];
  return boundA === boundB ? later(a, b) < 0 : boundA;
}

/** Of two that run: whose last turn is the later one. What an ended one ignores is a turn as well, and counts for nothing. */
const later = (a: Claim, b: Claim) => (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0);

function handlerOf(claim: Claim): Handler {
  const running = !isEnded(claim.status);
  return { ...addressOf(claim), running, expiresAt: running ? LAST_INSTANT : (claim.expires_at ?? 0) };
}
