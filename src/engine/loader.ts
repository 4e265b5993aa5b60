/** Reads by key, such as the rows of actors that are not in memory: what is asked for while a read is under way is read together. */
import { immediate } from '../immediate.ts';

interface Asked<K, V> {
  key: K;
  resolve: (value: V) => void;
  reject: (error: unknown) => void;
}

/** So many are read at once. */
const MOST = 500;

export class Loader<K, V> {
  readonly #read: (keys: K[]) => Promise<V[]>;
  #asked: Asked<K, V>[] = [];
  #busy = false;

  /** @param read answers in the order of the keys */
  constructor(read: (keys: K[]) => Promise<V[]>) {
    this.#read = read;
  }

  /** Reads one; the read begins after this call. */
  load(key: K): Promise<V> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ key, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      void immediate().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#asked.length > 0) {
      const batch = this.#asked.splice(0, MOST);
      try {
        const values = await this.#read(batch.map(({ key }) => key));
        for (const [i, { resolve }] of batch.entries()) resolve(values[i] as V);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#busy = false;
  }
}
