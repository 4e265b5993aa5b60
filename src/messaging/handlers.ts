/**
 * Who gets a message from an address. The table `response_handlers` is the truth; this is a bounded cache in front of it.
 * An address may be written in several forms (formsOf), and any of them leads to the same handlers. Where it belongs to actors of several flows, the one whose last turn is the most recent gets the message: who
 * spoke last is answered.
 */
import { LRUCache } from 'lru-cache';
import { upTo } from '../cache.ts';
import { type AnyFlow, boundUntil } from '../flow.ts';
import { addressOf, isEnded } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { formsOf, lineOf } from './address.ts';

export interface Handler {
  flowType: string;
  participantId: string;
  expiresAt: number;
}

export interface Binding {
  phoneNumber: string;
  flowType: string;
  participantId: string;
  handlerType: string;
  /** In ms. */
  ttl: number;
}

export class Handlers {
  readonly #store: Store;
  readonly #flows: ReadonlyMap<string, AnyFlow>;
  readonly #cache: LRUCache<string, Handler[]>;

  /** @param cacheSize how many addresses are kept in memory */
  constructor(store: Store, cacheSize: number, flows: ReadonlyMap<string, AnyFlow>) {
    this.#store = store;
    this.#cache = new LRUCache(upTo(cacheSize));
    this.#flows = flows;
  }

  /** All handlers of an address, expired ones too; the one that was active last comes first. */
  of(address: string): Handler[] | Promise<Handler[]> {
    return this.#cache.get(lineOf(address)) ?? this.#read(address);
  }

  async #read(address: string): Promise<Handler[]> {
    const rows = await this.#store.handlers(formsOf(address));
    const handlers = rows.map((row) => {
      const flow = this.#flows.get(row.flow_type);
      // Renewed by every turn; the column is written now and then only.
      const renewed = flow ? boundUntil(flow, Date.parse(row.updated_at), isEnded(row.status)) : 0;
      return { ...addressOf(row), expiresAt: Math.max(row.expires_at, renewed) };
    });
    if (handlers.length > 0) this.#cache.set(lineOf(address), handlers);
    return handlers;
  }

  /** Binds an address for `ttl` ms from now; false: another participant of the flow has it. */
  async bind({ phoneNumber, flowType, participantId, handlerType, ttl }: Binding, now: number): Promise<boolean> {
    const others = await this.#read(phoneNumber);
    const other = others.find((handler) => handler.flowType === flowType && handler.participantId !== participantId);
    if (other && other.expiresAt > now) return false;
    await this.#store
      .knex('response_handlers')
      .insert({
        phone_number: phoneNumber,
        flow_type: flowType,
        participant_id: participantId,
        handler_type: handlerType,
        bound_at: now,
        expires_at: now + ttl,
      })
      .onConflict(['phone_number', 'flow_type'])
      .merge();
    this.forget(phoneNumber);
    return true;
  }

  /** An actor of this address has made a turn, its last one or not. */
  touch(address: string, flow: AnyFlow, at: number, ended: boolean): void {
    if (ended) this.forget(address);
    const handlers = this.#cache.peek(lineOf(address));
    const handler = handlers?.find((candidate) => candidate.flowType === flow.type);
    if (!handlers || !handler) return;
    handler.expiresAt = Math.max(handler.expiresAt, boundUntil(flow, at, false));
    if (handlers[0] !== handler) handlers.sort((a, b) => Number(b === handler) - Number(a === handler));
  }

  /** The address was bound anew. */
  forget(address: string): void {
    this.#cache.delete(lineOf(address));
  }
}
