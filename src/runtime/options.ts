/** How an application sets the runtime up. */

import type { InspectionEvent } from 'xstate';
import type { Clock } from '../clock.ts';
import { type Duration, milliseconds } from '../duration.ts';
import type { Pace } from '../engine/backlog.ts';
import type { Transport } from '../engine/outbox.ts';
import { type Address, InvalidArgumentError } from '../errors.ts';
import type { AnyFlow, InboundMessage } from '../flow/flow.ts';
import type { KeywordOptions } from '../flow/keyword-rules.ts';
import type { Retention } from '../flow/retention-periods.ts';
import type { Texts } from '../messaging/keywords.ts';
import type { CountryCode } from '../messaging/phone-numbers.ts';
import type { RecoveryMode } from '../recovery/index.ts';
import type { DatabaseOption } from '../store/sqlite/location.ts';
import type { SqliteOptions } from '../store/sqlite/open.ts';
import type { Logger } from './logging.ts';

/** What {@link createRuntime} is given. */
export interface RuntimeOptions {
  /** `'sqlite:study.db'`, `':memory:'`, or a Knex instance on the `sqlite3` driver. */
  database: DatabaseOption;
  /** Several versions of a flow may be among them: new actors start on the newest, see docs/evolving.md. */
  flows: readonly AnyFlow[];
  /** Delivers messages to people. Without one they wait in the outbox. */
  transport?: Transport;
  /**
   * How long an event for another actor waits where there is no such actor (yet); then it is a dead letter. Infinity: for ever.
   * Default: `'1d'`.
   */
  eventPatience?: Duration;
  /** Told what happens: a logger of pino, or one with the same methods. Default: silence. */
  logger?: Logger;
  /** Default: the wall clock. */
  clock?: Clock;
  /** Runs time so many times as fast, from where this database's clock stands. Default: as fast as it last did, or 1. */
  timeScale?: number;
  /** What `random()` gives in turns, in place of the seeded generator. Numbers in [0, 1). */
  random?: () => number;
  /** Seeds `random()` in turns. Default: a seed that is made once and kept in the database. */
  seed?: string;
  /** @internal What jitter is drawn from. Default: `random`, or `Math.random`. */
  chance?: () => number;
  /** @internal Hears XState's own inspection events as they come; what an application may see is {@link Runtime.inspect}. */
  inspect?: (event: InspectionEvent) => void;
  sqlite?: SqliteOptions;
  /** How long to wait for another process to let go of the SQLite file. Default: not at all. */
  lock?: { wait: Duration };
  /** How many idle actors stay in memory, a whole number from 0. It changes how fast answers come, and none of them. Default: 10,000. */
  cacheSize?: number;
  /**
   * How long who waits (for `send`, `receive`, `spawn`, `stop`, `remove`, a transaction) waits at the most while the database takes
   * no writes, or does not answer, or the actor waits for another attempt at a turn that failed. Then it rejects with a
   * `StoreError`, or in the last case with a `TimeoutError`, and what was asked for is not done later. Default: `'10s'`.
   */
  answerWithin?: Duration;
  /** Whether each turn leaves a line in `flow_journal`. Default: true. */
  journal?: boolean;
  /** For phone numbers in national form. Default: none, numbers need their country code. */
  defaultCountry?: CountryCode;
  /** How long inbound messages are kept, and redeliveries recognised; Infinity: for ever. Default: `'90d'`. */
  inboxRetention?: Duration;
  /** How long rows are kept that nothing needs any more. Default: see {@link Retention}. */
  retention?: Retention;
  /** Which messages opt out (STOP) and in again (START), or ask for help (HELP): docs/words-and-numbers.md. */
  keywords?: KeywordOptions;
  /** Replaces what the messaging edge itself says. */
  texts?: Partial<Texts>;
  /** Enrols an unknown sender and names the actor, or answers null. */
  autoEnroll?: (message: InboundMessage, address: string) => Promise<Address | null>;
  recovery?: RecoveryOptions;
}

/** How the runtime takes up at its start what was left. */
export interface RecoveryOptions {
  /** Default: `lazy`. */
  mode?: RecoveryMode;
  /** How many overdue deadlines, and as many invocations, are taken up a second; Infinity: at once. Default: 1,000. */
  rate?: number;
  /** From 0 to 1: how much the pace varies, so that several nodes do not beat in time. Default: 0.2. */
  jitter?: number;
  /** A component that has neither ended nor told of any progress for so long, in real time, is given up. Default: `'5m'`. */
  patience?: Duration;
  /**
   * What a start does where actors are of a newer version of their flow than any that is registered, as after a rollback:
   * `sleep` leaves them as they are, tells of them (the event `newerRows`, the log, the health), and goes on with the
   * others; `refuse` does not start. Default: `sleep`.
   */
  newer?: 'sleep' | 'refuse';
  /** How often the database is looked at for what a failed step left behind. Default: `'5m'`. */
  sweepEvery?: Duration;
}

/** @throws {InvalidArgumentError} a size that cannot be */
export function cacheSizeOf({ cacheSize = 10_000 }: RuntimeOptions): number {
  if (!Number.isSafeInteger(cacheSize) || cacheSize < 0)
    throw new InvalidArgumentError(`cacheSize must be a whole number from 0; it is ${cacheSize}.`);
  return cacheSize;
}

/** @throws {InvalidArgumentError} a pace that cannot be */
export function paceOf(options: RuntimeOptions): Pace {
  const { recovery: { rate = 1_000, jitter = 0.2 } = {}, random = Math.random, chance = random } = options;
  if (!(rate > 0)) throw new InvalidArgumentError(`recovery.rate must be a number above 0; it is ${rate}.`);
  if (!(jitter >= 0 && jitter <= 1))
    throw new InvalidArgumentError(`recovery.jitter must be a number from 0 to 1; it is ${jitter}.`);
  return { rate, jitter, chance };
}

/** @throws {InvalidArgumentError} it is no time */
export function answerWithinOf({ answerWithin = '10s' }: RuntimeOptions): number {
  const ms = milliseconds(answerWithin);
  if (ms === 0) throw new InvalidArgumentError('answerWithin must be longer than 0.');
  return ms;
}
