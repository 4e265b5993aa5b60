/** The handle on an actor in a test: it stays good when the runtime crashes and starts again. */

import type { Duration } from '../../duration.ts';
import type { Address } from '../../errors.ts';
import type { AnyFlow, EventOf, SnapshotOf } from '../../flow/flow.ts';
import { ActorHandle, type Committed, type SendOptions } from '../../runtime/handle.ts';
import type { JournalLine } from '../../runtime/runtime.ts';
import type { ActorView } from './actor-view.ts';
import type { SentMessage } from './sent-message.ts';
import type { TestRuntime } from './test-runtime.ts';
import type { TestTimer } from './test-timer.ts';

export class TestActor<F extends AnyFlow = AnyFlow> extends ActorHandle<F> {
  readonly test: TestRuntime;

  /** @internal */
  constructor(address: Address, test: TestRuntime) {
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
    return this.test.timers(this);
  }

  /** What the actor emitted to be sent. */
  outbox(): Promise<SentMessage[]> {
    return this.test.outbox(this);
  }

  /** The actor's turns. */
  journal(): Promise<JournalLine[]> {
    return this.test.journal(this);
  }

  /** How the actor stands, to look at or to take a snapshot of. */
  view(): Promise<ActorView> {
    return this.test.view(this);
  }
}
