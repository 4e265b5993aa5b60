/** What rehearsals of a flow need, and use one after another: a database, the services, the flow under their control. */
import type { Knex } from 'knex';
import { milliseconds } from '../../duration.ts';
import type { AnyFlow, InputOf } from '../../flow/flow.ts';
import { MortalDatabase } from '../crashes/faults.ts';
import { plain } from './plain.ts';
import { promiseNames, type StubAnswer, Stubs } from './stubs.ts';

/** Makes an application's own tables in an empty database. */
export type MakeTables = (knex: Knex) => unknown;

/** What a script is run with. */
export interface StageOptions<F extends AnyFlow = AnyFlow> {
  /** What the actor is spawned with. */
  input?: InputOf<F>;
  /** Default: `'p_1'`. */
  participantId?: string;
  /** Bound to the actor; a `receive` step comes from there. Default: none, messages go to the actor by its id. */
  phoneNumber?: string;
  /** Where the clock starts, in ms since the epoch. Default: 2026-01-01T00:00:00Z. */
  start?: number;
  /** Answers of invoked promises, by name, as for `test.stub`. The others wait for the script's `resolve` and `reject`. */
  stubs?: Readonly<Record<string, StubAnswer | object | string | number | boolean | null>>;
  /** Other flows of the runtime. */
  flows?: readonly AnyFlow[];
  /** Makes the tables of the application that the flow records into, anew for each run, with what is in them at first. */
  tables?: MakeTables;
  /** Something of the world outside that a crash must not change either; reset before each run. */
  watch?: {
    /** Brings it to where a run begins. */
    reset?(): void;
    /** What is compared. */
    read(): unknown;
  };
}

export interface Setup extends Omit<StageOptions, 'stubs' | 'flows' | 'participantId'> {
  participantId: string;
}

export class Stage {
  readonly setup: Setup;
  readonly database: MortalDatabase;
  readonly stubs = new Stubs(async () => {});
  readonly flow: AnyFlow;
  readonly flows: readonly AnyFlow[];
  /** Tables of the application that the flow has written so far. */
  readonly tables: Set<string>;

  private constructor(flow: AnyFlow, options: StageOptions, database: MortalDatabase, tables: Set<string>) {
    this.tables = tables;
    const { stubs = {}, flows = [], participantId = 'p_1', ...setup } = options;
    this.setup = { ...setup, participantId };
    this.database = database;
    const all = [flow, ...flows];
    for (const name of new Set(all.flatMap(({ logic }) => [...promiseNames(logic)])))
      this.stubs.add(name, stubs[name], all);
    for (const name of Object.keys(stubs)) this.stubs.add(name, stubs[name], all); // says so where it is no name
    this.flows = all.map((each) => this.#watched(this.stubs.apply(each)));
    this.flow = this.flows[0]!;
  }

  /** @param tables those that another stage of the flow knows of */
  static async open(flow: AnyFlow, options: StageOptions, tables = new Set<string>()): Promise<Stage> {
    const database = await MortalDatabase.open();
    try {
      return new Stage(flow, options, database, tables);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /**
   * The flow as it is rehearsed: the journal says what is emitted, an invocation is attempted once, so that its outcome is the
   * script's, and supervision tries again without a pause, whose length would be left to chance.
   */
  #watched(flow: AnyFlow): AnyFlow {
    const { record, project, note, outgoing } = flow;
    const noteTable = <T extends { table: string } | null>(row: T): T => {
      if (row) this.tables.add(row.table);
      return row;
    };
    return {
      ...flow,
      invocations: new Map(),
      supervision: { ...flow.supervision, initial: milliseconds(0), max: milliseconds(0) },
      ...(record && { record: (...args) => noteTable(record(...args)) }),
      ...(project && { project: (turn) => noteTable(project(turn)) }),
      note: (emitted) => {
        const notes = [note?.(emitted)];
        if (!outgoing.includes((emitted as { type: string }).type))
          notes.push(`emits ${JSON.stringify(plain(emitted))}`);
        return notes.filter(Boolean).join('; ') || null;
      },
    };
  }

  close(): Promise<void> {
    return this.database.close();
  }
}
