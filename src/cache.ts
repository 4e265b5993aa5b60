/** How caches of this package are bounded. */

/**
 * The options of an LRU cache that holds so many entries; 0: none. It makes no room for all of them at once, which took some
 * ms of each start.
 */
export const upTo = (entries: number) => ({
  maxSize: Math.max(1, entries),
  // What is larger than the whole cache is not kept.
  sizeCalculation: () => (entries > 0 ? 1 : 2),
});
