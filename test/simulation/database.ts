/**
 * A real SQLite in memory, reached as the driver is: several connections, each statement a step of the schedule, and each
 * answer another one. It outlives the process. While a connection has a transaction open, the others wait, as they would
 * see nothing of it before its end.
 */
import createKnex, { type Knex } from 'knex';
import initSqlJs, { type Database, type SqlJsStatic, type Statement } from 'sql.js';
import { migrate } from '../../src/store/migrate.ts';
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
export type Fate = (statement: { text: string; writes: boolean; ends: boolean }) => Mishap | undefined;

type Done = (this: { changes: number; lastID: number }, error: Error | null, rows?: unknown[]) => void;

interface Operation {
  connection: SimulatedConnection;
  text: string;
  perform: () => unknown[];
  done: Done;
}

/** Knex's own dialect; only its connections are ours. */
const Sqlite = createKnex({ client: 'sqlite3', useNullAsDefault: true }).client.constructor as new (
  ...args: unknown[]
) => object;

let sqlite: SqlJsStatic;
let template: Uint8Array;

/** Loads SQLite and makes the migrated database that every simulation begins with. */
export async function prepareDatabases(): Promise<void> {
  sqlite = await initSqlJs();
  const database = new SimulatedDatabase(
    { add: (_: unknown, run: () => void) => run() } as unknown as Scheduler,
    () => undefined,
  );
  await migrate(database.knex());
  template = database.export();
}

export class SimulatedDatabase {
  readonly #scheduler: Scheduler;
  readonly #fate: Fate;
  readonly #database: Database;
  readonly #statements = new Map<string, Statement>();
  /** Who has a transaction open. */
  #owner: SimulatedConnection | undefined;
  #blocked: Operation[] = [];
  /** Something was committed since this was last set to false. */
  changed = false;
  /** The process must die now. */
  crash: () => void = () => {};

  constructor(scheduler: Scheduler, fate: Fate) {
    this.#scheduler = scheduler;
    this.#fate = fate;
    this.#database = new sqlite.Database(template);
    for (const pragma of ['locking_mode = EXCLUSIVE', 'journal_mode = MEMORY', 'synchronous = OFF'])
      this.#database.run(`PRAGMA ${pragma}`);
  }

  /** A Knex instance as a new process would make one. */
  knex(): Knex {
    const free: SimulatedConnection[] = [];
    const waiting: ((connection: SimulatedConnection) => void)[] = [];
    let connections = 0;
    const acquire = async (): Promise<SimulatedConnection> => {
      const one = free.pop();
      if (one) return one;
      // Two: enough for a reader beside a writer, and few enough to be waited for.
      if (connections++ < 2) return new SimulatedConnection(this);
      return new Promise((resolve) => waiting.push(resolve));
    };
    class Client extends Sqlite {
      acquireConnection = acquire;

      async releaseConnection(connection: SimulatedConnection): Promise<void> {
        const next = waiting.shift();
        if (next) next(connection);
        else free.push(connection);
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

  /** Reads, at once and unseen by the process. */
  read<T>(text: string, parameters: unknown[] = []): T[] {
    const statement = this.#prepare(text);
    const rows: T[] = [];
    try {
      statement.bind(parameters.map(bound) as never);
      while (statement.step()) rows.push(statement.getAsObject() as T);
    } finally {
      statement.reset();
    }
    return rows;
  }

  /** Writes, at once and unseen by the process. */
  write(text: string, parameters: unknown[] = []): void {
    this.#database.run(text, parameters as never);
  }

  export(): Uint8Array {
    return this.#database.export();
  }

  /** The process died: what it had not committed is gone, and nobody waits for an answer. */
  forsake(): void {
    if (this.#owner) this.#database.run('ROLLBACK');
    this.#owner = undefined;
    this.#blocked = [];
  }

  close(): void {
    for (const statement of this.#statements.values()) statement.free();
    this.#database.close();
  }

  request(operation: Operation): void {
    if (operation.text.startsWith('PRAGMA')) return this.#execute(operation); // of no consequence
    this.#scheduler.add(() => `database: ${brief(operation.text)}`, () => this.#execute(operation));
  }

  /** @internal */
  perform(connection: SimulatedConnection, text: string, parameters: unknown[], done: Done): void {
    this.request({ connection, text, done, perform: () => this.read(text, parameters) });
  }

  /** @internal */
  script(connection: SimulatedConnection, text: string, done: Done): void {
    const perform = () => {
      this.#database.exec(text);
      return [];
    };
    this.request({ connection, text, done, perform });
  }

  #execute(operation: Operation): void {
    const { connection, text, perform } = operation;
    if (this.#owner && this.#owner !== connection) {
      this.#blocked.push(operation);
      return;
    }
    const writes = !/^\s*(SELECT|PRAGMA|WITH|ROLLBACK)/i.test(text);
    const ends = /COMMIT;?\s*$/.test(text) || (writes && this.#owner === undefined && !/^BEGIN/.test(text));
    const mishap = this.#fate({ text, writes, ends });
    if (mishap?.kind === 'crash' && mishap.when === 'before') return this.crash();
    let error: Error | null = null;
    let rows: unknown[] = [];
    if (mishap?.kind === 'refused') {
      error = failure(mishap.code);
      // As SQLite does of itself where there is no room.
      if (this.#owner === connection && mishap.code === 'SQLITE_FULL') this.#database.run('ROLLBACK');
    } else {
      try {
        rows = perform();
      } catch (cause) {
        error = withCode(cause);
      }
    }
    this.#owner = this.#staysOpen(text, connection, error) ? connection : undefined;
    if (writes && !this.#owner && !error) this.changed = true;
    if (mishap?.kind === 'unknown') error ??= failure(mishap.code);
    const changes = this.#database.getRowsModified();
    const lastID = /^insert/i.test(text) ? this.read<{ id: number }>('SELECT last_insert_rowid() AS id')[0]!.id : 0;
    if (!this.#owner) for (const waiting of this.#blocked.splice(0)) this.request(waiting);
    if (mishap?.kind === 'crash') return this.crash();
    const answer = () => operation.done.call({ changes, lastID }, error, rows);
    if (text.startsWith('PRAGMA')) return answer();
    const label = () => `answer: ${error ? error.message : brief(text)}`;
    if (mishap?.kind === 'slow') this.#scheduler.after(mishap.ms, label, answer);
    else this.#scheduler.add(label, answer);
  }

  /** Whether the connection has a transaction open after the statement. */
  #staysOpen(text: string, connection: SimulatedConnection, error: Error | null): boolean {
    if (!error && /^BEGIN/.test(text)) return !/COMMIT;?\s*$/.test(text);
    if (!error && !/^(COMMIT|ROLLBACK)/.test(text)) return this.#owner === connection;
    try {
      this.#database.run('BEGIN');
    } catch {
      return true;
    }
    this.#database.run('ROLLBACK');
    return false;
  }

  #prepare(text: string): Statement {
    let statement = this.#statements.get(text);
    if (!statement) {
      statement = this.#database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

/** One connection, with the driver's methods. */
class SimulatedConnection {
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
