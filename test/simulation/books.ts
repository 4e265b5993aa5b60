/**
 * The application's own rows. Those that its flows write (`record`, `project`) are there with their turn, all of them, and so
 * is what it bought in a transaction.
 */
import type { AnyEventObject } from 'xstate';
import type { FlowRecord } from '../../src/flow/flow.ts';
import type { JournalRow } from '../../src/store/rows.ts';
import type { SimulatedDatabase } from './database.ts';
import type { Followed } from './ledger.ts';
import { GENERATED } from './machines.ts';
import { withOutside } from './outside.ts';
import { Violation } from './violation.ts';

interface Entry {
  id: string;
  owner: string;
  text: string;
  at: number;
}

export class Books {
  readonly #database: SimulatedDatabase;
  readonly #purchases: ReadonlySet<string>;
  /** Serials of events that were applied. */
  readonly #taken: ReadonlySet<string>;
  /** Entries that turns have made since the last look. */
  #entries: Entry[] = [];
  /** How many there are, of all actors. */
  #known = 0;
  /** What the application should know of each actor's state. */
  readonly #standings = new Map<string, { count: number; last: string }>();

  constructor(database: SimulatedDatabase, purchases: ReadonlySet<string>, taken: ReadonlySet<string>) {
    this.#database = database;
    this.#purchases = purchases;
    this.#taken = taken;
  }

  /** Takes note of what a turn should write. @param before its snapshot; `undefined` in the first turn */
  turn({ flow, reference, row }: Followed, { at }: JournalRow, before: unknown): void {
    if (flow.type !== GENERATED || !flow.record || !flow.project) return;
    const { participant_id: participantId } = row;
    const after = reference.snapshot;
    withOutside(reference, () => {
      for (const event of reference.emitted) {
        const record = flow.record!(event as AnyEventObject as never, { participantId, at });
        if (record) this.#entries.push((record as { row: unknown }).row as Entry);
      }
      if (after !== before) this.#stand(flow.project!({ participantId, before: before as never, after, at }));
    });
  }

  #stand(projection: FlowRecord | null): void {
    if (!projection) return;
    const { name, ...columns } = ('row' in projection
      ? projection.row
      : { ...projection.where, ...projection.set }) as unknown as { name: string; count: number; last: string };
    this.#standings.set(name, columns);
  }

  /** All that the turns should have written is there, and nothing else. @throws {Violation} */
  compare(): void {
    if (this.#standings.size === 0) return;
    const wrong = (what: string, is: unknown[], should: unknown[]) => {
      const [a, b] = [is, should].map((rows) => JSON.stringify(rows));
      if (a !== b) throw new Violation('G3', `${what} are not those of the turns:\n  is        ${a}\n  should be ${b}`);
    };
    const entries = this.#database.read<Entry>(
      'SELECT id, owner, text, at FROM entries WHERE rowid > ? ORDER BY owner, rowid',
      [this.#known],
    );
    wrong(
      'the entries',
      entries,
      this.#entries.sort((a, b) => (a.owner < b.owner ? -1 : Number(a.owner > b.owner))),
    );
    this.#known += entries.length;
    this.#entries = [];
    const standings = this.#database.read<object>('SELECT name, count, last FROM standings ORDER BY name');
    const names = [...this.#standings.keys()].sort();
    wrong(
      'the standings',
      standings,
      names.map((name) => ({ name, ...this.#standings.get(name) })),
    );
  }

  /** Of each purchase, the row and the turn, or neither. @throws {Violation} */
  comparePurchases(): void {
    if (this.#purchases.size === 0) return;
    const rows = new Set(this.#database.read<{ id: string }>('SELECT id FROM purchases').map(({ id }) => id));
    for (const id of this.#purchases) {
      const marks = this.#database.read("SELECT 1 FROM inbox WHERE channel = 'sms' AND message_id = ?", [id]);
      const taken = this.#taken.has(id) || marks.length > 0;
      if (rows.has(id) !== taken)
        throw new Violation('G3', `of the transaction of ${id} there is ${taken ? 'the turn' : 'the row'} alone.`);
    }
  }
}
