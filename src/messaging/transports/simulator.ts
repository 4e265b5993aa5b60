import type { Transport } from '../../engine/outbox.ts';

/** Accepts every message and sends none: for demonstrations, where people read the outbox itself. */
export const simulator: Transport = { send: () => {} };
