/** What an application holds of one actor. */
import type { AnyEventObject } from 'xstate';
import { stringify } from '../actor/codec.ts';
import type { StoredTimer } from '../actor/live-actor.ts';
import { describeState } from '../actor/state.ts';
import { type Clock, wakeAt } from '../clock.ts';
import { type Duration, milliseconds } from '../duration.ts';
import type { Done } from '../engine/cell.ts';
import type { Turns } from '../engine/engine.ts';
import { putAside } from '../engine/turn-maker.ts';
import {
  ActorEndedError,
  type Address,
  formatAddress,
  InvalidArgumentError,
  NotSerializableError,
  SnapshotIncompatibleError,
  TimeoutError,
} from '../errors.ts';
import type { AnyFlow, EmittedOf, EventOf, InputOf, SnapshotOf } from '../flow/flow.ts';
import { type ActorStatus, isEnded } from '../store/rows.ts';
import { isWellFormed } from '../well-formed.ts';

/** What belongs to a turn besides its event. */
export interface SendOptions {
  /** A remark for the turn's line in the journal. */
  note?: string;
}

/** A committed snapshot, and whether the logic had a transition for the event that was sent. */
export type Committed<F extends AnyFlow> = SnapshotOf<F> & { readonly handled: boolean };

/** A pending deadline. `dueAt` in ms since the epoch; `source` and `target` are paths of child ids. */
export type PendingTimer = StoredTimer;

/** Where an actor stands. */
export interface ActorDescription {
  /** Its state, as dotted paths of its leaves, joined by commas where it is parallel. */
  state: string;
  status: ActorStatus;
  /** Counts what was written of the actor, from 1: its turns, retries and migrations. It is not the version of the flow. */
  version: number;
  /** The version of the flow, as `defineFlow` was given it, by which the actor was last written. */
  flowVersion: number;
  /** When the actor was last written, in ISO 8601. */
  updatedAt: string;
  /** Why it was put aside, or stopped; `null` where all is well. */
  lastError: string | null;
}

/** Listens, until told otherwise. */
export interface Subscription {
  /** From now on nothing is heard. */
  unsubscribe(): void;
}

/** One actor, from the outside. */
export class ActorHandle<F extends AnyFlow = AnyFlow> {
  readonly address: Address;
  readonly #engine: () => Turns;
  readonly #clock: () => Clock;

  /** @internal */
  constructor(address: Address, engine: () => Turns, clock: () => Clock) {
    this.address = address;
    this.#engine = engine;
    this.#clock = clock;
  }

  /**
   * Sends an event; resolves with the snapshot once the turn has committed, never before. `handled` on it tells whether
   * the logic had a transition for the event.
   * @throws {TurnFailedError} the logic threw; the actor is as it was
   * @throws {InvalidArgumentError} it is no event, or its type has half of a surrogate pair in it
   * @throws {NotSerializableError} the event, or what the logic made of it, cannot be stored
   * @throws {ActorNotFoundError | ActorQuarantinedError | StoreError}
   */
  async send(event: EventOf<F>, { note }: SendOptions = {}): Promise<Committed<F>> {
    if (typeof (event as AnyEventObject)?.type !== 'string') {
      throw new InvalidArgumentError(
        `An event is an object with a type, like { type: 'reply' }; this is ${JSON.stringify(event) ?? String(event)}.`,
        {
          address: this.address,
        },
      );
    }
    if (!isWellFormed((event as AnyEventObject).type)) {
      throw new InvalidArgumentError("The event's type has half of a surrogate pair in it, which cannot be stored.", {
        address: this.address,
      });
    }
    try {
      stringify(event, 'event'); // throws where it cannot be stored
    } catch (error) {
      throw error instanceof NotSerializableError ? error.at(this.address) : error;
    }
    return committed(
      await this.#engine().post(this.address, {
        stimulus: { kind: 'event', event: event as AnyEventObject },
        ...(note !== undefined && { note }),
      }),
    );
  }

  /** The committed snapshot. */
  async getSnapshot(): Promise<SnapshotOf<F>> {
    return (await this.#engine().read(this.address)).snapshot;
  }

  /** Pending deadlines, in their order. */
  async timers(): Promise<PendingTimer[]> {
    const { row, timers } = await this.#engine().read(this.address);
    return row.status === 'active' ? timers : [];
  }

  /**
   * Cancels a pending deadline: it never fires. Mind that a state may wait for nothing else.
   * @param dueAt its instant, in ms since the epoch
   * @param nth which one, where there are several at that instant, from 0
   * @returns whether it was still pending
   */
  async cancelTimer(dueAt: number, nth = 0): Promise<boolean> {
    return (await this.#engine().post(this.address, { stimulus: { kind: 'cancel', dueAt, nth } })).handled;
  }

  /**
   * Where the actor stands, for people.
   * @throws {ActorNotFoundError}
   */
  async describe(): Promise<ActorDescription> {
    const engine = this.#engine();
    const row = await engine.read(this.address).then(
      (read) => read.row,
      (error) => {
        if (error instanceof SnapshotIncompatibleError) return engine.row(this.address);
        throw error;
      },
    );
    return {
      state: row.current_state,
      status: row.status,
      version: row.version,
      flowVersion: row.flow_version,
      updatedAt: row.updated_at,
      lastError: row.last_error,
    };
  }

  /** Hears each committed snapshot from now on, in this process. */
  subscribe(
    observer: ((snapshot: SnapshotOf<F>) => void) | { next?: (snapshot: SnapshotOf<F>) => void },
  ): Subscription {
    const next = typeof observer === 'function' ? observer : observer?.next?.bind(observer);
    if (Object(observer) !== observer)
      throw new InvalidArgumentError('subscribe is given a function of the snapshot, or an observer with next.', {
        address: this.address,
      });
    return { unsubscribe: this.#engine().observe(this.address, (snapshot) => next?.(snapshot)) };
  }

  /** Hears emitted events, after their turn has committed, in this process. `'*'` is any type. */
  on<T extends EmittedOf<F>['type'] | '*'>(
    type: T,
    listener: (emitted: T extends '*' ? EmittedOf<F> : Extract<EmittedOf<F>, { type: T }>) => void,
  ): Subscription {
    const unsubscribe = this.#engine().observe(this.address, (_, emitted) =>
      Promise.all(
        emitted.filter((event) => type === '*' || event.type === type).map((event) => listener(event as never)),
      ),
    );
    return { unsubscribe };
  }

  /**
   * Resolves with the first committed snapshot that satisfies the predicate: the present one, or a later one.
   * It ends where that cannot come any more, or not of itself: an operator may retry who is quarantined.
   * @throws {ActorEndedError} the actor has ended otherwise, or is removed
   * @throws {ActorQuarantinedError} it is put aside, or was before
   * @throws {NotRunningError} the runtime stops
   * @throws {TimeoutError} after `timeout` (default: never) of the runtime's time
   * @throws {ActorNotFoundError}
   */
  async waitFor<S extends SnapshotOf<F>>(
    predicate: (snapshot: SnapshotOf<F>) => snapshot is S,
    options?: { timeout?: Duration },
  ): Promise<S>;
  async waitFor(
    predicate: (snapshot: SnapshotOf<F>) => boolean,
    options?: { timeout?: Duration },
  ): Promise<SnapshotOf<F>>;
  async waitFor(
    predicate: (snapshot: SnapshotOf<F>) => boolean,
    options: { timeout?: Duration } = {},
  ): Promise<SnapshotOf<F>> {
    if (typeof predicate !== 'function')
      throw new InvalidArgumentError('waitFor is given a function of the snapshot.', { address: this.address });
    const engine = this.#engine();
    const clock = this.#clock();
    const { address } = this;
    let unsubscribe = () => {};
    let stopWaiting = () => {};
    try {
      return await new Promise<SnapshotOf<F>>((resolve, reject) => {
        const look = (snapshot: SnapshotOf<F>, status: ActorStatus) => {
          try {
            if (predicate(snapshot)) resolve(snapshot);
            else if (isEnded(status)) reject(endedOtherwise(address, status, snapshot));
          } catch (error) {
            reject(error);
          }
        };
        unsubscribe = engine.observe(address, (snapshot) => look(snapshot, snapshot.status), reject);
        engine.read(address).then(({ row, snapshot }) => {
          look(snapshot, row.status);
          if (row.status === 'quarantined') reject(putAside(row));
        }, reject);
        if (options.timeout === undefined) return;
        const ms = milliseconds(options.timeout);
        stopWaiting = wakeAt(clock, clock.now() + ms, () =>
          reject(
            new TimeoutError(`${formatAddress(address)} did not reach the awaited state within ${ms} ms.`, { address }),
          ),
        );
      });
    } finally {
      unsubscribe();
      stopWaiting();
    }
  }

  /**
   * Lets a quarantined actor take events again, from its last good state. Mend first what made it fail.
   * @throws {SnapshotIncompatibleError} its row still cannot be restored; it stays quarantined
   */
  async retry(): Promise<void> {
    await this.#engine().retry(this.address);
  }

  /** Ends the actor: its children are stopped, its deadlines cancelled; it takes no more events. */
  async stop(): Promise<void> {
    await this.#engine().post(this.address, { stimulus: { kind: 'stop' } });
  }
}

const endedOtherwise = (address: Address, status: ActorStatus, snapshot: any) =>
  new ActorEndedError(
    `The actor ${formatAddress(address)} has ended ('${status}', in '${describeState(snapshot)}') without reaching the awaited state.`,
    { address },
  );

function committed<F extends AnyFlow>({ snapshot, handled }: Done): Committed<F> {
  return Object.assign(Object.create(Object.getPrototypeOf(snapshot)), snapshot, { handled });
}

/** `input` may be left out only where the flow's logic does without. */
export type SpawnOptions<F extends AnyFlow> = (undefined extends InputOf<F>
  ? { input?: InputOf<F> }
  : { input: InputOf<F> }) & {
  /** Bound to the actor: its messages go there, and messages from there come to it. */
  phoneNumber?: string;
};

/** The handle on an actor that was spawned or ensured, and how it came to be. */
export type SpawnedActor<F extends AnyFlow> = ActorHandle<F> & {
  /** It is new; false: `runtime.ensure` has found it. */
  readonly created: boolean;
  /** Who had its number until now, and runs: messages from there come to the new actor from now on. */
  readonly tookNumberFrom?: Address;
};

/** The options of a spawn, which may be left out where nothing in them is needed. */
export type SpawnArguments<F extends AnyFlow> =
  undefined extends InputOf<F> ? [options?: SpawnOptions<F>] : [options: SpawnOptions<F>];
