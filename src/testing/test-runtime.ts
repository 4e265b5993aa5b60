/**
 * The real runtime for tests: on a database in memory that outlives a crash, on a clock that moves only when told to, with
 * seeded chance and a transport that remembers.
 */
import createKnex, { type Knex } from 'knex';
import { SimulatedClock } from '../clock.ts';
import { type Duration, milliseconds } from '../duration.ts';
import type { OutgoingMessage, Transport } from '../engine/outbox.ts';
import type { AnyFlow, InboundMessage } from '../flow.ts';
import { type ActorHandle, createRuntime, type Runtime, type RuntimeOptions, type SpawnArguments } from '../runtime.ts';

/** What {@link createTestRuntime} is given; what it leaves out of the runtime’s options, the test runtime sets. */
export interface TestRuntimeOptions extends Omit<RuntimeOptions, 'database' | 'clock' | 'timeScale'> {
  /** Default: a database in memory of its own. */
  database?: RuntimeOptions['database'];
  /** Told of each new runtime before it starts, e.g. to register what it recovers. */
  prepare?: (runtime: Runtime) => void;
  /** Where the clock starts, in ms since the epoch. Default: 2026-01-01T00:00:00Z. */
  start?: number;
}

/** Creates and starts a {@link TestRuntime}. End it with `stop()`. */
export async function createTestRuntime(options: TestRuntimeOptions): Promise<TestRuntime> {
  const runtime = new TestRuntime(options);
  await runtime.restart();
  return runtime;
}

/** The real runtime under test. Made by {@link createTestRuntime}. */
export class TestRuntime {
  readonly clock: SimulatedClock;
  /** What the transport was given, in order. */
  readonly delivered: OutgoingMessage[] = [];
  readonly #options: TestRuntimeOptions;
  readonly #database: RuntimeOptions['database'];
  readonly #memory: Knex | undefined;
  #runtime: Runtime | undefined;

  /** @internal use {@link createTestRuntime} */
  constructor(options: TestRuntimeOptions) {
    this.#options = options;
    this.clock = new SimulatedClock(options.start);
    if (!options.database) {
      this.#memory = createKnex({
        client: 'sqlite3',
        connection: ':memory:',
        useNullAsDefault: true,
        pool: { min: 1, max: 1 },
      });
    }
    this.#database = options.database ?? this.#memory!;
  }

  /** The runtime under test. */
  get runtime(): Runtime {
    if (!this.#runtime) throw new Error('The test runtime is down: it crashed or was stopped. Call restart() first.');
    return this.#runtime;
  }

  get knex(): Knex {
    return this.runtime.knex;
  }

  /** As `runtime.spawn`. */
  spawn<F extends AnyFlow>(flow: F, participantId: string, ...options: SpawnArguments<F>): Promise<ActorHandle<F>> {
    return this.runtime.spawn(flow, participantId, ...options);
  }

  /** As `runtime.actor`. */
  actor<F extends AnyFlow>(flow: F, participantId: string): ActorHandle<F> {
    return this.runtime.actor(flow, participantId);
  }

  /** As `runtime.receive`. */
  receive(message: InboundMessage) {
    return this.runtime.receive(message);
  }

  /**
   * Waits until nothing is under way any more: mailboxes, commits, sends, what is due at this very instant, and promises
   * that settle without the clock.
   */
  async settle(): Promise<void> {
    // Promises settle in microtasks and I/O callbacks, of which the engine knows only once they post their results.
    for (let quiet = 0; quiet < 5; quiet++) {
      await new Promise(setImmediate);
      while (!this.runtime.idle || (this.clock.nextTimer() ?? Number.POSITIVE_INFINITY) <= this.clock.now()) {
        quiet = 0;
        this.clock.moveTo(this.clock.now());
        await new Promise(setImmediate);
      }
    }
  }

  /** Moves time forward, from deadline to deadline, each at its own instant. */
  async advance(duration: Duration): Promise<void> {
    await this.advanceTo(this.clock.now() + milliseconds(duration));
  }

  /** Moves time forward to an instant, from deadline to deadline. */
  async advanceTo(instant: number | Date): Promise<void> {
    const target = Number(instant);
    await this.settle();
    for (;;) {
      const next = this.clock.nextTimer();
      if (next === undefined || next > target) break;
      this.clock.moveTo(Math.max(next, this.clock.now()));
      await this.settle();
    }
    this.clock.moveTo(target);
    await this.settle();
  }

  /** What was emitted to be sent, in order, and what became of it. */
  async outbox(
    participantId?: string,
  ): Promise<{ id: number; to: string; text: string; status: string; payload: any; at: number }[]> {
    await this.settle();
    const query = this.knex('outbox_messages').where({ kind: 'message' }).orderBy('id');
    const rows = await (participantId === undefined ? query : query.where({ participant_id: participantId }));
    return rows.map((row) => {
      const payload = JSON.parse(row.payload);
      return { id: row.id, to: row.recipient, text: payload.text, status: row.status, payload, at: row.created_at };
    });
  }

  /** A participant's turns, in order. */
  journal(participantId: string) {
    return this.runtime.journal(participantId);
  }

  /** Drops all that is in memory, without goodbye. The database stays. */
  async crash(): Promise<void> {
    const runtime = this.runtime;
    this.#runtime = undefined;
    await runtime.abandon();
  }

  /** Starts the runtime, after a crash or for the first time. */
  async restart(): Promise<void> {
    const transport: Transport = this.#options.transport ?? { send: (message) => void this.delivered.push(message) };
    const runtime = createRuntime({
      seed: 'test',
      ...this.#options,
      // Rarely, so that weeks go by quickly.
      recovery: { sweepEvery: '1d', ...this.#options.recovery },
      transport,
      database: this.#database,
      clock: this.clock,
    });
    this.#options.prepare?.(runtime);
    await runtime.start();
    this.#runtime = runtime;
  }

  /** Stops the runtime and drops the database in memory. */
  async stop(): Promise<void> {
    const runtime = this.#runtime;
    this.#runtime = undefined;
    await runtime?.stop();
    await this.#memory?.destroy();
  }
}
