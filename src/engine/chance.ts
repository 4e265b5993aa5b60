import { createHash } from 'node:crypto';
import { type Address, formatAddress } from '../errors.ts';

/** The chance of one turn: done again, it draws the same numbers. */
export function chanceOf(seed: string, address: Address, version: number): () => number {
  let drawn = 0;
  return () => {
    const hash = createHash('sha256')
      .update(`${seed}|${formatAddress(address)}|${version}|${drawn++}`)
      .digest();
    return hash.readUIntBE(0, 6) / 2 ** 48;
  };
}
