/**
 * One actor in memory: an ordinary XState actor, with its children, whose every change is a turn.
 *
 * A turn is synchronous and has no effect outside of the actor: what it emits, the custom actions it runs and the
 * processes it invokes are collected, for the engine to carry out once the turn has committed. To that end each actor of
 * the system is taken hold of at its birth, the inspection event `@xstate.actor`, which fires in the constructor before
 * the first snapshot:
 *
 * - `system.scheduler` is ours: a delayed event becomes a {@link Timer} with an absolute deadline, and no timeout is set.
 * - `system._relay` passes events on within a turn; one that arrives outside of a turn (a promise that calls
 *   `self.send`, a callback that sends back) is posted to the mailbox and becomes a turn of its own.
 * - the scope's `actionExecutor` queues custom actions, its `emit` collects into the turn.
 * - promise, callback and observable logic is replaced by a stand-in that starts nothing (see processes.ts).
 *
 * If a turn throws, or its commit is lost, the in-memory actor is of no use any more: discard it and restore the row.
 */
import {
  type AnyActorLogic,
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
  createActor,
  type InspectionEvent,
  isMachineSnapshot,
} from 'xstate';
import { LAST_INSTANT } from '../clock.ts';
import {
  type Address,
  formatAddress,
  NotSerializableError,
  SnapshotIncompatibleError,
  TurnFailedError,
} from '../errors.ts';
import { type Ambient, inTurn, withAmbient } from '../machine/ambient.ts';
import { sentence } from '../sentence.ts';
import { harmless } from '../thrown.ts';
import { asText, decodeState, encodeState, isPlain, keepable } from './codec.ts';
import { isEvent } from './event.ts';
import { byHand, inlineSpawn, kindOf } from './logic.ts';
import { asProcess, hasProcesses, type Processes } from './processes.ts';
import { type ActorPath, collectRefs, detachRefs, isActorRef, isInTree, pathOf, resolvePath, rewrite } from './refs.ts';
import { type Timer, Timers } from './timers.ts';
import { OUTSIDER } from './values.ts';

/** What a turn is made from. */
export type Stimulus =
  /** For the root or, given its session id, for a child. */
  | { kind: 'event'; event: AnyEventObject; sessionId?: string }
  /** The earliest deadline fires, if it has passed. */
  | { kind: 'timer' }
  /** An event for a child (or the root), which arrived outside of a turn. */
  | { kind: 'relay'; sessionId: string; event: AnyEventObject }
  /** An event emitted outside of a turn. */
  | { kind: 'emit'; event: AnyEventObject; key?: string }
  /** Takes away the deadline at that instant; of several, the n-th from 0. */
  | { kind: 'cancel'; dueAt: number; nth: number }
  /** Puts a deadline beside those that it has, unless it has it already: the same event at the same instant. */
  | { kind: 'schedule'; timer: Pick<StoredTimer, 'id' | 'event' | 'dueAt'> }
  | { kind: 'stop' };

/** A deadline as people and the database see it. */
export interface StoredTimer {
  id?: string;
  event: AnyEventObject;
  dueAt: number;
  source?: ActorPath;
  target?: ActorPath;
  stray?: true;
}

/** Whether what a row has among its deadlines is one. */
export const isStoredTimer = (timer: any): timer is StoredTimer =>
  Number.isFinite(timer?.dueAt) && typeof timer.event?.type === 'string';

/** Of one turn; more are a loop that does not end, in which the process would hang, and hang again after each restart. */
const MOST_STEPS = 10_000;

/** What one turn did, apart from the actor's new state. */
export interface Turn {
  /** The logic had a transition for the event (for reducers: the context changed). */
  handled: boolean;
  /** The event that was applied; `undefined` for a turn that found nothing to do. */
  event: AnyEventObject | undefined;
  /** The deadline that fired, for turns made from a timer. */
  firedDueAt?: number;
  emitted: AnyEventObject[];
  /** Names what a promise emits, which is the same when the promise runs again. */
  emitKey?: string;
  actions: (() => unknown)[];
  deliveries: { sessionId: string; event: AnyEventObject }[];
  /** The events and states that it was made of, where somebody looks. */
  heard?: Heard[];
}

/** A step within a turn: an event that an actor got, or the state that it led to. */
export type Heard =
  | { kind: 'event'; ref: AnyActorRef; source: AnyActorRef | undefined; event: AnyEventObject }
  | { kind: 'snapshot'; ref: AnyActorRef; snapshot: object; event: AnyEventObject };

/** Where a live actor turns to for what happens outside of its turns. */
export interface Host {
  readonly address: Address;
  post(stimulus: Stimulus): void;
  /** `log(...)` actions and `logger` of the actor. */
  log(...args: unknown[]): void;
  /** A custom action, after its commit, threw. */
  actionFailed(error: unknown): void;
  readonly processes: Processes;
  /** Somebody looks at what turns are made of. */
  readonly watched?: boolean;
  /** Told of all that XState tells inspectors, at once, whether or not the turn will commit. */
  readonly inspect?: ((event: InspectionEvent) => void) | undefined;
}

interface StoredActor {
  snapshot: any;
  timers?: StoredTimer[];
  /** How many actors were born in this system, so that generated ids are never used twice. */
  births: number;
  /** Tells this life of the actor from a later one at its address, in every generated id. Older rows have none. */
  life?: string;
}

type Internals = AnyActorRef & {
  id: string;
  logic: AnyActorLogic;
  sessionId: string;
  _snapshot: unknown;
  _actorScope: { sessionId: string; emit: unknown; actionExecutor: (action: ExecutableAction) => void };
  _stop(): void;
};
type ExecutableAction = {
  type: string;
  info: unknown;
  params: unknown;
  exec?: (info: unknown, params: unknown) => unknown;
};
type SystemInternals = {
  _bookId(): string;
  _sendInspectionEvent(event: InspectionEvent): void;
  _relay(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void;
  scheduler: object;
};

const STOP = 'xstate.stop';

export class LiveActor {
  readonly #host: Host;
  #root!: Internals;
  #turn: Turn | undefined;
  #at = 0;
  #restoring = false;
  #births = 0;
  #life: string | undefined;
  /** How many events its actors had for each other in this turn. */
  #passed = 0;
  /** What its actors failed with in this turn. */
  #failures: unknown[] = [];
  readonly #timers = new Timers();
  /** Of stored children, by their snapshots: XState would give them new ones. */
  #identities: WeakMap<object, Identity> | undefined;

  private constructor(host: Host) {
    this.#host = host;
  }

  /**
   * The first turn of a new actor.
   * @param life a text of letters, digits and dots that no other actor has; without it, session ids are unique only among its own
   */
  static spawn(
    logic: AnyActorLogic,
    input: unknown,
    host: Host,
    ambient: Ambient,
    life?: string,
  ): { actor: LiveActor; turn: Turn } {
    const actor = new LiveActor(host);
    actor.#life = life;
    const turn = actor.#inTurn(ambient, { type: 'xstate.init', input }, () => {
      actor.#create(logic, { input });
      actor.#root.start();
    });
    turn.handled = true;
    return { actor, turn };
  }

  /**
   * The actor of a stored state.
   * @param text what {@link encode} gave
   * @throws {SnapshotIncompatibleError} when it is not readable or does not fit the logic
   */
  static restore(logic: AnyActorLogic, text: string, host: Host): LiveActor {
    const actor = new LiveActor(host);
    const stored = readStored(text, host.address);
    actor.#births = stored.births;
    actor.#life = stored.life;
    actor.#identities = identitiesOf(stored.snapshot);
    const placeRefs = text.includes('"xstate$$type"') ? collectRefs(stored) : undefined;
    actor.#restoring = true;
    try {
      actor.#create(logic, { snapshot: stored.snapshot });
      assertWhole(actor.#root, stored.snapshot, host.address, []);
      placeRefs?.(actor.#root);
      actor.#root.start();
      for (const timer of stored.timers ?? []) actor.#timers.add(actor.#revive(timer));
      // Those that were given out meanwhile were replaced by the stored ones. What comes is named as without a restart.
      actor.#births = stored.births;
    } catch (cause) {
      if (cause instanceof SnapshotIncompatibleError) throw cause;
      throw incompatible(host.address, (cause as Error).message, cause);
    } finally {
      actor.#restoring = false;
    }
    return actor;
  }

  /** The root actor's snapshot. */
  get snapshot(): any {
    return this.#root.getSnapshot();
  }

  get root(): AnyActorRef {
    return this.#root;
  }

  /** The earliest deadline, in ms since the epoch. */
  get nextDueAt(): number | undefined {
    return this.#timers.all[0]?.dueAt;
  }

  /** How many deadlines there are. */
  get pending(): number {
    return this.#timers.all.length;
  }

  /** How many deadlines are due at `now`, in ms since the epoch. */
  countDue(now: number): number {
    const { all } = this.#timers;
    let count = 0;
    while (count < all.length && all[count]!.dueAt <= now) count++;
    return count;
  }

  /** The last deadline, in ms since the epoch. */
  get lastDueAt(): number | undefined {
    return this.#timers.all.at(-1)?.dueAt;
  }

  /** Some child has a process outside of turns, now or after this turn's commit. */
  get hasProcesses(): boolean {
    return hasProcesses(this.#root);
  }

  /** The pending deadlines, in their order. */
  get timers(): StoredTimer[] {
    return this.#timers.all.filter((timer) => isInTree(this.#root, timer.target)).map(storedTimer);
  }

  /**
   * Applies a stimulus.
   * @throws {TurnFailedError} when the logic threw; the actor must then be discarded
   */
  perform(stimulus: Stimulus, ambient: Ambient): Turn {
    switch (stimulus.kind) {
      case 'event':
        if (stimulus.sessionId === undefined) return this.#deliver(ambient, this.#root, stimulus.event, undefined);
        return this.#relay(ambient, stimulus.sessionId, stimulus.event);
      case 'relay':
        return this.#relay(ambient, stimulus.sessionId, stimulus.event);
      case 'timer': {
        const [timer] = this.#timers.all;
        if (!timer || timer.dueAt > ambient.now()) return nothing();
        this.#timers.shift();
        this.#timers.disown(timer.source, timer.id);
        return { ...this.#deliver(ambient, timer.target, timer.event, timer.source), firedDueAt: timer.dueAt };
      }
      case 'emit':
        return {
          ...nothing(),
          handled: true,
          event: stimulus.event,
          emitted: [stimulus.event],
          ...(stimulus.key !== undefined && { emitKey: stimulus.key }),
        };
      case 'cancel':
        return this.#take(stimulus.dueAt, stimulus.nth);
      case 'schedule':
        return this.#put(stimulus.timer);
      case 'stop':
        return this.#inTurn(ambient, { type: STOP }, () => this.#root._stop());
    }
  }

  /** The event of the earliest deadline, and the session id of the child that it is for; null for the root. */
  get earliest(): { event: AnyEventObject; target: string | null } | undefined {
    const [timer] = this.#timers.all;
    return timer && { event: timer.event, target: timer.target === this.#root ? null : timer.target.sessionId };
  }

  /** Takes the earliest deadline away, as if it had fired and meant nothing. */
  dropTimer(): Turn {
    const timer = this.#timers.shift();
    if (!timer) return nothing();
    this.#timers.disown(timer.source, timer.id);
    return { ...nothing(), event: timer.event, firedDueAt: timer.dueAt };
  }

  /** Moves the earliest deadline to another instant. */
  postpone(dueAt: number): Turn {
    const timer = this.#timers.shift();
    if (!timer) return nothing();
    this.#timers.add({ ...timer, dueAt });
    return { ...nothing(), event: { type: 'perdure.postpone', event: timer.event } };
  }

  /** The whole actor as one JSON text: snapshot, children, deadlines. Call after a turn that did not throw. */
  encode(): string {
    const stored: StoredActor = { snapshot: this.#persist(this.#root), births: this.#births };
    if (this.#life !== undefined) stored.life = this.#life;
    const timers = this.timers;
    if (timers.length > 0) stored.timers = timers;
    if (isPlain(stored)) return JSON.stringify(stored);
    try {
      return encodeState(detachRefs(this.#root, stored, (ref) => this.#persist(ref)));
    } catch (error) {
      throw error instanceof NotSerializableError ? error.at(this.#host.address) : error;
    }
  }

  /** Carries out what the turn may do now that it has committed. Never throws. */
  afterCommit(turn: Turn, ambient: () => Ambient): void {
    const { processes } = this.#host;
    if (turn.actions.length === 0 && processes.size === 0 && !this.hasProcesses) return;
    withAmbient(ambient(), () => {
      for (const action of turn.actions) this.#attempt(action);
      this.stopUnwanted();
      this.#attempt(() => processes.start(this.#root));
      for (const { sessionId, event } of turn.deliveries) this.#attempt(() => processes.deliver(sessionId, event));
    });
  }

  /** Stops what runs for a state that was left, e.g. by a turn of which nobody knew that it had committed. */
  stopUnwanted(): void {
    this.#attempt(() => this.#host.processes.stopUnwanted(this.#root));
  }

  #attempt(action: () => unknown): void {
    harmless(action, (error) => this.#host.actionFailed(error));
  }

  #create(logic: AnyActorLogic, options: { input?: unknown; snapshot?: unknown }): void {
    const root = createActor(logic, {
      ...options,
      id: this.#host.address.participantId,
      logger: (...args: unknown[]) => this.#host.log(...args),
      inspect: (event: InspectionEvent) => this.#observe(event),
    } as never) as unknown as Internals;
    this.#root = root;
    // An actor that fails without an error observer ends the whole process; `perform` looks at the status itself.
    root.subscribe({ error: () => {} });
  }

  #observe(event: InspectionEvent): void {
    if (event.type === '@xstate.actor') this.#takeHold(event.actorRef as unknown as Internals);
    else if (event.type === '@xstate.microstep' && event.event === this.#turn?.event && event.actorRef === this.#root) {
      this.#turn.handled ||= event._transitions.some(
        (t) => t.target !== undefined || t.actions.length > 0 || t.reenter,
      );
    }
    if (this.#turn?.heard) hear(this.#turn.heard, event);
    this.#host.inspect?.(event);
  }

  #takeHold(ref: Internals): void {
    if (!ref._parent) this.#takeHoldOfSystem(ref);
    else if (typeof ref.src !== 'string') throw inlineSpawn(`The actor ${formatAddress(this.#host.address)}`);
    const scope = ref._actorScope;
    const known = this.#identities?.get((ref as unknown as { options: { snapshot?: object } }).options.snapshot ?? {});
    if (!ref._parent || known) ref.sessionId = scope.sessionId = known?.sessionId ?? sessionIdOf(this.#life, 0);
    if (known?.id !== undefined) ref.id = known.id;
    const kind = kindOf(ref.logic);
    if (kind === 'by hand') throw byHand(`The actor '${ref.id}' of ${formatAddress(this.#host.address)}`);
    if (kind === 'machine') endLoops(ref.logic as AnyStateMachine);
    if (kind !== 'machine' && kind !== 'reducer') {
      ref.logic = asProcess(ref, ref.logic, kind, (event) =>
        this.#turn?.deliveries.push({ sessionId: ref.sessionId, event }),
      );
    }
    const execute = scope.actionExecutor;
    replace(scope, 'actionExecutor', (action) => {
      if (action.type.startsWith('xstate.') && action.type !== 'xstate.log') execute(action);
      else {
        this.#turn?.actions.push(() => {
          this.#tellOfAction(ref, action);
          // Names in the machine itself are looked up where the flow is defined; `enqueueActions` may name others.
          if (!action.exec) throw new TypeError(`The machine does not provide the action '${action.type}'.`);
          return action.exec(action.info, action.params);
        });
      }
    });
    replace(scope, 'emit', (event: AnyEventObject) => {
      if (this.#turn) this.#turn.emitted.push(event);
      else this.#host.post({ kind: 'emit', event });
    });
  }

  /** Inspectors hear of a custom action when it runs, as in XState. */
  #tellOfAction(ref: Internals, { type, params }: ExecutableAction): void {
    const told = { type: '@xstate.action', actorRef: ref, rootId: this.#root.sessionId, action: { type, params } };
    this.#host.inspect?.(told as InspectionEvent);
  }

  #takeHoldOfSystem(root: Internals): void {
    const system = root.system as unknown as SystemInternals;
    const relay = system._relay;
    // Only who is told of everything pays for XState's own way, which copies every event.
    if (!this.#host.inspect) replace(system, '_sendInspectionEvent', (event) => this.#observe(event));
    replace(system, '_bookId', () => sessionIdOf(this.#life, ++this.#births));
    replace(system, '_relay', (source, target, event) => {
      if (this.#restoring) return;
      if (this.#turn) {
        if (target.system === root.system) {
          this.#pass();
          if (event?.type.startsWith('xstate.error.actor.')) {
            this.#failures.push(event['error']);
            if (source?._parent === target) endChildren(source);
          }
          relay(source, target, event);
        } else {
          // An actor outside of this system is a side effect.
          this.#turn.actions.push(() => target.send(event));
        }
      } else if (isEvent(event)) this.#host.post({ kind: 'relay', sessionId: target.sessionId, event });
      else
        throw new TypeError(
          `What was sent to '${target.id}' is no event: an event is an object whose type is a string.`,
        );
    });
    system.scheduler = {
      // Rounded up: a fraction of a millisecond is not worth being early for, and databases hold whole numbers.
      schedule: (source: AnyActorRef, target: AnyActorRef, event: AnyEventObject, delay: number, id?: string) =>
        this.#schedule({ id, event, source, target, dueAt: Math.ceil(this.#at + Math.max(0, delay)), stray: false }),
      cancel: (source: AnyActorRef, id: string) => this.#timers.cancel(source, id),
      cancelAll: (source: AnyActorRef) => this.#timers.cancelAll(source),
    };
  }

  /** Counts an event that an actor of this system has for another one, or for itself. */
  #pass(): void {
    if (++this.#passed > MOST_STEPS)
      throw new Error(`Its actors sent each other, or themselves, more than ${MOST_STEPS} events in one turn.`);
  }

  #schedule(timer: Timer): void {
    if (Number.isNaN(timer.dueAt)) {
      throw new TypeError(`The delay of '${timer.event.type}' is not a number. A delay is a number of milliseconds.`);
    }
    if (timer.target.system !== this.#root.system)
      throw new NotSerializableError(`the receiver of the delayed '${timer.event.type}'`, OUTSIDER);
    this.#timers.disown(timer.source, timer.id);
    if (timer.dueAt > LAST_INSTANT) return; // never: Infinity, or beyond what a Date can hold
    this.#timers.add(timer);
  }

  #revive({ id, event, dueAt, source = [], target = [], stray }: StoredTimer): Timer {
    if (!isStoredTimer({ event, dueAt }))
      throw new Error(
        `a deadline has ${typeof dueAt === 'number' ? dueAt : asText(dueAt)} as its instant and ${asText(event)} as its event`,
      );
    const [from, to] = [resolvePath(this.#root, source), resolvePath(this.#root, target)];
    if (!from || !to)
      throw new Error(
        `the deadline of '${event.type}' belongs to a child '${(from ? target : source).join('/')}' that is not there`,
      );
    return { id, event, dueAt, source: from, target: to, stray: stray ?? false };
  }

  #take(dueAt: number, nth: number): Turn {
    const timer = this.#timers.all.filter((each) => each.dueAt === dueAt && isInTree(this.#root, each.target))[nth];
    if (!timer) return nothing();
    this.#timers.delete(timer);
    return { ...nothing(), handled: true, event: { type: 'perdure.cancel', event: timer.event } };
  }

  #put({ id, event, dueAt: instant }: Pick<StoredTimer, 'id' | 'event' | 'dueAt'>): Turn {
    const dueAt = Math.ceil(instant);
    const has = this.#timers.all.some(
      (each) => each.dueAt === dueAt && each.event.type === event.type && each.target === this.#root,
    );
    if (has) return nothing();
    this.#schedule({ id, event, source: this.#root, target: this.#root, dueAt, stray: false });
    return { ...nothing(), handled: true, event: { type: 'perdure.schedule', event } };
  }

  #relay(ambient: Ambient, sessionId: string, event: AnyEventObject): Turn {
    const target = this.#find(this.#root, sessionId);
    if (target?.getSnapshot().status !== 'active') return nothing();
    return this.#deliver(ambient, target, event, target);
  }

  #deliver(ambient: Ambient, target: AnyActorRef, event: AnyEventObject, source: AnyActorRef | undefined): Turn {
    const before = this.#root.getSnapshot();
    const turn = this.#inTurn(ambient, event, () =>
      (this.#root.system as unknown as SystemInternals)._relay(source, target, event),
    );
    const after = this.#root.getSnapshot();
    if (!isMachineSnapshot(after)) turn.handled = before.context !== after.context || turn.emitted.length > 0;
    else if (target !== this.#root) turn.handled = true;
    return turn;
  }

  #inTurn(ambient: Ambient, event: AnyEventObject, body: () => void): Turn {
    const turn: Turn = { ...nothing(), event };
    if (this.#host.watched) turn.heard = [];
    this.#turn = turn;
    this.#passed = 0;
    if (this.#failures.length > 0) this.#failures = [];
    this.#at = ambient.now();
    try {
      inTurn(ambient, body);
    } finally {
      this.#turn = undefined;
    }
    const snapshot = this.#root.getSnapshot();
    if (snapshot.status === 'error') throw TurnFailedError.of(this.#host.address, event.type, snapshot.error);
    if (this.#failures.length > 0) this.#keepFailures();
    // What is still on its way to a child that has gone is not stored; it must not fire as long as the process lives, either.
    this.#timers.retain(({ target }) => isInTree(this.#root, target));
    return turn;
  }

  /**
   * Actors fail with anything that can be thrown: guards and actions of that turn see it as it is. What a context takes of it is
   * from then on what can be stored, whether or not the process goes on.
   */
  #keepFailures(): void {
    const kept = new Map<unknown, unknown>();
    for (const failure of this.#failures) {
      const stored = keepable(failure);
      if (stored !== failure) kept.set(failure, stored);
    }
    if (kept.size === 0) return;
    const replace = (part: object) => (isActorRef(part) ? part : kept.get(part));
    const visit = (ref: Internals) => {
      const snapshot = ref.getSnapshot();
      const context = rewrite(snapshot.context, replace);
      if (context !== snapshot.context) ref._snapshot = { ...snapshot, context };
      for (const child of Object.values<Internals | undefined>(snapshot.children ?? {})) if (child) visit(child);
    };
    visit(this.#root);
    for (const timer of this.#timers.all) timer.event = rewrite(timer.event, replace);
  }

  #persist(ref: AnyActorRef): unknown {
    const snapshot = ref.getSnapshot();
    if (!isMachineSnapshot(snapshot)) {
      const persisted = defined((ref as Internals).logic.getPersistedSnapshot(snapshot)) as { error?: unknown };
      return snapshot.status === 'error' ? { ...persisted, error: keepable(persisted.error) } : persisted;
    }
    const { status, output, error, value, context, historyValue, children } = snapshot as any;
    return {
      status,
      ...(output !== undefined && { output }),
      ...(error !== undefined && { error: keepable(error) }),
      value,
      context,
      historyValue: mapValues(historyValue, (nodes: { id: string }[]) => nodes.map(({ id }) => ({ id }))),
      children: mapValues(
        children,
        (child: Internals | undefined, key) =>
          child && {
            snapshot: this.#persist(child),
            sessionId: child.sessionId,
            ...defined({
              id: child.id === key ? undefined : child.id,
              src: child.src,
              systemId: (child as any).systemId,
              syncSnapshot: (child as any)._syncSnapshot || undefined,
            }),
          },
      ),
    };
  }

  #find(ref: AnyActorRef, sessionId: string): AnyActorRef | undefined {
    if (ref.sessionId === sessionId) return ref;
    for (const child of Object.values((ref.getSnapshot()?.children ?? {}) as Record<string, AnyActorRef | undefined>)) {
      const found = child && this.#find(child, sessionId);
      if (found) return found;
    }
    return undefined;
  }
}

function hear(heard: Heard[], event: InspectionEvent): void {
  const ref = event.actorRef as AnyActorRef;
  if (event.type === '@xstate.event') {
    heard.push({ kind: 'event', ref, source: event.sourceRef as AnyActorRef | undefined, event: event.event });
  } else if (event.type === '@xstate.snapshot') {
    heard.push({ kind: 'snapshot', ref, snapshot: event.snapshot, event: event.event });
  }
}

/**
 * Replaces a method of one of XState's objects. A plain assignment of a new closure to each new object makes V8 believe that
 * they live long: each actor then stays in memory until a full collection, and that costs a third of a cold turn.
 */
const replace = <T extends object, K extends keyof T>(object: T, name: K, value: T[K]) =>
  Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });

/** A machine that throws leaves its children running in XState. What belongs to a machine that has ended is not to go on. */
function endChildren(failed: AnyActorRef): void {
  const { children = {} } = failed.getSnapshot() as { children?: Record<string, Internals | undefined> };
  for (const child of Object.values(children)) child?._stop();
}

/** XState's own default is that a machine may go on for ever. One that says how long keeps that. */
function endLoops({ options }: AnyStateMachine): void {
  if (options.maxIterations === Number.POSITIVE_INFINITY) options.maxIterations = MOST_STEPS;
}

/** A turn that finds nothing to do. */
export const nothing = (): Turn => ({ handled: false, event: undefined, emitted: [], actions: [], deliveries: [] });

function storedTimer({ id, event, dueAt, source, target, stray }: Timer): StoredTimer {
  const [from, to] = [pathOf(source), pathOf(target)];
  const stored: StoredTimer = id === undefined ? { event, dueAt } : { id, event, dueAt };
  if (from.length > 0) stored.source = from;
  if (to.length > 0) stored.target = to;
  if (stray) stored.stray = true;
  return stored;
}

function readStored(text: string, address: Address): StoredActor {
  let stored: any;
  try {
    stored = decodeState(text);
  } catch (cause) {
    throw incompatible(address, `state_data is not readable (${(cause as Error).message})`, cause);
  }
  if (typeof stored?.snapshot?.status !== 'string') throw incompatible(address, 'state_data holds no snapshot');
  return { ...stored, births: stored.births ?? 0 };
}

/** The session id of the n-th actor that was born in a system; the root is the 0th. */
export const sessionIdOf = (life: string | undefined, n: number) => (life === undefined ? `x:${n}` : `x:${life}:${n}`);

interface Identity {
  sessionId: string;
  /** Where it is not the key under `children`: XState keeps a child spawned by an action without id under 'undefined'. */
  id?: string;
}

/** Of the stored children, if there are any. */
function identitiesOf(snapshot: any, found?: WeakMap<object, Identity>): WeakMap<object, Identity> | undefined {
  let identities = found;
  for (const child of Object.values<any>(snapshot.children ?? {})) {
    if (!child?.snapshot) continue;
    identities ??= new WeakMap();
    identities.set(child.snapshot, child);
    identitiesOf(child.snapshot, identities);
  }
  return identities;
}

// XState turns a snapshot that does not fit into an actor with status 'error', and leaves out a child whose logic it does
// not know. Here that is an error which says what does not fit.
function assertWhole(ref: AnyActorRef, stored: any, address: Address, path: ActorPath): void {
  const snapshot = ref.getSnapshot();
  const where = path.length > 0 ? `child '${path.join('/')}': ` : '';
  if (snapshot.status === 'error' && stored.status !== 'error')
    throw incompatible(address, `${where}${snapshot.error?.message}`, snapshot.error);
  if (snapshot.value !== undefined && !isStateOf(stored.value, snapshot.value))
    throw incompatible(address, `${where}it is in ${asText(stored.value)}, which is no state`);
  for (const [id, child] of Object.entries<any>(stored.children ?? {})) {
    const restored = snapshot.children?.[id];
    if (!restored)
      throw incompatible(
        address,
        `its child '${[...path, id].join('/')}' runs '${child?.src}', which the machine does not provide`,
      );
    assertWhole(restored, child.snapshot, address, [...path, id]);
  }
}

/** Whether it names a state at all: XState begins anew with the initial states of what is not named. */
const isStateOf = (value: unknown, restored: string | object): boolean =>
  typeof value === 'string' ||
  (Object(value) === value &&
    !Array.isArray(value) &&
    Object.keys(value as object).length >= Math.min(1, Object.keys(restored).length));

/** A row that cannot be restored, and why. */
export const incompatible = (address: Address, why: string, cause?: unknown) =>
  new SnapshotIncompatibleError(
    `The stored snapshot of ${formatAddress(address)} cannot be restored: ${sentence(why)}`,
    { address, cause, misfits: [{ kind: 'restore', reason: why }] },
  );

const defined = <T extends object>(object: T) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;

function mapValues<T, R>(object: Record<string, T>, map: (value: T, key: string) => R): Record<string, R> {
  const result: Record<string, R> = {};
  for (const key in object) {
    const value = map(object[key] as T, key);
    if (value !== undefined) result[key] = value;
  }
  return result;
}
