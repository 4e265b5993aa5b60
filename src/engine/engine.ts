/**
 * The turn loop. Each actor has a mailbox, worked off strictly one turn after another; different actors go side by side.
 *
 *   mailbox → load the row if it is not in memory → turn (in memory) → commit (grouped) → effects → next
 *
 * Crash points, and why each is harmless:
 * - before the commit: nothing of the turn exists; deadlines are still in the row, a sender that got no answer repeats.
 * - in the commit: the transaction holds all of the turn or none of it.
 * - after the commit, before effects: messages are in the outbox and deadlines in the row; processes follow from the
 *   snapshot. Only custom actions are lost, as documented (at most once).
 *
 * A turn whose commit did not succeed leaves the in-memory actor ahead of its row, so the actor is dropped and read again.
 */
import { createHash } from 'node:crypto';
import type { AnyEventObject, InspectionEvent } from 'xstate';
import { stringify } from '../actor/codec.ts';
import { LiveActor, type Stimulus, type Turn } from '../actor/live-actor.ts';
import { describeState } from '../actor/state.ts';
import type { Clock } from '../clock.ts';
import {
  ActorExistsError,
  ActorNotFoundError,
  ActorQuarantinedError,
  type Address,
  formatAddress,
  NotRunningError,
  NotSerializableError,
  SnapshotIncompatibleError,
  UnknownFlowError,
} from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow, FlowRecord } from '../flow.ts';
import type { Ambient } from '../machine/ambient.ts';
import type { ActorRow, ActorUpdate, Commit, OutboxRow, Outcome } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import { Alarms } from './alarms.ts';
import { Cell, type Done, type Item, type Work } from './cell.ts';
import { Committer } from './committer.ts';
import { Loader } from './loader.ts';
import { migrateState } from './migration.ts';
import { Outbox, type Transport } from './outbox.ts';

export interface EngineOptions {
  store: Store;
  flows: ReadonlyMap<string, AnyFlow>;
  clock: Clock;
  events: EventChannel;
  /** In place of the seeded generator. */
  random: (() => number) | undefined;
  /** Seeds `random()` in turns. */
  seed: string;
  /** How many actors stay in memory while idle. */
  cacheSize: number;
  journal: boolean;
  transport: Transport | undefined;
  inspect: ((event: InspectionEvent) => void) | undefined;
}

/** How long a process may be taken to be alive, in ms, before another node may start it again. */
const LEASE = 60_000;
/** A handler's expiry is written when it moves by more than this, in ms. */
const HANDLER_GRAIN = 60_000;
/** Between attempts to commit a turn that nobody can repeat, in ms. */
const COMMIT_RETRY = 1_000;

export class Engine {
  readonly #options: EngineOptions;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #events: EventChannel;
  readonly #committer: Committer;
  readonly #loader: Loader;
  readonly #alarms: Alarms;
  readonly outbox: Outbox;
  /** In order of use: the first is the one that was not used for longest. */
  readonly #cells = new Map<string, Cell>();
  readonly #observers = new Map<string, Set<(snapshot: any, emitted: AnyEventObject[]) => void>>();
  #working = 0;
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new';
  /** Told after each commit of an actor that has an address. */
  onActivity: (address: string, flowType: string, expiresAt: number) => void = () => {};

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#committer = new Committer(options.store);
    this.#loader = new Loader(options.store);
    this.#alarms = new Alarms(
      options.store,
      options.clock,
      (address) => this.#fire(address),
      (error) => this.#events.emit('fault', { during: 'firing deadlines', error }),
    );
    this.outbox = new Outbox({
      clock: options.clock,
      events: options.events,
      transport: options.transport,
      commit: (commit) => this.#committer.add(commit),
      deliver: (address, event, key) => this.#deliverEvent(address, event, key),
      policy: (flowType) => options.flows.get(flowType ?? '')?.uncertain ?? 'resend',
    });
  }

  /** Takes up what a former process left: unsent messages, invocations, deadlines. */
  async start(): Promise<void> {
    this.#state = 'running';
    this.outbox.recover(await this.#store.unsent());
    for (const { participant_id: participantId, flow_type: flowType } of await this.#store.leased()) {
      if (this.#options.flows.has(flowType)) await this.#revive({ participantId, flowType });
    }
    await this.#alarms.start();
  }

  /** Lets what was begun come to its end; new work is refused. */
  async drain(): Promise<void> {
    this.#state = 'draining';
    this.#alarms.stop();
    for (const cell of this.#cells.values()) cell.processes.stopAll();
    await this.outbox.stop();
    while (this.#working > 0 || !this.#committer.idle) await new Promise(setImmediate);
    this.#state = 'stopped';
  }

  /** Forgets everything at once, without goodbye: what is in memory is lost, as in a crash. */
  abandon(): void {
    this.#state = 'stopped';
    this.#alarms.stop();
    for (const cell of this.#cells.values()) cell.processes.stopAll();
    this.#cells.clear();
    this.#observers.clear();
    this.outbox.abandon();
  }

  /** Nothing is under way but invocations that have not ended. */
  get idle(): boolean {
    return this.#working === 0 && this.#committer.idle && this.#alarms.idle && this.outbox.idle;
  }

  async spawn(
    address: Address,
    options: { input: unknown; phoneNumber?: string; also?: Commit['also'] },
  ): Promise<Done> {
    const cell = this.#cell(address);
    if (cell.busy || cell.row) throw new ActorExistsError(address);
    cell.busy = true;
    this.#working++;
    try {
      return await this.#spawn(cell, options);
    } catch (error) {
      cell.forget();
      this.#cells.delete(formatAddress(address));
      throw error;
    } finally {
      cell.busy = false;
      this.#working--;
      if (cell.queue.length > 0) this.#run(cell);
    }
  }

  /** Puts work into an actor's mailbox; resolves once its turn has committed. */
  post(address: Address, work: Work): Promise<Done> {
    if (this.#state !== 'running') {
      return Promise.reject(
        new NotRunningError(
          `The runtime is ${this.#state === 'new' ? 'not started yet: await runtime.start()' : 'stopping'}.`,
          {
            address,
          },
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const cell = this.#cell(address);
      cell.queue.push({ ...work, resolve, reject });
      this.#run(cell);
    });
  }

  /** The committed state: from memory, or read from the row. */
  async read(address: Address): Promise<{ row: Row; snapshot: any; timers: LiveActor['timers'] }> {
    const cell = this.#cell(address);
    if (!cell.live || cell.busy)
      await this.post(address, { stimulus: { kind: 'timer' } }).catch((error) => {
        if (!(error instanceof ActorQuarantinedError)) throw error;
      });
    if (!cell.row) throw new ActorNotFoundError(address);
    const live = cell.live ?? (await this.#peek(cell));
    return { row: cell.row, snapshot: cell.committed ?? live.snapshot, timers: live.timers };
  }

  /** Calls `observer` after each commit of the actor. */
  observe(address: Address, observer: (snapshot: any, emitted: AnyEventObject[]) => void): () => void {
    const key = formatAddress(address);
    const observers = this.#observers.get(key) ?? new Set();
    this.#observers.set(key, observers.add(observer));
    return () => {
      observers.delete(observer);
      if (observers.size === 0) this.#observers.delete(key);
    };
  }

  /** Writes what belongs to no actor, e.g. an inbound message from an unknown sender. */
  async write(commit: Commit): Promise<Outcome> {
    const outcome = await this.#committer.add(commit);
    if (outcome.result === 'committed' && commit.outbox) this.outbox.accept(commit.outbox);
    return outcome;
  }

  /** A row for the outbox. */
  message(
    actor: Address | null,
    key: string,
    recipient: string,
    payload: object,
    at: number,
    kind: OutboxRow['kind'] = 'message',
  ): OutboxRow {
    return {
      id: this.#store.nextId('outbox_messages'),
      participant_id: actor?.participantId ?? null,
      flow_type: actor?.flowType ?? null,
      recipient,
      kind,
      payload: stringify(payload, 'message'),
      status: kind === 'message' ? this.outbox.statusOf(recipient, actor?.flowType ?? null) : 'pending',
      attempts: 0,
      next_attempt_at: null,
      idempotency_key: key,
      last_error: null,
      created_at: at,
      updated_at: at,
    };
  }

  #cell(address: Address): Cell {
    const key = formatAddress(address);
    let cell = this.#cells.get(key);
    if (cell) this.#cells.delete(key);
    else {
      const flow = this.#options.flows.get(address.flowType);
      if (!flow)
        throw new UnknownFlowError(`There is no flow '${address.flowType}'. Give it to createRuntime({ flows }).`, {
          address,
        });
      const made = new Cell(address, flow, (sessionId, event) => this.#push(made, { kind: 'relay', sessionId, event }));
      cell = made;
      this.#evict();
    }
    this.#cells.set(key, cell);
    return cell;
  }

  #evict(): void {
    if (this.#cells.size < this.#options.cacheSize) return;
    for (const [key, cell] of this.#cells) {
      if (!cell.idle) continue;
      cell.forget();
      this.#cells.delete(key);
      if (this.#cells.size < this.#options.cacheSize) return;
    }
  }

  /** A stimulus from within the actor (a result, an action that calls `self.send`), for which nobody waits. */
  #push(cell: Cell, stimulus: Stimulus): void {
    if (this.#state !== 'running') return; // the process goes down; what matters follows from the row
    cell.queue.push({ stimulus, resolve: () => {}, reject: () => {} });
    this.#run(cell);
  }

  async #fire(address: Address): Promise<void> {
    await this.post(address, { stimulus: { kind: 'timer' } }).catch((error) => {
      if (!(error instanceof NotRunningError || error instanceof ActorQuarantinedError)) throw error;
    });
  }

  /** Restores an actor and starts its processes. */
  async #revive(address: Address): Promise<void> {
    await this.#fire(address).catch((error) =>
      this.#events.emit('fault', { during: `reviving ${formatAddress(address)}`, error }),
    );
  }

  async #deliverEvent(address: Address, event: AnyEventObject, key: string): Promise<void> {
    await this.post(address, {
      stimulus: { kind: 'event', event },
      inbound: {
        id: this.#store.nextId('inbox'),
        channel: 'perdure',
        message_id: key,
        sender: 'perdure',
        text: event.type,
      },
    });
  }

  async #run(cell: Cell): Promise<void> {
    if (cell.busy) return;
    cell.busy = true;
    this.#working++;
    while (cell.queue.length > 0) {
      const item = cell.queue[0]!;
      try {
        const done = await this.#work(cell, item);
        if (!done) continue; // a deadline went first, or the row had moved on
        cell.queue.shift();
        item.resolve(done);
      } catch (error) {
        cell.queue.shift();
        item.reject(error as Error);
      }
    }
    cell.busy = false;
    this.#working--;
    if (!cell.row) this.#cells.delete(formatAddress(cell.address));
  }

  /** One turn. `undefined`: not this item's turn yet, ask again. */
  async #work(cell: Cell, item: Item): Promise<Done | undefined> {
    if (!cell.row) await this.#load(cell);
    const row = cell.row!;
    if (row.status === 'quarantined') {
      throw new ActorQuarantinedError(
        `The actor ${formatAddress(cell.address)} is quarantined (${row.last_error}). It takes no events until it is retried.`,
        { address: cell.address },
      );
    }
    const live = cell.live!;
    const ambient = this.#ambient(cell.address, row.version + 1);
    const { stimulus } = item;
    // An event never overtakes a deadline that has passed: it fires first, as a turn of its own.
    const overdue = stimulus.kind !== 'timer' && live.nextDueAt !== undefined && live.nextDueAt <= ambient.now();
    const step: Work = overdue ? { stimulus: { kind: 'timer' } } : item;
    const before = live.snapshot;
    let turn: Turn;
    let commit: Commit | undefined;
    try {
      turn = row.status === 'active' ? perform(live, step, ambient) : nothing();
      commit = this.#compose(cell, step, turn, before, ambient.now());
    } catch (error) {
      cell.forget();
      return await this.#failed(cell, item, overdue, error as Error);
    }
    if (commit) {
      const outcome = await this.#commit(cell, step, commit);
      if (outcome.result === 'conflict') return void cell.forget();
      if (outcome.result === 'duplicate') {
        if (commit.update) cell.forget();
        return { snapshot: before, handled: false, duplicate: true };
      }
      if (outcome.result === 'failed') throw outcome.error;
      this.#committed(cell, commit, turn);
    }
    if (stimulus.kind === 'timer' || overdue) this.#alarms.set(cell.address, activeDueAt(cell));
    if (overdue) return undefined;
    // One stimulus fires one deadline; the next one may have passed as well.
    if (stimulus.kind === 'timer' && commit && (activeDueAt(cell) ?? Number.POSITIVE_INFINITY) <= this.#clock.now())
      return undefined;
    return { snapshot: cell.committed ?? before, handled: turn.handled, duplicate: false };
  }

  async #load(cell: Cell): Promise<void> {
    const row = await this.#loader.load(cell.address);
    if (!row) throw new ActorNotFoundError(cell.address);
    const { state_data, ...rest } = row;
    if (row.status !== 'quarantined') {
      try {
        cell.live = LiveActor.restore(
          cell.flow.logic,
          migrateState(cell.flow, row),
          this.#host(cell),
          this.#options.inspect,
        );
      } catch (error) {
        if (!(error instanceof SnapshotIncompatibleError)) throw error;
        await this.#quarantine(cell, rest, error);
        return;
      }
      cell.committed = cell.live.snapshot;
      if (row.status === 'active') {
        const live = cell.live;
        cell.live.afterCommit(nothing(), this.#ambient(cell.address, row.version));
        this.#alarms.set(cell.address, live.nextDueAt);
      }
    }
    cell.row = rest;
  }

  /** A quarantined actor's last good state, for looking at. */
  async #peek(cell: Cell): Promise<LiveActor> {
    const row = await this.#loader.load(cell.address);
    if (!row) throw new ActorNotFoundError(cell.address);
    return LiveActor.restore(cell.flow.logic, migrateState(cell.flow, row), this.#host(cell));
  }

  async #spawn(
    cell: Cell,
    { input, phoneNumber, also }: { input: unknown; phoneNumber?: string; also?: Commit['also'] },
  ): Promise<Done> {
    const { address, flow } = cell;
    if (this.#state !== 'running')
      throw new NotRunningError('The runtime is not running: await runtime.start().', { address });
    const ambient = this.#ambient(address, 1);
    const at = ambient.now();
    const { actor, turn } = LiveActor.spawn(flow.logic, input, this.#host(cell), ambient, this.#options.inspect);
    cell.live = actor;
    const now = new Date(at).toISOString();
    cell.row = {
      id: this.#store.nextId('flow_states'),
      participant_id: address.participantId,
      flow_type: address.flowType,
      current_state: '',
      created_at: now,
      updated_at: now,
      version: 0,
      flow_version: flow.version,
      status: 'active',
      next_due_at: null,
      lease_until: null,
      last_error: null,
      address: phoneNumber ?? null,
    };
    const { update, ...rest } = this.#compose(
      cell,
      { stimulus: { kind: 'event', event: turn.event! } },
      turn,
      undefined,
      at,
    )!;
    const insert = { ...cell.row, ...update! };
    const outcome = await this.#committer.add({ ...rest, insert, ...(also && { also }) });
    if (outcome.result === 'conflict') throw new ActorExistsError(address);
    if (outcome.result === 'failed') throw outcome.error;
    this.#committed(cell, { ...rest, update: update! }, turn);
    return { snapshot: cell.committed, handled: true, duplicate: false };
  }

  /** What the turn writes; `undefined` where it changed nothing. */
  #compose(cell: Cell, item: Work, turn: Turn, before: any, at: number): Commit | undefined {
    const { address, flow, live } = cell;
    const row = cell.row!;
    const commit: Commit = { ...(item.also && { also: item.also }) };
    const { stimulus } = item;
    if (item.inbound) {
      commit.inbound = {
        ...item.inbound,
        participant_id: address.participantId,
        flow_type: address.flowType,
        applied_at: at,
      };
    }
    const notices = (item.notices ?? []).map(({ recipient, payload }, i) =>
      this.message(
        address,
        `${formatAddress(address)}:${item.inbound?.message_id}:notice:${i}`,
        recipient,
        payload,
        at,
      ),
    );
    if (notices.length > 0) commit.outbox = notices;
    const unchanged =
      turn.event === undefined ||
      (stimulus.kind === 'event' &&
        !turn.handled &&
        live!.snapshot === before &&
        turn.emitted.length === 0 &&
        turn.actions.length === 0);
    if (unchanged) return commit.inbound || commit.also || commit.outbox ? commit : undefined;

    const { snapshot } = live!;
    const version = row.version + 1;
    const update: ActorUpdate = {
      id: row.id,
      version,
      current_state: describeState(snapshot),
      state_data: live!.encode(),
      updated_at: new Date(at).toISOString(),
      flow_version: flow.version,
      status: snapshot.status,
      next_due_at: snapshot.status === 'active' ? (live!.nextDueAt ?? null) : null,
      lease_until: live!.hasProcesses ? at + LEASE : null,
      last_error: null,
    };
    commit.update = update;
    const outbox: OutboxRow[] = [];
    const notes: string[] = [];
    const records: FlowRecord[] = [];
    turn.emitted.forEach((emitted, i) => {
      const key = `${formatAddress(address)}:${version}:${i}`;
      if (emitted.type === 'perdure.send') {
        const to = emitted['to'] as Address;
        outbox.push(this.message(address, key, formatAddress(to), { to, event: emitted['event'] }, at, 'event'));
      } else if (flow.outgoing.includes(emitted.type)) {
        const recipient = (emitted['to'] as string | undefined) ?? row.address ?? address.participantId;
        outbox.push(this.message(address, key, recipient, emitted, at));
      }
      const record = flow.record?.(emitted as never, { participantId: address.participantId, at });
      if (record) records.push(record);
      const note = flow.note?.(emitted as never);
      if (note) notes.push(note);
    });
    if (outbox.length > 0) commit.outbox = [...outbox, ...notices];
    const projection = flow.project?.({ participantId: address.participantId, before, after: snapshot, at });
    if (projection) records.push(projection);
    if (records.length > 0) commit.records = records;
    if (this.#options.journal) {
      commit.journal = {
        id: this.#store.nextId('flow_journal'),
        participant_id: address.participantId,
        flow_type: address.flowType,
        version,
        event_type: turn.event!.type,
        from_state: before === undefined ? null : row.current_state,
        to_state: update.current_state,
        at,
        due_at: turn.firedDueAt ?? null,
        note: notes.length > 0 ? notes.join('; ') : null,
      };
    }
    const expiresAt = at + flow.handlerTtl;
    if (row.address && snapshot.status === 'active' && expiresAt - cell.handlerExpiresAt > HANDLER_GRAIN) {
      commit.handlers = [
        {
          phone_number: row.address,
          flow_type: address.flowType,
          participant_id: address.participantId,
          handler_type: flow.handlerType,
          bound_at: at,
          expires_at: expiresAt,
        },
      ];
    }
    return commit;
  }

  /** Commits a turn. One that nobody can repeat (a deadline, a result) is tried again until it succeeds. */
  async #commit(cell: Cell, item: Work, commit: Commit): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#committer.add(commit);
      if (outcome.result !== 'failed') return outcome;
      this.#events.emit('commitFailed', { turns: 1, error: outcome.error });
      if (item.stimulus.kind === 'event' || item.stimulus.kind === 'stop' || this.#state !== 'running') {
        cell.forget();
        return outcome;
      }
      await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, COMMIT_RETRY));
    }
  }

  /** The turn is durable: what it asked for may happen now. */
  #committed(cell: Cell, commit: Commit, turn: Turn): void {
    const { address } = cell;
    const row = cell.row!;
    if (commit.outbox) this.outbox.accept(commit.outbox);
    const { update } = commit;
    if (!update) return;
    const from = row.version === 0 ? null : row.current_state;
    const { state_data: _, ...columns } = update;
    Object.assign(row, columns);
    const live = cell.live!;
    cell.committed = live.snapshot;
    if (commit.handlers) cell.handlerExpiresAt = commit.handlers[0]!.expires_at;
    this.#alarms.set(address, activeDueAt(cell));
    live.afterCommit(turn, this.#ambient(address, row.version));
    const at = Date.parse(update.updated_at);
    if (row.address) this.onActivity(row.address, address.flowType, at + cell.flow.handlerTtl);
    this.#events.emit('turn', {
      address,
      event: turn.event!.type,
      from,
      to: row.current_state,
      version: row.version,
      at,
      ...(turn.firedDueAt !== undefined && { lateness: at - turn.firedDueAt }),
    });
    for (const observer of this.#observers.get(formatAddress(address)) ?? []) {
      try {
        observer(cell.committed, turn.emitted);
      } catch (error) {
        this.#events.emit('fault', { during: `a subscriber of ${formatAddress(address)}`, error });
      }
    }
  }

  /** A turn threw, and was undone. What becomes of its event depends on who could repeat it. */
  async #failed(cell: Cell, item: Item, overdue: boolean, error: Error): Promise<Done | undefined> {
    const { address } = cell;
    const { stimulus } = item;
    const event = 'event' in stimulus ? stimulus.event : { type: stimulus.kind };
    this.#events.emit('turnFailed', { address, event: event.type, error });
    // A result that cannot be stored is a failure of the invocation; the machine's onError is told.
    if (
      !overdue &&
      stimulus.kind === 'relay' &&
      error instanceof NotSerializableError &&
      event.type === 'xstate.promise.resolve'
    ) {
      item.stimulus = { ...stimulus, event: { type: 'xstate.promise.reject', data: error } };
      return undefined;
    }
    if (overdue || stimulus.kind === 'timer' || stimulus.kind === 'relay' || stimulus.kind === 'emit') {
      await this.#load(cell);
      await this.#quarantine(cell, cell.row!, error);
      return undefined;
    }
    if (!item.onFailure) throw error;
    const { deadLetter, notices = [] } = item.onFailure(error);
    const at = this.#clock.now();
    const commit: Commit = {
      ...(deadLetter && { deadLetter }),
      ...(item.inbound && {
        inbound: {
          ...item.inbound,
          participant_id: address.participantId,
          flow_type: address.flowType,
          applied_at: at,
        },
      }),
      outbox: notices.map(({ recipient, payload }, i) =>
        this.message(
          address,
          `${formatAddress(address)}:${item.inbound?.message_id}:failure:${i}`,
          recipient,
          payload,
          at,
        ),
      ),
    };
    const outcome = await this.write(commit);
    if (outcome.result === 'failed') throw outcome.error;
    this.#events.emit('deadLetter', { address, event: event.type, error });
    return { snapshot: undefined, handled: false, duplicate: outcome.result === 'duplicate', failed: error };
  }

  async #quarantine(cell: Cell, row: Row, error: Error): Promise<void> {
    const version = row.version + 1;
    const outcome = await this.#committer.add({
      also: async (run, knex) => {
        await run(
          knex('flow_states').where({ id: row.id, version: row.version }).update({
            status: 'quarantined',
            last_error: error.message,
            version,
            next_due_at: null,
            lease_until: null,
          }) as never,
        );
      },
    });
    if (outcome.result === 'failed') throw outcome.error;
    cell.forget();
    cell.processes.stopAll();
    cell.row = {
      ...row,
      version,
      status: 'quarantined',
      last_error: error.message,
      next_due_at: null,
      lease_until: null,
    };
    this.#events.emit('quarantined', { address: cell.address, error });
  }

  #host(cell: Cell) {
    const { address } = cell;
    return {
      address,
      processes: cell.processes,
      post: (stimulus: Stimulus) => this.#push(cell, stimulus),
      log: (...args: unknown[]) => this.#events.emit('log', { address, args }),
      actionFailed: (error: unknown) => this.#events.emit('actionFailed', { address, error }),
    };
  }

  /** The instant and the chance of one turn: done again, it sees the same numbers. */
  #ambient(address: Address, version: number): Ambient {
    const at = this.#clock.now();
    let drawn = 0;
    return {
      now: () => at,
      random:
        this.#options.random ??
        (() => {
          const hash = createHash('sha256')
            .update(`${this.#options.seed}|${formatAddress(address)}|${version}|${drawn++}`)
            .digest();
          return hash.readUIntBE(0, 6) / 2 ** 48;
        }),
    };
  }
}

const activeDueAt = (cell: Cell) => (cell.row?.status === 'active' ? cell.live?.nextDueAt : undefined);

/** A turn that finds nothing to do. */
const nothing = (): Turn => ({ handled: false, event: undefined, emitted: [], actions: [], deliveries: [] });

function perform(live: LiveActor, { stimulus, prepare }: Work, ambient: Ambient): Turn {
  if (!prepare) return live.perform(stimulus, ambient);
  const event = prepare(live.snapshot);
  return event ? live.perform({ kind: 'event', event }, ambient) : nothing();
}

type Row = Omit<ActorRow, 'state_data'>;
