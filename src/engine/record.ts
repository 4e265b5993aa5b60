/** What a flow may write into tables of the application: rows of values that a column can hold. */
import { type Address, formatAddress, InvalidArgumentError } from '../errors.ts';
import type { FlowRecord } from '../flow/flow.ts';
import { isWellFormed } from '../well-formed.ts';

/**
 * The driver would write null for some of these, and `[object Object]` for others.
 * @throws {InvalidArgumentError} it names no table, or has a value that no column can hold
 */
export function assertRecord(record: FlowRecord, address: Address): void {
  const { table, row, where, set } = record as Partial<Record<'table' | 'row' | 'where' | 'set', unknown>>;
  const refuse = (why: string): never => {
    throw new InvalidArgumentError(`What ${formatAddress(address)} records ${why}`, { address });
  };
  if (typeof table !== 'string' || table === '')
    refuse('names no table. Give { table, row } or { table, where, set }.');
  for (const columns of row === undefined ? [where, set] : [row]) {
    if (Object(columns) !== columns)
      refuse(`in '${table}' has no columns. Give { table, row } or { table, where, set }.`);
    for (const [column, value] of Object.entries(columns as object)) {
      const what = value === undefined ? columns === where && 'undefined' : unwritable(value);
      if (what)
        refuse(
          `in '${table}' has ${what} in '${column}', which a column cannot hold. Give a number, a text, a Date or null.`,
        );
    }
  }
}

/** What the value is, where no column can hold it. */
function unwritable(value: unknown): string | undefined {
  if (typeof value === 'bigint') return 'a BigInt';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'string') return isWellFormed(value) ? undefined : 'half of a surrogate pair';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'a Date that is none' : undefined;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  if (Array.isArray(value)) return 'a list';
  // Knex writes a plain object as JSON, and what it made itself (`knex.raw`) as the SQL that it is.
  if (isPlainObject(value) || typeof (value as { toSQL?: unknown }).toSQL === 'function') return undefined;
  return `an instance of ${value.constructor?.name ?? 'a class'}`;
}

const isPlainObject = (value: object) => [Object.prototype, null].includes(Object.getPrototypeOf(value));
