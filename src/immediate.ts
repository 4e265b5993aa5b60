/**
 * The end of the present iteration of Node's event loop, as a promise. The engine gathers there what belongs together.
 * Node's `setImmediate` is kept as it was when Perdure was loaded: a test that fakes timers later must not stop the engine.
 */
export const eventLoop = {
  /** Node's own; a simulation puts its steps in its place. */
  setImmediate: globalThis.setImmediate,
};

/** Resolves in the next iteration of the event loop. */
export const immediate = (): Promise<void> => new Promise((resolve) => eventLoop.setImmediate(resolve));
