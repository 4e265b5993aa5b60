/**
 * The one channel on which the runtime tells what happens. Logging, metrics, the status page and the tests are its
 * listeners; the engine itself prints nothing.
 */
import type { Address } from './errors.ts';
import { harmless } from './thrown.ts';

/** Where a runtime's life stands. */
export type Life = 'stopped' | 'booting' | 'migrating' | 'recovering' | 'running' | 'draining' | 'failed';

/** What a runtime tells of, by the name of the event; listen with `runtime.on(name, listener)`. */
export interface RuntimeEvents {
  /** The runtime's life or health is another one. `troubles`: what is wrong, by what it is about. */
  status: { status: Life; health: 'healthy' | 'degraded'; troubles: Readonly<Record<string, string>> };
  /**
   * A turn has committed. `version`: what it counted the actor up to, not the flow's version. `ended`: how, of an
   * actor's last one. `lateness`: for a deadline, how many ms after it.
   */
  turn: {
    address: Address;
    event: string;
    from: string | null;
    to: string;
    ended?: 'done' | 'error' | 'stopped';
    version: number;
    at: number;
    lateness?: number;
  };
  /** A turn threw and was undone. */
  turnFailed: { address: Address; event: string; error: Error };
  /** A group of turns was written in one transaction, or what an application wrote with them. `ms`: how long that took. */
  committed: { turns: number; ms: number };
  /** An invocation has its result, at that attempt. `ms`: how long the attempt took. */
  invoked: { address: Address; src: string; attempt: number; ms: number };
  /** An event was put aside with its error. */
  deadLetter: { address: Address; event: string; error: Error };
  /** An attempt of an invocation failed. `after`: ms until the next; `undefined`: it was the last, and goes to `onError`. */
  invocationFailed: {
    address: Address;
    src: string;
    attempt: number;
    attempts: number;
    error: unknown;
    after: number | undefined;
    ms: number;
  };
  /** A deadline or a result made the logic throw; it is tried again `after` ms. */
  restarting: { address: Address; event: string; error: Error; after: number };
  /**
   * The deadlines of an actor are always due: each sets the next, for at once. From now on they fire only every so many ms. `event`:
   * that of one of them.
   */
  runaway: { address: Address; event: string; every: number };
  /** An actor that ran away has come to rest. */
  calmed: { address: Address };
  /** The machine of a version is another one than the database was run with, under the same number. A line a change. */
  flowChanged: { flowType: string; version: number; changes: readonly string[] };
  /**
   * So many actors are of a newer version than any that is registered, `newest`, e.g. after a rollback. They sleep: their
   * deadlines wait, and they take no events, until a release that knows the version runs again.
   */
  newerRows: { flowType: string; version: number; newest: number; actors: number };
  /** Long recovery goes on. */
  recovering: { component: string; done: number; total?: number };
  /** A participant could not be recovered. */
  notRecovered: { address: Address; reason: string; action: string };
  /** A component has been recovered, with its figures. */
  recovered: { component: string; summary: string; ms: number };
  /** An actor was put aside; it takes no events until it is retried. */
  quarantined: { address: Address; error: Error; escalated: boolean };
  /** A quarantined actor goes on from its last good state. */
  retried: { address: Address };
  /** A new actor has the number that another one of its flow had, which runs and gets no message from there any more. */
  numberTaken: { address: Address; from: Address };
  /** An actor was ended, and all that was kept of it deleted. */
  removed: { address: Address };
  /** A quarantined actor was ended by an operator. */
  discarded: { address: Address; reason: string | undefined };
  /** A dead letter was applied after all. */
  deadLetterRetried: { address: Address; id: number };
  /** A dead letter was given up by an operator. */
  deadLetterDiscarded: { address: Address; id: number; reason: string | undefined };
  /** A custom action threw after its commit, or a callback's or an observable's cleanup. Nothing else is affected. */
  actionFailed: { address: Address; error: unknown };
  /** A machine's `log(...)`. */
  log: { address: Address; args: unknown[] };
  /** An event of another actor waits for the actor at the address, which does not take it now, with all that come after it. */
  eventWaits: { address: Address; error: Error };
  /** An undelivered message is sent again, or an operator gave it up. */
  resent: { id: number };
  undeliveredDiscarded: { id: number; reason: string | undefined };
  /** A message was handed over to the transport. `ms`: how long the attempt took. */
  sent: { recipient: string; id: number; attempts: number; ms: number };
  /** An attempt to hand a message over failed. `final`: there will be no other. */
  sendFailed: { recipient: string; id: number; attempts: number; error: Error; final: boolean; ms: number };
  /** A group of turns could not be written; the turns were undone. */
  commitFailed: { turns: number; error: Error };
  /** The database takes writes again, after some that failed. */
  writable: object;
  /** Something went wrong in the background, e.g. in a listener. */
  fault: { during: string; error: unknown };
}

/** What is done for a turn outside of it. */
export type Attempt =
  | { kind: 'invocation'; address: Address; src: string; attempt: number }
  | { kind: 'send'; id: number; attempt: number };

/** An attempt that is under way, and is watched. */
export interface Watched {
  /** Runs a part of it, so that what that asks for is known to come from it. */
  run<T>(part: () => T): T;
  end(error?: unknown): void;
}

/**
 * Somebody who wants to know what comes from what, in this process. Where something comes from is for them alone to
 * understand; `undefined` is nowhere: a deadline, or what a former process left.
 * @internal
 */
export interface Tracing {
  /** Where the caller comes from, as of now. `caused`: whether the caller asks for it, or only happens to be there. */
  origin(caused: boolean): unknown;
  /** A turn has committed, or threw. The result is where what it asks for comes from. */
  turn(told: RuntimeEvents['turn'] | RuntimeEvents['turnFailed'], from: unknown): unknown;
  begin(attempt: Attempt, from: unknown): Watched;
  /** Runs `body`, so that what it asks for is known to come from there. */
  within<T>(from: unknown, body: () => T): T;
}

type Listener<T> = (event: T) => void;

export class EventChannel {
  /**
   * Nobody traces where there is none.
   * @internal
   */
  tracing: Tracing | undefined;
  readonly #listeners = new Map<string, Set<Listener<never>>>();

  /** Listens to one kind of event; call the result to stop. A listener that throws, or rejects, harms nobody. */
  on<K extends keyof RuntimeEvents>(type: K, listener: Listener<RuntimeEvents[K]>): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    const own: Listener<never> = (event) => listener(event); // who listens twice may stop once
    this.#listeners.set(type, listeners.add(own));
    return () => listeners.delete(own);
  }

  emit<K extends keyof RuntimeEvents>(type: K, event: RuntimeEvents[K]): void {
    const failed = (error: unknown) => {
      if (type !== 'fault') this.emit('fault', { during: `a listener to '${type}'`, error });
    };
    for (const listener of this.#listeners.get(type) ?? [])
      harmless(() => (listener as Listener<RuntimeEvents[K]>)(event), failed);
  }

  /**
   * Runs `body`; whoever traces knows that what it asks for comes from `origin`.
   * @internal
   */
  within(origin: unknown, body: () => void): void {
    if (this.tracing) this.tracing.within(origin, body);
    else body();
  }
}
