/** What the parts of a simulated world have in common. */
import type { Runtime } from '../../src/index.ts';
import type { Chance } from './chance.ts';
import type { SimulatedDatabase } from './database.ts';
import type { Ledger } from './ledger.ts';
import type { Scheduler } from './scheduler.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** How often what goes wrong, from 0 to 1. Each schedule has its own. */
export interface Faults {
  refused: number;
  unknown: number;
  slow: number;
  crashAtStatement: number;
  sendFails: number;
  sendHangs: number;
  sentAndFails: number;
  callRejects: number;
  callThrows: number;
  callNever: number;
  callLate: number;
  duplicate: number;
}

export interface Person {
  flowType: string;
  participantId: string;
  phoneNumber: string;
  input: unknown;
  spawned: boolean;
  /** How often they were enrolled, or will have been. */
  lives: number;
  /** What they may be called in the states of their actors; each name is one life's. */
  names?: Set<string>;
  /** How often they were to be deleted. */
  removals?: number;
  /** The application has asked for them to be deleted. */
  removing?: boolean;
}

export interface Surroundings {
  readonly scheduler: Scheduler;
  readonly database: SimulatedDatabase;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly people: readonly Person[];
  readonly ledger: Ledger;
  /** The process that runs, or starts, or stops. */
  readonly process: Runtime | undefined;
  /** The same, while it takes calls. */
  readonly runtime: Runtime | undefined;
  /** Nothing goes wrong any more. */
  readonly calm: boolean;
  /** The clock was set. */
  readonly clockSet: boolean;
  /** The retry of a participant's actor has begun, and is not answered. */
  isRetried(participantId: string): boolean;
  /** A number that nothing else has. */
  number(): number;
  readonly tell: (text: string) => void;
  /** A promise of Perdure's was broken. */
  broken(guarantee: string, what: string): void;
}
