/**
 * One run of a script on the real runtime, in which the process dies where it is told to. After each death another process
 * starts on what the database holds, and the world does what it does of itself:
 *
 * - who sent a message and got no answer sends it again, with its id;
 * - who sent an event and got no answer looks whether it was applied (each leaves a mark in the journal), and if not, sends
 *   it again; so does who sent several in one transaction, with all of them;
 * - time goes on to where it was going; the process is up again at the instant at which it died;
 * - a service that was asked has not forgotten it, and answers as before if it is asked again.
 */
import { AssertionError } from 'node:assert';
import type { InspectionEvent, StateValue } from 'xstate';
import { describeState } from '../../actor/state.ts';
import { type Clock, SimulatedClock } from '../../clock.ts';
import { milliseconds } from '../../duration.ts';
import type { OutgoingMessage } from '../../engine/outbox.ts';
import { ActorExistsError, InvalidArgumentError, NotSerializableError, type PerdureError } from '../../errors.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import { immediate } from '../../immediate.ts';
import type { ActorHandle } from '../../runtime/handle.ts';
import { createRuntime, type Runtime } from '../../runtime/runtime.ts';
import type { Access, AccessKind, Process } from '../crashes/faults.ts';
import { markOf, type Observation, Observer } from '../crashes/observation.ts';
import { type RunawayError, RunawayWatch } from '../crashes/runaway.ts';
import { isInState } from '../crashes/states.ts';
import { failureOf, formatStep, instantOf, type Script, type ScriptStep } from './script.ts';
import type { Stage } from './stage.ts';
import { unheard } from './unheard.ts';

/** When the process dies. Asked before each access of a living process, and between steps. */
export interface Doom {
  /** @param recovering it was started after a death, and has not come to rest since */
  access(
    access: Access,
    at: { step: number; life: number; nth: number; recovering: boolean },
  ): 'before' | 'after' | undefined;
  /** It dies in between, when nothing is under way. */
  afterStep(step: number): boolean;
}

/** What the first process did with the database. */
export interface AccessMade {
  step: number;
  nth: number;
  kind: AccessKind;
  what: string;
}

/** What a sender was told, and what was seen after a step; once more, if the process died after it. */
export interface Seen {
  step: number;
  observation: Observation;
  /** Unknown where the process died before it gave an answer. */
  answer: unknown;
  /** After a death in between, when nothing was under way. */
  again: boolean;
}

/** A run that does not end is given up after so many deaths. */
const MOST_DEATHS = 1_000;

/** An actor that does not come to rest, after so many turns at one instant. */
const MOST_TURNS = 1_000;

/** Of the runtime's chance. */
export const SEED = 'test';
/** A script may let a year pass: what is deleted by age is none of its points. */
const FOR_EVER = {
  inbox: Number.POSITIVE_INFINITY,
  outbox: Number.POSITIVE_INFINITY,
  deadLetters: Number.POSITIVE_INFINITY,
};

const CRASH = Symbol('the process died');

export class Rehearsal {
  /** Where the process died, in words. */
  readonly crashes: string[] = [];
  readonly accesses: AccessMade[] = [];
  /** How much was written before the process had come to rest again after a death. */
  recoveryWrites = 0;
  /** How often each custom action ran, by type. */
  readonly actions = new Map<string, number>();
  readonly delivered: OutgoingMessage[] = [];
  /** The first turn that could not be stored. */
  notSerializable: { step: number; error: NotSerializableError } | undefined;
  /** Inspection events of the living process, for coverage. */
  inspect: ((event: InspectionEvent) => void) | undefined;
  readonly #stage: Stage;
  readonly #script: Script;
  readonly #doom: Doom;
  readonly #clock: SimulatedClock;
  readonly #observer = new Observer();
  #life!: Life;
  #lives = 0;
  #step = 0;
  #recovering = false;
  /** The present step was begun by a process that died. */
  #again = false;
  #answer: unknown;
  #target = 0;
  #turnsCommitted = 0;
  /** The last message that no actor got as a reply, and why. */
  #unheard: string | undefined;

  constructor(stage: Stage, script: Script, doom: Doom) {
    this.#stage = stage;
    this.#script = script;
    this.#doom = doom;
    this.#clock = new SimulatedClock(stage.setup.start);
  }

  /** Runs the script. @param see told what was seen after each step */
  async run(see: (seen: Seen) => void): Promise<void> {
    const { database, stubs, setup } = this.#stage;
    await database.clear(setup.tables);
    stubs.reset();
    setup.watch?.reset?.();
    try {
      await this.#start();
      for (this.#step = 0; this.#step <= this.#script.length; this.#step++) {
        await this.#perform();
        see({ step: this.#step, observation: await this.#look(), answer: this.#answer, again: false });
        if (!this.#doom.afterStep(this.#step)) continue;
        this.crashes.push(`after step ${this.#step}, when nothing is under way`);
        this.#life.die();
        await this.#recover();
        see({ step: this.#step, observation: await this.#look(), answer: undefined, again: true });
      }
    } finally {
      stubs.down();
      this.#life?.die();
      await database.rollBack();
    }
  }

  /** The step that is under way: 0 is the birth of the actor. */
  get step(): number {
    return this.#step;
  }

  async #perform(): Promise<void> {
    this.#again = false;
    this.#answer = undefined;
    for (;;) {
      const life = this.#life;
      try {
        await life.race(this.#attempt(life));
        await this.#settle(life);
        return;
      } catch (error) {
        if (error !== CRASH) throw error;
        this.#again = true;
        this.#answer = undefined;
        await this.#recover();
      }
    }
  }

  async #attempt(life: Life): Promise<void> {
    const { runtime } = life;
    if (this.#step === 0) return this.#spawn(runtime);
    const step = this.#script[this.#step - 1] as ScriptStep;
    if ('send' in step) return this.#send(runtime, (note) => this.#actor(runtime).send(step.send as never, { note }));
    if ('transaction' in step) return this.#send(runtime, (note) => this.#shared(runtime, step.transaction, note));
    if ('receive' in step) return this.#receive(runtime, step.receive);
    if ('advance' in step || 'advanceTo' in step) {
      if (!this.#again)
        this.#target = 'advance' in step ? this.#clock.now() + milliseconds(step.advance) : instantOf(step.advanceTo);
      return this.#advance(life);
    }
    if (this.#again) return; // what was answered or looked at before the crash
    if ('inState' in step) return this.#verify(life, step.inState);
    const { stubs } = this.#stage;
    try {
      if ('resolve' in step) stubs.settle(step.resolve, { output: step.with });
      else stubs.settle(step.reject, { error: failureOf(step) });
    } catch (error) {
      throw this.#refused(step, `${(error as Error).message} ${(await this.#standing(life)).text}`);
    }
  }

  async #verify(life: Life, state: string | StateValue): Promise<void> {
    const { snapshot, text } = await this.#standing(life);
    if (isInState(snapshot, state)) return;
    const message = `Step ${this.#step} of the script, ${formatStep({ inState: state })}, does not hold. ${[text, this.#unheard].filter(Boolean).join(' ')}`;
    throw new AssertionError({ message, expected: state, actual: snapshot.value ?? snapshot.status });
  }

  /** How the actor stands, and so in words. */
  async #standing(life: Life): Promise<{ snapshot: any; text: string }> {
    life.unwatched = true;
    try {
      const actor = this.#actor(life.runtime);
      const snapshot = await actor.getSnapshot();
      const { status, lastError } = await actor.describe();
      const aside = status === 'quarantined' ? `, and was put aside: ${lastError}` : '.';
      return { snapshot, text: `The actor is in '${describeState(snapshot)}'${aside}` };
    } finally {
      life.unwatched = false;
    }
  }

  #refused(step: ScriptStep, why: string): InvalidArgumentError {
    return new InvalidArgumentError(`Step ${this.#step} of the script, ${formatStep(step)}: ${why}`);
  }

  async #spawn(runtime: Runtime): Promise<void> {
    const { flow, setup } = this.#stage;
    const { participantId, input, phoneNumber } = setup;
    try {
      await runtime.spawn(flow, participantId, { input: input as never, ...(phoneNumber && { phoneNumber }) });
    } catch (error) {
      if (error instanceof NotSerializableError) this.notSerializable ??= { step: 0, error };
      if (!this.#again || !(error instanceof ActorExistsError)) throw error;
    }
  }

  /** The application sends, once: what it knows to be applied it sends no more. */
  async #send(runtime: Runtime, send: (note: string) => Promise<{ handled: boolean }>): Promise<void> {
    const mark = markOf(this.#step);
    const { participantId } = this.#stage.setup;
    if (this.#again) {
      const journal = await runtime.journal(participantId);
      if (journal.some(({ note }) => note?.split('; ')[0] === mark)) return;
    }
    await this.#told(async () => {
      const { handled } = await send(mark);
      return handled ? 'handled' : 'not handled';
    });
  }

  /** Several in one transaction; handled, if any of them is. */
  #shared(runtime: Runtime, events: readonly unknown[], note: string): Promise<{ handled: boolean }> {
    const { flow, setup } = this.#stage;
    return runtime.transaction(async (trx) => {
      const actor = trx.actor(flow as AnyFlow, setup.participantId);
      let handled = false;
      for (const event of events) handled = (await actor.send(event as never, { note })).handled || handled;
      return { handled };
    });
  }

  async #receive(runtime: Runtime, text: string): Promise<void> {
    const { flow, setup } = this.#stage;
    const { phoneNumber, participantId } = setup;
    const message = { channel: 'script', id: `${this.#step}`, from: phoneNumber ?? NOBODY, text };
    const reasons: string[] = [];
    await this.#told(async () => {
      const receipt = await (phoneNumber ? runtime.receive(message) : runtime.receiveFor(flow, participantId, message));
      const why = unheard(receipt);
      if (receipt.reason) reasons.push(receipt.reason);
      else if (why) this.#unheard = `Before that, ${formatStep({ receive: text })} ${why}`;
      return receipt.status;
    });
    // What follows would be true of an actor that was never asked.
    if (reasons.length > 0) throw this.#refused({ receive: text }, `the message reaches no actor. ${reasons[0]}`);
  }

  /** What the sender is told, or the error; only the first time, since later there may be less to do. */
  async #told(send: () => Promise<string>): Promise<void> {
    let answer: string;
    try {
      answer = await send();
    } catch (cause) {
      const error = cause as PerdureError;
      if (error instanceof NotSerializableError) this.notSerializable ??= { step: this.#step, error };
      answer = `${error.code ?? error.name}: ${error.message}`;
    }
    if (!this.#again) this.#answer = answer;
  }

  async #advance(life: Life): Promise<void> {
    const clock = this.#clock;
    await this.#settle(life);
    for (let next = clock.nextTimer(); next !== undefined && next <= this.#target; next = clock.nextTimer()) {
      clock.moveTo(Math.max(next, clock.now()));
      await this.#settle(life);
    }
    clock.moveTo(Math.max(clock.now(), this.#target));
  }

  #settle(life: Life): Promise<void> {
    return life.watch.resting(() => this.#comeToRest(life));
  }

  async #comeToRest(life: Life): Promise<void> {
    const clock = this.#clock;
    // Promises settle in microtasks and I/O callbacks, of which the engine knows only once they post their results.
    for (let quiet = 0; quiet < 5; quiet++) {
      await life.pause();
      while (!life.runtime.idle || (clock.nextTimer() ?? Number.POSITIVE_INFINITY) <= clock.now()) {
        quiet = 0;
        clock.moveTo(clock.now());
        await life.pause();
      }
    }
  }

  async #look(): Promise<Observation> {
    const { database, stubs, tables, setup, flow } = this.#stage;
    const { participantId, watch } = setup;
    const life = this.#life;
    life.unwatched = true;
    try {
      const actor = this.#lives === 1 ? this.#actor(life.runtime) : undefined;
      return await this.#observer.look({ database, stubs, flow, participantId, actor, tables, watch: watch?.read });
    } finally {
      life.unwatched = false;
    }
  }

  #actor(runtime: Runtime): ActorHandle {
    return runtime.actor(this.#stage.flow as AnyFlow, this.#stage.setup.participantId);
  }

  async #recover(): Promise<void> {
    this.#recovering = true;
    for (;;) {
      if (this.crashes.length > MOST_DEATHS)
        throw new Error(`The runtime was not up again after ${MOST_DEATHS} restarts.`);
      await this.#stage.database.rollBack();
      try {
        await this.#start();
        await this.#settle(this.#life);
        break;
      } catch (error) {
        if (error !== CRASH) throw error;
      }
    }
    this.#recovering = false;
  }

  async #start(): Promise<void> {
    const { database, stubs, flows } = this.#stage;
    const life: Life = new Life(
      this.#clock,
      (access) => this.#access(life, access),
      () => stubs.down(),
    );
    this.#life = life;
    this.#lives++;
    const runtime = createRuntime({
      database: database.connect(life),
      flows,
      clock: life.clock,
      seed: SEED,
      journal: true,
      retention: FOR_EVER,
      recovery: { rate: Number.POSITIVE_INFINITY, jitter: 0, sweepEvery: '3650d' },
      transport: { send: (message) => life.alive(() => void this.delivered.push({ ...message })) },
      inspect: (event) => !life.dead && this.#inspected(event),
    });
    life.runtime = runtime;
    runtime.on('turn', (turn) => life.watch.hear(turn));
    runtime.on('turnFailed', ({ error }) => {
      if (error instanceof NotSerializableError) this.notSerializable ??= { step: this.#step, error };
    });
    await life.race(runtime.start());
  }

  #inspected(event: InspectionEvent): void {
    if (event.type === '@xstate.action' && !event.action.type.startsWith('xstate.'))
      this.actions.set(event.action.type, (this.actions.get(event.action.type) ?? 0) + 1);
    this.inspect?.(event);
  }

  #access(life: Life, access: Access): 'before' | 'after' | undefined {
    if (life.unwatched) return undefined;
    if (this.#lives === 1 && !this.#started) return undefined;
    const nth = ++life.accesses;
    if (this.#lives === 1) this.accesses.push({ step: this.#step, nth, kind: access.kind, what: access.what });
    const turn = access.what === 'the commit of a turn';
    if (this.#recovering && access.kind !== 'read') this.recoveryWrites++;
    const at = { step: this.#step, life: this.#lives, nth, recovering: this.#recovering };
    const verdict = this.#doom.access(access, at);
    if (verdict) {
      const during = this.#recovering ? `in recovery (start ${this.#lives - 1})` : `in step ${this.#step}`;
      const what = turn ? `the commit of turn ${this.#turnsCommitted + 1}` : access.what;
      const effects = turn && verdict === 'after' ? ', before its effects' : '';
      this.crashes.push(`${during}, ${verdict} ${what}${effects}`);
    }
    if (turn && verdict !== 'before' && (access.kind === 'write' || access.kind === 'commit')) this.#turnsCommitted++;
    return verdict;
  }

  /** The first process is up: what came before belongs to no script. */
  get #started(): boolean {
    return this.#life.runtime?.health().status === 'running';
  }
}

const NOBODY = '+15550100000';

/** One process: it lives until it dies, and of what it does afterwards nothing is seen. */
class Life implements Process {
  dead = false;
  /** What it does now is not counted, and it does not die of it. */
  unwatched = false;
  accesses = 0;
  runtime!: Runtime;
  readonly watch = new RunawayWatch(MOST_TURNS, (error) => {
    this.#runaway ??= error;
  });
  readonly access: Process['access'];
  readonly clock: Clock;
  readonly #death: Promise<never>;
  readonly #timers = new Set<unknown>();
  readonly #shared: Clock;
  readonly #died: () => void;
  #reject!: (reason: unknown) => void;
  #runaway: RunawayError | undefined;

  constructor(clock: Clock, access: Process['access'], died: () => void) {
    this.access = access;
    this.#shared = clock;
    this.#died = died;
    this.#death = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#death.catch(() => {});
    this.clock = {
      now: () => clock.now(),
      setTimeout: (fn, ms) => {
        if (this.dead) return undefined;
        const handle = clock.setTimeout(() => {
          this.#timers.delete(handle);
          fn();
        }, ms);
        this.#timers.add(handle);
        return handle;
      },
      clearTimeout: (handle) => {
        this.#timers.delete(handle);
        clock.clearTimeout(handle);
      },
    };
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    this.#died();
    for (const handle of this.#timers) this.#shared.clearTimeout(handle);
    void this.runtime?.abandon().catch(() => {});
    this.#reject(CRASH);
  }

  /** What `work` comes to, unless the process dies before. */
  race<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // once it is dead, nobody hears
    return Promise.race([work, this.#death]);
  }

  /** Something done for the process; once it is dead, it does not even get an answer. */
  alive(body: () => void): Promise<void> {
    if (this.dead) return new Promise(() => {});
    body();
    return Promise.resolve();
  }

  async pause(): Promise<void> {
    await immediate();
    if (this.dead) throw CRASH;
    if (this.#runaway) throw this.#runaway;
  }
}
