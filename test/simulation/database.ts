/**
 * A real SQLite in memory, reached as the driver is: several connections, each statement a step of the schedule, and each
 * answer another one. It outlives the process. While a connection has a transaction open, the others wait, as they would
 * see nothing of it before its end.
 */
import createKnex, { type Knex } from 'knex';
import { LRUCache } from 'lru-cache';
import initSqlJs, { type Database, type Statement } from 'sql.js';
import { migrate } from '../../src/store/sqlite/schema.ts';
import { TABLES } from './application.ts';
import type { Scheduler } from './scheduler.ts';

/** What befalls a statement. */
export type Mishap =
  /** It is not executed, and fails. */
  | { kind: 'refused'; code: string }
  /** It is executed, and its answer says that it failed. */
  | { kind: 'unknown'; code: string }
  /** Its answer takes so many ms. */
  | { kind: 'slow'; ms: number }
  /** The process dies before it is executed, or after. */
  | { kind: 'crash'; when: 'before' | 'after' };

/** Decides on each statement. `ends`: it ends a transaction, or is one by itself. */
export type Fate = (statement: {
  text: string;
  parameters: readonly unknown[];
  writes: boolean;
  ends: boolean;
}) => Mishap | undefined;

type Done = (this: { changes: number; lastID: number }, error: Error | null, rows?: unknown[]) => void;

interface Operation {
  connection: Connection;
  text: string;
  parameters: unknown[];
  perform: () => unknown[];
  done: Done;
}

interface Prepared {
  statement: Statement;
  columns: string[];
}

/** A migrated SQLite, its statements, and Knex on it: what serves one simulation after the other. */
interface Ground {
  sqlite: Database;
  statements: LRUCache<string, Prepared>;
  tables: string[];
  knex: Knex;
  /** Whose the connections are. */
  database: SimulatedDatabase;
  /** As a new process finds them: none taken. */
  connections: { free: Connection[]; waiting: ((connection: Connection) => void)[]; made: number };
}

/** Knex's own dialect; only its connections are ours. */
const Sqlite = createKnex({ client: 'sqlite3', useNullAsDefault: true }).client.constructor as new (
  ...args: unknown[]
) => object;

/** What the connections are set to. */
const PRAGMAS = { cache_size: 0, timeout: 1_000 };

/** The tables that Knex keeps its own record in. */
const RECORD = /^perdure_migrations/;

let ground: Ground;

/** Loads SQLite, and makes the tables that every simulation begins with. Call it once; simulations come one after the other. */
export async function prepareDatabases(): Promise<void> {
  const { Database: Sqlite3 } = await initSqlJs();
  const sqlite = new Sqlite3();
  for (const pragma of ['foreign_keys = ON', 'locking_mode = EXCLUSIVE', 'journal_mode = MEMORY', 'synchronous = OFF'])
    sqlite.run(`PRAGMA ${pragma}`);
  ground = {
    sqlite,
    // Rows stand as literals in many texts, which never come again.
    statements: new LRUCache({ max: 500, dispose: ({ statement }) => statement.free() }),
    tables: [],
    knex: makeKnex(),
    database: undefined as never,
    connections: { free: [], waiting: [], made: 0 },
  };
  const atOnce = { add: (_: unknown, run: () => void) => run() } as unknown as Scheduler;
  const database = new SimulatedDatabase(atOnce, () => undefined);
  await migrate(database.knex());
  for (const table of TABLES) sqlite.run(table);
  const tables = database.read<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
  ground.tables = tables.map(({ name }) => name).filter((name) => !RECORD.test(name));
}

function makeKnex(): Knex {
  class Client extends Sqlite {
    async acquireConnection(): Promise<Connection> {
      const { connections, database } = ground;
      const free = connections.free.pop();
      if (free) return free;
      // Two: enough for a reader beside a writer, and few enough to be waited for.
      if (connections.made++ < 2) return new Connection(database);
      return new Promise((resolve) => connections.waiting.push(resolve));
    }

    async releaseConnection(connection: Connection): Promise<void> {
      const next = ground.connections.waiting.shift();
      if (next) next(connection);
      else ground.connections.free.push(connection);
    }
  }
  return createKnex({
    client: Client as unknown as typeof Knex.Client,
    connection: { filename: ':memory:' },
    useNullAsDefault: true,
    pool: { max: 0 },
    log: { warn() {}, error() {}, debug() {}, deprecate() {} },
  });
}

export class SimulatedDatabase {
  readonly #scheduler: Scheduler;
  readonly #fate: Fate;
  readonly #sqlite = ground.sqlite;
  /** Who has a transaction open. */
  #owner: Connection | undefined;
  #blocked: Operation[] = [];
  /** A turn may have been committed since this was last set to false. */
  changed = false;
  /** The transaction that is open has written what the ledger follows: an actor, the application's row beside one, who has opted out. */
  #touched = false;
  /** It has written nothing. */
  #empty = true;
  /** The application's tables have refused a row. */
  refused: (parameters: readonly unknown[]) => void = () => {};
  /** The process must die now. */
  crash: () => void = () => {};

  constructor(scheduler: Scheduler, fate: Fate) {
    this.#scheduler = scheduler;
    this.#fate = fate;
    ground.database = this;
  }

  /** The Knex instance of a new process. */
  knex(): Knex {
    ground.connections = { free: [], waiting: [], made: 0 };
    return ground.knex;
  }

  /** Reads, at once and unseen by the process. */
  read<T>(text: string, parameters: unknown[] = []): T[] {
    const { statement, columns } = this.#prepare(text);
    const rows: T[] = [];
    try {
      if (parameters.length > 0) statement.bind(parameters.map(bound) as never);
      while (statement.step()) {
        const values = statement.get();
        const row: Record<string, unknown> = {};
        for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i];
        rows.push(row as T);
      }
    } finally {
      statement.reset();
    }
    return rows;
  }

  /** Somebody has a transaction open. */
  get occupied(): boolean {
    return this.#owner !== undefined;
  }

  /** Writes, at once and unseen by the process; not while it is {@link occupied}, or a rollback would undo it. */
  write(text: string, parameters: unknown[] = []): void {
    this.#sqlite.run(text, parameters as never);
  }

  /** The process died: what it had not committed is gone, and nobody waits for an answer. */
  forsake(): void {
    if (this.#owner) this.#sqlite.run('ROLLBACK');
    this.#owner = undefined;
    this.#blocked = [];
  }

  /** Ends the simulation, and empties the tables for the next one. */
  close(): void {
    this.forsake();
    for (const table of ground.tables) this.read(`DELETE FROM ${table}`);
  }

  /** @internal a statement with parameters */
  perform(connection: Connection, text: string, parameters: unknown[], done: Done): void {
    const limit = /LIMIT \?$/i.exec(text.slice(-7));
    // SQLite would plan a statement anew whenever its limit is bound.
    const perform = limit
      ? () => this.read(`${text.slice(0, -7)}LIMIT ${parameters.at(-1)}`, parameters.slice(0, -1))
      : () => this.read(text, parameters);
    this.#request({ connection, text, parameters, done, perform });
  }

  /** @internal several statements at once */
  script(connection: Connection, text: string, done: Done): void {
    const perform = () => {
      this.#sqlite.run(text);
      return [];
    };
    this.#request({ connection, text, parameters: [], done, perform });
  }

  #request(operation: Operation): void {
    // Those that set something are of no consequence here; and SQLite would prepare all statements anew after one.
    if (/^PRAGMA (?!table_info)/.test(operation.text)) operation.done.call({ changes: 0, lastID: 0 }, null, [PRAGMAS]);
    else
      this.#scheduler.add(
        () => `database: ${brief(operation.text)}`,
        () => this.#execute(operation),
      );
  }

  #execute(operation: Operation): void {
    const { connection, text, parameters, perform, done } = operation;
    if (this.#owner && this.#owner !== connection) {
      this.#blocked.push(operation);
      return;
    }
    const writes = !/^\s*(SELECT|WITH|ROLLBACK)/i.test(text);
    const seals = text.startsWith('COMMIT; BEGIN');
    const ends = seals || /COMMIT;?\s*$/.test(text) || (writes && this.#owner === undefined && !/^BEGIN/.test(text));
    const idle = this.#empty && /^COMMIT;?$/.test(text); // asks nothing of the disk
    const mishap = idle ? undefined : this.#fate({ text, parameters, writes, ends });
    if (mishap?.kind === 'crash' && mishap.when === 'before') {
      this.crash();
      return;
    }
    let error: Error | null = null;
    let rows: unknown[] = [];
    if (mishap?.kind === 'refused') {
      error = failure(mishap.code);
      // As SQLite does of itself where there is no room.
      if (this.#owner === connection && mishap.code === 'SQLITE_FULL') this.#sqlite.run('ROLLBACK');
    } else {
      try {
        rows = perform();
      } catch (cause) {
        error = withCode(cause);
        if (/entries|standings/.test(text)) this.refused(parameters);
      }
    }
    const changes = this.#sqlite.getRowsModified();
    const lastID = /^insert/i.test(text) ? this.read<{ id: number }>('SELECT last_insert_rowid() AS id')[0]!.id : 0;
    this.#owner = this.#staysOpen(text, connection, error) ? connection : undefined;
    this.#touched ||= writes && /flow_states|purchases|opt_outs/.test(text);
    this.#empty = seals || !this.#owner || (this.#empty && (!writes || /^BEGIN/.test(text)));
    if (seals || !this.#owner) {
      if (writes && !error) this.changed ||= this.#touched;
      this.#touched = false;
    }
    if (mishap?.kind === 'unknown') error ??= failure(mishap.code);
    if (!this.#owner) for (const waiting of this.#blocked.splice(0)) this.#request(waiting);
    if (mishap?.kind === 'crash') {
      this.crash();
      return;
    }
    const answer = () => done.call({ changes, lastID }, error, rows);
    const label = () => `answer: ${error ? error.message : brief(text)}`;
    if (mishap?.kind === 'slow') this.#scheduler.after(mishap.ms, label, answer);
    else this.#scheduler.add(label, answer);
  }

  /** Whether the connection has a transaction open after the statement. */
  #staysOpen(text: string, connection: Connection, error: Error | null): boolean {
    if (!error) {
      if (/^BEGIN/.test(text)) return !/COMMIT;?\s*$/.test(text);
      if (/^(COMMIT|ROLLBACK);?$/.test(text)) return false;
      if (!/^COMMIT/.test(text)) return this.#owner === connection;
    }
    try {
      this.read('BEGIN');
    } catch {
      return true;
    }
    this.read('ROLLBACK');
    return false;
  }

  #prepare(text: string): Prepared {
    let prepared = ground.statements.get(text);
    if (!prepared) {
      const statement = this.#sqlite.prepare(text);
      prepared = { statement, columns: statement.getColumnNames() };
      ground.statements.set(text, prepared);
    }
    return prepared;
  }
}

/** One connection, with the driver's methods. */
class Connection {
  readonly #database: SimulatedDatabase;

  constructor(database: SimulatedDatabase) {
    this.#database = database;
  }

  run(text: string, parameters: unknown[], done: Done): void {
    this.#database.perform(this, text, parameters, done);
  }

  all(text: string, parameters: unknown[], done: Done): void {
    this.#database.perform(this, text, parameters, done);
  }

  exec(text: string, done: Done): void {
    this.#database.script(this, text, done);
  }
}

/** A parameter as the driver binds it. */
function bound(value: unknown): unknown {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'boolean' ? Number(value) : (value ?? null);
}

const failure = (code: string) => Object.assign(new Error(`${code}: as the simulation has it`), { code });

/** SQLite's error as the driver gives it: with a code. */
function withCode(cause: unknown): Error {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const code = /constraint failed|RAISE/.test(error.message) ? 'SQLITE_CONSTRAINT' : 'SQLITE_ERROR';
  return Object.assign(error, { code });
}

/** What a statement is about, for the trace. */
function brief(text: string): string {
  const tables = [...text.matchAll(/\b(?:INTO|UPDATE|FROM|JOIN)\s+[`"]?(\w+)/gi)].map(([, table]) => table);
  const verb = /^\s*(\w+( IMMEDIATE;(?=.))?)/.exec(text)![1]!.replace(/ IMMEDIATE;/, '…COMMIT');
  return [verb, ...new Set(tables)].join(' ').slice(0, 100);
}
