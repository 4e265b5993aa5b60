/**
 * What the runtime offers to a component that recovers: its services, and a place to say what became of whom. One registry
 * is made for each component, so that what it says is filed under its name.
 */
import type { LiveActor } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { RecoveryServiceMissingError } from '../errors.ts';
import type { ActorRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { HandlerRecovery, ResponseHandlerRecoveryInfo, TimerRecovery, TimerRecoveryInfo } from './recoverable.ts';
import { type ComponentReport, type Finding, MOST_FINDINGS } from './report.ts';

/**
 * `lazy`: finds by indexes what has to be done; the time does not grow with what the rows hold. `verify`: reads and
 * restores every row, one page at a time, and puts aside those that cannot be.
 */
export type RecoveryMode = 'lazy' | 'verify';

/** What the engine does for recovery. */
export interface Repairs {
  /** The actor that a row holds; nothing of it is started. @throws {SnapshotIncompatibleError} */
  examine(row: ActorRow): LiveActor;
  /** Puts the actor aside; its row stays as it is. */
  putAside(row: ActorRow, reason: string): Promise<void>;
  /** Lets the row's columns say what its snapshot says. */
  realign(row: ActorRow, columns: Partial<Pick<ActorRow, 'next_due_at' | 'lease_until'>>): Promise<void>;
}

export interface RegistryOptions {
  store: Store;
  clock: Clock;
  repairs: Repairs;
  mode: RecoveryMode;
  dryRun: boolean;
  report: ComponentReport;
  recoverTimer: TimerRecovery | undefined;
  recoverHandler: HandlerRecovery | undefined;
  progress: (done: number, total: number | undefined) => void;
}

/** What a component that recovers may use: the rows, the services that the application registered, its report. */
export class RecoveryRegistry {
  readonly #options: RegistryOptions;

  /** @internal */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** The database; write through the services. */
  get store(): Store {
    return this.#options.store;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get mode(): RecoveryMode {
    return this.#options.mode;
  }

  /** Nothing may be changed. */
  get dryRun(): boolean {
    return this.#options.dryRun;
  }

  /** The component's part of the report; add to its figures. */
  get report(): ComponentReport {
    return this.#options.report;
  }

  /** @internal what the flows' own recovery is made of */
  get repairs(): Repairs {
    return this.#options.repairs;
  }

  /**
   * Puts a deadline into an actor, in a turn of its own, unless it has it already or has left the state.
   * @returns whether it did; in a dry run, false
   * @throws {RecoveryServiceMissingError} no callback is registered
   */
  async recoverTimer(info: TimerRecoveryInfo): Promise<boolean> {
    const recover = this.#service(this.#options.recoverTimer, 'recoverTimer', 'registerTimerRecovery');
    if (this.dryRun || !(await recover(info))) return false;
    this.report.timers++;
    return true;
  }

  /**
   * Binds a phone number to a participant, for `ttl` from now, unless it is bound to another one of the flow.
   * @returns whether it did; in a dry run, false
   * @throws {RecoveryServiceMissingError} no callback is registered
   */
  async recoverResponseHandler(info: ResponseHandlerRecoveryInfo): Promise<boolean> {
    const recover = this.#service(this.#options.recoverHandler, 'recoverResponseHandler', 'registerHandlerRecovery');
    if (this.dryRun || !(await recover(info))) return false;
    this.report.handlers.bound++;
    this.report.handlers.renewed++;
    return true;
  }

  /** A participant could not be recovered. */
  failed(finding: Finding): void {
    this.#list('failed', finding);
  }

  /** A participant goes on, with something that somebody should look at. */
  notice(finding: Finding): void {
    this.#list('notices', finding);
  }

  /** Tells how far long work has come. */
  progress(done: number, total?: number): void {
    this.#options.progress(done, total);
  }

  #list(kind: 'failed' | 'notices', finding: Finding): void {
    const findings = this.report[kind];
    if (findings.length < MOST_FINDINGS) findings.push(finding);
    else this.report.unlisted[kind]++;
  }

  #service<T>(callback: T | undefined, name: string, register: string): T {
    if (callback) return callback;
    throw new RecoveryServiceMissingError(
      `${this.report.name} calls ${name}, for which no callback is registered. Call recovery.${register}(…) before recoverAll().`,
    );
  }
}
