/** SQLite's tables, as the engine uses them; see ../store.ts for what each call promises. */
import type { Knex } from 'knex';
import { type Address, formatAddress, StoreError, TransactionError } from '../../errors.ts';
import type { Kind } from '../../flow/retention-periods.ts';
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
  type TrafficFigures,
  type VersionCount,
  type WrittenRow,
} from '../rows.ts';
import { type Cutoffs, isGeneral, type Pruned, type Sequence, type Store } from '../store.ts';
import { writeGroup, writeStepwise } from './commit.ts';
import { Connection, isSqlite, storeError } from './connection.ts';
import type { FileWatch } from './file-watch.ts';
import * as lists from './lists.ts';
import { prune } from './pruning.ts';
import * as sql from './statements.ts';
import * as survey from './survey.ts';

const UNSENT: OutboxRow['status'][] = ['pending', 'sending'];

/** Between attempts to get the lock for writing, in ms. */
const LOCK_RETRY = 2;

const READ_BEFORE =
  'The transaction has read, and something else is written meanwhile: SQLite lets it write no more. Roll it back and do it again. ' +
  'It cannot happen where runtime.join(trx), or a statement that writes, comes before the first one that reads.';
const KEPT = 'Another transaction kept the lock for writing. End it sooner, or try again.';

const COMMITTED: Outcome = { result: 'committed' };

export class SqliteStore implements Store {
  readonly knex: Knex;
  readonly #last: Record<Sequence, number>;
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

  private constructor(knex: Knex, last: Record<Sequence, number>, watch: FileWatch | undefined) {
    this.knex = knex;
    this.#last = last;
    this.#watch = watch;
  }

  /** @param watch asked before and after each transaction */
  static async open(knex: Knex, watch?: FileWatch): Promise<SqliteStore> {
    return new SqliteStore(knex, await lastIds(knex), watch);
  }

  general(error: unknown): StoreError | undefined {
    if (isGeneral(error)) return error;
    if (!isSqlite(error)) return undefined;
    const explained = storeError(error);
    return isGeneral(explained) ? explained : undefined;
  }

  begin(): Promise<Knex.Transaction> {
    return this.knex.transaction();
  }

  nextId(table: Sequence): number {
    return ++this.#last[table];
  }

  within(trx: Knex.Transaction): SqliteStore {
    return new SqliteStore(trx, this.#last, this.#watch);
  }

  async isApplied({
    channel,
    message_id,
    scope,
  }: Pick<InboxRow, 'channel' | 'message_id' | 'scope'>): Promise<boolean> {
    const bound = [channel, message_id, scope];
    return (await Connection.use(this.knex, (connection) => connection.all(sql.isApplied, bound))).length > 0;
  }

  async write(commit: Commit): Promise<void> {
    await this.#staying(async (connection) => {
      const lost = (await writeStepwise(connection, this.knex, [commit])).get(commit);
      if (lost) throw new StoreError('unknown', `A turn of a transaction was not written: ${lost.result}.`);
      // Counted in the transaction itself: a savepoint that is rolled back takes its turns out of the count.
      const former = this.#written++;
      const count = former === 0 ? [] : [former];
      const counted = await connection.run(former === 0 ? sql.countFirst : sql.countNext, count);
      if (counted !== 1) throw turnsAreGone();
    });
  }

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

  async commit(group: readonly Commit[]): Promise<Outcome[]> {
    let losers: Map<Commit, Outcome>;
    try {
      const doubt = this.#watch?.before();
      if (doubt) await doubt;
      losers = await Connection.use(this.knex, (connection) => writeGroup(connection, this.knex, group));
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

  async load(addresses: readonly Address[]): Promise<(ActorRow | undefined)[]> {
    const keys = JSON.stringify(addresses.map(({ participantId, flowType }) => [participantId, flowType]));
    const rows = await Connection.use(this.knex, (connection) => connection.all<ActorRow>(sql.loadActors, [keys]));
    const found = new Map(rows.map((row) => [formatAddress(addressOf(row)), row]));
    return addresses.map((address) => found.get(formatAddress(address)));
  }

  due(until: number, after: DueCursor | undefined, limit: number): Promise<DueRow[]> {
    const { next_due_at, flow_type, id } = after ?? { next_due_at: Number.MIN_SAFE_INTEGER, flow_type: '', id: 0 };
    const bounds = [until, next_due_at, flow_type, id, limit];
    return Connection.use(this.knex, (connection) => connection.all<DueRow>(sql.dueActors, bounds));
  }

  leased(after: LeasedRow | undefined, limit: number): Promise<LeasedRow[]> {
    const bounds = [after?.lease_until ?? Number.MIN_SAFE_INTEGER, after?.id ?? 0, limit];
    return Connection.use(this.knex, (connection) => connection.all<LeasedRow>(sql.leasedActors, bounds));
  }

  lastId(table: Sequence): number {
    return this.#last[table];
  }

  unsent(after: Pick<OutboxRow, 'kind' | 'recipient'> | undefined, limit: number): Promise<OutboxRow[]> {
    const bounds = [after?.kind ?? '', after?.recipient ?? '', limit];
    return Connection.use(this.knex, (connection) => connection.all<OutboxRow>(sql.unsent, bounds));
  }

  unsentOf({ kind, recipient }: Pick<OutboxRow, 'kind' | 'recipient'>, limit: number): Promise<OutboxRow[]> {
    const bounds = [kind, recipient, limit];
    return Connection.use(this.knex, (connection) => connection.all<OutboxRow>(sql.unsentOf, bounds));
  }

  async awaited(): Promise<string[]> {
    const rows = await Connection.use(this.knex, (connection) => connection.all<{ recipient: string }>(sql.awaited));
    return rows.map(({ recipient }) => recipient);
  }

  async nextExpiry(): Promise<number | null> {
    const [row] = await Connection.use(this.knex, (connection) =>
      connection.all<{ until: number | null }>(sql.nextExpiry),
    );
    return row!.until;
  }

  async wakeable(now: number): Promise<string[]> {
    const rows = await Connection.use(this.knex, (connection) =>
      connection.all<{ recipient: string }>(sql.wakeable, [now]),
    );
    return rows.map(({ recipient }) => recipient);
  }

  async isUnsent(id: number): Promise<boolean> {
    return (await this.knex('outbox_messages').where({ id }).whereIn('status', UNSENT).first('id')) !== undefined;
  }

  async claims(addresses: readonly (readonly string[])[]): Promise<Claim[][]> {
    const rows = await Connection.use(this.knex, (connection) =>
      connection.all<Omit<Claim, 'own'> & { own: 0 | 1 }>(sql.claimsOf, [JSON.stringify(addresses.flat())]),
    );
    const claims = new Map<string, Claim[]>();
    for (const row of rows)
      claims.set(row.phone_number, [...(claims.get(row.phone_number) ?? []), { ...row, own: row.own === 1 }]);
    return addresses.map((forms) => forms.flatMap((form) => claims.get(form) ?? []));
  }

  async bind(handler: HandlerRow): Promise<boolean> {
    const statement = sql.withRows(sql.rebindHandlers, [handler]);
    return (await Connection.use(this.knex, (connection) => connection.run(statement))) > 0;
  }

  journal(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<JournalRow[]> {
    const text = lastFirst ? sql.journalBackwards : sql.journalForwards;
    const bound = [participantId, lastFirst ? after || Number.MAX_SAFE_INTEGER : after, limit];
    return Connection.use(this.knex, (connection) => connection.all<JournalRow>(text, bound));
  }

  messages(participantId: string, limit: number, after: number, lastFirst: boolean): Promise<SaidRow[]> {
    const text = lastFirst ? sql.messagesBackwards : sql.messagesForwards;
    const bound = [participantId, lastFirst ? after || Number.MAX_SAFE_INTEGER : after, limit];
    return Connection.use(this.knex, (connection) => connection.all<SaidRow>(text, bound));
  }

  optOuts(): Promise<string[]> {
    return this.knex('opt_outs').pluck('address');
  }

  async hasOptedOut(forms: readonly string[]): Promise<boolean> {
    return (await this.knex('opt_outs').whereIn('address', forms).first('address')) !== undefined;
  }

  flowsOf(participantId: string): Promise<string[]> {
    return this.knex('flow_states').where({ participant_id: participantId }).orderBy('id').pluck('flow_type');
  }

  outgoing(participantId: string | undefined, page: PageAfter): Promise<OutboxRow[]> {
    return lists.outgoing(this.knex, participantId, page);
  }

  told(before: number, limit: number): Promise<WrittenRow[]> {
    return lists.told(this.knex, before, limit);
  }

  untold(before: number, limit: number): Promise<WrittenRow[]> {
    return lists.untold(this.knex, before, limit);
  }

  traffic(): Promise<TrafficFigures> {
    return survey.traffic(this.knex);
  }

  withDeadlines(of: ActorsOf, after: DuePlace | undefined, limit: number): Promise<ActorRow[]> {
    return lists.withDeadlines(this.knex, of, after, limit);
  }

  quarantined(of: ActorsOf, page: PageAfter): Promise<QuarantinedRow[]> {
    return lists.quarantined(this.knex, of, page);
  }

  actorWithLine(address: Address): Promise<QuarantinedRow | undefined> {
    return lists.actorWithLine(this.knex, address);
  }

  deadLetters(of: ActorsOf & { status: LetterStatus | 'all' }, page: PageAfter): Promise<LetterRow[]> {
    return lists.deadLetters(this.knex, of, page);
  }

  deadLetter(id: number): Promise<LetterRow | undefined> {
    return this.knex('dead_letters').where({ id }).first();
  }

  undelivered(of: ActorsOf & { status: OutboxRow['status'] | undefined }, page: PageAfter): Promise<OutboxRow[]> {
    return lists.undelivered(this.knex, of, page);
  }

  undeliveredMessage(id: number): Promise<OutboxRow | undefined> {
    return lists.undeliveredMessage(this.knex, id);
  }

  prune(kind: Kind, after: number, cutoffs: Cutoffs): Promise<Pruned> {
    return prune(this.knex, kind, after, cutoffs);
  }

  figures(now: number, horizon: number): Promise<Map<string, FlowFigures>> {
    return survey.figures(this.#scan, now, horizon);
  }

  boundRows(
    flowType: string,
    after: number,
    limit: number,
    which: { participants?: string | undefined; participantId?: string | undefined },
  ): Promise<BoundRow[]> {
    return survey.boundRows(this.#scan, flowType, after, limit, which);
  }

  dueBetween(flowType: string, after: DuePlace, until: number, limit: number): Promise<ActorRow[]> {
    return survey.dueBetween(this.#scan, flowType, after, until, limit);
  }

  withoutActor(
    flowType: string,
    participants: string,
    after: string,
    limit: number,
  ): Promise<{ id: string; other: string | null }[]> {
    return survey.withoutActor(this.knex, flowType, participants, after, limit);
  }

  participantsOf(flowType: string, limit: number): Promise<string[]> {
    return this.knex('flow_states')
      .where({ flow_type: flowType })
      .orderBy('participant_id')
      .limit(limit)
      .pluck('participant_id');
  }

  allRows(after: number, limit: number): Promise<ShapeRow[]> {
    return survey.allRows(this.#scan, after, limit);
  }

  countRows(): Promise<number> {
    return survey.countRows(this.#scan);
  }

  ofOtherVersions(flowType: string, version: number, after: number, limit: number): Promise<ActorRow[]> {
    return survey.ofOtherVersions(this.#scan, flowType, version, after, limit);
  }

  countOtherVersions(flowType: string, version: number): Promise<number> {
    return survey.countOtherVersions(this.#scan, flowType, version);
  }

  versionsAbove(flowType: string, version: number): Promise<VersionCount[]> {
    return survey.versionsAbove(this.knex, flowType, version);
  }

  async hasActors(flow_type: string, flow_version: number): Promise<boolean> {
    const one = this.knex('flow_states').where({ flow_type, flow_version, status: 'active' }).first('id');
    return (await one) !== undefined;
  }

  async lastAnswer(forms: readonly string[]): Promise<number> {
    const answers = this.knex('outbox_messages').whereNull('participant_id').whereIn('recipient', forms);
    return Number((await answers.max('created_at as at').first())?.at ?? 0);
  }

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
  const [last] = await Connection.use(knex, (connection) => connection.all<Record<Sequence, number>>(sql.lastIds));
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
