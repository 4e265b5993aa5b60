import type { Address } from '../errors.ts';
import type { Host } from './live-actor.ts';
import { Processes } from './processes.ts';

/** The host of an actor that is only looked at: nothing that it asks for is done. */
export const onlooker = (address: Address): Host => ({
  address,
  processes: Processes.held(),
  post: () => {},
  log: () => {},
  actionFailed: () => {},
});
