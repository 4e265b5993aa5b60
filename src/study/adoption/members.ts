/**
 * Who takes part, in tables that live as long as the connection: who has a phone number, and which of several rows is meant,
 * cannot be told from one row alone, and memory stays small.
 */
import type { Connection } from '../../store/sqlite/connection.ts';
import { insert, withRows } from '../../store/sqlite/statements.ts';
import { nameOf } from './columns.ts';
import { instantOf } from './instants.ts';
import { type LegacyRow, PAGE, pages } from './legacy-table.ts';
import { type AdoptedFlow, PARTICIPANTS, type PeopleOptions, type ReadPerson, readPerson } from './people.ts';

/** A participant's row among the others. */
export interface Member extends ReadPerson {
  flow: AdoptedFlow;
  row: number;
  /** There is a row in flow_states. */
  stands: boolean;
  /** The phone number is this participant's. */
  owner: boolean;
  /** The active participant who has the number of this one, who is active as well. */
  rival: string | null;
  /** Withdrawn, while somebody takes part with the number. */
  elsewhere: boolean;
}

/** What is known of a row in flow_states from the others. */
export interface Placing {
  place: number;
  /** It is the one that counts, of all with its key. */
  first: boolean;
  member: Member | undefined;
}

interface MemberRow {
  flow: AdoptedFlow;
  id: string;
  row: number;
  stands: number;
  owner: number;
  rival: string | null;
  elsewhere: number;
  facts: string;
}

const TABLES = `
  CREATE TEMP TABLE perdure_people (
    flow TEXT NOT NULL, id TEXT NOT NULL, row INTEGER NOT NULL, phone TEXT NOT NULL, address TEXT, status TEXT NOT NULL,
    at INTEGER NOT NULL, sound INTEGER NOT NULL, facts TEXT NOT NULL, stands INTEGER NOT NULL DEFAULT 0,
    owner INTEGER NOT NULL DEFAULT 0, rival TEXT, elsewhere INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (id, flow));
  CREATE TEMP TABLE perdure_standings (
    place INTEGER PRIMARY KEY, flow TEXT, id TEXT, at INTEGER, first INTEGER NOT NULL DEFAULT 0)`;

// Of several rows with one key the one that was written last; of several people with one number who takes part, can go on,
// and was active last, in this order.
const ORDER = `
  UPDATE temp.perdure_standings SET first = 1 WHERE place IN (SELECT place FROM (
    SELECT place, ROW_NUMBER() OVER (PARTITION BY flow, id ORDER BY at IS NULL, at DESC, place DESC) AS rank
    FROM temp.perdure_standings) WHERE rank = 1);
  CREATE INDEX temp.perdure_standings_key ON perdure_standings (flow, id);
  UPDATE temp.perdure_people AS p SET stands = 1, at = COALESCE(s.at, p.at)
    FROM temp.perdure_standings AS s WHERE s.flow = p.flow AND s.id = p.id AND s.first = 1;
  CREATE INDEX temp.perdure_people_phone ON perdure_people (phone, flow);
  UPDATE temp.perdure_people SET owner = 1 WHERE rowid IN (SELECT rowid FROM (
    SELECT rowid, ROW_NUMBER() OVER (PARTITION BY flow, phone
      ORDER BY status IN ('active', 'paused') DESC, sound DESC, at DESC, rowid) AS rank
    FROM temp.perdure_people WHERE address IS NOT NULL) WHERE rank = 1);
  UPDATE temp.perdure_people AS p SET rival = o.id FROM temp.perdure_people AS o
    WHERE p.owner = 0 AND p.address IS NOT NULL AND p.status IN ('active', 'paused')
      AND o.phone = p.phone AND o.flow = p.flow AND o.owner = 1;
  UPDATE temp.perdure_people AS p SET elsewhere = 1 WHERE p.status = 'withdrawn' AND EXISTS (
    SELECT 1 FROM temp.perdure_people AS o WHERE o.phone = p.phone AND o.status IN ('active', 'paused'))`;

const insertPeople = insert('temp.perdure_people', [
  'flow',
  'id',
  'row',
  'phone',
  'address',
  'status',
  'at',
  'sound',
  'facts',
]);
const insertStandings = insert('temp.perdure_standings', ['place', 'flow', 'id', 'at']);
export class Crowd {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Looks at everybody.
   * @param tables the legacy tables by our names; those that are not there are missing
   */
  static async of(connection: Connection, tables: ReadonlyMap<string, string>, options: PeopleOptions): Promise<Crowd> {
    const crowd = new Crowd(connection);
    await connection.exec(TABLES);
    for (const [flow, name] of Object.entries(PARTICIPANTS)) {
      const table = tables.get(name);
      if (table === undefined) continue;
      for await (const page of pages(connection, table)) await crowd.#people(flow as AdoptedFlow, page, options);
    }
    const states = tables.get('flow_states');
    if (states !== undefined) for await (const page of pages(connection, states)) await crowd.#standings(page);
    await connection.exec(ORDER);
    return crowd;
  }

  /** All participants of a flow, a page at a time. */
  async *members(flow: AdoptedFlow): AsyncGenerator<Member[]> {
    for (let after = 0; ; ) {
      const rows = await this.#connection.all<MemberRow & { place: number }>(
        `SELECT rowid AS place, * FROM temp.perdure_people WHERE flow = ? AND rowid > ? ORDER BY rowid LIMIT ${PAGE}`,
        [flow, after],
      );
      if (rows.length > 0) yield rows.map(memberOf);
      if (rows.length < PAGE) return;
      after = rows.at(-1)!.place;
    }
  }

  /** What is known of rows in flow_states, by their places. */
  async placings(page: readonly LegacyRow[]): Promise<Map<number, Placing>> {
    const rows = await this.#connection.all<MemberRow & { place: number; first: number }>(
      `SELECT s.place, s.first, p.* FROM temp.perdure_standings AS s
       LEFT JOIN temp.perdure_people AS p ON p.flow = s.flow AND p.id = s.id WHERE s.place BETWEEN ? AND ?`,
      [page[0]!.place, page.at(-1)!.place],
    );
    return new Map(
      rows.map((row) => [
        row.place,
        { place: row.place, first: row.first === 1, member: row.facts ? memberOf(row) : undefined },
      ]),
    );
  }

  /** The flows in which there are participants of these ids. */
  async flowsOf(ids: readonly string[]): Promise<Map<string, AdoptedFlow[]>> {
    const rows = await this.#connection.all<{ id: string; flow: AdoptedFlow }>(
      'SELECT p.id, p.flow FROM json_each(?) AS key CROSS JOIN temp.perdure_people AS p ON p.id = key.value',
      [JSON.stringify(ids)],
    );
    const flows = new Map<string, AdoptedFlow[]>();
    for (const { id, flow } of rows) flows.set(id, [...(flows.get(id) ?? []), flow]);
    return flows;
  }

  /** Numbers whose participants have withdrawn, with the instant, where nobody takes part with them. */
  async optOuts(): Promise<{ address: string; at: number }[]> {
    return this.#connection.all(
      `SELECT address, MAX(at) AS at FROM temp.perdure_people
       WHERE status = 'withdrawn' AND elsewhere = 0 AND address IS NOT NULL GROUP BY address`,
    );
  }

  async #people(flow: AdoptedFlow, page: LegacyRow[], options: PeopleOptions): Promise<void> {
    const given = page.map(({ cells }) => idOf(cells['id']));
    const taken = new Set(
      (
        await this.#connection.all<{ id: string }>(
          'SELECT p.id FROM json_each(?) AS key CROSS JOIN temp.perdure_people AS p ON p.flow = ? AND p.id = key.value',
          [JSON.stringify(given.flatMap(({ id }) => id ?? [])), flow],
        )
      ).map(({ id }) => id),
    );
    const rows = page.map(({ row, cells }, i) => {
      const { id, problem } = given[i]!;
      const isTaken = id !== undefined && taken.has(id);
      const called = id === undefined || isTaken || GIVEN.test(id) ? `${id ?? 'nobody'} (row ${row})` : id;
      taken.add(called);
      const why = isTaken ? `there is another row of the id ${id}` : problem;
      const { address, phone, at, ...read } = readPerson(flow, cells, { id: called, problem: why }, options);
      const facts = JSON.stringify({ address, phone, at, ...read });
      const sound = read.problem === null ? 1 : 0;
      return { flow, id: called, row, phone, address, status: read.columns['status'], at, sound, facts };
    });
    await this.#connection.run(withRows(insertPeople, rows));
  }

  async #standings(page: LegacyRow[]): Promise<void> {
    const rows = page.map(({ place, cells }) => ({
      place,
      flow: orNull(() => nameOf(cells['flow_type'], 'flow_type')),
      id: orNull(() => nameOf(cells['participant_id'], 'participant_id')),
      at: orNull(() => instantOf(cells['updated_at'], 'updated_at')),
    }));
    await this.#connection.run(withRows(insertStandings, rows));
  }
}

/** How an id ends that was given here, so that it is like no other. */
export const GIVEN = /row -?\d+\)$/;

function memberOf({ facts, stands, owner, elsewhere, flow, row, rival }: MemberRow): Member {
  const read = JSON.parse(facts) as ReadPerson;
  return { ...read, flow, row, rival, stands: stands === 1, owner: owner === 1, elsewhere: elsewhere === 1 };
}

function idOf(cell: unknown): { id: string | undefined; problem: string | null } {
  try {
    const id = nameOf(cell, 'id');
    return { id, problem: id === undefined ? 'it has no id' : null };
  } catch (error) {
    return { id: undefined, problem: (error as Error).message };
  }
}

function orNull<T>(read: () => T | undefined): T | null {
  try {
    return read() ?? null;
  } catch {
    return null;
  }
}
