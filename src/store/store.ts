/**
 * The tables, as the engine uses them.
 *
 * A commit takes a group of turns in one transaction. Every statement reports how many rows it changed; as long as that is
 * as many as there are turns, nobody lost. If fewer, the transaction finds out who lost (an inbound message that was
 * applied before, a row that has another version), is rolled back, and the others are committed without them. If a
 * statement fails for a reason that lies in one turn, the turns are committed one by one, so that only that one fails.
 */
import type { Knex } from 'knex';
import { type Address, formatAddress, StoreError, TransactionError } from '../errors.ts';
import type { Kind } from '../flow/retention-periods.ts';
import {
  type ActorRow,
  type ActorsOf,
  addressOf,
  type BoundRow,
  type Claim,
  type Commit,
  type DueCursor,
  type DuePlace,
  type DueRow,
  type FlowFigures,
  type HandlerRow,
  type InboxRow,
  type JournalRow,
  type LeasedRow,
  type LetterRow,
  type LetterStatus,
  type OutboxRow,
  type Outcome,
  type PageAfter,
  type QuarantinedRow,
  type SaidRow,
  type ShapeRow,
  type VersionCount,
} from './rows.ts';
import { writeChange } from './sqlite/changes.ts';
import { Connection, isSqlite, storeError } from './sqlite/connection.ts';
import type { FileWatch } from './sqlite/file-watch.ts';
import * as lists from './sqlite/lists.ts';
import { type Cutoffs, prune } from './sqlite/pruning.ts';
import * as sql from './sqlite/statements.ts';
import * as survey from './sqlite/survey.ts';

const UNSENT: OutboxRow['status'][] = ['pending', 'sending'];

/** Between attempts to get the lock for writing, in ms. */
const LOCK_RETRY = 2;

const READ_BEFORE =
  'The transaction has read, and something else is written meanwhile: SQLite lets it write no more. Roll it back and do it again. ' +
  'It cannot happen where runtime.join(trx), or a statement that writes, comes before the first one that reads.';
const KEPT = 'Another transaction kept the lock for writing. End it sooner, or try again.';

const COMMITTED: Outcome = { result: 'committed' };

/** Reasons that lie in the database as a whole: every turn of the group fails alike, and each may be tried again. */
const GENERAL = new Set<StoreError['reason']>(['busy', 'full', 'readonly', 'corrupt', 'io', 'timeout']);

/** Whether the database as a whole is at fault; any other error lies in what was to be written. */
export const isGeneral = (error: unknown): error is StoreError =>
  error instanceof StoreError && GENERAL.has(error.reason);

export class Store {
  readonly knex: Knex;
  readonly #last: Record<sql.Sequence, number>;
  readonly #watch: FileWatch | undefined;
  /** How many turns were written into the transaction ({@link within}). */
  #written = 0;

  /** Reads much, and only once: what it reads does not stay in the connection's cache, of up to 64 MB. */
  readonly #scan = <T>(text: string, parameters: unknown[] = []): Promise<T[]> =>
    Connection.use(this.knex, async (connection) => {
      const [former] = await connection.all<{ cache_size: number }>('PRAGMA cache_size');
      await connection.exec('PRAGMA cache_size = -2048');
      try {
        return await connection.all<T>(text, parameters);
      } finally {
        await connection.exec(`PRAGMA cache_size = ${former!.cache_size}`);
      }
    });

  private constructor(knex: Knex, last: Record<sql.Sequence, number>, watch: FileWatch | undefined) {
    this.knex = knex;
    this.#last = last;
    this.#watch = watch;
  }

  /** @param watch asked before and after each transaction */
  static async open(knex: Knex, watch?: FileWatch): Promise<Store> {
    return new Store(knex, await lastIds(knex), watch);
  }

  nextId(table: sql.Sequence): number {
    return ++this.#last[table];
  }

  /** The same tables, seen and written within a transaction that is open. */
  within(trx: Knex.Transaction): Store {
    return new Store(trx, this.#last, this.#watch);
  }

  /** Whether an inbound message was applied. */
  async isApplied({
    channel,
    message_id,
    scope,
  }: Pick<InboxRow, 'channel' | 'message_id' | 'scope'>): Promise<boolean> {
    const bound = [channel, message_id, scope];
    return (await Connection.use(this.knex, (connection) => connection.all(sql.isApplied, bound))).length > 0;
  }

  /**
   * Writes what one turn writes into the transaction that is open ({@link within}).
   * @throws where it cannot be written; then part of it may be, and the transaction must be rolled back
   */
  async write(commit: Commit): Promise<void> {
    await this.#staying(async (connection) => {
      const lost = (await this.#stepwise(connection, [commit])).get(commit);
      if (lost) throw new StoreError('unknown', `A turn of a transaction was not written: ${lost.result}.`);
      // Counted in the transaction itself: a savepoint that is rolled back takes its turns out of the count.
      const former = this.#written++;
      const count = former === 0 ? [] : [former];
      const counted = await connection.run(former === 0 ? sql.countFirst : sql.countNext, count);
      if (counted !== 1) throw turnsAreGone();
    });
  }

  /**
   * Makes what the open transaction ({@link within}) wrote durable; it is ended with a commit or a rollback of nothing.
   * @throws {TransactionError} not all that was written is in it any more; nothing is committed
   */
  async seal(): Promise<void> {
    await this.#staying(async (connection) => {
      if (this.#written > 0 && (await connection.run(sql.countOff, [this.#written])) !== 1) throw turnsAreGone();
      await this.#watch?.before();
      // Knex would leave a transaction open whose COMMIT fails: here it is still one that can be rolled back.
      await connection.exec('COMMIT; BEGIN');
      await this.#watch?.after();
    });
  }

  /** Where SQLite rolls the open transaction back by itself, another one is open: what follows is never on its own. */
  #staying(body: (connection: Connection) => Promise<void>): Promise<void> {
    return Connection.use(this.knex, async (connection) => {
      try {
        await body(connection);
      } catch (error) {
        await connection.exec('BEGIN').catch(() => {}); // refused where it is still the same
        throw error;
      }
    });
  }

  /**
   * Takes the lock for writing now, so that nothing that the transaction ({@link within}) reads can change any more. Waits
   * as long as its connection would, but not in one of the few threads of the driver: whoever has the lock needs one to end.
   * @param atMost in ms
   * @throws {StoreError} somebody else kept it, or has written since the transaction began to read
   */
  async lock(atMost = Number.POSITIVE_INFINITY): Promise<void> {
    await Connection.use(this.knex, async (connection) => {
      const [own] = await connection.all<{ timeout: number }>('PRAGMA busy_timeout');
      const patience = performance.now() + Math.min(own!.timeout, atMost);
      await connection.exec('PRAGMA busy_timeout = 0');
      try {
        for (let first = true; !(await isLocked(connection)); first = false) {
          if (first && (await hasRead(connection))) throw new StoreError('busy', READ_BEFORE);
          if (performance.now() > patience) throw new StoreError('busy', KEPT);
          await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY));
        }
      } finally {
        await connection.exec(`PRAGMA busy_timeout = ${own!.timeout}`);
      }
    });
  }

  /** Writes a group of turns; the outcomes come in the order of the group. */
  async commit(group: readonly Commit[]): Promise<Outcome[]> {
    let losers: Map<Commit, Outcome>;
    try {
      const doubt = this.#watch?.before();
      if (doubt) await doubt;
      losers = await Connection.use(this.knex, (connection) => this.#transaction(connection, group));
      const late = this.#watch?.after();
      if (late) await late;
    } catch (cause) {
      const clash = CLASH.exec((cause as Error).message);
      if (clash) await this.#catchUp();
      const error = clash ? new StoreError('constraint', clashed(clash[1]!), { cause }) : (cause as Error);
      if (group.length === 1 || isGeneral(error)) return group.map(() => ({ result: 'failed', error }));
      const outcomes: Outcome[] = [];
      for (const commit of group) outcomes.push(...(await this.commit([commit])));
      return outcomes;
    }
    if (losers.size === 0) return group.map(() => COMMITTED);
    const outcomes = new Map(losers);
    const again = async (commits: readonly Commit[]) => {
      for (const [i, outcome] of (await this.commit(commits)).entries()) outcomes.set(commits[i]!, outcome);
    };
    const others = group.filter((commit) => !losers.has(commit));
    if (others.length > 0) await again(others);
    // Who lost to one of the group that then failed may have lost to nobody.
    if (others.some((commit) => outcomes.get(commit)!.result === 'failed')) await again([...losers.keys()]);
    return group.map((commit) => outcomes.get(commit)!);
  }

  /** Somebody else has given ids: goes on behind theirs, and behind those that were given here and are not written yet. */
  async #catchUp(): Promise<void> {
    const last = await lastIds(this.knex).catch(() => undefined);
    if (last) for (const table of sql.SEQUENCES) this.#last[table] = Math.max(this.#last[table], last[table]);
  }

  /** The rows of these actors, in their order; `undefined` of one that does not exist. */
  async load(addresses: readonly Address[]): Promise<(ActorRow | undefined)[]> {
    const keys = JSON.stringify(addresses.map(({ participantId, flowType }) => [participantId, flowType]));
    const rows = await Connection.use(this.knex, (connection) => connection.all<ActorRow>(sql.loadActors, [keys]));
    const found = new Map(rows.map((row) => [formatAddress(addressOf(row)), row]));
    return addresses.map((address) => found.get(formatAddress(address)));
  }

  /** Up to `limit` active actors whose earliest deadline is at or before `until`, in order of deadline. */
  due(until: number, after: DueCursor | undefined, limit: number): Promise<DueRow[]> {
    const { next_due_at, flow_type, id } = after ?? { next_due_at: Number.MIN_SAFE_INTEGER, flow_type: '', id: 0 };
    const bounds = [until, next_due_at, flow_type, id, limit];
    return Connection.use(this.knex, (connection) => connection.all<DueRow>(sql.dueActors, bounds));
  }

  /** Up to `limit` active actors that have processes outside of turns (see actor/processes.ts), the oldest lease first. */
  leased(after: LeasedRow | undefined, limit: number): Promise<LeasedRow[]> {
    const bounds = [after?.lease_until ?? Number.MIN_SAFE_INTEGER, after?.id ?? 0, limit];
    return Connection.use(this.knex, (connection) => connection.all<LeasedRow>(sql.leasedActors, bounds));
  }

  /** The last id that was given out. */
  lastId(table: sql.Sequence): number {
    return this.#last[table];
  }

  /** Up to `limit` messages that are not sent yet, by kind, recipient and id: those of recipients after `after`. */
  unsent(after: Pick<OutboxRow, 'kind' | 'recipient'> | undefined, limit: number): Promise<OutboxRow[]> {
    const bounds = [after?.kind ?? '', after?.recipient ?? '', limit];
    return Connection.use(this.knex, (connection) => connection.all<OutboxRow>(sql.unsent, bounds));
  }

  /** The first messages to a recipient that are not sent yet, in order. */
  unsentOf({ kind, recipient }: Pick<OutboxRow, 'kind' | 'recipient'>, limit: number): Promise<OutboxRow[]> {
    const bounds = [kind, recipient, limit];
    return Connection.use(this.knex, (connection) => connection.all<OutboxRow>(sql.unsentOf, bounds));
  }

  /** The receivers for which events wait, as `flow/participant`. */
  async awaited(): Promise<string[]> {
    const rows = await Connection.use(this.knex, (connection) => connection.all<{ recipient: string }>(sql.awaited));
    return rows.map(({ recipient }) => recipient);
  }

  /** When the first event has waited for too long for a receiver that does not exist. */
  async nextExpiry(): Promise<number | null> {
    const [row] = await Connection.use(this.knex, (connection) =>
      connection.all<{ until: number | null }>(sql.nextExpiry),
    );
    return row!.until;
  }

  /** Of these, those that are there and not in quarantine, or whose events have waited for too long at `now`. */
  async wakeable(now: number): Promise<string[]> {
    const rows = await Connection.use(this.knex, (connection) =>
      connection.all<{ recipient: string }>(sql.wakeable, [now]),
    );
    return rows.map(({ recipient }) => recipient);
  }

  /** Whether a message was written, and not sent. */
  async isUnsent(id: number): Promise<boolean> {
    return (await this.knex('outbox_messages').where({ id }).whereIn('status', UNSENT).first('id')) !== undefined;
  }

  /** Who claims each of these addresses, which are given in all their forms; in no particular order. */
  async claims(addresses: readonly (readonly string[])[]): Promise<Claim[][]> {
    const rows = await Connection.use(this.knex, (connection) =>
      connection.all<Omit<Claim, 'own'> & { own: 0 | 1 }>(sql.claimsOf, [JSON.stringify(addresses.flat())]),
    );
    const claims = new Map<string, Claim[]>();
    for (const row of rows)
      claims.set(row.phone_number, [...(claims.get(row.phone_number) ?? []), { ...row, own: row.own === 1 }]);
    return addresses.map((forms) => forms.flatMap((form) => claims.get(form) ?? []));
  }

  /** Binds an address to an actor, unless another one of the flow that has not ended has it; whether it did. */
  async bind(handler: HandlerRow): Promise<boolean> {
    const statement = sql.withRows(sql.rebindHandlers, [handler]);
    return (await Connection.use(this.knex, (connection) => connection.run(statement))) > 0;
  }

  /** Up to `limit` of a participant's turns behind the line `after` (0: from the first one, or from the last one). */
  journal(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<JournalRow[]> {
    const text = lastFirst ? sql.journalBackwards : sql.journalForwards;
    const bound = [participantId, lastFirst ? after || Number.MAX_SAFE_INTEGER : after, limit];
    return Connection.use(this.knex, (connection) => connection.all<JournalRow>(text, bound));
  }

  /** What was said in up to `limit` of a participant's turns in which anything was, behind the line `after`. */
  messages(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<SaidRow[]> {
    const text = lastFirst ? sql.messagesBackwards : sql.messagesForwards;
    const bound = [participantId, lastFirst ? after || Number.MAX_SAFE_INTEGER : after, limit];
    return Connection.use(this.knex, (connection) => connection.all<SaidRow>(text, bound));
  }

  /** Who wants no messages. */
  optOuts(): Promise<string[]> {
    return this.knex('opt_outs').pluck('address');
  }

  /** Whether a person wants no messages, in whichever form of their address. */
  async hasOptedOut(forms: readonly string[]): Promise<boolean> {
    return (await this.knex('opt_outs').whereIn('address', forms).first('address')) !== undefined;
  }

  /** Who was put aside, in the order of their ids. */
  quarantined(of: ActorsOf, page: PageAfter): Promise<QuarantinedRow[]> {
    return lists.quarantined(this.knex, of, page);
  }

  /** An actor's row, whatever its status, with its last line in the journal. */
  actorWithLine(address: Address): Promise<QuarantinedRow | undefined> {
    return lists.actorWithLine(this.knex, address);
  }

  /** Events that could not be applied, in the order in which they were put aside. */
  deadLetters(of: ActorsOf & { status: LetterStatus | 'all' }, page: PageAfter): Promise<LetterRow[]> {
    return lists.deadLetters(this.knex, of, page);
  }

  deadLetter(id: number): Promise<LetterRow | undefined> {
    return this.knex('dead_letters').where({ id }).first();
  }

  /** Messages and events that are `failed`, `held` or `waiting`, in the order in which they were made. */
  undelivered(of: ActorsOf & { status: OutboxRow['status'] | undefined }, page: PageAfter): Promise<OutboxRow[]> {
    return lists.undelivered(this.knex, of, page);
  }

  /** One of them; `undefined`, too, where it is none of them any more. */
  undeliveredMessage(id: number): Promise<OutboxRow | undefined> {
    return lists.undeliveredMessage(this.knex, id);
  }

  /** Deletes old rows that nothing needs any more, a step of a few ms at a time; see pruning.ts. */
  prune(kind: Kind, after: number, cutoffs: Cutoffs): ReturnType<typeof prune> {
    return prune(this.knex, kind, after, cutoffs);
  }

  /** Counts of each flow that has rows, from the indexes alone: no snapshot is read. `horizon` in ms from `now`. */
  figures(now: number, horizon: number): Promise<Map<string, FlowFigures>> {
    return survey.figures(this.#scan, now, horizon);
  }

  /**
   * A flow's rows in the order of their ids, each with who has its address.
   * @param participants the application's table of participants, if it has one
   */
  boundRows(
    flowType: string,
    after: number,
    limit: number,
    which: { participants?: string | undefined; participantId?: string | undefined },
  ): Promise<BoundRow[]> {
    return survey.boundRows(this.#scan, flowType, after, limit, which);
  }

  /** A flow's active rows whose deadline is behind a place and before an instant, in the order of their deadlines. */
  dueBetween(flowType: string, after: DuePlace, until: number, limit: number): Promise<ActorRow[]> {
    return survey.dueBetween(this.#scan, flowType, after, until, limit);
  }

  /**
   * Participants in the application's table, active or paused, that have no actor of the flow, in the order of their ids.
   * @returns with another flow of theirs, if they have one
   */
  withoutActor(
    flowType: string,
    participants: string,
    after: string,
    limit: number,
  ): Promise<{ id: string; other: string | null }[]> {
    return survey.withoutActor(this.knex, flowType, participants, after, limit);
  }

  /** The first participants of a flow, in the order of their ids. */
  participantsOf(flowType: string, limit: number): Promise<string[]> {
    return this.knex('flow_states')
      .where({ flow_type: flowType })
      .orderBy('participant_id')
      .limit(limit)
      .pluck('participant_id');
  }

  /** All actors in the order of their ids. */
  allRows(after: number, limit: number): Promise<ShapeRow[]> {
    return survey.allRows(this.#scan, after, limit);
  }

  countRows(): Promise<number> {
    return survey.countRows(this.#scan);
  }

  /** A flow's active actors of other versions than this one, in the order of their ids. */
  ofOtherVersions(flowType: string, version: number, after: number, limit: number): Promise<ActorRow[]> {
    return survey.ofOtherVersions(this.#scan, flowType, version, after, limit);
  }

  countOtherVersions(flowType: string, version: number): Promise<number> {
    return survey.countOtherVersions(this.#scan, flowType, version);
  }

  /** A flow's active actors of newer versions, by version. */
  versionsAbove(flowType: string, version: number): Promise<VersionCount[]> {
    return survey.versionsAbove(this.knex, flowType, version);
  }

  /** Whether a flow has active actors of a version. */
  async hasActors(flow_type: string, flow_version: number): Promise<boolean> {
    const one = this.knex('flow_states').where({ flow_type, flow_version, status: 'active' }).first('id');
    return (await one) !== undefined;
  }

  /** When somebody was last answered by no actor, in whichever form of their address; 0: never. */
  async lastAnswer(forms: readonly string[]): Promise<number> {
    const answers = this.knex('outbox_messages').whereNull('participant_id').whereIn('recipient', forms);
    return Number((await answers.max('created_at as at').first())?.at ?? 0);
  }

  /** The settings whose keys begin so, as JSON. */
  settings(prefix: string): Promise<{ key: string; value: string }[]> {
    return this.knex('runtime_settings').whereRaw('key >= ? AND key < ?', [prefix, `${prefix}\u{10ffff}`]);
  }

  async setting<T>(key: string): Promise<T | undefined> {
    const row = await this.knex('runtime_settings').where({ key }).first();
    return row && JSON.parse(row.value);
  }

  async saveSetting(key: string, value: unknown): Promise<void> {
    await this.knex('runtime_settings')
      .insert({ key, value: JSON.stringify(value) })
      .onConflict('key')
      .merge();
  }

  async #transaction(connection: Connection, group: readonly Commit[]): Promise<Map<Commit, Outcome>> {
    const rollBack = () => connection.run('ROLLBACK').catch(() => {}); // SQLite has done so by itself after some errors
    if (!group.some((commit) => commit.also || commit.records)) {
      try {
        await connection.exec(script(group));
        return new Map();
      } catch (error) {
        await rollBack();
        if (!(error as Error).message.includes(sql.GUARD)) throw error;
      }
    }
    try {
      await connection.run('BEGIN IMMEDIATE');
      const losers = await this.#stepwise(connection, group);
      await connection.run(losers.size === 0 ? 'COMMIT' : 'ROLLBACK');
      return losers;
    } catch (error) {
      await rollBack();
      throw isSqlite(error) ? storeError(error) : error;
    }
  }

  /** The group's statements one by one, to find out who loses, or since the application's own writes are among them. */
  async #stepwise(connection: Connection, group: readonly Commit[]): Promise<Map<Commit, Outcome>> {
    const losers = new Map<Commit, Outcome>();
    const write = async (statement: sql.GroupStatement, rows: object[]): Promise<boolean> =>
      rows.length === 0 || (await connection.run(sql.withRows(statement, rows))) === rows.length;

    const inbound = every(group, (commit) => commit.inbound);
    if (!(await write(sql.insertInbox, inbound))) {
      const taken = await this.#ids(connection, 'inbox', ['channel', 'message_id', 'scope'], inbound);
      for (const commit of group) {
        if (commit.inbound && !taken.has(commit.inbound.id)) losers.set(commit, { result: 'duplicate' });
      }
    }
    const inserts = every(group, (commit) => commit.insert);
    if (!(await write(sql.insertActors, inserts))) {
      const taken = await this.#ids(connection, 'flow_states', ['participant_id', 'flow_type'], inserts);
      for (const commit of group) {
        if (commit.insert && !taken.has(commit.insert.id)) losers.set(commit, { result: 'conflict' });
      }
    }
    const updates = every(group, (commit) => commit.update);
    if (updates.length > 0) {
      // Asked of the update itself: another turn may have given the row the very version that this one wanted to give it.
      const swapped = await connection.all<{ id: number }>(`${sql.withRows(sql.updateActors, updates)} RETURNING id`);
      const won = new Set(swapped.map(({ id }) => id));
      for (const commit of group) {
        if (commit.update && !won.has(commit.update.id)) losers.set(commit, { result: 'conflict' });
      }
    }
    if (losers.size > 0) return losers;
    for (const [statement, rows] of unconditional(group)) await write(statement, rows);
    for (const record of every(group, (commit) => commit.records)) {
      const table = this.knex(record.table);
      await connection.query(
        'row' in record ? table.insert(record.row) : (table.where(record.where).update(record.set) as never),
      );
    }
    for (const commit of group) {
      for (const change of commit.also ?? [])
        if (!(await writeChange(connection, this.knex, change))) losers.set(commit, { result: 'conflict' });
    }
    return losers;
  }

  async #ids(connection: Connection, table: string, columns: string[], rows: object[]): Promise<Set<number>> {
    const keys = JSON.stringify(rows.map((row) => columns.map((column) => (row as Record<string, unknown>)[column])));
    const found = await connection.all<{ id: number }>(
      `SELECT ${table}.id FROM json_each(?) AS key JOIN ${table} ON ${columns.map((column, i) => `${column} = key.value->>${i}`).join(' AND ')}`,
      [keys],
    );
    const ours = new Set(rows.map((row) => (row as { id: number }).id));
    return new Set(found.map(({ id }) => id).filter((id) => ours.has(id)));
  }
}

/** The whole transaction in one text; it fails at the first statement in which somebody loses. */
function script(group: readonly Commit[]): string {
  let text = 'BEGIN IMMEDIATE';
  const add = (statement: sql.GroupStatement, rows: object[], guarded: boolean) => {
    if (rows.length === 0) return;
    text += `;${sql.withRows(statement, rows)}`;
    if (guarded) text += `;${sql.guard(rows.length)}`;
  };
  for (const [statement, rows] of exclusive(group)) add(statement, rows, true);
  for (const [statement, rows] of unconditional(group)) add(statement, rows, false);
  return `${text};COMMIT`;
}

/** The tables in which somebody can lose. */
const exclusive = (group: readonly Commit[]): [sql.GroupStatement, object[]][] => [
  [sql.insertInbox, every(group, (commit) => commit.inbound)],
  [sql.insertActors, every(group, (commit) => commit.insert)],
  [sql.updateActors, every(group, (commit) => commit.update)],
];

/** A new actor that runs from now on; one that has ended in its first turn takes its number from nobody. */
const begins = ({ insert }: Commit): boolean => insert?.status === 'active';

/** The tables in which nobody can lose. */
const unconditional = (group: readonly Commit[]): [sql.GroupStatement, object[]][] => [
  [sql.insertOutbox, every(group, (commit) => commit.outbox)],
  [sql.insertJournal, every(group, (commit) => commit.journal)],
  [sql.rebindHandlers, every(group, (commit) => (begins(commit) ? undefined : commit.handlers))],
  [sql.bindHandlers, every(group, (commit) => (begins(commit) ? commit.handlers : undefined))],
  [sql.markOutbox, every(group, (commit) => commit.marks)],
  [sql.insertDeadLetters, every(group, (commit) => commit.deadLetter)],
];

function every<T>(group: readonly Commit[], pick: (commit: Commit) => T | T[] | undefined): T[] {
  const all: T[] = [];
  for (const commit of group) {
    const picked = pick(commit);
    if (Array.isArray(picked)) all.push(...picked);
    else if (picked !== undefined) all.push(picked);
  }
  return all;
}

/** The driver's error as a {@link StoreError}, where the reason lies in the database and not in the statement. */
export function generalError(error: unknown): StoreError | undefined {
  if (isGeneral(error)) return error;
  if (!isSqlite(error)) return undefined;
  const explained = storeError(error);
  return isGeneral(explained) ? explained : undefined;
}

async function isLocked(connection: Connection): Promise<boolean> {
  try {
    await connection.run('DELETE FROM runtime_settings WHERE 0');
    return true;
  } catch (error) {
    if ((error as StoreError).reason === 'busy') return false;
    throw error;
  }
}

/** Whether the transaction that is open reads from one instant: then SQLite refuses it a checkpoint. */
async function hasRead(connection: Connection): Promise<boolean> {
  return connection.exec('PRAGMA wal_checkpoint').then(
    () => false,
    () => true,
  );
}

const lastIds = async (knex: Knex) => {
  const [last] = await Connection.use(knex, (connection) => connection.all<Record<sql.Sequence, number>>(sql.lastIds));
  return last!;
};

/** An id that this process gave was there already: not one that the application gave in a table of its own. */
const CLASH = new RegExp(`UNIQUE constraint failed: (${sql.SEQUENCES.join('|')})\\.id\\b`);

const clashed = (table: string) =>
  `A row of ${table} was not written, since its id is there already: another process writes to this database. Stop one of the two; nothing was lost, and what was asked for may be asked for again.`;

const turnsAreGone = () =>
  new TransactionError(
    'A savepoint was rolled back in which actors had taken turns. All of the transaction was rolled back: let no savepoint be open while actors take turns.',
  );
