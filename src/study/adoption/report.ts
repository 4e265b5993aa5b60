/** What became of every row of a legacy database. */

/**
 * `adopted`: it is a row of ours. `quarantined`: its actor is put aside, with the reason. `kept`: it has no place with us,
 * and is found where the legacy tables are kept.
 */
export type AdoptionOutcome = 'adopted' | 'quarantined' | 'kept';

/** What became of one row. */
export interface AdoptedRow {
  table: string;
  /** Its number in the legacy table. */
  row: number;
  outcome: AdoptionOutcome;
  flowType?: string;
  /** As our tables call the participant. */
  participantId?: string;
  /** The legacy state, and ours. */
  from?: string;
  to?: string;
  /** In order of deadline. `dueAt` is ISO 8601; one that has passed fires when the runtime starts. */
  deadlines?: { event: string; dueAt: string }[];
  /** Ids of timers that died with the old process; the deadlines stand in their place. */
  staleTimers?: string[];
  /** Why it was not adopted. */
  reason?: string;
  /** What is worth to be known of a row that was adopted. */
  notes?: string[];
}

/** What became of a table. */
export interface AdoptedTable {
  table: string;
  rows: number;
  /**
   * `adopted`: row by row. `stays`: it is as it was; who is deleted is deleted from it as well. `kept`: there is a table of ours of that name, so it has
   * another name now. `untouched`: ours know nothing of it.
   */
  fate: 'adopted' | 'stays' | 'kept' | 'untouched';
  adopted: number;
  quarantined: number;
  /** Rows that are found in `keptAs` alone. */
  kept: number;
  /** The name under which the legacy table is kept, as it was. */
  keptAs?: string;
}

/** What became of a file, in figures; each row is told to `onRow`. */
export interface AdoptionReport {
  file: string;
  /** The new file. */
  into?: string;
  /** Where the original is kept, if the file was adopted in place. */
  backup?: string;
  /** Nothing was changed. */
  dryRun: boolean;
  /** `already`: the file is Perdure's, and there was nothing to do. */
  status: 'adopted' | 'already';
  /** ISO 8601. */
  at: string;
  durationMs: number;
  /** Every row was adopted. */
  ok: boolean;
  tables: AdoptedTable[];
  /** How many rows came from which state into which. */
  states: { flowType: string; from: string; to: string; rows: number }[];
  /** Of all actors. `next`: the first one that is to come, ISO 8601. */
  deadlines: { overdue: number; toCome: number; next?: string };
  /** Timer ids that died with the old process. */
  staleTimers: number;
  /** Bound phone numbers, and those that asked not to be written to. */
  handlers: number;
  optOuts: number;
  /** How many rows each note is about. */
  notes: { note: string; rows: number }[];
  /** Rows that were not adopted, with the reason. */
  exceptions: AdoptedRow[];
}

/** Gathers a report, row by row. */
export class Tally {
  readonly #tables = new Map<string, AdoptedTable>();
  readonly #states = new Map<string, number>();
  readonly #notes = new Map<string, number>();
  readonly #exceptions: AdoptedRow[] = [];
  readonly #deadlines = { overdue: 0, toCome: 0 };
  #next = Number.POSITIVE_INFINITY;
  #staleTimers = 0;
  readonly #now: number;
  readonly #onRow: ((row: AdoptedRow) => void) | undefined;
  handlers = 0;
  optOuts = 0;

  constructor(now: number, onRow: ((row: AdoptedRow) => void) | undefined) {
    this.#now = now;
    this.#onRow = onRow;
  }

  table(table: string, fate: AdoptedTable['fate'], rows: number, keptAs?: string): void {
    const figures = { adopted: 0, quarantined: 0, kept: 0 };
    this.#tables.set(table, { table, rows, fate, ...figures, ...(keptAs !== undefined && { keptAs }) });
  }

  row(row: AdoptedRow): void {
    this.#tables.get(row.table)![row.outcome]++;
    if (row.outcome !== 'adopted') this.#exceptions.push(row);
    if (row.from !== undefined && row.to !== undefined && row.outcome === 'adopted')
      count(this.#states, JSON.stringify([row.flowType, row.from, row.to]));
    for (const note of row.notes ?? []) count(this.#notes, note);
    this.#staleTimers += row.staleTimers?.length ?? 0;
    for (const { dueAt } of row.deadlines ?? []) {
      const instant = Date.parse(dueAt);
      if (instant <= this.#now) this.#deadlines.overdue++;
      else {
        this.#deadlines.toCome++;
        this.#next = Math.min(this.#next, instant);
      }
    }
    this.#onRow?.(row);
  }

  get result(): Omit<AdoptionReport, 'file' | 'into' | 'backup' | 'dryRun' | 'status' | 'at' | 'durationMs'> {
    const tables = [...this.#tables.values()];
    return {
      ok: tables.every(({ fate, quarantined, kept }) => fate !== 'adopted' || quarantined + kept === 0),
      tables,
      states: [...this.#states].map(([key, rows]) => {
        const [flowType, from, to] = JSON.parse(key);
        return { flowType, from, to, rows };
      }),
      deadlines: {
        ...this.#deadlines,
        ...(Number.isFinite(this.#next) && { next: new Date(this.#next).toISOString() }),
      },
      staleTimers: this.#staleTimers,
      handlers: this.handlers,
      optOuts: this.optOuts,
      notes: [...this.#notes].map(([note, rows]) => ({ note, rows })),
      exceptions: this.#exceptions,
    };
  }
}

const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
