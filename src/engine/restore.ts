/** Makes live actors of rows, in the version of the flow in which they go on. */
import { type Host, incompatible, LiveActor, nothing } from '../actor/live-actor.ts';
import { onlooker } from '../actor/onlooker.ts';
import type { Clock } from '../clock.ts';
import {
  ActorNotFoundError,
  type Address,
  formatAddress,
  SnapshotIncompatibleError,
  SnapshotNewerError,
} from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { FlowVersions } from '../flow/versions.ts';
import type { Inspection } from '../inspection/inspection.ts';
import { type ActorRow, addressOf } from '../store/rows.ts';
import type { Cell, Read } from './cell.ts';
import type { Cells } from './cells.ts';
import type { Alarms } from './deadlines.ts';
import type { Loader } from './loader.ts';
import { type Migrated, migrateRow } from './migrate-row.ts';
import type { Rewriter } from './rewrite.ts';
import type { TurnMaker } from './turn-maker.ts';

export interface RestorerOptions {
  loader: Loader<Address, ActorRow | undefined>;
  versions: ReadonlyMap<string, FlowVersions>;
  clock: Clock;
  cells: Cells;
  alarms: Alarms;
  events: EventChannel;
  inspection: Inspection;
  maker: TurnMaker;
  rewriter: Rewriter;
}

export class Restorer {
  readonly #options: RestorerOptions;

  constructor(options: RestorerOptions) {
    this.#options = options;
  }

  /**
   * What the row says, whether it can be restored or not.
   * @throws {ActorNotFoundError}
   */
  async row(address: Address): Promise<ActorRow> {
    const row = await this.#options.loader.load(address);
    if (!row) throw new ActorNotFoundError(address);
    return row;
  }

  /** There is a row. */
  async exists(address: Address): Promise<boolean> {
    return (await this.#options.loader.load(address)) !== undefined;
  }

  /**
   * What the row says, for looking at.
   * @throws {ActorNotFoundError | SnapshotIncompatibleError | UnknownFlowError}
   */
  async peek(address: Address): Promise<Read> {
    const row = await this.row(address);
    const { snapshot, timers } = this.restore(row);
    return { row, snapshot, timers };
  }

  /**
   * The actor of a row, for looking at; nothing of it is started.
   * @throws {SnapshotIncompatibleError | UnknownFlowError}
   */
  restore(row: ActorRow): LiveActor {
    const { flow, text } = this.#migrate(row);
    return LiveActor.restore(flow.logic, text, onlooker(addressOf(row)));
  }

  /** Puts what the row holds into a copy of the actor in memory. */
  copy(copy: Cell, cell: Cell, row: ActorRow): void {
    const migrated = this.#migrate(row);
    copy.flow = migrated.flow;
    copy.live = restored(row, migrated, this.#options.cells.host(cell));
    const { state_data, ...rest } = row;
    copy.row = rest;
  }

  /**
   * The actor that a row holds, for looking at; nothing of it is started.
   * @throws {SnapshotIncompatibleError | UnknownFlowError}
   */
  examine(row: ActorRow): LiveActor {
    return restored(row, this.#migrate(row), onlooker(addressOf(row)));
  }

  /**
   * Writes the row in the form of the version in which it goes on; false: it is so already, or was changed meanwhile.
   * Turns of the actor that are under way lose their swap, and are done again from the migrated row.
   * @throws {SnapshotIncompatibleError} it stays as it is
   */
  async migrate(row: ActorRow): Promise<boolean> {
    const { alarms, rewriter } = this.#options;
    const { flow, text, changed } = this.#migrate(row);
    if (!changed || row.status !== 'active') return false;
    const live = LiveActor.restore(flow.logic, text, onlooker(addressOf(row)));
    const written = await rewriter.migrate(row, flow, live);
    if (!written) return false;
    const address = addressOf(row);
    alarms.set(address, written.next_due_at ?? undefined, formatAddress(address));
    return true;
  }

  /** Reads the actor into memory, and lets go on what it had under way. One that cannot be restored is put aside. */
  async load(cell: Cell): Promise<void> {
    const { loader, clock, cells, alarms, events, inspection, maker, rewriter } = this.#options;
    const { generation } = cell;
    const row = await loader.load(cell.address);
    // Meanwhile a transaction has changed it.
    if (cell.generation !== generation) return cell.row ? undefined : this.load(cell);
    if (!row) {
      cell.processes.stopAll(); // of an actor that was deleted elsewhere
      throw new ActorNotFoundError(cell.address);
    }
    const { state_data, ...rest } = row;
    // It may have been put aside without an answer: what it had under way begins anew with its retry.
    if (row.status === 'quarantined') cell.processes.stopAll();
    else {
      let changed = false;
      try {
        const migrated = this.#migrate(row);
        cell.flow = migrated.flow;
        changed = migrated.changed;
        cell.live = restored(row, migrated, cells.host(cell));
      } catch (error) {
        // One that has ended takes no events anyway.
        if (!(error instanceof SnapshotIncompatibleError) || row.status !== 'active') throw error;
        if (error instanceof SnapshotNewerError) throw error; // it sleeps until a release that knows it runs again
        await rewriter.quarantine(cell, rest, error);
        return;
      }
      if (changed && row.status === 'active' && movedBy(cell.live, row)) {
        // What the row is found by would say something else than the actor in memory: it is written at once.
        const committed = await rewriter.migrate(row, cell.flow, cell.live).catch((error) => {
          cell.forget();
          throw error;
        });
        if (!committed) return cell.forget();
        const { state_data: _, ...columns } = committed;
        Object.assign(rest, columns);
      }
      cell.committed = cell.live.snapshot;
      const { live } = cell;
      const isActive = rest.status === 'active';
      // A deadline that has passed is the next turn: it may be about what an invocation would be started for.
      if (isActive && (live.nextDueAt ?? Number.POSITIVE_INFINITY) > clock.now()) {
        events.within(undefined, () => live.afterCommit(nothing(), () => maker.ambient(cell.address, rest.version)));
        alarms.set(cell.address, live.nextDueAt, cell.key);
      } else live.stopUnwanted();
    }
    cell.row = rest;
    inspection.introduce(cell);
  }

  #migrate(row: ActorRow): Migrated {
    return migrateRow(this.#options.versions.get(row.flow_type), row, this.#options.clock.now());
  }
}

/** @throws {SnapshotIncompatibleError} it cannot be restored, or has ended and its row has not; only a migration may end it */
function restored({ status, ...row }: ActorRow, { flow, text, changed }: Migrated, host: Host): LiveActor {
  const live = LiveActor.restore(flow.logic, text, host);
  const ends = live.snapshot.status;
  if (ends === 'active' || changed || (status !== 'active' && status !== 'quarantined')) return live;
  throw incompatible(addressOf(row), `its row says that it goes on, and its snapshot that it is '${ends}'`);
}

/** A migration changed what the row is found by. */
const movedBy = (live: LiveActor, row: ActorRow) =>
  live.snapshot.status !== 'active' ||
  (live.nextDueAt ?? null) !== row.next_due_at ||
  live.hasProcesses !== (row.lease_until !== null);
