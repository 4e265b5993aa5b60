/**
 * The real runtime for tests: on a database in memory that outlives a crash, on a clock that moves only when told to, with
 * seeded chance and a transport that remembers.
 */
import { createHash, randomUUID } from 'node:crypto';
import createKnex, { type Knex } from 'knex';
import type { AnyEventObject } from 'xstate';
import { SimulatedClock } from '../../clock.ts';
import { type Duration, milliseconds } from '../../duration.ts';
import type { OutgoingMessage, Transport } from '../../engine/outbox.ts';
import { type Address, formatAddress, InvalidArgumentError, NotRunningError, TimeoutError } from '../../errors.ts';
import { type AnyFlow, assertFlows, type EventOf, type InboundMessage } from '../../flow/flow.ts';
import { immediate } from '../../immediate.ts';
import type { Receipt } from '../../messaging/inbound.ts';
import type { ActorHandle, Committed, SendOptions, SpawnArguments } from '../../runtime/handle.ts';
import type { RuntimeOptions } from '../../runtime/options.ts';
import { createRuntime, type JournalLine, type Runtime } from '../../runtime/runtime.ts';
import { sentence } from '../../sentence.ts';
import { errorOf } from '../../thrown.ts';
import { RunawayWatch } from '../crashes/runaway.ts';
import { ActorView } from './actor-view.ts';
import { type SentMessage, sentMessages } from './sent-message.ts';
import type { MakeTables } from './stage.ts';
import { type Stub, type StubAnswer, type StubOptions, Stubs } from './stubs.ts';
import { TestActor } from './test-actor.ts';
import { type TestTimer, testTimer } from './test-timer.ts';
import { unheard } from './unheard.ts';
import { actorOf, actorsOf, means, type Who } from './who.ts';

/** What {@link createTestRuntime} is given; what it leaves out of the runtime’s options, the test runtime sets. */
export interface TestRuntimeOptions extends Omit<RuntimeOptions, 'database' | 'clock' | 'timeScale'> {
  /** Seeds all chance: `random()` in turns, and the jitter of waits. Default: `'test'`. */
  seed?: string;
  /** Default: a database in memory of its own. */
  database?: RuntimeOptions['database'];
  /** Makes the tables of the application that flows record into, in the database in memory, before the first start. */
  tables?: MakeTables;
  /** Told of each new runtime before it starts, e.g. to register what it recovers. */
  prepare?: (runtime: Runtime) => void;
  /** Where the clock starts: ms since the epoch, a Date, or an ISO text. Default: 2026-01-01T00:00:00Z. */
  start?: Instant;
  /** An actor that takes more turns of itself than this at one instant is taken to run away. Default: 1,000. */
  runawayAfter?: number;
}

/** So many iterations of the event loop in which nothing goes on are a standstill. */
const STANDSTILL = 100;

/** Ms since the epoch, a Date, or an ISO text like `'2026-03-29T01:00:00Z'`. */
export type Instant = number | Date | string;

/** A message from a person, in a test. */
export type TestMessage = Pick<InboundMessage, 'from' | 'text'> & Partial<InboundMessage>;

/**
 * Creates and starts a {@link TestRuntime}. End it with `stop()`, or let `await using` do so, which plain JavaScript
 * has from Node 24 on.
 * @example
 * const test = await createTestRuntime({ flows: [flow] });
 * const actor = await test.spawn(flow, 'ada', { phoneNumber: '+15551234567' });
 * await test.advance('15m');
 */
export async function createTestRuntime(options: TestRuntimeOptions): Promise<TestRuntime> {
  const runtime = new TestRuntime(options);
  try {
    if (options.tables && options.database) {
      throw new InvalidArgumentError(
        'createTestRuntime({ tables }) is for the database in memory. Make the tables of your own database yourself.',
      );
    }
    await options.tables?.(runtime.knex);
    await runtime.restart();
  } catch (error) {
    await runtime.stop();
    throw error;
  }
  return runtime;
}

/** The time from a start to the next crash or stop. */
interface Life {
  runtime: Runtime;
  /** Rejects when it is over. */
  over: Promise<never>;
  end(why: Error): void;
}

/** The real runtime under test. Made by {@link createTestRuntime}. */
export class TestRuntime {
  readonly clock: SimulatedClock;
  /** What the transport was given, in order. */
  readonly delivered: OutgoingMessage[] = [];
  readonly #options: TestRuntimeOptions;
  readonly #database: RuntimeOptions['database'];
  readonly #memory: Knex | undefined;
  readonly #chance: () => number;
  readonly #stubs = new Stubs(async () => this.#life && this.settle());
  readonly #flows: readonly AnyFlow[];
  #watch!: RunawayWatch;
  #life: Life | undefined;
  #down: Error = new NotRunningError('The test runtime has not started. Call and await restart() first.');
  #received = 0;
  /** How many let time go by, or wait for rest. */
  #movers = 0;
  #lost: string | undefined;
  /** What is tried again later, each with the instant. */
  #retries: { text: string; at: number }[] = [];

  /** @internal use {@link createTestRuntime} */
  constructor(options: TestRuntimeOptions) {
    this.#options = { seed: 'test', ...options };
    assertFlows(options.flows);
    this.#flows = options.flows.map((flow) => this.#stubs.apply(flow));
    this.#chance = options.random ?? chanceOf(this.#options.seed!);
    this.clock = new SimulatedClock(options.start === undefined ? undefined : instantOf(options.start));
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

  /**
   * The runtime under test; another one after each restart.
   * @throws {NotRunningError} it is down
   * @throws {RunawayError} an actor did not come to rest, so that it was taken down
   */
  get runtime(): Runtime {
    if (!this.#life) throw this.#down;
    return this.#life.runtime;
  }

  /** The database; one in memory can also be read and changed while the runtime is down. */
  get knex(): Knex {
    return this.#memory ?? this.runtime.knex;
  }

  /** Creates an actor; resolves once its first turn has committed. See {@link Runtime.spawn}. */
  async spawn<F extends AnyFlow>(flow: F, participantId: string, ...options: SpawnArguments<F>): Promise<TestActor<F>> {
    const { address } = await this.asked(() => this.runtime.spawn(flow, participantId, ...options));
    return new TestActor<F>(address, this);
  }

  /** Gives the actor that there is, or creates it. See {@link Runtime.ensure}. */
  async ensure<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...options: SpawnArguments<F>
  ): Promise<TestActor<F> & { readonly created: boolean }> {
    const { address, created } = await this.asked(() => this.runtime.ensure(flow, participantId, ...options));
    return Object.assign(new TestActor<F>(address, this), { created });
  }

  /** A handle on an actor, which stays good over crashes. */
  actor<F extends AnyFlow>(flow: F | string, participantId: string): TestActor<F> {
    return new TestActor<F>(this.runtime.actor(flow, participantId).address, this);
  }

  /**
   * Sends an event; resolves with the snapshot once the turn has committed.
   * @param actor a handle, an address, or the id of a participant who has one actor
   * @throws {InvalidArgumentError} there is no such actor
   */
  send<F extends AnyFlow>(actor: ActorHandle<F>, event: EventOf<F>, options?: SendOptions): Promise<Committed<F>>;
  send(actor: Address | string, event: AnyEventObject, options?: SendOptions): Promise<Committed<AnyFlow>>;
  async send(who: Who, event: AnyEventObject, options?: SendOptions): Promise<Committed<AnyFlow>> {
    const { flowType, participantId } = await actorOf(this.runtime.knex, who);
    return this.actor(flowType, participantId).send(event, options);
  }

  /**
   * A message from a person comes in; resolves once it is committed. See {@link Runtime.receive}. One that no actor gets is
   * `unrouted`, with a `reason`.
   * @param message `channel` is `'test'` and `id` a new one, where they are left out
   */
  async receive(message: TestMessage): Promise<Receipt> {
    // On a database that outlives the test, a count would come again.
    const id = this.#memory ? String(++this.#received) : randomUUID();
    const receipt = await this.asked(() => this.runtime.receive({ channel: 'test', id, ...message }));
    const { text } = message;
    const why = unheard(receipt);
    if (why) this.#lost = `At ${iso(this.clock.now())} ${JSON.stringify(text)} was received and ${why}`;
    return receipt;
  }

  /**
   * Why a test may wait in vain: the last message that no actor got, and what will be tried again only later.
   * @internal
   */
  get overlooked(): string[] {
    const toCome = this.#retries.filter(({ at }) => at > this.clock.now());
    return [...(this.#lost ? [this.#lost] : []), ...toCome.map(({ text }) => text)];
  }

  #later(what: string, after: number): void {
    const [now, at] = [this.clock.now(), this.clock.now() + after];
    this.#retries = this.#retries.filter((retry) => retry.at > now);
    this.#retries.push({ text: `${what} It is tried again at ${iso(at)}.`, at });
  }

  /**
   * Takes the place of an invoked promise, by its name in `setup({ actors })`. Like the world outside, the stub and what it
   * has answered outlive a crash; an invocation that is run again has the same key and gets the same answer.
   * @param answer a function of each call, or its result; without one, the test answers: `stub.resolve(x)`, `stub.reject(e)`
   * @throws {InvalidArgumentError} no flow invokes a promise of that name
   * @example
   * const booking = test.stub('bookRoom');
   * await actor.send({ type: 'book' });
   * expect(booking.calls[0].input).toEqual({ nights: 2 });
   * await booking.resolve({ room: 12 });
   */
  stub<TInput = any, TOutput = any>(
    name: string,
    answer?: StubAnswer<TInput, TOutput> | TOutput,
    { flow }: StubOptions = {},
  ): Stub<TInput, TOutput> {
    return this.#stubs.add(name, answer, flow ? [flow] : this.#options.flows);
  }

  /**
   * Waits until nothing is under way any more: mailboxes, commits, sends, what is due at this very instant, and promises
   * that settle without the clock and without the world outside. A promise or a transport that has not answered by then is
   * not waited for: where it needs real time, await it by `actor.waitFor`.
   * @throws {RunawayError} an actor does not come to rest
   */
  async settle(): Promise<void> {
    await this.#moving(() => this.#settle());
  }

  async #settle(): Promise<void> {
    await this.#watch.resting(async () => {
      // Promises settle in microtasks and I/O callbacks, of which the engine knows only once they post their results.
      for (let quiet = 0; quiet < 5; quiet++) {
        await immediate();
        while (!this.runtime.idle || (this.clock.nextTimer() ?? Number.POSITIVE_INFINITY) <= this.clock.now()) {
          quiet = 0;
          this.clock.moveTo(this.clock.now());
          await immediate();
        }
      }
    });
  }

  /**
   * Moves time forward, from deadline to deadline, each at its own instant, and settles at each.
   * @throws {InvalidArgumentError} it is no duration
   */
  async advance(duration: Duration): Promise<void> {
    await this.advanceTo(this.clock.now() + milliseconds(duration));
  }

  /**
   * Moves time forward to an instant, from deadline to deadline.
   * @throws {InvalidArgumentError} it is no instant, or has passed. A wall clock that is set back is `clock.moveTo(instant)`.
   */
  async advanceTo(instant: Instant): Promise<void> {
    const target = instantOf(instant);
    if (target < this.clock.now()) {
      throw new InvalidArgumentError(
        `advanceTo(${iso(target)}): it is ${iso(this.clock.now())} already. To set the clock back, as may happen to a wall clock, call test.clock.moveTo().`,
      );
    }
    await this.#moving(async () => {
      await this.settle();
      for (;;) {
        const next = this.clock.nextTimer();
        if (next === undefined || next > target) break;
        this.clock.moveTo(Math.max(next, this.clock.now()));
        await this.settle();
      }
      this.clock.moveTo(target);
      await this.settle();
    });
  }

  /**
   * What was emitted to be sent, in order, and what became of it.
   * @param who an actor, a participant, or a phone number. Default: all
   * @throws {InvalidArgumentError} nobody of that name is known
   */
  async outbox(who?: Who): Promise<SentMessage[]> {
    await this.settle();
    return sentMessages(this.runtime.knex, who);
  }

  /**
   * Pending deadlines, in their order.
   * @throws {InvalidArgumentError} there is no such actor
   */
  async timers(who: Who): Promise<TestTimer[]> {
    await this.settle();
    const { runtime, clock } = this;
    const addresses = await this.#actors(who);
    const timers = await Promise.all(
      addresses.map(({ flowType, participantId }) => runtime.actor(flowType, participantId).timers()),
    );
    return timers
      .flat()
      .sort((a, b) => a.dueAt - b.dueAt)
      .map((timer) => testTimer(timer, clock.now()));
  }

  /** The turns of an actor or of a participant, in order; those of one that was removed are gone. */
  async journal(who: Who): Promise<JournalLine[]> {
    await this.settle();
    const [{ participantId }] = (await this.#actors(who)) as [Address];
    const lines = await this.runtime.journal(participantId);
    return lines.filter(({ flowType }) => means(who, { flowType, participantId }));
  }

  /**
   * How an actor stands, to look at or to take a snapshot of: `expect(await test.view('ada')).toMatchSnapshot()`.
   * @throws {InvalidArgumentError} there is no such actor, or the participant has several
   */
  async view(who: Who): Promise<ActorView> {
    await this.settle();
    const { flowType, participantId } = await actorOf(this.runtime.knex, who);
    const actor = this.runtime.actor(flowType, participantId);
    const [snapshot, timers, { status, lastError }] = [
      await actor.getSnapshot(),
      await actor.timers(),
      await actor.describe(),
    ];
    const now = this.clock.now();
    return new ActorView({
      address: actor.address,
      status,
      lastError,
      snapshot,
      now,
      timers: timers.map((timer) => testTimer(timer, now)),
    });
  }

  /**
   * Drops all that is in memory, without goodbye, also in the midst of turns: a transaction that was at the database comes to
   * its end, and nothing else does. Who waits for a turn is told that its outcome is not known. The database stays.
   * @throws {NotRunningError} it is down already
   */
  async crash(): Promise<void> {
    const { runtime } = this;
    this.#end(
      'it crashed. Call and await restart() first',
      new NotRunningError('The runtime crashed while this was under way. Whether it was committed is not known.'),
    );
    await runtime.abandon();
  }

  /** Starts a new runtime on the database: after a crash, or in the place of the one that runs, which is stopped first. */
  async restart(): Promise<void> {
    if (this.#life) await this.#stop();
    let runaway: Error | undefined;
    const watch = new RunawayWatch(this.#options.runawayAfter ?? 1_000, (error) => {
      if (runaway) return;
      runaway = error;
      if (this.#life?.runtime === runtime) {
        this.#end('', error);
        this.#down = error;
      }
      void runtime.abandon();
    });
    const { promise: over, reject: end } = withReject();
    over.catch(() => {});
    const runtime = createRuntime({
      ...this.#options,
      flows: this.#flows,
      chance: this.#chance,
      // Rarely, so that weeks go by quickly.
      recovery: { sweepEvery: '1d', ...this.#options.recovery },
      transport: this.#transport(over),
      database: this.#database,
      clock: this.clock,
    });
    runtime.on('turn', (turn) => watch.hear(turn));
    runtime.on('invocationFailed', ({ address, src, attempt, attempts, error, after }) => {
      const of = `Attempt ${attempt} of ${attempts} at '${src}' of ${formatAddress(address)}`;
      if (after !== undefined) this.#later(`${of} failed: ${sentence(errorOf(error).message)}`, after);
    });
    runtime.on('restarting', ({ error, after }) => this.#later(error.message, after));
    this.#watch = watch;
    this.#options.prepare?.(runtime);
    await runtime.start().catch((error) => {
      throw runaway ?? error;
    });
    this.#life = { runtime, over, end };
  }

  /** Ends the test: stops the runtime and lets go of its database in memory. */
  async stop(): Promise<void> {
    await this.#stop();
    await this.#memory?.destroy();
  }

  /** {@link stop}, for `await using` of TypeScript and of Node 24. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Asks for turns from outside; rejects where the runtime goes down meanwhile.
   * @param address the actor that is asked. Default: any
   * @throws {TimeoutError} the actor waits for another attempt at a turn, and the clock stands still
   * @internal
   */
  async asked<T>(work: () => Promise<T>, address?: Address): Promise<T> {
    if (!this.#life) throw this.#down;
    const { over, runtime } = this.#life;
    const answered = new AbortController();
    const standstill = this.#standstill(runtime, address, answered.signal);
    try {
      return await this.#watch.asking(() => Promise.race([work(), over, standstill]));
    } finally {
      answered.abort();
    }
  }

  /** While it goes on, the test lets time go on, or waits for rest. */
  async #moving<T>(work: () => Promise<T>): Promise<T> {
    this.#movers++;
    try {
      return await work();
    } finally {
      this.#movers--;
    }
  }

  /**
   * Rejects where nobody would ever be answered: the actor pauses before another attempt at a turn, all else is at rest, and the
   * test lets no time go by. Otherwise it stays pending.
   */
  #standstill(runtime: Runtime, address: Address | undefined, answered: AbortSignal): Promise<never> {
    const { engine } = runtime; // the runtime gives it no more once it has stopped
    const stands = () =>
      engine.running &&
      this.#movers === 0 &&
      runtime.idle &&
      engine.pausing.some((each) => !address || formatAddress(each) === formatAddress(address));
    return new Promise((_, reject) => {
      const look = async () => {
        let quiet = 0;
        while (quiet < STANDSTILL && !answered.aborted && engine.running) {
          await immediate();
          quiet = stands() ? quiet + 1 : 0;
          if (quiet === 0 && engine.pausing.length === 0) return;
        }
        if (answered.aborted || quiet < STANDSTILL) return;
        const [why = ''] = this.overlooked.slice(-1);
        reject(
          new TimeoutError(
            `${address ? formatAddress(address) : 'An actor'} waits for another attempt at a turn that threw, and the clock of the test stands still. ${why} ` +
              "The event stays in its mailbox. Let time go by while it waits: const sent = actor.send(…); await test.advance('1m'); await sent.",
            address ? { address } : {},
          ),
        );
      };
      answered.addEventListener(
        'abort',
        runtime.on('restarting', () => void look()),
      );
      if (engine.pausing.length > 0) void look();
    });
  }

  /**
   * Waits for what actors do of themselves, likewise.
   * @internal
   */
  async awaited<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#life) throw this.#down;
    const { over } = this.#life;
    return this.#watch.resting(() => Promise.race([work(), over]));
  }

  async #actors(who: Who): Promise<Address[]> {
    return actorsOf(this.runtime.knex, who);
  }

  /** Where a test's own transport has not answered, the crash or the stop does. */
  #transport(over: Promise<never>): Transport {
    const { transport } = this.#options;
    if (!transport) return { send: (message) => void this.delivered.push(message) };
    return {
      ...(transport.retry && { retry: transport.retry }),
      send: async (message) => {
        await Promise.race([transport.send(message), over]);
      },
    };
  }

  async #stop(): Promise<void> {
    const life = this.#life;
    this.#end('it was stopped', new NotRunningError('The test runtime was stopped while this was under way.'));
    await life?.runtime.stop();
  }

  #end(how: string, why: Error): void {
    const life = this.#life;
    this.#life = undefined;
    this.#retries = [];
    this.#down = new NotRunningError(`The test runtime is down: ${how}.`);
    this.#stubs.down();
    life?.end(why);
  }
}

function withReject() {
  let reject!: (error: Error) => void;
  const promise = new Promise<never>((_, no) => {
    reject = no;
  });
  return { promise, reject };
}

/** Numbers in [0, 1) that follow from the seed. */
function chanceOf(seed: string): () => number {
  let drawn = 0;
  return () => createHash('sha256').update(`${seed}|chance|${drawn++}`).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** @throws {InvalidArgumentError} it is none */
function instantOf(instant: Instant): number {
  const ms = typeof instant === 'number' ? instant : new Date(instant).getTime();
  if (!Number.isFinite(ms)) {
    throw new InvalidArgumentError(
      `${JSON.stringify(instant)} is no instant; write ms since the epoch, a Date, or text like '2026-03-29T01:00:00Z'.`,
    );
  }
  return ms;
}

const iso = (ms: number) => new Date(ms).toISOString();
