/** Caches of the entries that were used last, and how they are bounded. The build puts lru-cache into this file (scripts/inline-packages.js). */
export { LRUCache } from 'lru-cache';

/**
 * The options of an LRU cache that holds so many entries; 0: none. It makes no room for all of them at once, which took some
 * ms of each start.
 */
export const upTo = (entries: number) => ({
  maxSize: Math.max(1, entries),
  // What is larger than the whole cache is not kept.
  sizeCalculation: () => (entries > 0 ? 1 : 2),
});
