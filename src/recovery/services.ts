/**
 * Recovery's vocabulary: a component that takes part in it, and what the runtime offers to such a component: services, and a place to
 * say what became of each participant. One registry is made for each component, so that what it says is filed under its name.
 */
import type { AnyEventObject } from 'xstate';
import type { LiveActor } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { RecoveryServiceMissingError } from '../errors.ts';
import type { ActorRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { type ComponentReport, type Finding, MOST_FINDINGS, type RecoveryMode } from './report.ts';

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

/** A component that has something to recover before the runtime takes messages. */
export interface Recoverable {
  /** Names it in the report. */
  readonly name: string;
  /**
   * Recovers what it can, and tells the registry what became of what. It goes on where one participant fails; what it
   * throws is the failure of the whole component, which stops no other one. Long work calls `registry.progress` now and
   * then: one that is silent for too long is given up.
   */
  recoverState(registry: RecoveryRegistry): Promise<void>;
}

/** The recovery of a flow's participants. */
export interface ParticipantRecoverable extends Recoverable {
  readonly flowType: string;
  /** Recovers one participant. */
  recoverParticipant(participantId: string, registry: RecoveryRegistry): Promise<void>;
}

/** A deadline that an actor should have. */
export interface TimerRecoveryInfo {
  participantId: string;
  flowType: string;
  /** It makes sense only in this state, as a dotted path; an actor that has left it does not get the deadline. */
  stateType: string;
  event: AnyEventObject;
  /** In ms since the epoch. One that has passed fires once, late, as soon as the runtime runs. */
  dueAt: number;
}

/** That messages from a phone number belong to a participant. */
export interface ResponseHandlerRecoveryInfo {
  /** E.164. */
  phoneNumber: string;
  participantId: string;
  flowType: string;
  handlerType: string;
  /** How long from now, in ms. */
  ttl: number;
}

/** Puts a deadline into an actor, durably; false: it has it already, or has left the state. */
export type TimerRecovery = (info: TimerRecoveryInfo) => Promise<boolean>;

/** Binds a phone number; false: it belongs to another participant of the flow. */
export type HandlerRecovery = (info: ResponseHandlerRecoveryInfo) => Promise<boolean>;

export const isParticipantRecoverable = (component: Recoverable): component is ParticipantRecoverable =>
  'flowType' in component;
