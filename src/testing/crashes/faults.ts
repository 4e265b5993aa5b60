/**
 * A database that a process can die on. It is in memory, and outlives the processes that use it; each process has a line to
 * it (a Knex instance on the `sqlite3` driver), and at each access of that line somebody decides whether the process dies
 * before the access, after it, or not at all.
 *
 * A process that has died gets no answer any more, and nothing of it reaches the database. What it had begun and not
 * committed is rolled back, as SQLite does when it finds the file again.
 */
import createKnex, { type Knex } from 'knex';
import sqlite3 from 'sqlite3';
import { eventLoop } from '../../immediate.ts';

/** What an access does to the database. `step`: a statement within a transaction that ends by a later one. */
export type AccessKind = 'read' | 'write' | 'begin' | 'step' | 'commit';

/** One call of the driver. */
export interface Access {
  kind: AccessKind;
  /** For people, e.g. `the commit of a turn`. */
  what: string;
  sql: string;
}

/** A process, as the database sees it. */
export interface Process {
  readonly dead: boolean;
  /** Asked before each access: whether the process dies before it, after it, or not. */
  access(access: Access): 'before' | 'after' | undefined;
  /** It dies now. */
  die(): void;
}

/** Who works on the database while no process does. */
const UNDYING: Process = { dead: false, access: () => undefined, die: () => {} };

type Done = (this: object, error: Error | null, rows?: unknown[]) => void;
type Method = 'run' | 'all' | 'exec';

export class MortalDatabase {
  readonly #raw: sqlite3.Database;
  readonly #known: Known = new Map();
  /** What the test has made of the application's own, by type. */
  #made: { type: string; name: string }[] = [];

  private constructor(raw: sqlite3.Database) {
    this.#raw = raw;
  }

  static open(): Promise<MortalDatabase> {
    return new Promise((resolve, reject) => {
      const raw = new sqlite3.Database(':memory:', (error) =>
        error ? reject(error) : resolve(new MortalDatabase(raw)),
      );
    });
  }

  /** The line of one process. There is nothing to let go of when it dies. */
  connect(process: Process): Knex {
    const knex = createKnex({ client: 'sqlite3', connection: ':memory:', useNullAsDefault: true });
    const line = new Line(this.#raw, process, this.#known);
    // In place of Knex's pool, whose waits have timeouts that outlive the process: one connection, for one after another.
    const waiting: ((line: Line) => void)[] = [];
    let taken = false;
    knex.client.acquireConnection = async () => {
      if (!taken) {
        taken = true;
        return line;
      }
      return new Promise<Line>((resolve) => waiting.push(resolve));
    };
    knex.client.releaseConnection = async () => {
      const next = waiting.shift();
      if (next) next(line);
      else taken = false;
    };
    return knex;
  }

  /** Rolls back what a process had begun when it died. */
  rollBack(): Promise<void> {
    return new Promise((resolve) =>
      this.#raw.exec('ROLLBACK', (error) => {
        if (!error) this.#known.clear(); // an error says that there was nothing to roll back
        resolve();
      }),
    );
  }

  /** Reads beside the processes, and unseen by them. */
  read<T>(sql: string, params: unknown[] = []): Promise<T[]> {
    return new Promise((resolve, reject) =>
      this.#raw.all(sql, params, (error, rows) => (error ? reject(error) : resolve(rows as T[]))),
    );
  }

  /**
   * Deletes all rows of all tables but those of the migrations, and makes those of the application anew.
   * @param make makes the application's own tables, with what is in them at first
   */
  async clear(make?: (knex: Knex) => unknown): Promise<void> {
    await this.rollBack();
    this.#known.clear();
    const dropped = this.#made.map(({ type, name }) => `DROP ${type} IF EXISTS "${name}"`);
    await this.#exec(dropped);
    const kept = await this.#names();
    const rows = kept.filter(({ type, name }) => type === 'table' && !name.includes('migrations'));
    await this.#exec(rows.map(({ name }) => `DELETE FROM "${name}"`));
    if (!make) return;
    await make(this.connect(UNDYING));
    this.#known.clear();
    const before = new Set(kept.map(({ name }) => name));
    this.#made = (await this.#names()).filter(({ name }) => !before.has(name) && !name.startsWith('sqlite_'));
  }

  #names(): Promise<{ type: string; name: string }[]> {
    return this.read("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')");
  }

  #exec(statements: string[]): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#raw.exec(statements.join(';'), (error) => (error ? reject(error) : resolve())),
    );
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#raw.close(() => resolve()));
  }
}

/** What was read since the last write. Each start reads much, and most of it again. */
type Known = Map<string, object[]>;

/** The driver, as one process has it. */
class Line {
  readonly #raw: sqlite3.Database;
  readonly #process: Process;
  readonly #known: Known;
  #inTransaction = false;

  constructor(raw: sqlite3.Database, process: Process, known: Known) {
    this.#raw = raw;
    this.#process = process;
    this.#known = known;
  }

  run(sql: string, params: unknown[], done: Done): void {
    this.#pass('run', sql, params, done);
  }

  all(sql: string, params: unknown[], done: Done): void {
    this.#pass('all', sql, params, done);
  }

  exec(sql: string, done: Done): void {
    this.#pass('exec', sql, undefined, done);
  }

  #pass(method: Method, sql: string, params: unknown[] | undefined, done: Done): void {
    const process = this.#process;
    if (process.dead) return;
    const soon = (rows: unknown[]) =>
      eventLoop.setImmediate(() => !process.dead && done.call({ changes: 0 }, null, rows));
    const idle = shortcut(sql);
    if (idle) {
      soon(idle);
      return;
    }
    const kind = this.#kindOf(method, sql);
    const verdict = process.access({ kind, what: describe(sql), sql });
    if (verdict === 'before') {
      process.die();
      return;
    }
    const known = this.#known;
    const key = kind === 'read' ? `${sql}${JSON.stringify(params)}` : undefined;
    const rows = key === undefined ? known.clear() : known.get(key);
    if (rows) {
      soon(rows.map((row) => ({ ...row })));
      return;
    }
    const answer: Done = function (error, rows) {
      if (key !== undefined && rows)
        known.set(
          key,
          rows.map((row) => ({ ...(row as object) })),
        );
      if (process.dead) return;
      if (verdict === 'after') process.die();
      else done.call(this, error, rows);
    };
    if (method === 'exec') this.#raw.exec(sql, answer as never);
    else this.#raw[method](sql, params, answer as never);
  }

  #kindOf(method: Method, sql: string): AccessKind {
    if (/^\s*BEGIN/i.test(sql)) {
      if (/COMMIT\s*;?\s*$/i.test(sql)) return 'write'; // the whole of it
      this.#inTransaction = true;
      return 'begin';
    }
    if (/^\s*(COMMIT|ROLLBACK)/i.test(sql)) {
      this.#inTransaction = false;
      return 'commit';
    }
    if (this.#inTransaction) return 'step';
    return method === 'all' && /^\s*(SELECT|WITH|PRAGMA)/i.test(sql) ? 'read' : 'write';
  }
}

/** What takes a hop to the driver's thread and says nothing about a database in memory, or about a crash. */
function shortcut(sql: string): unknown[] | undefined {
  if (/^\s*PRAGMA cache_size$/i.test(sql)) return [{ cache_size: -2000 }];
  if (/^\s*PRAGMA busy_timeout$/i.test(sql)) return [{ timeout: 1000 }];
  return /^\s*PRAGMA (?!table_info)/i.test(sql) ? [] : undefined;
}

/** An access, for people. */
function describe(sql: string): string {
  if (/\b(INSERT INTO|UPDATE) flow_states\b/.test(sql)) return 'the commit of a turn';
  if (/UPDATE outbox_messages\b/.test(sql)) return "the mark of a message's fate";
  if (/^\s*COMMIT/i.test(sql)) return 'the commit of a turn';
  if (/^\s*BEGIN/i.test(sql)) return 'the beginning of a commit';
  const [, table] = /\b(?:FROM|INTO|UPDATE|JOIN)\s+[`"]?(\w+)/i.exec(sql.replace(/FROM json_each/gi, '')) ?? [];
  const verb = /^\s*(SELECT|WITH)/i.test(sql) ? 'a read of' : 'a write to';
  return table ? `${verb} ${table}` : 'a statement';
}
