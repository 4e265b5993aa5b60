/**
 * What runs outside of turns: the promises, callbacks and observables that an actor and its children invoked.
 *
 * Nothing is recorded about them. Which ones ought to run follows from the committed snapshot (every active child of such
 * a kind), so after each commit, and after a restore, the two are brought together: what ought to run and does not is
 * started, what runs and ought not to is stopped. That is why an invocation starts only after its turn has committed, why
 * it runs again after a crash, and why none can be forgotten.
 *
 * A child keeps its session id for life, across restores too; it is what tells a process from a later one of the same
 * name. A promise outlives the in-memory actor that started it (its result finds the child by session id); a callback or
 * an observable is bound to the in-memory actor, and ends and starts again with it (see bound.ts).
 *
 * A process that fails is started no second time: it stays here, at rest, until a turn has told its child. What a cleanup
 * throws harms nothing else. As in XState, the machine that has left its state gets it as an error of that child; where the
 * process ends for another reason, it is only reported.
 */
import { createHash } from 'node:crypto';
import type { AnyActorLogic, AnyActorRef, AnyEventObject } from 'xstate';
import { isMachineSnapshot } from 'xstate';
import { harmless } from '../thrown.ts';
import { bind, CALLBACK_ERROR, type Process } from './bound.ts';
import { stringify } from './codec.ts';
import { type AttemptHost, type Attempts, invoke } from './invocations.ts';
import { kindOf, type ProcessKind } from './logic.ts';

/** An active child that has a process behind it. */
export interface Wanted {
  ref: AnyActorRef;
  logic: AnyActorLogic;
  kind: ProcessKind;
}

/** The original logic of an actor whose `logic` was replaced by {@link asProcess}. */
const originals = new WeakMap<AnyActorRef, AnyActorLogic>();

/** The logic that stands in for a process in turns: it starts nothing, and does nothing but keep the snapshot. */
export function asProcess(
  ref: AnyActorRef,
  logic: AnyActorLogic,
  kind: ProcessKind,
  deliver: (event: AnyEventObject) => void,
): AnyActorLogic {
  originals.set(ref, logic);
  const stopped = (state: object) => ({ ...state, status: 'stopped', input: undefined, _subscription: undefined });
  return {
    ...logic,
    start: () => {},
    transition: (state, event, scope) => {
      if (event.type === 'xstate.stop')
        return kind === 'promise' ? { ...state, status: 'stopped', input: undefined } : stopped(state);
      if (kind !== 'callback') return logic.transition(state, event, scope);
      if (event.type === CALLBACK_ERROR) return { ...state, status: 'error', error: event['data'] };
      deliver(event);
      return state;
    },
  } as AnyActorLogic;
}

/** What processes need of the engine. */
export interface ProcessHost extends Omit<AttemptHost, 'failed' | 'succeeded' | 'watch'> {
  /** The actor, for messages. */
  name: string;
  /** By the name of the invoked logic. */
  policies(): ReadonlyMap<string, Attempts>;
  /** A process has an event for the actor of that session id, to be applied in a turn. */
  settled(sessionId: string, event: AnyEventObject): void;
  /** A promise emits. @param key names the event, also where the promise runs again */
  emitted(event: AnyEventObject, key: string | undefined): void;
  /** A cleanup threw, and no actor is to hear of it. */
  cleanupFailed(error: unknown): void;
  failed(attempt: Parameters<AttemptHost['failed']>[0] & { src: string }): void;
  succeeded(attempt: Parameters<AttemptHost['succeeded']>[0] & { src: string }): void;
  /** An invocation begins; the result is told of its attempts, if somebody traces. */
  watch(src: string): AttemptHost['watch'];
}

export class Processes {
  readonly #running = new Map<string, Process>();
  readonly #host: ProcessHost;
  #held = false;

  constructor(host: ProcessHost) {
    this.#host = host;
  }

  /** For an actor that is only looked at: it starts nothing. */
  static held(): Processes {
    const processes = new Processes(undefined as never);
    processes.hold();
    return processes;
  }

  get size(): number {
    return this.#running.size;
  }

  /** From now on nothing is started. */
  hold(): void {
    this.#held = true;
  }

  /** Starts what `root`'s committed snapshot asks for and is not running. */
  start(root: AnyActorRef): void {
    if (this.#held) return;
    for (const wanted of wantedProcesses(root)) if (!this.#running.has(wanted.ref.sessionId)) this.#start(wanted);
  }

  /** Stops what runs and is not asked for any more. */
  stopUnwanted(root: AnyActorRef): void {
    if (this.#running.size === 0) return;
    const wanted = new Set(wantedProcesses(root).map(({ ref }) => ref.sessionId));
    for (const [sessionId, process] of this.#running) if (!wanted.has(sessionId)) this.#stop(sessionId, process);
  }

  deliver(sessionId: string, event: AnyEventObject): void {
    this.#running.get(sessionId)?.deliver?.(event);
  }

  /** The in-memory actor goes; its promises stay. */
  unbind(): void {
    for (const [sessionId, process] of this.#running) {
      if (process.failed) harmless(() => process.stop(), this.#host.cleanupFailed);
      else if (process.kind !== 'promise') this.#stop(sessionId, process);
    }
  }

  stopAll(): void {
    for (const [sessionId, process] of this.#running) this.#stop(sessionId, process);
  }

  #stop(sessionId: string, process: Process): void {
    this.#running.delete(sessionId);
    harmless(() => process.stop(), this.#host.cleanupFailed);
  }

  #start({ ref, logic, kind }: Wanted): void {
    const { sessionId } = ref;
    const told = (event: AnyEventObject) => this.#host.settled(sessionId, event);
    const toParent = (event: AnyEventObject) => this.#host.settled(ref._parent!.sessionId, event);
    this.#running.set(sessionId, kind === 'promise' ? this.#run(ref, logic) : bind(ref, logic, kind, told, toParent));
  }

  /** The promise of that session id has its result, which is on its way: it is not started. */
  settle(sessionId: string): void {
    this.#running.set(sessionId, { kind: 'promise', stop: () => undefined });
  }

  #run(ref: AnyActorRef, logic: AnyActorLogic): Process {
    const { sessionId, system, src } = ref as AnyActorRef & { src: string };
    const { input } = ref.getSnapshot() as { input: unknown };
    const keyOf = keysOf(sessionId);
    const emit = (event: AnyEventObject) => this.#host.emitted(event, keyOf(event));
    // `config` is the function given to fromPromise.
    const creator = (logic as unknown as { config(args: object): unknown }).config;
    const { name, policies, settled, clock, chance, failed, succeeded, watch } = this.#host;
    const settle = (type: string) => (data: unknown) => settled(sessionId, { type, data });
    const stop = invoke(
      (signal) => creator({ input, system, self: ref, signal, emit }),
      `${name}, invocation '${src}'`,
      policies().get(src),
      {
        clock,
        chance,
        failed: (attempt) => failed({ ...attempt, src }),
        succeeded: (attempt) => succeeded({ ...attempt, src }),
        watch: watch(src),
      },
      { resolve: settle('xstate.promise.resolve'), reject: settle('xstate.promise.reject') },
    );
    return { kind: 'promise', stop };
  }
}

/** Names what a promise emits by its content: the same events have the same names when the promise runs again. */
function keysOf(sessionId: string): (event: AnyEventObject) => string | undefined {
  const counts = new Map<string, number>();
  return (event) => {
    try {
      const digest = createHash('sha256').update(stringify(event, 'event')).digest('base64url').slice(0, 16);
      const count = counts.get(digest) ?? 0;
      counts.set(digest, count + 1);
      return `${sessionId}:${digest}:${count}`;
    } catch {
      return undefined; // it cannot be sent, if it can be told of
    }
  };
}

/** Whether `root`'s snapshot asks for a process. */
export function hasProcesses(root: AnyActorRef): boolean {
  const { children } = root.getSnapshot();
  for (const _ in children) return wantedProcesses(root).length > 0;
  return false;
}

/** What ought to run, as the snapshots of `ref` and its children say. */
export function wantedProcesses(ref: AnyActorRef, found: Wanted[] = []): Wanted[] {
  const snapshot = ref.getSnapshot();
  if (!isMachineSnapshot(snapshot) || snapshot.status !== 'active') return found;
  for (const id in snapshot.children) {
    const child = snapshot.children[id] as AnyActorRef | undefined;
    if (!child) continue;
    const logic = originals.get(child);
    if (!logic) wantedProcesses(child, found);
    else if (child.getSnapshot().status === 'active')
      found.push({ ref: child, logic, kind: kindOf(logic) as ProcessKind });
  }
  return found;
}
