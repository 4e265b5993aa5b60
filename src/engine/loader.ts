/** Reads rows of actors that are not in memory: those asked for while a read is under way are read together. */
import { type Address, formatAddress } from '../errors.ts';
import { immediate } from '../immediate.ts';
import { type ActorRow, addressOf } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

interface Asked {
  address: Address;
  resolve: (row: ActorRow | undefined) => void;
  reject: (error: unknown) => void;
}

export class Loader {
  readonly #store: Store;
  #asked: Asked[] = [];
  #busy = false;

  constructor(store: Store) {
    this.#store = store;
  }

  load(address: Address): Promise<ActorRow | undefined> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ address, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      void immediate().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#asked.length > 0) {
      const batch = this.#asked.splice(0, 500);
      try {
        const rows = await this.#store.load(batch.map(({ address }) => address));
        const byAddress = new Map(rows.map((row) => [formatAddress(addressOf(row)), row]));
        for (const { address, resolve } of batch) resolve(byAddress.get(formatAddress(address)));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#busy = false;
  }
}
