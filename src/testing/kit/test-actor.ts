/** The handle on an actor in a test: it stays good when the runtime crashes and starts again. */

import type { Clock } from '../../clock.ts';
import type { Duration } from '../../duration.ts';
import type { Address } from '../../errors.ts';
import type { AnyFlow, EventOf, SnapshotOf } from '../../flow/flow.ts';
import { ActorHandle, type Committed, type SendOptions } from '../../runtime/handle.ts';
import type { JournalLine, Runtime } from '../../runtime/runtime.ts';
import type { ActorView } from './actor-view.ts';
import type { SentMessage } from './sent-message.ts';
import type { TestTimer } from './test-timer.ts';

/** The test that an actor belongs to, as far as the actor needs it: a {@link TestRuntime}. */
export interface ActorsTest {
  readonly runtime: Runtime;
  readonly clock: Clock;
  /** Remarks that belong beside what a matcher says. */
  readonly overlooked: readonly string[];
  /** Lets what is under way come to rest. */
  settle(): Promise<void>;
  /** Asks the runtime; rejects where it crashes meanwhile, or time would have to go on for an answer. @internal */
  asked<T>(work: () => Promise<T>, address?: Address): Promise<T>;
  /** Waits for what is to come; rejects where the runtime crashes meanwhile. @internal */
  awaited<T>(work: () => Promise<T>): Promise<T>;
  timers(who: Address): Promise<TestTimer[]>;
  outbox(who: Address): Promise<SentMessage[]>;
  journal(who: Address): Promise<JournalLine[]>;
  view(who: Address): Promise<ActorView>;
}

export class TestActor<F extends AnyFlow = AnyFlow> extends ActorHandle<F> {
  readonly test: ActorsTest;

  /** @internal */
  constructor(address: Address, test: ActorsTest) {
    super(
      address,
      () => test.runtime.engine,
      () => test.clock,
    );
    this.test = test;
  }

  override send(event: EventOf<F>, options?: SendOptions): Promise<Committed<F>> {
    return this.test.asked(() => super.send(event, options), this.address);
  }

  override cancelTimer(dueAt: number, nth?: number): Promise<boolean> {
    return this.test.asked(() => super.cancelTimer(dueAt, nth), this.address);
  }

  override stop(): Promise<void> {
    return this.test.asked(() => super.stop(), this.address);
  }

  override waitFor(
    predicate: (snapshot: SnapshotOf<F>) => boolean,
    options: { timeout?: Duration } = {},
  ): Promise<SnapshotOf<F>> {
    return this.test.awaited(() => super.waitFor(predicate, options));
  }

  /** Pending deadlines, in their order, once nothing is under way any more. */
  override timers(): Promise<TestTimer[]> {
    return this.test.timers(this.address);
  }

  /** What the actor emitted to be sent. */
  outbox(): Promise<SentMessage[]> {
    return this.test.outbox(this.address);
  }

  /** The actor's turns. */
  journal(): Promise<JournalLine[]> {
    return this.test.journal(this.address);
  }

  /** How the actor stands, to look at or to take a snapshot of. */
  view(): Promise<ActorView> {
    return this.test.view(this.address);
  }
}
