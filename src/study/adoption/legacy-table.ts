/** Reading the tables of the system before, whatever they are made of. */
import type { Connection } from '../../store/sqlite/connection.ts';

/** So many rows are in memory at once. */
export const PAGE = 200;

/** A row: its place among all, from 0; its number in the table; and its columns, by their names in lower case. */
export interface LegacyRow {
  place: number;
  row: number;
  cells: Record<string, unknown>;
}

/** All rows of a table, a page at a time, in the order in which they were written. */
export async function* pages(connection: Connection, table: string): AsyncGenerator<LegacyRow[]> {
  const name = quoted(table);
  const numbered = await connection.all(`SELECT _rowid_ FROM ${name} LIMIT 0`).then(
    () => true,
    () => false, // WITHOUT ROWID
  );
  // As texts: a row's number may be greater than what a number of JavaScript holds.
  let after = '-9223372036854775808';
  for (let read = 0; ; ) {
    const rows = numbered
      ? await connection.all<Record<string, unknown>>(
          `SELECT CAST(_rowid_ AS TEXT) AS ${ROW}, * FROM ${name}
           WHERE _rowid_ ${read === 0 ? '>=' : '>'} CAST(? AS INTEGER) ORDER BY _rowid_ LIMIT ${PAGE}`,
          [after],
        )
      : await connection.all<Record<string, unknown>>(`SELECT * FROM ${name} LIMIT ${PAGE} OFFSET ?`, [read]);
    const page = rows.map(({ [ROW]: row = '', ...cells }, i) => ({
      place: read + i,
      row: numbered ? Number(row) : read + i + 1,
      cells: lowerCased(cells),
    }));
    after = String(rows.at(-1)?.[ROW]);
    if (numbered)
      for (const [i, row] of page.entries()) await restoreBytes(connection, name, row, String(rows[i]![ROW]));
    if (page.length > 0) yield page;
    if (page.length < PAGE) return;
    read += page.length;
  }
}

/** The driver puts U+FFFD in place of bytes that are not UTF-8: where there is one, the cell's bytes are looked at. */
async function restoreBytes(connection: Connection, table: string, { cells }: LegacyRow, row: string): Promise<void> {
  for (const [column, cell] of Object.entries(cells)) {
    if (typeof cell !== 'string' || !cell.includes('\uFFFD')) continue;
    const [found] = await connection.all<{ bytes: Buffer }>(
      `SELECT CAST(${quoted(column)} AS BLOB) AS bytes FROM ${table} WHERE _rowid_ = CAST(? AS INTEGER)`,
      [row],
    );
    if (found && !found.bytes.equals(Buffer.from(cell))) cells[column] = found.bytes;
  }
}

const ROW = 'perdure_row';

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

const lowerCased = (cells: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(cells).map(([column, cell]) => [column.toLowerCase(), cell]));
