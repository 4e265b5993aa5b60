/** What a SQLite column may hold where a text, a number or an instant is meant: anything. */

/** A row, or a part of it, that cannot be read. The message says what was found. */
export class Unreadable extends Error {}

/** A text; `undefined` where there is none. */
export function textOf(cell: unknown, what: string): string | undefined {
  const text = Buffer.isBuffer(cell) ? decoded(cell, what) : cell;
  if (text === null || text === undefined) return undefined;
  if (typeof text === 'number' || typeof text === 'bigint') return String(text);
  if (typeof text !== 'string') throw new Unreadable(`${what} is ${shown(cell)}, and no text`);
  return text;
}

/** A text of one line, such as an id or a name of a state; `undefined` where there is none, or only white space. */
export function nameOf(cell: unknown, what: string): string | undefined {
  const text = textOf(cell, what);
  if (text === undefined || text.trim() === '') return undefined;
  if (CONTROL.test(text)) throw new Unreadable(`${what} is ${shown(text)}, with control characters in it`);
  return text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

function decoded(bytes: Buffer, what: string): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Unreadable(`${what} holds bytes that are not UTF-8`);
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A value as a message shows it. */
export function shown(value: unknown): string {
  const text = Buffer.isBuffer(value)
    ? `bytes ${value.subarray(0, 20).toString('hex')}`
    : typeof value === 'bigint'
      ? String(value)
      : (JSON.stringify(value) ?? 'nothing');
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** A row as JSON keeps it. */
export function verbatim(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([column, cell]) => [
      column,
      Buffer.isBuffer(cell) ? { bytes: cell.toString('hex') } : typeof cell === 'bigint' ? String(cell) : cell,
    ]),
  );
}
