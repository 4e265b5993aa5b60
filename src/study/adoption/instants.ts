/**
 * Instants as PromptPipe's database holds them: what its driver wrote (`2025-07-14 08:30:00.123456789-04:00`), what Go
 * prints (`… -0400 EDT m=+0.01`), SQLite's own `CURRENT_TIMESTAMP`, ISO 8601, and numbers since the epoch. Without a zone, UTC.
 */
import { LAST_INSTANT } from '../../clock.ts';
import { shown, textOf, Unreadable } from './columns.ts';

/**
 * An instant in ms since the epoch, cut off below; `undefined` where there is none: NULL, an empty text, or Go's zero time.
 * @param what what the cell is called in the message
 * @throws {Unreadable} it is no instant, or one before 2000: then an instant was lost on the way into the database
 */
export function instantOf(cell: unknown, what: string): number | undefined {
  const text = textOf(cell, what)?.trim();
  if (text === undefined || text === '' || text.startsWith('0001-01-01')) return undefined;
  const instant = /^-?\d+(\.\d+)?$/.test(text) ? sinceEpoch(Number(text)) : written(text);
  if (instant === undefined) throw new Unreadable(`${what} is ${shown(cell)}, which is no instant`);
  if (instant < EARLIEST) throw new Unreadable(`${what} is ${shown(cell)}, which lies before 2000`);
  return instant;
}

const EARLIEST = Date.UTC(2000, 0, 1);

/** Seconds, milliseconds, microseconds or nanoseconds, by their size. */
function sinceEpoch(number: number): number | undefined {
  const size = Math.abs(number);
  const ms = size < 1e11 ? number * 1e3 : size < 1e14 ? number : size < 1e17 ? number / 1e3 : number / 1e6;
  return Math.abs(ms) <= LAST_INSTANT ? Math.floor(ms) : undefined;
}

// A zone's name counts only behind its offset: alone, as in 'EDT' or 'IST', it is ambiguous, and 'PM' is none at all.
const WRITTEN =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?(?:\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)(?:\s+(?:[A-Z]{1,5}|[+-]\d{2,4}))?)?(?:\s+m=[+-][\d.]+)?$/i;

function written(text: string): number | undefined {
  const [, date, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = WRITTEN.exec(text) ?? [];
  if (date === undefined) return undefined;
  const local = `${date}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}`;
  const asUtc = Date.parse(`${local}Z`);
  // A day that does not exist, such as February 30, would be taken for one that does.
  if (Number.isNaN(asUtc) || new Date(asUtc).toISOString() !== `${local}Z`) return undefined;
  const [, sign, hours, minutes = '00'] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  if (hours === undefined) return asUtc;
  if (Number(hours) > 15 || Number(minutes) > 59) return undefined;
  return asUtc - Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** As our tables write it. */
export const isoOf = (instant: number) => new Date(instant).toISOString();
