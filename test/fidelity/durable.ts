/** The subject under test: the durable runtime, whose memory is dropped and restored from the database after every step. */
import type { AnyActorRef, EventObject } from 'xstate';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { Processes } from '../../src/actor/processes.ts';
import { defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import {
  type Case,
  type Observation,
  Observer,
  RANDOM,
  type RawEmission,
  START,
  type Subject,
  type SubjectFactory,
} from './subject.ts';

export const durable: SubjectFactory = {
  name: 'durable, with a crash after every step',
  async start(ofCase) {
    const flow = defineFlow({ type: 'case', version: 1, logic: ofCase.logic, outgoing: [] });
    const subject = new DurableSubject();
    await subject.start(flow, ofCase);
    return subject;
  },
};

class DurableSubject implements Subject {
  readonly #observer = new Observer();
  #runtime!: TestRuntime;
  #flow!: ReturnType<typeof defineFlow>;
  #root!: AnyActorRef;
  #emissions: RawEmission[] = [];

  async start(flow: ReturnType<typeof defineFlow>, { input }: Case): Promise<void> {
    this.#flow = flow;
    this.#runtime = await createTestRuntime({
      flows: [flow],
      start: START,
      random: () => RANDOM,
    });
    this.#listen();
    await this.#runtime.spawn(flow, 'a', { input });
    await this.#crash();
  }

  async send(event: EventObject): Promise<void> {
    await this.#actor.send(event as never);
    await this.#crash();
  }

  async advance(ms: number): Promise<void> {
    await this.#runtime.advance(ms);
    await this.#crash();
  }

  async settle(): Promise<void> {
    await this.#crash();
  }

  observe(): Observation {
    const emissions = this.#emissions;
    this.#emissions = [];
    return this.#observer.observe(this.#root, emissions);
  }

  async end(): Promise<void> {
    await this.#runtime.stop();
  }

  get #actor() {
    return this.#runtime.actor(this.#flow, 'a');
  }

  async #crash(): Promise<void> {
    await this.#runtime.advance(0);
    await this.#runtime.crash();
    await this.#runtime.restart();
    this.#listen();
    await this.#actor.getSnapshot();
    await this.#runtime.settle();
    this.#root = await this.#read();
  }

  /** The actor that the row holds, since that is what lasts. */
  async #read(): Promise<AnyActorRef> {
    const row = await this.#runtime.knex('flow_states').first();
    const host = {
      address: { flowType: 'case', participantId: 'a' },
      processes: Processes.held(),
      post: () => {},
      log: () => {},
      actionFailed: () => {},
    };
    return LiveActor.restore(this.#flow.logic, row.state_data, host).root;
  }

  #listen(): void {
    this.#actor.on('*', (event) => this.#emissions.push({ at: this.#runtime.clock.now(), event }));
  }
}
