/**
 * Writes rows outside of turns, each time with a line in the journal: puts actors aside, and leads them to another version.
 * Like a turn, it writes only where the row has not changed meanwhile; turns that are under way lose their swap to it.
 */
import type { LiveActor } from '../actor/live-actor.ts';
import { describeState } from '../actor/state.ts';
import type { Clock } from '../clock.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { Observers } from '../inspection/observers.ts';
import type { Change } from '../store/rows.ts';
import { type ActorRow, type ActorUpdate, addressOf, type JournalRow } from '../store/rows.ts';
import { isGeneral } from '../store/store.ts';
import type { Commits } from './after-commit.ts';
import type { Cell, Row } from './cell.ts';
import type { Cells } from './cells.ts';
import type { Composer } from './composer.ts';
import type { Alarms } from './deadlines.ts';
import type { Pacer } from './pacer.ts';
import { keepResults, type Result } from './results.ts';
import { putAside } from './turn-maker.ts';

export interface RewriterOptions {
  clock: Clock;
  events: EventChannel;
  cells: Cells;
  alarms: Alarms;
  composer: Composer;
  commits: Commits;
  observers: Observers;
  pacer: Pacer;
}

export class Rewriter {
  readonly #options: RewriterOptions;

  constructor(options: RewriterOptions) {
    this.#options = options;
  }

  /**
   * Changes columns of a row.
   * @param event what the journal calls it
   * @param also more to write in the same transaction
   * @returns the row as it is now; `undefined` where it was changed meanwhile, and nothing was written
   */
  async change(
    row: Row,
    event: string,
    note: string | null,
    changes: Partial<Row>,
    also: readonly Change[] = [],
  ): Promise<Row | undefined> {
    const { clock, composer } = this.#options;
    return this.#write(row, composer.line(row, event, note, clock.now()), changes, also);
  }

  async #write(
    row: Row,
    journal: JournalRow | undefined,
    changes: Partial<Row>,
    also: readonly Change[],
  ): Promise<Row | undefined> {
    const { cells, commits } = this.#options;
    const columns = { ...changes, version: row.version + 1, ...(journal && { journal_id: journal.id }) };
    const outcome = await commits.write({
      ...(journal && { journal }),
      also: [{ kind: 'rewrite', id: row.id, version: row.version, set: columns }, ...also],
    });
    if (outcome.result === 'committed') return { ...row, ...columns };
    if (outcome.result === 'failed') {
      // It may have been written all the same: what is in memory is not to be trusted.
      cells.forget(addressOf(row));
      throw outcome.error;
    }
    return undefined;
  }

  /** Lets the row's columns say what its snapshot says. */
  async realign(row: ActorRow, columns: Partial<Pick<ActorRow, 'next_due_at' | 'lease_until'>>): Promise<void> {
    await this.change(row, 'perdure.realigned', null, columns);
    this.#options.cells.forget(addressOf(row));
  }

  /**
   * Puts an actor aside, until an operator decides; without a line in the journal where that is refused.
   * @param results for the retry to apply
   */
  async quarantine(cell: Cell, row: Row, error: Error, results: readonly Result[] = []): Promise<void> {
    const { observers } = this.#options;
    const changes = { status: 'quarantined', last_error: error.message, next_due_at: null, lease_until: null } as const;
    const also = keepResults(row.id, results);
    const quarantined = await this.change(row, 'perdure.quarantined', error.message, changes, also).catch((refusal) => {
      if (isGeneral(refusal)) throw refusal;
      return this.#write(row, undefined, changes, also);
    });
    cell.forget();
    if (!quarantined) return; // somebody else changed it meanwhile; it is read again
    cell.processes.stopAll();
    this.#options.pacer.rest(cell.address);
    cell.row = quarantined;
    observers.aside(cell.address, putAside(quarantined));
    const escalated = cell.flow.supervision.strategy === 'escalate';
    this.#options.events.emit('quarantined', { address: cell.address, error, escalated });
  }

  /** Puts an actor aside, whose row is not to be trusted. */
  async putAside(row: ActorRow, reason: string): Promise<void> {
    const { alarms, cells } = this.#options;
    await cells.using(addressOf(row), async (cell) => {
      await this.quarantine(cell, row, new Error(reason));
      alarms.set(cell.address, undefined, cell.key);
    });
  }

  /** Writes a migrated row, in a group with others; `undefined`: it was changed meanwhile. */
  async migrate(row: ActorRow, flow: AnyFlow, live: LiveActor): Promise<ActorUpdate | undefined> {
    const { clock, commits, composer } = this.#options;
    const { status } = live.snapshot;
    const active = status === 'active';
    const current_state = describeState(live.snapshot);
    const note = `from version ${row.flow_version} to ${flow.version}`;
    const journal = composer.line(row, 'perdure.migrated', note, clock.now(), current_state);
    const update: ActorUpdate = {
      id: row.id,
      version: row.version + 1,
      current_state,
      state_data: live.encode(),
      updated_at: row.updated_at,
      flow_version: flow.version,
      status,
      next_due_at: active ? (live.nextDueAt ?? null) : null,
      lease_until: active && live.hasProcesses ? (row.lease_until ?? clock.now()) : null,
      last_error: null,
      journal_id: journal?.id ?? row.journal_id,
    };
    const result = await commits.once({ update, ...(journal && { journal }) });
    return result === 'committed' ? update : undefined;
  }
}
