/**
 * The application around the actors of a simulated world, which has a table of its own. Now and then it lets an actor take a
 * turn in a transaction, opened by the runtime or joined, and writes a row beside it; and sometimes it changes its mind, or
 * dies in the midst. Each row must then be there with its turn, or neither.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import type { Runtime, Transaction } from '../../src/index.ts';
import type { Chance } from './chance.ts';

/**
 * Its tables: what it bought, by the id of the event or the message that it was bought with; and what its flows write with
 * their turns, the entries that they make and where each actor stands.
 */
export const TABLES = [
  'CREATE TABLE purchases (id TEXT PRIMARY KEY)',
  'CREATE TABLE entries (id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL)',
  'CREATE TABLE standings (name TEXT PRIMARY KEY, count INTEGER NOT NULL, last TEXT NOT NULL)',
];

/** It has rolled back what it had begun. */
export class ChangeOfMind extends Error {
  readonly code = 'UNDONE';
}

/** Node follows contexts from its first one on; what began before would share one with the whole world. */
const follows = new AsyncLocalStorage<true>();

const ENDS = ['commit', 'commit', 'commit', 'commit', 'commit', 'commit', 'undo', 'undo', 'crash'] as const;

export class Application {
  readonly #chance: Chance;
  readonly #crash: () => void;
  /** How often it buys in a transaction. A transaction has many statements, and most worlds are to be short. */
  readonly #share: number;
  /** From now on it does not change its mind, and has time. */
  calm = false;
  /** What is bought in transactions, and in nothing else. */
  readonly purchases = new Set<string>();

  /** @param crash kills the process, now */
  constructor(chance: Chance, crash: () => void) {
    this.#chance = chance;
    this.#crash = crash;
    this.#share = chance.happens(0.08) ? 0.3 : 0;
  }

  /** Whether something is to be bought in transactions from now on. */
  begins(id: string): boolean {
    const begins = this.#chance.happens(this.#share);
    if (begins) this.purchases.add(id);
    return begins;
  }

  /** Whether it sends an event twice. */
  insists(): boolean {
    return this.#chance.happens(0.3);
  }

  /** Buys: `take` lets actors take turns; what it gives says whether they did. */
  buy<T extends { handled: boolean }>(
    runtime: Runtime,
    id: string,
    take: (trx: Transaction) => Promise<T>,
  ): Promise<T> {
    const chance = this.#chance;
    const rowFirst = chance.happens(0.5);
    const end = this.calm ? 'commit' : chance.pick(ENDS);
    const options = { timeout: this.calm ? ('1h' as const) : ('5s' as const) };
    const body = async (trx: Transaction): Promise<T> => {
      const write = () => trx('purchases').insert({ id }).onConflict('id').ignore();
      if (rowFirst) await write();
      const result = await take(trx);
      if (!rowFirst) await write();
      if (end === 'undo' || !result.handled) throw new ChangeOfMind('the application changed its mind');
      if (end === 'crash') {
        this.#crash();
        await new Promise(() => {});
      }
      return result;
    };
    if (chance.happens(0.5)) return runtime.transaction(body, options);
    return follows.run(true, () =>
      runtime.knex.transaction(async (trx: Knex.Transaction) => body(await runtime.join(trx, options))),
    );
  }
}
