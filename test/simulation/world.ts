/**
 * The world around a process, which outlives it, and whatever kills the process and starts it anew. The others in it are
 * people (people.ts), the carrier of messages to them, services that promises call, and operators.
 */
import { formatAddress, type StoreError } from '../../src/errors.ts';
import { type AnyFlow, createRuntime, type Runtime } from '../../src/index.ts';
import { Carrier } from './carrier.ts';
import type { Doings } from './causes.ts';
import { Chance } from './chance.ts';
import { Cycles } from './cycles.ts';
import type { Fate, Mishap, SimulatedDatabase } from './database.ts';
import type { Followed, Ledger } from './ledger.ts';
import { Leftovers } from './leftovers.ts';
import { Operators } from './operators.ts';
import type { Flaw, Outside } from './outside.ts';
import { People } from './people.ts';
import { Questions } from './questions.ts';
import { Readers } from './readers.ts';
import { OUTSIDE, type Scheduler } from './scheduler.ts';
import { Services } from './services.ts';
import { Strategies } from './strategies.ts';
import { type Faults, HOUR, MINUTE, type Person, SECOND, type Surroundings } from './surroundings.ts';
import { instant, Violation } from './violation.ts';

/** So long after the last fault, all that was put off is done. */
const RECOVERED = 5 * MINUTE;
/** A timer that comes so late makes the process believe that it slept; with some to spare. */
const SLEPT = 25 * SECOND;

export interface WorldOptions {
  scheduler: Scheduler;
  database: SimulatedDatabase;
  chance: Chance;
  faults: Faults;
  people: Person[];
  seed: string;
  /** The flows of a version. */
  flows(version: number): AnyFlow[];
  tell(text: string): void;
}

export class World implements Surroundings, Outside, Doings {
  readonly #options: WorldOptions;
  readonly scheduler: Scheduler;
  readonly database: SimulatedDatabase;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly people: readonly Person[];
  readonly tell: (text: string) => void;
  readonly users: People;
  readonly operators: Operators;
  readonly readers: Readers;
  readonly carrier: Carrier;
  readonly #questions: Questions;
  readonly #leftovers: Leftovers;
  readonly #cycles: Cycles;
  readonly #services: Services;
  readonly #strategies: Strategies;
  ledger!: Ledger;
  process: Runtime | undefined;
  calm = false;
  watched = false;
  readonly thrown = new Map<string, Error>();
  clockSet = false;
  /** What went wrong where nobody can throw. */
  violation: Violation | undefined;
  /** It takes messages. */
  #up = false;
  #stopping = false;
  /** The deployed version of the flows. */
  #version = 1;
  #serial = 0;
  #crashes = 0;
  /** The latest instant that the wall clock has shown, before it was set back. */
  #latest = Number.NEGATIVE_INFINITY;
  /** When this life began, and when it took messages. */
  #began = 0;
  #ready = Number.POSITIVE_INFINITY;
  /** Since when nothing goes wrong any more. */
  #calmSince = Number.POSITIVE_INFINITY;
  /** Something went wrong after which an action need not run. */
  #mishap = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.scheduler = options.scheduler;
    this.database = options.database;
    this.chance = options.chance;
    this.faults = options.faults;
    this.people = options.people;
    this.tell = options.tell;
    options.database.refused = (parameters) => this.#refused(parameters);
    options.database.crash = () => this.crash('at a statement');
    const chanceOf = (number: number) => new Chance(Math.imul(Number(options.seed), number));
    this.#questions = new Questions(this);
    this.#cycles = new Cycles(this);
    this.users = new People(this, this.#questions, this.#cycles, options.seed, () => this.crash('in a transaction'));
    this.carrier = new Carrier(this, () => this.purchases.size > 0);
    this.#services = new Services(this);
    this.#strategies = new Strategies(this);
    this.users.removed = (address) => {
      this.readers.forget(address);
      this.#strategies.forgiven(address);
      this.#cycles.forget(address);
    };
    this.readers = new Readers(this, this.#questions, chanceOf(0xc2b2ae35));
    this.#leftovers = new Leftovers(this, this.#questions, this.carrier, chanceOf(0x165667b1));
    this.operators = new Operators(this, this.#services, this.#questions, this.#leftovers, chanceOf(0x27d4eb2f));
  }

  get runtime(): Runtime | undefined {
    return this.#up ? this.process : undefined;
  }

  get messages() {
    return this.users.messages;
  }

  get sends() {
    return this.users.sends;
  }

  get purchases(): ReadonlySet<string> {
    return this.users.application.purchases;
  }

  get outcomes() {
    return this.#services.outcomes;
  }

  /** The latest instant that there has been. */
  get latest(): number {
    return Math.max(this.#latest, this.scheduler.clock.now());
  }

  number(): number {
    return ++this.#serial;
  }

  broken(guarantee: string, what: string): void {
    this.violation ??= new Violation(guarantee, what);
  }

  /** Whether a deadline passed while nobody watched; `undefined` where that cannot be told from outside. */
  passedUnwatched(dueAt: number, at: number): boolean | undefined {
    if (this.clockSet) return undefined;
    if (dueAt < this.#began) return true;
    return dueAt >= this.#ready && at - dueAt < SLEPT ? false : undefined;
  }

  /** Whether a deadline is to fire on time. */
  isPunctual(dueAt: number): boolean {
    return !this.clockSet && dueAt > this.#calmSince + RECOVERED;
  }

  input(participantId: string, name: string | undefined): unknown {
    const { input, names } = this.#person(participantId);
    return name !== undefined && names?.has(name) ? { ...(input as object), name } : input;
  }

  get forsaken(): ReadonlySet<string> {
    return this.carrier.forsaken;
  }

  get forsaking(): ReadonlySet<string> {
    return this.carrier.forsaking;
  }

  isDiscarded(address: string): boolean {
    return this.operators.discarding.has(address);
  }

  isRetried(participantId: string): boolean {
    return this.operators.isRetried(participantId);
  }

  get mayEndAsItWas(): boolean {
    return this.operators.mayEndAsItWas;
  }

  fired(actor: Followed, dueAt: number, at: number): void {
    this.#cycles.fired(actor, dueAt, at);
  }

  isLeaving(participantId: string): boolean {
    return this.#person(participantId).removing === true;
  }

  #person(participantId: string): Person {
    return this.people.find((person) => person.participantId === participantId)!;
  }

  call(actor: string, key: string, signal: AbortSignal): Promise<unknown> {
    return this.#services.call(actor, key, signal);
  }

  act(actor: string, key: string): void {
    this.#services.act(actor, key);
  }

  fails(actor: string, part: Flaw): boolean {
    const fails = this.operators.fails(actor, part);
    if (fails) this.#strategies.failed(this.#addressOf(actor));
    return fails;
  }

  poisons(): boolean {
    return !this.operators.withoutPoison;
  }

  #addressOf(actor: string): string {
    const { flowType } = this.#person(actor);
    return formatAddress({ flowType, participantId: actor });
  }

  /** Rows of the application were refused. */
  #refused(parameters: readonly unknown[]): void {
    const actor = this.operators.culprit(parameters);
    if (actor !== undefined) this.#strategies.failed(this.#addressOf(actor));
  }

  /** What befalls a statement of the database. */
  fate({ text, parameters, writes, ends }: Parameters<Fate>[0]): Mishap | undefined {
    if (this.operators.lacksTable(text, parameters)) {
      this.#refused(parameters);
      return { kind: 'refused', code: 'SQLITE_ERROR' };
    }
    if (this.calm || text.startsWith('ROLLBACK')) return undefined;
    const { chance, faults } = this;
    if (chance.happens(faults.crashAtStatement) && this.#crashes < 4)
      return { kind: 'crash', when: chance.pick(['before', 'after']) };
    // A start has many statements, and would hardly ever succeed.
    if (chance.happens(this.#up ? faults.refused : faults.refused / 10))
      return {
        kind: 'refused',
        code: chance.pick(writes ? ['SQLITE_BUSY', 'SQLITE_FULL', 'SQLITE_IOERR'] : ['SQLITE_BUSY', 'SQLITE_IOERR']),
      };
    if (ends && chance.happens(faults.unknown)) {
      this.#mishap = true;
      return { kind: 'unknown', code: 'SQLITE_IOERR' };
    }
    if (chance.happens(faults.slow))
      return { kind: 'slow', ms: chance.pick([50, 3 * SECOND, 40 * SECOND, 3 * MINUTE]) };
    return undefined;
  }

  /** Starts the process, unless it is there. */
  boot(): void {
    const { scheduler, database, chance } = this;
    if (this.process) return;
    scheduler.life++;
    const life = scheduler.life;
    this.#stopping = false;
    this.#began = scheduler.clock.now();
    this.#ready = Number.POSITIVE_INFINITY;
    this.#services.begin();
    this.#strategies.begin();
    this.readers.begin();
    this.#cycles.begin();
    if (!this.calm && this.#version === 1 && chance.happens(0.15)) this.#version = 2;
    this.tell(`the process starts (life ${life}, version ${this.#version})`);
    const runtime = createRuntime({
      database: database.knex(),
      flows: this.#options.flows(this.#version),
      clock: scheduler.clock,
      seed: this.#options.seed,
      transport: {
        send: (message) => this.carrier.send(message, life),
        ...(this.carrier.attempts && {
          retry: { attempts: this.carrier.attempts, backoff: { initial: '1s', max: '10s' } },
        }),
      },
      cacheSize: this.watched ? chance.pick([0, 1, 2]) : chance.pick([1, 2, 100]),
      recovery: {
        mode: chance.pick(['lazy', 'verify']),
        rate: chance.pick([1, 1_000, Number.POSITIVE_INFINITY]),
        sweepEvery: chance.pick(['10m', '1d', '1d']),
      },
    });
    this.#listen(runtime);
    this.carrier.begin(runtime);
    this.process = runtime;
    runtime.start().then(
      () => {
        this.tell('the process runs');
        this.#up = true;
        this.#ready = scheduler.clock.now();
      },
      (error) => {
        this.tell(`the start failed: ${error.message}`);
        this.#mishap = true;
        scheduler.bury(life);
        database.forsake();
        this.process = undefined;
        scheduler.after(SECOND, 'start again', () => this.boot(), OUTSIDE);
      },
    );
  }

  /** What the process tells of itself. */
  #listen(runtime: Runtime): void {
    runtime.on('fault', ({ during, error }) => this.tell(`fault: ${during}: ${(error as Error)?.message ?? error}`));
    runtime.on('quarantined', (told) => {
      const address = formatAddress(told.address);
      this.tell(`quarantined ${address}: ${told.error.message}`);
      this.#services.putAside(told.address.participantId);
      if (!this.operators.wasDamaged(told.address))
        this.#strategies.gaveUp(address, runtime.flows.get(told.address.flowType)!);
    });
    runtime.on('commitFailed', ({ error }) => {
      // It was given up by who waited for it, and may have been written: a custom action is lost then.
      if ((error as StoreError).reason === 'timeout') this.#mishap = true;
    });
    runtime.on('turnFailed', ({ address, event, error }) => {
      this.#strategies.turnFailed(formatAddress(address));
      // A rejection that throws as well comes again with the error that it was made from.
      if (event !== 'xstate.promise.reject') this.thrown.set(formatAddress(address), error);
    });
    runtime.on('restarting', (told) => {
      const address = formatAddress(told.address);
      this.tell(`${address} is tried again after ${told.after} ms: ${told.error.message}`);
      this.#strategies.restarting(address, runtime.flows.get(told.address.flowType)!, told);
    });
    runtime.on('retried', ({ address }) => this.#strategies.forgiven(formatAddress(address)));
    runtime.on('runaway', ({ address }) => this.#cycles.runaway(formatAddress(address)));
    runtime.on('calmed', ({ address }) => this.#cycles.calmed(formatAddress(address)));
    runtime.on('turn', ({ address, version }) => {
      const known = this.ledger.actors.get(formatAddress(address))?.row.version ?? 0;
      if (known < version && !this.isLeaving(address.participantId))
        this.broken('G1', `the turn ${version} of ${formatAddress(address)} was told before it was committed`);
      this.readers.told(formatAddress(address), version);
    });
  }

  /** Kills the process, now. */
  crash(why: string): void {
    if (!this.process) return;
    const { scheduler, chance } = this;
    this.tell(`kill -9 (${why})`);
    this.#crashes++;
    this.#over(scheduler.life);
    if (!this.calm && chance.happens(0.5)) scheduler.add('damage', () => this.operators.damage(), OUTSIDE);
    const down = this.calm ? 0 : chance.pick([0, 0, 2 * SECOND, 10 * MINUTE, 2 * HOUR]);
    scheduler.after(down, 'start', () => this.boot(), OUTSIDE);
  }

  /** Asks the process to end, and starts it again once it has. */
  stop(): void {
    const { runtime, scheduler } = this;
    if (!runtime || this.#stopping) return;
    const { life } = scheduler;
    this.tell('SIGTERM');
    this.#mishap = true;
    this.#stopping = true;
    const over = (error?: Error) => {
      if (scheduler.life !== life) return;
      this.tell(error ? `the stop failed: ${error.message}` : 'the process has ended');
      this.#over(life);
      scheduler.after(SECOND, 'start', () => this.boot(), OUTSIDE);
    };
    runtime.stop().then(() => over(), over);
  }

  /** The process of this life is no more. */
  #over(life: number): void {
    this.#mishap = true;
    this.scheduler.bury(life);
    this.database.forsake();
    this.process = undefined;
    this.#up = false;
    this.#services.hangUp();
  }

  /** Sets the wall clock. */
  setClock(by: number): void {
    this.tell(`the clock is set ${by > 0 ? 'forward' : 'back'} by ${Math.abs(by)} ms`);
    this.#latest = this.latest;
    this.clockSet = true;
    this.scheduler.offset += by;
  }

  /** From now on nothing goes wrong any more, and what was put aside is mended. */
  calmDown(): void {
    this.tell('from now on nothing goes wrong');
    this.scheduler.calmDown();
    this.calm = true;
    this.#calmSince = this.scheduler.clock.now();
    this.users.application.calm = true;
    this.operators.calmDown();
    this.boot();
  }

  /** What must hold once all is quiet. @throws {Violation} */
  close(): void {
    const now = this.scheduler.clock.now();
    if (!this.#up) throw new Violation('G1', 'the process does not come up');
    this.users.close();
    this.carrier.close();
    this.#questions.close();
    this.#leftovers.close();
    for (const followed of this.ledger.actors.values()) {
      const { address, reference, row } = followed;
      if (row.status === 'quarantined') throw new Violation('G9', `${address} stays quarantined: ${row.last_error}`);
      if (row.status !== 'active') continue;
      const due = reference.deadlines[0];
      if (due && due.dueAt <= now - MINUTE)
        throw new Violation('G4', `the deadline '${due.type}' of ${address}, ${instant(due.dueAt)}, never fires`);
      this.#services.close(followed);
    }
    if (!this.#mishap && this.purchases.size === 0)
      for (const [action, left] of this.ledger.actions)
        if (left > 0) throw new Violation('G8', `the action ${action} never ran, and nothing was lost`);
    this.ledger.close();
  }
}
