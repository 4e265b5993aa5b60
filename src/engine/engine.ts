/**
 * The engine: takes turns of durable actors, and sees to what follows from them. It puts its parts together, and starts and
 * stops them; the turns themselves are in turn-loop.ts.
 */
import type { Knex } from 'knex';
import type { InspectionEvent } from 'xstate';
import type { LiveActor } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { type Address, NotRunningError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow.ts';
import {
  type ActorRow,
  type ActorStatus,
  addressOf,
  type Commit,
  type LeasedRow,
  type Outcome,
} from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { FlowVersions } from '../versions.ts';
import { Alarms } from './alarms.ts';
import { Backlog, type Pace } from './backlog.ts';
import type { Done, Row, Work } from './cell.ts';
import { Cells } from './cells.ts';
import { Commits } from './commits.ts';
import { Committer } from './committer.ts';
import { Composer } from './composer.ts';
import { FailedTurns } from './failed-turns.ts';
import type { Inspection } from './inspection.ts';
import { Loader } from './loader.ts';
import { type Observer, Observers } from './observers.ts';
import { Operator } from './operator.ts';
import { Outbox, type Transport } from './outbox.ts';
import { Pauses } from './pauses.ts';
import { Phase } from './phase.ts';
import { Restorer } from './restorer.ts';
import { Rewriter } from './rewriter.ts';
import { Sweeper } from './sweeper.ts';
import type { TransactionTurns } from './transaction.ts';
import { Transactions } from './transactions.ts';
import { type SpawnOptions, TurnLoop } from './turn-loop.ts';
import { TurnMaker } from './turn-maker.ts';

export interface EngineOptions {
  store: Store;
  /** The newest version of each. */
  flows: ReadonlyMap<string, AnyFlow>;
  versions: ReadonlyMap<string, FlowVersions>;
  clock: Clock;
  events: EventChannel;
  /** In place of the seeded generator. */
  random: (() => number) | undefined;
  /** How fast overdue deadlines and orphaned invocations are taken up. */
  pace: Pace;
  /** How often the database is looked at for what a failed step left behind, in ms. */
  sweepEvery: number;
  /** Seeds `random()` in turns. */
  seed: string;
  /** How many actors stay in memory while idle. */
  cacheSize: number;
  /** Whether each turn leaves a line in the journal. */
  journal: boolean;
  transport: Transport | undefined;
  inspection: Inspection;
  /** Told of all that XState tells inspectors, also of turns that are undone. */
  inspect: ((event: InspectionEvent) => void) | undefined;
}

export class Engine {
  readonly #options: EngineOptions;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #events: EventChannel;
  readonly #phase = new Phase();
  readonly #pauses: Pauses;
  readonly #sweeper: Sweeper;
  readonly #committer: Committer;
  readonly #rewriter: Rewriter;
  readonly #restorer: Restorer;
  readonly #loop: TurnLoop;
  readonly #operator: Operator;
  readonly #alarms: Alarms;
  /** Actors with processes that ended with the process before. */
  readonly #orphans: Backlog<LeasedRow>;
  readonly outbox: Outbox;
  readonly composer: Composer;
  readonly commits: Commits;
  readonly #cells: Cells;
  readonly #maker: TurnMaker;
  readonly #observers: Observers;
  readonly #transactions: Transactions;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#committer = new Committer(options.store, (turns, ms) => this.#events.emit('committed', { turns, ms }));
    this.#pauses = new Pauses(options.clock, this.#phase);
    this.#cells = new Cells({
      flows: options.flows,
      clock: options.clock,
      phase: this.#phase,
      events: options.events,
      inspection: options.inspection,
      inspect: options.inspect,
      chance: this.#chance,
      capacity: options.cacheSize,
      push: (cell, stimulus) => this.#loop.push(cell, stimulus),
    });
    this.#sweeper = new Sweeper({
      clock: options.clock,
      phase: this.#phase,
      every: options.sweepEvery,
      probe: () => this.#probe(),
      look: () => this.#lookAround(),
      failed: (error) => this.#events.emit('fault', { during: 'sweeping', error }),
    });
    this.#alarms = new Alarms(
      options.store,
      options.clock,
      options.pace,
      (address) => this.#loop.fire(address),
      (error) => this.#events.emit('fault', { during: 'firing deadlines', error }),
    );
    this.#orphans = new Backlog<LeasedRow>({
      clock: options.clock,
      pace: options.pace,
      page: (after, limit) => options.store.leased(after, limit),
      take: (row) => this.#loop.revive(addressOf(row)),
      failed: (error) => this.#events.emit('fault', { during: 'taking up invocations', error }),
    });
    this.outbox = new Outbox({
      clock: options.clock,
      events: options.events,
      transport: options.transport,
      commit: (commit) => this.#committer.add(commit),
      isUnsent: (id) => options.store.isUnsent(id),
      deliver: (address, event, key) => this.#loop.deliver(address, event, key),
      policy: (flowType) => options.flows.get(flowType ?? '')?.uncertain ?? 'resend',
    });
    this.composer = new Composer(options.store, this.outbox, options.journal);
    this.#maker = new TurnMaker({
      store: options.store,
      clock: options.clock,
      phase: this.#phase,
      cells: this.#cells,
      composer: this.composer,
      alarms: this.#alarms,
      random: options.random,
      seed: options.seed,
    });
    this.#observers = new Observers(options.events);
    this.commits = new Commits({
      committer: this.#committer,
      maker: this.#maker,
      outbox: this.outbox,
      alarms: this.#alarms,
      observers: this.#observers,
      inspection: options.inspection,
      events: options.events,
      phase: this.#phase,
      pauses: this.#pauses,
      sweeper: this.#sweeper,
    });
    this.#rewriter = new Rewriter({
      clock: options.clock,
      events: options.events,
      cells: this.#cells,
      alarms: this.#alarms,
      composer: this.composer,
      committer: this.#committer,
      commits: this.commits,
    });
    this.#restorer = new Restorer({
      loader: new Loader(options.store),
      versions: options.versions,
      clock: options.clock,
      cells: this.#cells,
      alarms: this.#alarms,
      inspection: options.inspection,
      maker: this.#maker,
      rewriter: this.#rewriter,
    });
    const failedTurns = new FailedTurns({
      clock: options.clock,
      events: options.events,
      phase: this.#phase,
      pauses: this.#pauses,
      chance: this.#chance,
      composer: this.composer,
      maker: this.#maker,
      commits: this.commits,
      rewriter: this.#rewriter,
      restorer: this.#restorer,
    });
    this.#loop = new TurnLoop({
      clock: options.clock,
      events: options.events,
      inspection: options.inspection,
      phase: this.#phase,
      pauses: this.#pauses,
      cells: this.#cells,
      alarms: this.#alarms,
      maker: this.#maker,
      committer: this.#committer,
      commits: this.commits,
      restorer: this.#restorer,
      failedTurns,
    });
    this.#operator = new Operator({
      clock: options.clock,
      events: options.events,
      cells: this.#cells,
      alarms: this.#alarms,
      outbox: this.outbox,
      observers: this.#observers,
      composer: this.composer,
      maker: this.#maker,
      commits: this.commits,
      rewriter: this.#rewriter,
      restorer: this.#restorer,
      loop: this.#loop,
    });
    this.#transactions = new Transactions({
      store: options.store,
      events: options.events,
      phase: this.#phase,
      outbox: this.outbox,
      committer: this.#committer,
      cells: this.#cells,
      composer: this.composer,
      maker: this.#maker,
      commits: this.commits,
      restorer: this.#restorer,
      operator: this.#operator,
    });
  }

  /** Takes turns from now on, while nothing is sent or fires of itself yet: for recovery. */
  open(): void {
    this.#phase.now = 'running';
    this.#alarms.begin();
  }

  /**
   * Takes up what a former process left: unsent messages, deadlines, invocations.
   * @param quiet only takes commands: nothing is sent, no invocation started, and a deadline fires only ahead of a
   *   command to its actor, which must not overtake it; the rest is left to the next process
   */
  async start(quiet = false): Promise<void> {
    this.open();
    this.#phase.quiet = quiet;
    if (quiet) return this.outbox.abandon();
    this.outbox.recover(await this.#store.unsent());
    await this.#alarms.start();
    this.#orphans.start();
    this.#sweeper.start();
  }

  /** Finds deadlines, invocations, and messages of a commit whose outcome was not known. */
  async #lookAround(): Promise<void> {
    this.#alarms.sweep();
    this.#orphans.start();
    const unsent = await this.#store.unsent();
    this.outbox.sweep(unsent, [...this.#committer.open, ...this.#transactions.commits]);
  }

  async #probe(): Promise<void> {
    const row = { key: 'probe', value: String(this.#clock.now()) };
    const outcome = await this.write({
      also: async (run, knex) =>
        void (await run(knex('runtime_settings').insert(row).onConflict('key').merge() as never)),
    });
    if (outcome.result !== 'failed') this.#events.emit('writable', {});
  }

  /** Lets what was begun come to its end; new work is refused. */
  async drain(): Promise<void> {
    this.#phase.now = 'draining';
    this.#pauses.endAll();
    for (const cell of this.#cells) cell.processes.stopAll();
    await Promise.all([this.#alarms.stop(), this.#orphans.stop(), this.outbox.stop(), this.#sweeper.stop()]);
    await this.#loop.rest();
    await this.#committer.rest();
    this.#phase.now = 'stopped';
  }

  /**
   * Forgets everything at once, without goodbye: what is in memory is lost, as in a crash. Resolves once the transaction
   * under way has ended; who waits for a turn is told that its outcome is not known.
   */
  async abandon(): Promise<void> {
    this.#phase.now = 'stopped';
    const lost = new NotRunningError(
      'The runtime went down while this was under way. Whether it was committed is not known.',
    );
    const written = this.#committer.abandon(lost);
    void this.#alarms.stop();
    void this.#orphans.stop();
    void this.#sweeper.stop();
    this.#pauses.endAll();
    for (const cell of this.#cells) {
      cell.processes.hold();
      cell.processes.stopAll();
      for (const { reject } of cell.queue.splice(0)) reject(lost);
    }
    this.#cells.clear();
    this.#observers.clear();
    this.outbox.abandon();
    await written;
  }

  get running(): boolean {
    return this.#phase.running;
  }

  /** Waits so many ms, or until the engine stops. */
  pause(ms: number): Promise<void> {
    return this.#pauses.wait(ms);
  }

  /** Nothing is under way but invocations that have not ended. */
  get idle(): boolean {
    return (
      this.#sweeper.idle &&
      this.#loop.idle &&
      this.#committer.idle &&
      this.#alarms.idle &&
      this.#orphans.idle &&
      this.outbox.idle
    );
  }

  /** Creates an actor; resolves once its first turn has committed. */
  spawn(address: Address, options: SpawnOptions): Promise<Done> {
    return this.#loop.spawn(address, options);
  }

  /** Puts work into an actor's mailbox; resolves once its turn has committed. */
  post(address: Address, work: Work): Promise<Done> {
    return this.#loop.post(address, work);
  }

  /** The committed state: from memory, or read from the row. */
  read(address: Address): ReturnType<TurnLoop['read']> {
    return this.#loop.read(address);
  }

  /**
   * Lets a quarantined actor take events again.
   * @returns the status that it was found with; only a quarantined actor is changed
   * @throws {SnapshotIncompatibleError} its row still cannot be restored; it stays quarantined
   */
  retry(address: Address): Promise<ActorStatus> {
    return this.#operator.retry(address);
  }

  /**
   * Ends a quarantined actor.
   * @param also more to write in the same transaction
   * @returns the row as it was found; only a quarantined actor is changed
   */
  discard(address: Address, reason: string | undefined, also: NonNullable<Commit['also']>): Promise<Row> {
    return this.#operator.discard(address, reason, also);
  }

  /**
   * Ends an actor and lets `also` delete its rows in the same transaction.
   * @throws {ActorNotFoundError}
   */
  remove(address: Address, also: NonNullable<Commit['also']>): Promise<void> {
    return this.#operator.remove(address, also);
  }

  /** Calls `observer` after each commit of the actor. */
  observe(address: Address, observer: Observer): () => void {
    return this.#observers.add(address, observer);
  }

  /** Introduces the actors that are in memory to those who have begun to look. */
  introduce(): void {
    for (const cell of this.#cells) if (!cell.busy) this.#options.inspection.introduce(cell);
  }

  /** Writes what belongs to no actor, e.g. an inbound message from an unknown sender. */
  write(commit: Commit): Promise<Outcome> {
    return this.commits.write(commit);
  }

  /**
   * Runs `body` in a transaction on a connection of its own, while nothing else is written; see transaction.ts.
   * @throws {StoreError} it could not be begun or committed
   */
  transaction<T>(body: (turns: TransactionTurns, trx: Knex.Transaction) => Promise<T>): Promise<T> {
    return this.#transactions.run(body);
  }

  /**
   * The actor that a row holds, for looking at; nothing of it is started.
   * @throws {SnapshotIncompatibleError | UnknownFlowError}
   */
  examine(row: ActorRow): LiveActor {
    return this.#restorer.examine(row);
  }

  /**
   * Writes the row in the form of the version in which it goes on; false: it is so already, or was changed meanwhile.
   * @throws {SnapshotIncompatibleError} it stays as it is
   */
  migrate(row: ActorRow): Promise<boolean> {
    return this.#restorer.migrate(row);
  }

  /** Starts, at the pace of recovery, what migrated actors invoke and nobody runs. */
  reviveInvocations(): void {
    if (this.#phase.running && !this.#phase.quiet) this.#orphans.start();
  }

  /** Puts an actor aside, whose row is not to be trusted. */
  putAside(row: ActorRow, reason: string): Promise<void> {
    return this.#rewriter.putAside(row, reason);
  }

  /** Lets the row's columns say what its snapshot says. */
  realign(row: ActorRow, columns: Partial<Pick<ActorRow, 'next_due_at' | 'lease_until'>>): Promise<void> {
    return this.#rewriter.realign(row, columns);
  }

  /**
   * Puts a deadline into an actor, in a turn of its own; false: it has it already, or is not in the state.
   * @throws {ActorNotFoundError | ActorQuarantinedError | SnapshotIncompatibleError}
   */
  schedule(...asked: Parameters<Operator['schedule']>): Promise<boolean> {
    return this.#operator.schedule(...asked);
  }

  /** What the row says, whether it can be restored or not. */
  row(address: Address): Promise<ActorRow> {
    return this.#restorer.row(address);
  }

  /** For what needs no replay, such as jitter. */
  readonly #chance = () => this.#options.pace.chance();
}
