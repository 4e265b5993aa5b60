/** The runtime: what an application creates, starts, talks to and stops. */
import type { Knex } from 'knex';
import type { Purpose } from '../../machines/supervisor.ts';
import { type Clock, type ClockAnchor, scaledClock, systemClock } from '../clock.ts';
import { milliseconds } from '../duration.ts';
import type { Pace } from '../engine/backlog.ts';
import type { Turns } from '../engine/engine.ts';
import { Engine } from '../engine/engine.ts';
import { sendPolicyOf } from '../engine/outbox.ts';
import { payloadOf } from '../engine/payload.ts';
import {
  ActorNotFoundError,
  type Address,
  InvalidArgumentError,
  NotRunningError,
  UnknownFlowError,
} from '../errors.ts';
import { EventChannel, type RuntimeEvents } from '../events.ts';
import {
  loadShapes,
  type MigrateOptions,
  type MigrationReport,
  migrateAll,
  newerRows,
  recordShapes,
  tellNewer,
} from '../evolution/index.ts';
import type { AnyFlow, InboundMessage } from '../flow/flow.ts';
import { type Ages, agesOf } from '../flow/retention-periods.ts';
import { type FlowVersions, versionsOf } from '../flow/versions.ts';
import {
  Inspection,
  type InspectionObserver,
  type InspectOptions,
  type StatelyInspector,
} from '../inspection/inspection.ts';
import type { Option } from '../machine/index.ts';
import { normalizePhoneNumber } from '../messaging/address.ts';
import { type DirectMessage, Inbound, type Receipt } from '../messaging/inbound.ts';
import { assertKeywords, assertTexts, defaultTexts, Keywords } from '../messaging/keywords.ts';
import { DeadLetters } from '../operations/dead-letters.ts';
import { Quarantine, type QuarantinedActor } from '../operations/quarantine.ts';
import { RetentionRounds } from '../operations/retention.ts';
import { Undelivered } from '../operations/undelivered.ts';
import { FlowRecovery, type RecoverOptions, RecoveryManager, type RecoveryReport } from '../recovery/index.ts';
import type { Change } from '../store/rows.ts';
import { type OutboxStatus, SERVER_SETTING, type Server } from '../store/rows.ts';
import type { BackupOptions, BackupReport } from '../store/sqlite/backup.ts';
import { absolute } from '../store/sqlite/location.ts';
import type { OpenDatabase } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import {
  type Transaction,
  type TransactionCommands,
  type TransactionOptions,
  Transactions,
} from '../transaction/api.ts';
import { TransactionPlace } from '../transaction/place.ts';
import type { TransactionTurns } from '../transaction/turns.ts';
import { isWellFormed } from '../well-formed.ts';
import { createRegistry, type RuntimeRegistry } from './figures.ts';
import { ActorHandle, type SpawnArguments, type SpawnedActor } from './handle.ts';
import { type Health, type Steps, Supervisor } from './lifecycle.ts';
import { logEvents } from './logging.ts';
import { answerWithinOf, cacheSizeOf, paceOf, type RuntimeOptions } from './options.ts';

/** Which of a participant's turns. */
export interface JournalPage {
  /** How many at most. Default: all of them, which may be many. */
  limit?: number;
  /** Those behind the one with this `id`, the last of the page before. */
  after?: number;
  /** The last turn first, and so on back. Default: false, the first one first. */
  lastFirst?: boolean;
}

/** A turn, as the journal keeps it. Instants in ms since the epoch. */
export interface JournalLine {
  /** For the next page. */
  id: number;
  flowType: string;
  /** What the turn counted the actor up to, from 1; not the version of the flow. */
  version: number;
  event: string;
  /** Dotted state paths; null for the first turn. */
  from: string | null;
  to: string;
  at: number;
  /** The deadline that fired, if the turn was one. */
  dueAt: number | null;
  /** What the person wrote, if the turn applied a message. */
  text: string | null;
  /** What the flow remarked; `ignored`, where the event meant nothing; `failed: …`, where it made the flow throw. */
  note: string | null;
}

/** Which of the messages of a participant: those of whole turns, so that what was said in one turn is never on two pages. */
export interface MessagesPage {
  /** Of how many turns at most, those not counted in which nothing was said. Default: of all of them, which may be many. */
  limit?: number;
  /** Those behind the turn with this `line`, the `line` of the last message of the page before. */
  after?: number;
  /** The last message first, and so on back. Default: false, the first one first. */
  lastFirst?: boolean;
}

/** A message from a person (`in`) or to one (`out`). `line` is the `id` of the turn in the journal, for the next page. */
export type SaidMessage =
  | { line: number; direction: 'in'; at: number; text: string; id: string | null; channel: string | null }
  | {
      line: number;
      direction: 'out';
      at: number;
      text: string;
      id: string;
      to: string;
      status: OutboxStatus;
      options: Option[] | undefined;
    };

/** Where turns are taken: the engine, or a transaction. */
interface Ground {
  turns: Turns;
  inbound: Inbound;
}

/** What there is from the start to the stop. */
interface Running {
  engine: Engine;
  transactions: TransactionPlace;
  inbound: Inbound;
  store: Store;
  clock: Clock;
  database: OpenDatabase;
  quarantine: Quarantine;
  deadLetters: DeadLetters;
  retention: RetentionRounds;
  undelivered: Undelivered;
}

/**
 * Creates a runtime. Nothing happens before `start()`.
 * @throws {InvalidArgumentError} two flows of one type and version, or an option that cannot be used
 */
export function createRuntime(options: RuntimeOptions): Runtime {
  return new Runtime(options);
}

/** Durable actors on one database. Made by {@link createRuntime}. */
export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #versions: ReadonlyMap<string, FlowVersions>;
  /** The newest version of each. */
  readonly #flows: ReadonlyMap<string, AnyFlow>;
  readonly events = new EventChannel();
  /** Recovers components before the runtime takes messages; register an application's own ones here before `start()`. */
  readonly recovery: RecoveryManager;
  /** What runs, in figures, as a store: read it, or subscribe to it. */
  readonly registry: RuntimeRegistry;
  readonly #inspection = new Inspection((error) => this.events.emit('fault', { during: 'an inspector', error }));
  readonly #supervisor: Supervisor;
  readonly #transactions = new Transactions();
  #database: OpenDatabase | undefined;
  #running: Running | undefined;
  /** What a start that only recovers was asked. */
  #recoverOptions: RecoverOptions = {};
  readonly #pace: Pace;
  readonly #keywords: Keywords;
  readonly #cacheSize: number;
  readonly #ages: Ages;

  /** @internal use {@link createRuntime} */
  constructor(options: RuntimeOptions) {
    this.#options = { ...options, database: absolute(options.database) };
    this.#versions = versionsOf(options.flows);
    this.#flows = new Map([...this.#versions].map(([type, { newest }]) => [type, newest]));
    this.#pace = paceOf(options);
    this.#ages = agesOf(options.retention, 'retention', options.inboxRetention);
    sendPolicyOf(options.transport?.retry); // refused now, not at the start
    this.#cacheSize = cacheSizeOf(options);
    assertTexts(options.texts ?? {});
    assertKeywords(options.keywords ?? {});
    this.#keywords = new Keywords(options.keywords ?? {}, this.#flows.values());
    if (options.logger) logEvents(this.events, options.logger);
    this.registry = createRegistry(this.#versions.values(), this.events);
    this.#supervisor = new Supervisor(this.#steps(), this.events);
    this.recovery = new RecoveryManager(
      this.events,
      () => this.#ground(),
      milliseconds(options.recovery?.patience ?? '5m'),
    );
    this.recovery.registerTimerRecovery(({ participantId, flowType, stateType, event, dueAt }) =>
      this.#ground().repairs.schedule({ participantId, flowType }, { event, dueAt }, stateType),
    );
    this.recovery.registerHandlerRecovery(async (info) => {
      this.#address(info.flowType, info.participantId);
      return this.#ground().inbound.bind(info);
    });
  }

  /**
   * Opens the database, migrates it, and recovers what a former process left: deadlines, invocations, unsent messages.
   * Resolves when the runtime takes events. (`quiet` is internal: it takes commands and does nothing of itself, for the
   * command line on a file that no server runs on; where it is `'looking'` it only reads, also beside a server.)
   * @throws {InvalidArgumentError} it is started already
   * @throws {DatabaseInUseError | NewerDatabaseError | StoreError} the database cannot be had
   * @throws {NotRunningError} it was stopped before it had started
   */
  async start({ quiet = false }: { quiet?: boolean | 'looking' } = {}): Promise<void> {
    await this.#supervisor.start(quiet === 'looking' ? 'look' : quiet ? 'command' : 'run');
  }

  /**
   * Recovers, and tells what was found, without taking up work: for an operator who wants to know. A dry run only reads,
   * also beside another process that runs on the database, or while this one does. `mode` is `verify` by default.
   * @throws {InvalidArgumentError} it is no dry run, and the runtime runs
   * @throws {DatabaseInUseError} it is no dry run, and another process runs on the database
   */
  async recover({ mode = 'verify', dryRun = false }: RecoverOptions = {}): Promise<RecoveryReport> {
    const { life } = this.#supervisor;
    if (life === 'running' && dryRun) return this.#recover({ mode, dryRun });
    if (life !== 'stopped')
      throw new InvalidArgumentError('The runtime has recovered at its start. Stop it first, or make it a dry run.');
    this.#recoverOptions = { mode, dryRun };
    await this.#supervisor.start('recover');
    return this.recovery.report!;
  }

  /**
   * Leads every participant of an older version to the newest that they can get to, also while the runtime runs; without
   * it, each is led there at its first touch. It may be ended at any time, and goes on where it stood when called again.
   * @throws the reason of `signal`, once that is aborted
   */
  async migrate(options: MigrateOptions = {}): Promise<MigrationReport> {
    return migrateAll({ ...this.#up(), versions: this.#versions }, options);
  }

  /** What the supervisor's states do. */
  #steps(): Steps {
    const isReading = (purpose: Purpose) =>
      purpose === 'look' || (purpose === 'recover' && this.#recoverOptions.dryRun === true);
    const isQuiet = (purpose: Purpose) => purpose === 'command' || purpose === 'look';
    const close = async () => {
      const database = this.#database;
      this.#database = undefined;
      this.#running = undefined;
      await database?.close();
    };
    return {
      boot: async (purpose) => {
        const { database: option, sqlite = {}, lock } = this.#options;
        // Loaded with the first database: Knex and the driver take most of the time of an import.
        const { openDatabase, openDatabaseForReading } = await import('../store/sqlite/open.ts');
        this.#database = isReading(purpose)
          ? await openDatabaseForReading(option, sqlite)
          : await openDatabase(option, sqlite, lock?.wait ?? 0, (trouble) =>
              trouble === undefined
                ? this.#supervisor.relieve('database file')
                : this.#supervisor.trouble('database file', trouble),
            );
      },
      migrate: async (purpose) => {
        await this.#database!.migrate();
        const { store, clock } = await this.#assemble(this.#database!, isReading(purpose));
        // Without them, a migration would be refused for what the machine before did not have either.
        const records = await loadShapes(store, this.#versions, (error) =>
          this.events.emit('fault', { during: "comparing the flows' machines with those of before", error }),
        );
        if (purpose === 'run') await this.#tellNewer(store);
        if (purpose === 'run') await recordShapes(store, this.#versions, records, this.events, clock.now());
      },
      recover: async (purpose, signal) => {
        const { engine } = this.#running!;
        if (!isQuiet(purpose)) {
          engine.open();
          const options =
            purpose === 'recover' ? this.#recoverOptions : { mode: this.#options.recovery?.mode ?? 'lazy' };
          const { components } = await this.#recover({ ...options, signal });
          for (const { name, error } of components) {
            if (error !== undefined) this.#supervisor.trouble(`recovery of ${name}`, `It failed: ${error}`);
          }
        }
        signal.throwIfAborted();
        if (purpose === 'recover') return;
        await this.#escalate();
        await engine.start(isQuiet(purpose));
        if (!isQuiet(purpose)) this.#running!.retention.start();
      },
      drain: async () => {
        await this.#running?.retention.stop();
        await this.#running?.engine.drain();
        await close();
      },
      release: async () => {
        try {
          await this.#running?.engine.abandon();
        } finally {
          await close();
        }
      },
    };
  }

  /** Actors that nobody here can read sleep, and somebody should know. */
  async #tellNewer(store: Store): Promise<void> {
    const troubles = tellNewer(await newerRows(store, this.#versions), this.#options.recovery?.newer, this.events);
    for (const [about, what] of Object.entries(troubles)) this.#supervisor.trouble(about, what);
  }

  /** What a former process escalated, and nobody has decided since, is still to be known. */
  async #escalate(): Promise<void> {
    for (const { type, supervision } of this.#flows.values()) {
      if (supervision.strategy !== 'escalate') continue;
      const limit = 1_000;
      for (let after: number | undefined = 0; after !== undefined; ) {
        const aside: QuarantinedActor[] = await this.#running!.quarantine.list({ flowType: type, limit, after });
        for (const { address } of aside) this.#supervisor.escalate(address);
        after = aside.length < limit ? undefined : aside.at(-1)!.id;
      }
    }
  }

  async #assemble(database: OpenDatabase, reading = false): Promise<Running> {
    const options = this.#options;
    const { events } = this;
    const flows = this.#flows;
    const store = await database.store();
    const clock = options.clock ?? (await clockOf(store, reading ? undefined : options.timeScale));
    const cacheSize = this.#cacheSize;
    const seed = reading ? '' : await seedOf(store);
    this.#inspection.key = seed;
    const engine = new Engine({
      store,
      clock,
      flows,
      versions: this.#versions,
      events,
      random: options.random,
      pace: this.#pace,
      sweepEvery: milliseconds(options.recovery?.sweepEvery ?? '5m'),
      answerWithin: answerWithinOf(options),
      seed: options.seed ?? seed,
      cacheSize,
      journal: options.journal ?? true,
      transport: options.transport,
      eventPatience:
        options.eventPatience === Number.POSITIVE_INFINITY
          ? Number.POSITIVE_INFINITY
          : milliseconds(options.eventPatience ?? '1d'),
      inspection: this.#inspection,
      inspect: options.inspect,
    });
    const inbound = new Inbound({
      engine,
      store,
      clock,
      flows,
      texts: { ...defaultTexts, ...options.texts },
      keywords: this.#keywords,
      defaultCountry: options.defaultCountry,
      cacheSize,
      autoEnroll: options.autoEnroll,
    });
    await inbound.start();
    this.#running = {
      engine,
      transactions: new TransactionPlace(engine.parts),
      inbound,
      store,
      clock,
      database,
      quarantine: new Quarantine({ engine, store, unbound: (phoneNumber) => inbound.handlers.forget(phoneNumber) }),
      deadLetters: new DeadLetters({ engine, store, clock, events }),
      retention: new RetentionRounds({ store, clock, events, flows, ages: this.#ages }),
      undelivered: new Undelivered({ engine, store, clock, events }),
    };
    return this.#running;
  }

  async #recover(options: RecoverOptions): Promise<RecoveryReport> {
    for (const flow of this.#flows.values()) {
      if (!this.recovery.covers(flow.type)) this.recovery.registerRecoverable(new FlowRecovery(flow));
    }
    return this.recovery.recoverAll(options);
  }

  /**
   * Lets turns and messages that are under way come to their end, then closes; a start that is under way is given up.
   * Deadlines and promises go on at the next start.
   */
  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  /**
   * Drops all that is in memory, as if the process had been killed, and closes the database. For tests.
   * @internal
   */
  async abandon(): Promise<void> {
    const drop = () => {
      void this.#running?.retention.stop();
      const dropped = this.#running?.engine.abandon();
      this.#transactions.abandon();
      return dropped;
    };
    const dropped = drop();
    await this.#supervisor.abandon();
    await dropped;
    await drop(); // what a start that was under way has made since
    const database = this.#database;
    this.#database = undefined;
    this.#running = undefined;
    await database?.close();
  }

  /**
   * Creates an actor; resolves once its first turn has committed. A number that another actor of the flow has becomes that of
   * the new one: `tookNumberFrom` and the event `numberTaken` say from whom.
   * @throws {ActorExistsError} there is one at this address: see {@link ensure}
   * @throws {InvalidPhoneNumberError}
   */
  async spawn<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...[options]: SpawnArguments<F>
  ): Promise<SpawnedActor<F>> {
    const { engine, inbound } = this.#up();
    return this.#create('spawn', { turns: engine, inbound }, () => this.#up().engine, flow, participantId, options);
  }

  /**
   * Gives the actor that there is at the address, whether it runs, has ended or is quarantined, or else creates it as
   * {@link spawn} does. However many ask at once, one of them creates it. `created` tells which; what there was stays as it
   * was, so that `input` and `phoneNumber` are for a new one only.
   * @throws {InvalidPhoneNumberError}
   */
  async ensure<F extends AnyFlow>(
    flow: F,
    participantId: string,
    ...[options]: SpawnArguments<F>
  ): Promise<SpawnedActor<F>> {
    const { engine, inbound } = this.#up();
    return this.#create('ensure', { turns: engine, inbound }, () => this.#up().engine, flow, participantId, options);
  }

  async #create<F extends AnyFlow>(
    how: 'spawn' | 'ensure',
    { turns, inbound }: Ground,
    later: () => Turns,
    flow: F,
    participantId: string,
    options?: { input?: unknown; phoneNumber?: string },
  ): Promise<SpawnedActor<F>> {
    const { input, phoneNumber: given } = options ?? {};
    const address = this.#address(flow, participantId);
    const phoneNumber = given && normalizePhoneNumber(given, this.#options.defaultCountry);
    const create = async () => {
      const options = { input, ...(phoneNumber && { phoneNumber }) };
      if (how === 'ensure') return turns.ensure(address, options);
      await turns.spawn(address, options);
      return true;
    };
    const { created, from } = phoneNumber
      ? await inbound.take(phoneNumber, address, create)
      : { created: await create(), from: undefined };
    if (from) turns.after(() => this.events.emit('numberTaken', { address, from }));
    const actor = new ActorHandle<F>(address, later, () => this.clock);
    return Object.assign(actor, { created, ...(from && { tookNumberFrom: from }) });
  }

  /**
   * Runs `body` in a transaction that the application's own writes and the turns of actors share: all of it commits when
   * `body` resolves, and none of it where it throws. What the turns ask for (messages, invocations, actions) happens after
   * the commit. `body` runs once. Nothing else is written while it runs: keep it short.
   *
   * @example
   * await runtime.transaction(async (trx) => {
   *   await trx('orders').insert({ id, status: 'paid' })
   *   await trx.actor(orderFlow, id).send({ type: 'paid' })
   * })
   * @param body gets the transaction: Knex's, with `spawn`, `ensure`, `actor`, `receive`, `receiveFor`, `sendTo` and `remove`
   * @returns what `body` resolved with, once it is committed
   * @throws what `body` threw; everything was rolled back
   * @throws {TimeoutError} it was open for longer than `options.timeout` (5 s)
   * @throws {TransactionError} the runtime was used within it in place of `trx`, or `trx` after its end
   * @throws {StoreError} it could not be begun or committed
   */
  async transaction<T>(body: (trx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const { transactions, inbound } = this.#up();
    return this.#transactions.run(transactions, (turns) => this.#commands(turns, inbound.within(turns)), body, options);
  }

  /**
   * Lets actors take turns in a transaction that the application has opened on the runtime's Knex instance, for code that
   * has one already; {@link transaction} opens it itself, and does without what is to be minded here. From now on `trx` has
   * the commands of {@link Transaction}, and nothing else is written until it ends. Its turns commit with it, and what they
   * ask for happens after the commit, before `trx.commit()` resolves; where it is rolled back, they never were.
   *
   * @example
   * await knex.transaction(async (trx) => {
   *   const { actor } = await runtime.join(trx) // first of all
   *   await trx('orders').insert({ id, status: 'paid' })
   *   await actor(orderFlow, id).send({ type: 'paid' })
   * })
   * @returns `trx` itself; joining it again is harmless
   * @throws {StoreError} somebody else kept the lock for writing, or has written since `trx` began to read: do it again
   * @throws {InvalidArgumentError} `trx` is no transaction, or one of another Knex instance
   * @throws {TransactionError} `trx` is a savepoint or has ended, or the caller is in another transaction
   */
  join(trx: Knex.Transaction, options: TransactionOptions = {}): Promise<Transaction> {
    try {
      const { transactions, inbound, store } = this.#open();
      const commands = (turns: TransactionTurns) => this.#commands(turns, inbound.within(turns));
      return this.#transactions.join(transactions, store.knex, commands, trx, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #commands(turns: TransactionTurns, inbound: Inbound): TransactionCommands {
    return {
      spawn: (flow, participantId, ...[options]) =>
        this.#create('spawn', { turns, inbound }, () => turns, flow, participantId, options),
      ensure: (flow, participantId, ...[options]) =>
        this.#create('ensure', { turns, inbound }, () => turns, flow, participantId, options),
      actor: (flow: AnyFlow | string, participantId: string) =>
        new ActorHandle(
          this.#address(flow, participantId),
          () => turns,
          () => this.clock,
        ),
      receive: (message) => inbound.receive(message),
      receiveFor: async (flow, participantId, message) => inbound.deliver(this.#address(flow, participantId), message),
      sendTo: (message) => inbound.sendTo(message),
      remove: async (flow, participantId) => {
        const address = this.#address(flow, participantId);
        await this.#remove({ turns, inbound }, address);
        turns.after(() => this.events.emit('removed', { address }));
      },
    };
  }

  /** A handle on an actor; nothing is loaded until it is used. */
  actor<F extends AnyFlow>(flow: F, participantId: string): ActorHandle<F>;
  actor(flow: string, participantId: string): ActorHandle;
  actor<F extends AnyFlow>(flow: F | string, participantId: string): ActorHandle<F>;
  actor<F extends AnyFlow>(flow: F | string, participantId: string): ActorHandle<F> {
    const address = this.#address(flow, participantId);
    return new ActorHandle<F>(
      address,
      () => this.#up().engine,
      () => this.clock,
    );
  }

  /**
   * Applies a message from a person; resolves once it is committed, so that it may be acknowledged then. A redelivery of
   * the same (channel, id) is answered `duplicate` and applied no second time.
   * @throws {InvalidMessageError | InvalidPhoneNumberError}
   */
  async receive(message: InboundMessage): Promise<Receipt> {
    return this.#up().inbound.receive(message);
  }

  /** Like {@link receive}, for an actor that is known, whoever the sender's address is bound to. */
  async receiveFor(flow: AnyFlow | string, participantId: string, message: InboundMessage): Promise<Receipt> {
    return this.#up().inbound.deliver(this.#address(flow, participantId), message);
  }

  /**
   * Ends an actor and deletes all that is kept of it: its row, journal, messages, handlers and dead letters. What stays is
   * the mark of each message that it applied (channel and id), so that a redelivery is still known, and an opt-out.
   * @throws {ActorNotFoundError} there is no such actor; what else is kept under its address is deleted
   */
  async remove(flow: AnyFlow | string, participantId: string): Promise<void> {
    const address = this.#address(flow, participantId);
    const { engine, inbound } = this.#up();
    await this.#remove({ turns: engine, inbound }, address);
    this.events.emit('removed', { address });
  }

  async #remove({ turns, inbound }: Ground, address: Address): Promise<void> {
    const erase: Change[] = [{ kind: 'erase', actor: address }];
    const row = await turns.row(address).catch((error) => {
      if (!(error instanceof ActorNotFoundError)) throw error;
    });
    await turns.remove(address, erase);
    if (row?.address) inbound.forget(row.address);
  }

  /**
   * Copies the database to a file, as it is at this instant, while the runtime goes on. Resolves once the copy was checked and is
   * on the disk.
   * @throws {InvalidArgumentError} there is such a file, or the database is in memory
   * @throws {StoreError} the database cannot be read, or the copy cannot be written; nothing is left of it
   */
  async backup(to: string, options?: BackupOptions): Promise<BackupReport> {
    const { file, watch } = this.#up().database;
    if (file === undefined || !watch)
      throw new InvalidArgumentError("Only a database in a file can be backed up: database: 'sqlite:study.db'.");
    await watch.look();
    const { backup } = await import('../store/sqlite/backup.ts');
    return backup(file, to, options);
  }

  /**
   * Sends one message to a person. Where the address is bound to an actor, that is a turn of the actor, which stays as it
   * is, so that the message is among those that were said; resolves once it is committed.
   * @param message.id the sender's own id of the message: a second one of the same id is not sent
   * @throws {InvalidPhoneNumberError}
   * @throws {InvalidArgumentError} there is no text, or the person asked not to be written to
   */
  async sendTo(message: DirectMessage): Promise<{ status: 'accepted' | 'duplicate'; to: string }> {
    return this.#up().inbound.sendTo(message);
  }

  /** Hears what happens in the runtime; call the result to stop. */
  on<K extends keyof RuntimeEvents>(type: K, listener: (event: RuntimeEvents[K]) => void): () => void {
    return this.events.on(type, listener);
  }

  /**
   * Shows live actors to an observer, or to an inspector of `@statelyai/inspect`: each one with its present state when it
   * becomes live, spawned or restored, and then what each committed turn brought. Participants' data and ids are masked
   * unless asked for. It outlasts a stop and a start of this runtime; call the result to end it.
   * @throws {InvalidArgumentError} there is no such flow
   */
  inspect(observer: InspectionObserver, options?: InspectOptions): () => void;
  inspect(inspector: StatelyInspector, options?: InspectOptions): () => void;
  inspect(observer: InspectionObserver | StatelyInspector, options: InspectOptions = {}): () => void {
    const { flow, participantId } = options;
    const address = flow && this.#address(flow as AnyFlow | string, participantId ?? '*');
    const end = this.#inspection.add(observer, options);
    const engine = this.#supervisor.open ? this.#running?.engine : undefined;
    engine?.introduce();
    // One that is asked for by its name is read, if there is one.
    if (address && participantId !== undefined) engine?.read(address).catch(() => {});
    return end;
  }

  /** Where the runtime's life stands, and whether anything is known to be wrong. */
  health(): Health {
    return this.#supervisor.health;
  }

  /** The runtime's time. */
  get clock(): Clock {
    return this.#open().clock;
  }

  /** The database, for reading; write through the runtime. */
  get knex() {
    return this.#open().store.knex;
  }

  /** A participant's turns, in order: the event, from where to where, when, how late, what was written. */
  async journal(participantId: string, page: JournalPage = {}): Promise<JournalLine[]> {
    const rows = await this.#up().store.journal(participantId, ...bounds(page));
    return rows.map((row) => ({
      id: row.id,
      flowType: row.flow_type,
      version: row.version,
      event: row.event_type,
      from: row.from_state,
      to: row.to_state,
      at: row.at,
      dueAt: row.due_at,
      text: row.text,
      note: row.note,
    }));
  }

  /** What was said to a participant and by them, in order; for as long as the journal is on. */
  async messages(participantId: string, page: MessagesPage = {}): Promise<SaidMessage[]> {
    const rows = await this.#up().store.messages(participantId, ...bounds(page));
    return rows.map(({ line, at, direction, id, channel, payload, recipient, status }) => {
      if (direction === 'in')
        return { line, at, direction, text: payload, id: id === null ? null : String(id), channel };
      const message = (payloadOf(payload) ?? {}) as { text?: string; options?: Option[] };
      return {
        line,
        at,
        direction,
        text: String(message.text ?? ''),
        id: String(id),
        to: recipient!,
        status: status!,
        options: message.options,
      };
    });
  }

  /** The actors that were put aside: look at them, let them go on, or end them. */
  get quarantine(): Quarantine {
    return this.#up().quarantine;
  }

  /** The events that could not be applied: look at them, try them again, or give them up. */
  get deadLetters(): DeadLetters {
    return this.#up().deadLetters;
  }

  /** The messages that did not arrive: look at them, send them again, or give them up. */
  get undelivered(): Undelivered {
    return this.#up().undelivered;
  }

  get flows(): ReadonlyMap<string, AnyFlow> {
    return this.#flows;
  }

  /**
   * Keeps in the database where this runtime's HTTP service listens, so that the command line finds it.
   * @internal
   */
  async announce(url: string): Promise<void> {
    await this.#ground().store.saveSetting(SERVER_SETTING, { pid: process.pid, url } satisfies Server);
  }

  /** @internal for the HTTP service */
  get store(): Store {
    return this.#open().store;
  }

  /** @internal for `perdure/testing` */
  get engine(): Engine {
    return this.#up().engine;
  }

  /** Nothing is under way but invocations and hand-overs to the transport that have not ended, and waits. */
  get idle(): boolean {
    return !this.#running || (this.#running.engine.idle && this.#running.retention.idle);
  }

  #address(flow: AnyFlow | string, participantId: string): Address {
    const flowType = typeof flow === 'string' ? flow : flow?.type;
    if (!this.#flows.has(flowType)) {
      throw new UnknownFlowError(
        `There is no flow '${flowType}' in this runtime. Give it to createRuntime({ flows }).`,
      );
    }
    if (typeof participantId !== 'string' || participantId === '') {
      throw new InvalidArgumentError('A participant id is a text that is not empty.');
    }
    if (!isWellFormed(participantId)) {
      throw new InvalidArgumentError('The participant id has half of a surrogate pair in it, which cannot be stored.');
    }
    return { flowType, participantId };
  }

  /** What recovery works on, before anybody else may. */
  #ground() {
    if (!this.#running)
      throw new NotRunningError(
        'Recovery belongs to the start of the runtime. Call runtime.start() or runtime.recover().',
      );
    return { ...this.#running, repairs: this.#running.engine };
  }

  /** For what writes, or waits for what is written. */
  #up() {
    this.#transactions.assertOutside();
    return this.#open();
  }

  #open() {
    if (this.#running && this.#supervisor.open) return this.#running;
    const { life } = this.#supervisor;
    const advice = life === 'stopped' ? 'Call and await runtime.start() first.' : 'Try again once it runs.';
    throw new NotRunningError(`The runtime is ${life}. ${advice}`);
  }
}

async function clockOf(store: Store, timeScale: number | undefined): Promise<Clock> {
  const saved = await store.setting<ClockAnchor>('clock');
  const scale = timeScale ?? saved?.scale ?? 1;
  if (!Number.isFinite(scale) || scale <= 0)
    throw new InvalidArgumentError(`timeScale must be a number above 0; it is ${timeScale}.`);
  if (!saved && scale === 1) return systemClock;
  if (saved?.scale === scale) return scaledClock(saved);
  // Time never jumps: the new pace goes on from where the old one stands.
  const real = Date.now();
  const anchor = { real, virtual: saved ? scaledClock(saved).now() : real, scale };
  await store.saveSetting('clock', anchor);
  return scaledClock(anchor);
}

async function seedOf(store: Store): Promise<string> {
  const saved = await store.setting<string>('seed');
  if (saved !== undefined) return saved;
  const seed = crypto.randomUUID();
  await store.saveSetting('seed', seed);
  return seed;
}

/** What a page is asked of the store by. */
function bounds({
  limit = Number.MAX_SAFE_INTEGER,
  after = 0,
  lastFirst = false,
}: JournalPage | MessagesPage): [limit: number, after: number, lastFirst: boolean] {
  for (const [name, value] of Object.entries({ limit, after }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new InvalidArgumentError(`${name} must be a whole number from 0; it is ${value}.`);
  return [limit, after, lastFirst];
}
