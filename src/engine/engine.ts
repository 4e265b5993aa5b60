import type { InspectionEvent } from 'xstate';
import type { LiveActor } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { type Address, NotRunningError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { FlowVersions } from '../flow/versions.ts';
import type { Inspection } from '../inspection/inspection.ts';
import { Observers } from '../inspection/observers.ts';
import type { Change } from '../store/rows.ts';
import {
  type ActorRow,
  type ActorStatus,
  addressOf,
  type Commit,
  type LeasedRow,
  type Outcome,
} from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { Commits } from './after-commit.ts';
import { Backlog, type Pace } from './backlog.ts';
import type { Done, Row, SpawnOptions, Work } from './cell.ts';
import { Cells } from './cells.ts';
import { Operator } from './commands.ts';
import { Composer } from './composer.ts';
import { Alarms } from './deadlines.ts';
import { FailedTurns } from './failure.ts';
import { Committer } from './group-commit.ts';
import { Loader } from './loader.ts';
import { TurnLoop } from './loop.ts';
import { Outbox, type Transport } from './outbox.ts';
import { Pacer } from './pacer.ts';
import { Patience } from './patience.ts';
import { Pauses } from './pauses.ts';
import { Phase } from './phase.ts';
import { Restorer } from './restore.ts';
import { Rewriter } from './rewrite.ts';
import { Sweeper } from './sweep.ts';
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
  /** How long anybody waits for an answer while the database takes no writes, in ms. */
  answerWithin: number;
  /** How many actors stay in memory while idle. */
  cacheSize: number;
  /** Whether each turn leaves a line in the journal. */
  journal: boolean;
  transport: Transport | undefined;
  /** How long an event waits for an actor that does not exist, in ms. */
  eventPatience: number;
  inspection: Inspection;
  /** Told of all that XState tells inspectors, also of turns that are undone. */
  inspect: ((event: InspectionEvent) => void) | undefined;
}

/** The parts of an engine that a transaction of the application uses too. */
export interface EngineParts {
  store: Store;
  phase: Phase;
  events: EventChannel;
  cells: Cells;
  composer: Composer;
  maker: TurnMaker;
  commits: Commits;
  restorer: Restorer;
  operator: Operator;
  outbox: Outbox;
  committer: Committer;
  loop: TurnLoop;
  sweeper: Sweeper;
  /** Transactions that are open: what they have written, nobody has been told of yet. */
  shared: Set<{ readonly commits: Commit[] }>;
  /** How long the lock for writing is waited for at most, in ms. */
  answerWithin: number;
}

/** Where turns are taken: the engine itself, or a transaction that is open on it. */
export type Turns = Pick<
  Engine,
  'post' | 'read' | 'row' | 'spawn' | 'ensure' | 'remove' | 'write' | 'retry' | 'observe' | 'after' | 'composer'
>;

export class Engine {
  readonly #options: EngineOptions;
  readonly #phase = new Phase();
  readonly #pauses: Pauses;
  readonly #patience: Patience;
  readonly #committer: Committer;
  readonly #cells: Cells;
  readonly #observers: Observers;
  readonly #alarms: Alarms;
  /** Actors with processes that ended with the process before. */
  readonly #orphans: Backlog<LeasedRow>;
  readonly #sweeper: Sweeper;
  readonly #rewriter: Rewriter;
  readonly #restorer: Restorer;
  readonly #loop: TurnLoop;
  readonly #operator: Operator;
  /** What transactions of the application are made with; see transaction/place.ts. */
  readonly parts: EngineParts;
  readonly outbox: Outbox;
  readonly composer: Composer;
  readonly commits: Commits;

  constructor(options: EngineOptions) {
    const { store, flows, versions, clock, events, random, pace, seed, inspection, answerWithin } = options;
    const phase = this.#phase;
    const shared = new Set<{ readonly commits: Commit[] }>();
    const chance = () => pace.chance();
    const fault = (during: string) => (error: unknown) => events.emit('fault', { during, error });

    const committer = new Committer(store, answerWithin, {
      written: (turns, ms) => events.emit('committed', { turns, ms }),
      working: () => patience.working(),
      slow: (error) => patience.failing(error),
      // Its actors may have been read while it was not yet known, and whatever was read of them is not true any more.
      late: () => {
        cells.forgetAll();
        sweeper.suspect();
      },
    });
    const pauses = new Pauses(clock, phase);
    const cells = new Cells({
      flows,
      clock,
      phase,
      events,
      inspection,
      inspect: options.inspect,
      chance,
      capacity: options.cacheSize,
      push: (address, stimulus) => loop.push(address, stimulus),
    });
    const patience = new Patience({ clock, phase, pauses, cells, limit: answerWithin });
    const pacer = new Pacer(events);
    const observers = new Observers(events);
    const sleeps = (row: Pick<ActorRow, 'flow_type' | 'flow_version'>) =>
      versions.get(row.flow_type)?.isOlderThan(row) ?? false;
    const alarms = new Alarms(
      store,
      clock,
      pace,
      (address) => loop.fire(address),
      (address) => loop.pass(address),
      sleeps,
      fault('firing deadlines'),
    );
    this.#orphans = new Backlog<LeasedRow>({
      clock,
      pace,
      page: (after, limit) => store.leased(after, limit),
      take: async (row) => {
        if (!sleeps(row)) await loop.revive(addressOf(row));
      },
      failed: fault('taking up invocations'),
    });
    const sweeper = new Sweeper({
      clock,
      phase,
      every: options.sweepEvery,
      probe: () => this.#probe(),
      look: () => this.#lookAround(),
      failed: fault('sweeping'),
    });
    const outbox = new Outbox({
      clock,
      events,
      store,
      transport: options.transport,
      eventPatience: options.eventPatience,
      commit: (commit) => committer.add(commit),
      open: () => [...committer.open, ...[...shared].flatMap(({ commits }) => commits)],
      deliver: (address, event, key) => loop.deliver(address, event, key),
      policy: (flowType) => flows.get(flowType ?? '')?.uncertain ?? 'resend',
    });

    const base = {
      store,
      clock,
      events,
      inspection,
      phase,
      pacer,
      pauses,
      patience,
      committer,
      cells,
      observers,
      alarms,
      outbox,
    };
    const composer = new Composer(store, outbox, options.journal);
    const maker = new TurnMaker({ ...base, composer, random, seed });
    const commits = new Commits({ ...base, maker, sweeper });
    const rewriter = new Rewriter({ ...base, composer, commits });
    const restorer = new Restorer({
      ...base,
      loader: new Loader((addresses: Address[]) => store.load(addresses)),
      versions,
      maker,
      rewriter,
    });
    const parts = { ...base, composer, maker, commits, rewriter, restorer };
    const failedTurns = new FailedTurns({ ...parts, chance });
    const loop: TurnLoop = new TurnLoop({ ...parts, failedTurns });
    const operator = new Operator({ ...parts, loop });

    this.#options = options;
    this.#pauses = pauses;
    this.#patience = patience;
    this.#committer = committer;
    this.#cells = cells;
    this.#observers = observers;
    this.#alarms = alarms;
    this.#sweeper = sweeper;
    this.#rewriter = rewriter;
    this.#restorer = restorer;
    this.#loop = loop;
    this.#operator = operator;
    this.parts = { ...parts, operator, loop, sweeper, shared, answerWithin };
    this.outbox = outbox;
    this.composer = composer;
    this.commits = commits;
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
    await this.outbox.recover(this.#options.store.lastId('outbox_messages'));
    await this.#alarms.start();
    this.#orphans.start();
    this.#sweeper.start();
  }

  /** Finds deadlines, invocations, and messages of a commit whose outcome was not known. */
  async #lookAround(): Promise<void> {
    this.#alarms.sweep();
    this.#orphans.start();
    // What goes on of an actor that was forgotten: its row says whether it is to.
    for (const cell of this.#cells) if (!cell.live && cell.processes.size > 0) void this.#loop.revive(cell.address);
    await this.outbox.sweep();
  }

  async #probe(): Promise<void> {
    const at = this.#options.clock.now();
    const outcome = await this.write({ also: [{ kind: 'setting', key: 'probe', value: at }] });
    if (outcome.result !== 'failed') this.#options.events.emit('writable', {});
  }

  /** Lets what was begun come to its end; new work is refused. */
  async drain(): Promise<void> {
    this.#phase.now = 'draining';
    this.#pauses.endAll();
    this.#patience.stop();
    for (const cell of this.#cells) {
      cell.processes.hold();
      cell.processes.stopAll();
    }
    await Promise.all([this.#alarms.stop(), this.#orphans.stop(), this.outbox.stop(), this.#sweeper.stop()]);
    await this.#loop.rest();
    await this.#committer.rest();
    this.#phase.now = 'stopped';
    this.#observers.end(new NotRunningError('The runtime stopped while this was waited for.'));
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
    this.#patience.stop();
    for (const cell of this.#cells) {
      cell.processes.hold();
      cell.processes.stopAll();
      for (const { reject } of cell.queue.splice(0)) reject(lost);
    }
    this.#cells.clear();
    this.#observers.end(lost);
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

  /** The actors that wait for another attempt at a turn. */
  get pausing(): Address[] {
    return [...this.#pauses.actors].map(({ address }) => address);
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

  /**
   * Creates an actor, unless there is one at the address; resolves once its first turn has committed.
   * @returns whether it was created
   */
  ensure(address: Address, options: SpawnOptions): Promise<boolean> {
    return this.#loop.ensure(address, options);
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
  discard(address: Address, reason: string | undefined, also: readonly Change[]): Promise<Row> {
    return this.#operator.discard(address, reason, also);
  }

  /**
   * Ends an actor and lets `also` delete its rows in the same transaction.
   * @throws {ActorNotFoundError}
   */
  remove(address: Address, also: readonly Change[]): Promise<void> {
    return this.#operator.remove(address, also);
  }

  /** See {@link Observers.add}. */
  observe(...[address, observer, over]: Parameters<Observers['add']>): () => void {
    return this.#observers.add(address, observer, over);
  }

  /** How many actors are in memory. */
  get inMemory(): number {
    return this.#cells.size;
  }

  /** Lets `effect` happen once what was asked for is durable: it is. */
  after(effect: () => void): void {
    effect();
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
}
