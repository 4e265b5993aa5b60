/** Waits until all promises have settled that can: Node lets them between one callback of `setImmediate` and the next. */

/** So many callbacks are asked for at once: a pass of the event loop costs more than what happens in most steps. */
const AT_ONCE = 64;

const { setImmediate } = globalThis; // a simulation has its own
let left = 0;
let waiting: (() => void) | undefined;

/** Resolves once no promise has anything left to do. One at a time may wait for it. */
export function quiescence(): Promise<void> {
  return new Promise((resolve) => {
    waiting = resolve;
    if (left > 0) return;
    for (left = 0; left < AT_ONCE; left++) setImmediate(settled);
  });
}

function settled(): void {
  left--;
  const resolve = waiting;
  waiting = undefined;
  resolve?.();
}
