/**
 * Recovers all components, one after the other, before the runtime takes messages. It knows no flow: components register
 * with it, and reach the runtime's services through the registry. One that fails stops no other one.
 */
import { type Clock, steadyClock, wakeAt } from '../clock.ts';
import { InvalidArgumentError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Store } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import { type Census, takeCensus } from './census.ts';
import { StrangerRecovery } from './flow-recovery.ts';
import type { RecoveryMode } from './report.ts';
import { type ComponentReport, emptyReport, type RecoveryReport, summary } from './report.ts';
import {
  type HandlerRecovery,
  isParticipantRecoverable,
  type Recoverable,
  RecoveryRegistry,
  type Repairs,
  type TimerRecovery,
} from './services.ts';

/** What recovery works on. */
export interface RecoveryGround {
  store: Store;
  clock: Clock;
  repairs: Repairs;
}

/** How to recover. */
export interface RecoverOptions {
  /** Default: `lazy`. */
  mode?: RecoveryMode;
  /** Only look: nothing is changed. Default: false. */
  dryRun?: boolean;
  /** Gives up. */
  signal?: AbortSignal;
}

/** Where the recovery is given up, so long is a component waited for that uses the database, in real ms. */
const GRACE = 2_000;
/** Between two reports of progress, in real ms. */
const PROGRESS_EVERY = 1_000;

/** Recovers the components that are registered with it, one after another; it knows no flow. */
export class RecoveryManager {
  readonly #components: Recoverable[] = [];
  readonly #events: EventChannel;
  readonly #ground: () => RecoveryGround;
  readonly #patience: number;
  #timer: TimerRecovery | undefined;
  #handler: HandlerRecovery | undefined;
  #report: RecoveryReport | undefined;

  /** @internal use `runtime.recovery` */
  constructor(events: EventChannel, ground: () => RecoveryGround, patience: number) {
    this.#events = events;
    this.#ground = ground;
    this.#patience = patience;
  }

  /**
   * Adds a component. One for a flow (with `flowType`) takes the place of the flow's generic recovery.
   * @throws {InvalidArgumentError} there is one of that name, or for that flow
   */
  registerRecoverable(component: Recoverable): void {
    const flowType = isParticipantRecoverable(component) ? component.flowType : undefined;
    const same = this.#components.find(
      (other) =>
        other.name === component.name ||
        (flowType !== undefined && isParticipantRecoverable(other) && other.flowType === flowType),
    );
    if (same) {
      throw new InvalidArgumentError(
        `The recovery '${component.name}' cannot be registered: there is '${same.name}' already. Each component needs a name, and each flow one recovery.`,
      );
    }
    this.#components.push(component);
  }

  /** Sets what {@link RecoveryRegistry.recoverTimer} does. */
  registerTimerRecovery(callback: TimerRecovery): void {
    this.#timer = callback;
  }

  /** Sets what {@link RecoveryRegistry.recoverResponseHandler} does. */
  registerHandlerRecovery(callback: HandlerRecovery): void {
    this.#handler = callback;
  }

  /** What the last recovery found. */
  get report(): RecoveryReport | undefined {
    return this.#report;
  }

  /** Whether a component looks after the flow. */
  covers(flowType: string): boolean {
    return this.#components.some((component) => isParticipantRecoverable(component) && component.flowType === flowType);
  }

  /**
   * Recovers every component and tells what became of it. It never rejects for what a component does.
   * @throws {StoreError} the database cannot be read at all
   * @throws the reason of `signal`, once that is aborted
   */
  async recoverAll({ mode = 'lazy', dryRun = false, signal }: RecoverOptions = {}): Promise<RecoveryReport> {
    const { store, clock } = this.#ground();
    const began = performance.now();
    const at = new Date(clock.now()).toISOString();
    const census = await takeCensus(store, clock.now());
    const strangers = [...census.keys()].filter((flowType) => !this.covers(flowType));
    const components: ComponentReport[] = [];
    for (const component of [...this.#components, ...strangers.map((flowType) => new StrangerRecovery(flowType))])
      components.push(await this.#recover(component, census, { mode, dryRun, signal }));
    this.#report = {
      mode,
      dryRun,
      at,
      durationMs: Math.round(performance.now() - began),
      ok: components.every(({ error, failed }) => error === undefined && failed.length === 0),
      components,
    };
    return this.#report;
  }

  async #recover(
    component: Recoverable,
    census: Census,
    { mode, dryRun, signal }: { mode: RecoveryMode; dryRun: boolean; signal: AbortSignal | undefined },
  ): Promise<ComponentReport> {
    const flowType = isParticipantRecoverable(component) ? component.flowType : undefined;
    const counted = flowType === undefined ? undefined : census.get(flowType);
    const report = { ...emptyReport(component.name, flowType), ...structuredClone(counted) };
    const began = performance.now();
    let told = began;
    const registry = new RecoveryRegistry({
      ...this.#ground(),
      mode,
      dryRun,
      report,
      recoverTimer: this.#timer,
      recoverHandler: this.#handler,
      progress: (done, total) => {
        signal?.throwIfAborted();
        heard = steadyClock.now();
        if (performance.now() - told < PROGRESS_EVERY) return;
        told = performance.now();
        this.#events.emit('recovering', { component: component.name, done, ...(total !== undefined && { total }) });
      },
    });
    const end = ending();
    let heard = steadyClock.now();
    let stopWatching = () => {};
    const watch = () => {
      const until = heard + this.#patience;
      stopWatching = wakeAt(steadyClock, until, () =>
        heard + this.#patience > until ? watch() : end.reject(new Error(this.#silence())),
      );
    };
    watch();
    let grace: NodeJS.Timeout | undefined;
    const abort = () => {
      grace = setTimeout(() => end.reject(signal?.reason), Math.min(GRACE, this.#patience));
    };
    signal?.addEventListener('abort', abort);
    try {
      signal?.throwIfAborted();
      // One that hangs must stop no other one, nor the runtime from being stopped.
      await Promise.race([component.recoverState(registry), end.promise]);
    } catch (error) {
      signal?.throwIfAborted();
      report.error = errorOf(error).message;
      this.#events.emit('fault', { during: `the recovery of ${component.name}`, error });
    } finally {
      stopWatching();
      clearTimeout(grace);
      signal?.removeEventListener('abort', abort);
    }
    report.durationMs = Math.round(performance.now() - began);
    for (const { flowType, participantId, reason, action } of report.failed)
      this.#events.emit('notRecovered', { address: { flowType, participantId }, reason, action });
    this.#events.emit('recovered', { component: component.name, summary: summary(report), ms: report.durationMs });
    return report;
  }

  #silence(): string {
    return `It has neither ended nor told of any progress for ${this.#patience / 1_000} s, and was given up. If it is slow, let it call registry.progress(done, total) now and then.`;
  }
}

/** A promise that is rejected from outside, and harms nobody if no one listens. */
function ending(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<never>((_, no) => {
    reject = no;
  });
  promise.catch(() => {});
  return { promise, reject };
}
