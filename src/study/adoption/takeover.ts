/**
 * The takeover, inside of one transaction: the legacy tables get other names and are kept as they are; our tables are made
 * and filled from them, row by row. A row that cannot be read becomes an actor in quarantine, with what it held.
 */
import type { Knex } from 'knex';
import { placeActor } from '../../actor/placement.ts';
import { Connection } from '../../store/sqlite/connection.ts';
import { migrateWithin, ownTables } from '../../store/sqlite/schema.ts';
import { type GroupStatement, insert, withRows } from '../../store/sqlite/statements.ts';
import { Actors, FLOWS, type Verdict } from './actors.ts';
import { nameOf, shown, textOf, Unreadable } from './columns.ts';
import { adoptConversation } from './conversation.ts';
import { StateData } from './data.ts';
import { type Contents, rehearsing, tablesIn } from './files.ts';
import { instantOf, isoOf } from './instants.ts';
import { adoptIntervention } from './intervention.ts';
import type { AdoptedTables } from './legacy-erasure.ts';
import type { Legacy } from './legacy-state.ts';
import { type LegacyRow, pages, quoted } from './legacy-table.ts';
import { Crowd, GIVEN, type Member, type Placing } from './members.ts';
import { type AdoptedFlow, PARTICIPANTS, type PeopleOptions } from './people.ts';
import type { AdoptedRow, Tally } from './report.ts';

export interface TakeoverOptions extends PeopleOptions {
  /** Only tell what would become of everything. */
  dryRun: boolean;
  systemPrompt: string;
  tally: Tally;
  /** What is kept in the settings of the adopted file. */
  mark: object;
}

/** Clocks of two machines may differ by so much, in ms. */
const SKEW = 5 * 60_000;

const COMMON = ['id', 'phone_number', 'name', 'timezone', 'status', 'enrolled_at', 'created_at', 'updated_at'];
const insertPeople: Record<AdoptedFlow, GroupStatement> = {
  micro_health_intervention: insert(PARTICIPANTS.micro_health_intervention, [
    ...COMMON,
    'daily_prompt_time',
    'weekly_reset',
  ]),
  conversation: insert(PARTICIPANTS.conversation, [...COMMON, 'gender', 'ethnicity', 'background']),
};
const insertResponses = insert('intervention_responses', [
  'participant_id',
  'state',
  'response_text',
  'response_type',
  'timestamp',
]);
const insertOptOuts = insert('opt_outs', ['address', 'opted_out_at', 'source']);

/** Takes over all tables; what became of them is in the tally. */
export async function takeOver(transaction: Knex.Transaction, options: TakeoverOptions): Promise<void> {
  const ours = new Set(await ownTables());
  const found = await Connection.use(transaction, tablesIn);
  const kept = keptNames(found, ours);
  if (options.dryRun) await rehearsing(await schemaOf(transaction), (rehearsal) => makeRoom(rehearsal, found, kept));
  else await makeRoom(transaction, found, kept);
  await Connection.use(transaction, async (connection) => {
    /** Under which name a legacy table is read. */
    const tables = new Map(
      [...found].map(([key, { name }]) => [key, options.dryRun ? name : (kept.get(key) ?? name)] as const),
    );
    await new Takeover(connection, tables, kept, options).run(found);
    if (options.dryRun) return;
    const adopted: AdoptedTables = {
      kept: [...kept.values()],
      logs: [...found.keys()].filter((key) => isLog(key, found)),
    };
    await connection.run('INSERT INTO runtime_settings (key, value) VALUES (?, ?)', [
      'adoption',
      JSON.stringify({ ...options.mark, ...adopted }),
    ]);
  });
}

/** Gives legacy tables their other names, and makes ours. A view or trigger that is broken, or named like ours, forbids it. */
async function makeRoom(
  transaction: Knex.Transaction,
  found: Contents['tables'],
  kept: ReadonlyMap<string, string>,
): Promise<void> {
  await Connection.use(transaction, async (connection) => {
    await connection.exec('DROP TABLE IF EXISTS perdure_migrations; DROP TABLE IF EXISTS perdure_migrations_lock');
    for (const [key, name] of kept)
      await connection.exec(`ALTER TABLE ${quoted(found.get(key)!.name)} RENAME TO ${quoted(name)}`);
  });
  await migrateWithin(transaction);
}

/** How everything in a database was made, tables first. */
const schemaOf = (transaction: Knex.Transaction): Promise<string[]> =>
  transaction('sqlite_master')
    .whereNotNull('sql')
    .whereRaw("name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    .orderByRaw("type <> 'table'")
    .pluck('sql');

/** PromptPipe's logs of what went out and came in: they stay as they are, and who is deleted is deleted from them. */
const LOGS: Record<string, string[]> = {
  receipts: ['recipient', 'status', 'time'],
  responses: ['sender', 'body', 'time'],
};

const isLog = (key: string, found: Contents['tables']) =>
  LOGS[key]?.every((column) => found.get(key)!.columns.has(column)) ?? false;

/** The names that legacy tables get whose names are ours. */
function keptNames(found: Contents['tables'], ours: ReadonlySet<string>): Map<string, string> {
  const names = new Map<string, string>();
  for (const key of found.keys()) {
    if (!ours.has(key) || key.startsWith('perdure_')) continue;
    let name = `promptpipe_${key}`;
    for (let n = 2; found.has(name); n++) name = `promptpipe_${key}_${n}`;
    names.set(key, name);
  }
  return names;
}

class Takeover {
  readonly #connection: Connection;
  readonly #tables: ReadonlyMap<string, string>;
  readonly #kept: ReadonlyMap<string, string>;
  readonly #options: TakeoverOptions;
  #crowd!: Crowd;
  #actors!: Actors;

  constructor(
    connection: Connection,
    tables: ReadonlyMap<string, string>,
    kept: ReadonlyMap<string, string>,
    options: TakeoverOptions,
  ) {
    this.#connection = connection;
    this.#tables = tables;
    this.#kept = kept;
    this.#options = options;
  }

  async run(found: Contents['tables']): Promise<void> {
    const { tally } = this.#options;
    for (const [key, table] of this.#tables) {
      if (key.startsWith('perdure_')) continue;
      const [counted] = await this.#connection.all<{ rows: number }>(`SELECT COUNT(*) AS rows FROM ${quoted(table)}`);
      const fate = ROW_BY_ROW.includes(key)
        ? 'adopted'
        : this.#kept.has(key)
          ? 'kept'
          : isLog(key, found)
            ? 'stays'
            : 'untouched';
      tally.table(key, fate, counted!.rows, this.#kept.get(key));
    }
    this.#crowd = await Crowd.of(this.#connection, this.#tables, this.#options);
    this.#actors = new Actors(this.#options.now, (statement, rows) => this.#write(statement, rows));
    await this.#everyPage('response_handlers', (page) => this.#bindings(page));
    for (const flow of Object.keys(PARTICIPANTS) as AdoptedFlow[])
      for await (const page of this.#crowd.members(flow)) await this.#people(flow, page);
    await this.#everyPage('flow_states', (page) => this.#states(page));
    await this.#everyPage('intervention_responses', (page) => this.#responses(page));
    tally.handlers = this.#actors.handlers;
    const optOuts = await this.#crowd.optOuts();
    tally.optOuts = optOuts.length;
    await this.#write(
      insertOptOuts,
      optOuts.map(({ address, at }) => ({ address, opted_out_at: at, source: 'promptpipe: withdrawn' })),
    );
  }

  async #everyPage(table: string, take: (page: LegacyRow[]) => Promise<void>): Promise<void> {
    const name = this.#tables.get(table);
    if (name !== undefined) for await (const page of pages(this.#connection, name)) await take(page);
  }

  /** Tells of bindings. Numbers are bound anew, with their participants: when an old binding would have expired, means nothing. */
  async #bindings(page: LegacyRow[]): Promise<void> {
    const ids = page.flatMap(({ cells }) => quiet(() => nameOf(cells['participant_id'], 'participant_id')) ?? []);
    const flows = await this.#crowd.flowsOf(ids);
    for (const { row, cells } of page) {
      const told = { table: 'response_handlers', row };
      try {
        const id = nameOf(cells['participant_id'], 'participant_id');
        const type = nameOf(cells['flow_type'], 'flow_type');
        const flow = (id === undefined ? [] : (flows.get(id) ?? [])).find(
          (each) => type === undefined || each === type,
        );
        if (id === undefined || flow === undefined) throw new Unreadable('it binds a number to nobody who is known');
        this.#options.tally.row({ ...told, outcome: 'adopted', flowType: flow, participantId: id });
      } catch (error) {
        this.#options.tally.row({ ...told, outcome: 'kept', reason: reasonOf(error) });
      }
    }
  }

  async #people(flow: AdoptedFlow, page: Member[]): Promise<void> {
    const rows = page.map(({ columns, phone, owner, person }) => ({
      ...columns,
      // As at a second enrolment: the number is unique, and stays readable.
      phone_number: owner ? phone : `${phone} (${person.id})`,
    }));
    await this.#write(insertPeople[flow], rows);
    for (const member of page) {
      const told: AdoptedRow = {
        table: PARTICIPANTS[flow],
        row: member.row,
        outcome: 'adopted',
        flowType: flow,
        participantId: member.person.id,
      };
      const notes = [...member.notes, ...(member.elsewhere ? [ELSEWHERE] : [])];
      if (!member.stands) Object.assign(told, await this.#withoutState(flow, member, notes));
      if (notes.length > 0) told.notes = notes;
      this.#options.tally.row(told);
    }
    await this.#actors.flush();
  }

  /** An actor for a participant of whom PromptPipe kept no state. */
  async #withoutState(flow: AdoptedFlow, member: Member, notes: string[]): Promise<Partial<AdoptedRow>> {
    const { person, at } = member;
    const verdict = this.#judge(() => {
      assertSound(member);
      if (person.status === 'active' || person.status === 'paused')
        throw new Unreadable('it has no row in flow_states: where it stood is not known');
      const state = flow === 'conversation' ? 'CONVERSATION_ACTIVE' : 'END_OF_DAY';
      return { flow, legacy: { person, state, data: new StateData(''), updatedAt: at } };
    });
    if ('placed' in verdict) notes.push('it had no row in flow_states: it has ended, and needs none');
    return this.#actors.add({ flow, id: person.id, state: '(none)', createdAt: at, member, verdict });
  }

  async #states(page: LegacyRow[]): Promise<void> {
    const placings = await this.#crowd.placings(page);
    for (const { place, row, cells } of page) {
      const placing = placings.get(place)!;
      const { member } = placing;
      const flow = quiet(() => nameOf(cells['flow_type'], 'flow_type'));
      const id = quiet(() => nameOf(cells['participant_id'], 'participant_id'));
      const state = quiet(() => nameOf(cells['current_state'], 'current_state'));
      let data: StateData | undefined;
      const verdict = this.#judge(() => {
        const legacy = this.#read(placing, cells);
        data = legacy.data;
        return { flow: flow as AdoptedFlow, legacy };
      });
      const adopted = 'placed' in verdict;
      const unread = (adopted && data?.unread) || [];
      const stale = (adopted && data?.staleTimers) || [];
      const notes = [
        ...(adopted ? verdict.notes : []),
        ...(unread.length > 0 ? [`kept in ${this.#kept.get('flow_states')} alone: ${unread.join(', ')}`] : []),
      ];
      const told: AdoptedRow = {
        table: 'flow_states',
        row,
        outcome: 'adopted',
        ...(flow !== undefined && { flowType: flow }),
        ...(state !== undefined && { from: state }),
        ...(stale.length > 0 && { staleTimers: stale }),
        ...(notes.length > 0 && { notes }),
      };
      const createdAt =
        quiet(() => instantOf(cells['created_at'], 'created_at')) ?? ('at' in verdict ? verdict.at : undefined);
      // The rows of one key cannot all have it.
      const called =
        id !== undefined && flow !== undefined && placing.first && !GIVEN.test(id)
          ? id
          : `${id ?? 'nobody'} (flow_states row ${row})`;
      const where = { flow: flow ?? 'unknown', id: called, state: state ?? '(none)', createdAt };
      Object.assign(told, this.#actors.add({ ...where, member: called === id ? member : undefined, verdict, cells }));
      this.#options.tally.row(told);
    }
    await this.#actors.flush();
  }

  /** @throws {Unreadable} */
  #read({ first, member }: Placing, cells: Record<string, unknown>): Legacy {
    const id = nameOf(cells['participant_id'], 'participant_id');
    const flow = nameOf(cells['flow_type'], 'flow_type');
    const state = nameOf(cells['current_state'], 'current_state');
    if (id === undefined) throw new Unreadable('it has no participant_id');
    if (flow === undefined) throw new Unreadable('it has no flow_type');
    if (!Object.hasOwn(FLOWS, flow)) throw new Unreadable(`there is no flow ${shown(flow)}`);
    if (!first) throw new Unreadable(`there is another row of ${flow}/${id}, which was written later`);
    if (!member) throw new Unreadable(`there is no participant ${shown(id)} in ${PARTICIPANTS[flow as AdoptedFlow]}`);
    assertSound(member);
    if (state === undefined) throw new Unreadable('it has no current_state');
    const updatedAt = instantOf(cells['updated_at'], 'updated_at');
    if (updatedAt === undefined) throw new Unreadable('it has no updated_at: its deadline is not known');
    if (updatedAt > this.#options.now + SKEW)
      throw new Unreadable(`updated_at is ${shown(cells['updated_at'])}, which is still to come`);
    return { person: member.person, state, data: new StateData(cells['state_data']), updatedAt };
  }

  #judge(read: () => { flow: AdoptedFlow; legacy: Legacy }): Verdict {
    try {
      const { flow, legacy } = read();
      const adopted =
        flow === 'conversation' ? adoptConversation(legacy, this.#options.systemPrompt) : adoptIntervention(legacy);
      const address = { flowType: flow, participantId: legacy.person.id };
      return { notes: adopted.notes, placed: placeActor(FLOWS[flow].logic, adopted, address), at: legacy.updatedAt };
    } catch (error) {
      return { reason: reasonOf(error) };
    }
  }

  async #responses(page: LegacyRow[]): Promise<void> {
    const rows: object[] = [];
    for (const { row, cells } of page) {
      const told: AdoptedRow = { table: 'intervention_responses', row, outcome: 'adopted' };
      try {
        const participant_id = nameOf(cells['participant_id'], 'participant_id');
        const timestamp = instantOf(cells['timestamp'], 'timestamp');
        if (participant_id === undefined) throw new Unreadable('it has no participant_id');
        if (timestamp === undefined) throw new Unreadable('it has no timestamp');
        rows.push({
          participant_id,
          state: textOf(cells['state'], 'state') ?? '',
          response_text: textOf(cells['response_text'], 'response_text') ?? '',
          response_type: textOf(cells['response_type'], 'response_type') ?? 'general',
          timestamp: isoOf(timestamp),
        });
        told.participantId = participant_id;
      } catch (error) {
        Object.assign(told, { outcome: 'kept', reason: reasonOf(error) });
      }
      this.#options.tally.row(told);
    }
    await this.#write(insertResponses, rows);
  }

  /** Writes rows, all of them; in a dry run, nothing. */
  async #write(statement: GroupStatement, rows: readonly object[]): Promise<void> {
    if (this.#options.dryRun || rows.length === 0) return;
    const written = await this.#connection.run(withRows(statement, rows));
    if (written !== rows.length) throw new Error(`Of ${rows.length} rows only ${written} could be written.`);
  }
}

const ROW_BY_ROW = ['flow_states', ...Object.values(PARTICIPANTS), 'response_handlers', 'intervention_responses'];

const ELSEWHERE = 'withdrawn, but somebody takes part with the same number, which therefore is not opted out';

/** @throws {Unreadable} the participant cannot go on */
function assertSound({ problem, rival, address, flow }: Member): void {
  if (problem !== null) throw new Unreadable(`its row in ${PARTICIPANTS[flow]} cannot be used: ${problem}`);
  if (rival !== null) throw new Unreadable(`its phone number ${address} belongs to ${rival} as well, who keeps it`);
}

function reasonOf(error: unknown): string {
  const { message } = error as Error;
  return `${error instanceof Unreadable ? message : `it cannot be placed: ${message}`}.`.replace(/\.\.$/, '.');
}

function quiet<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
