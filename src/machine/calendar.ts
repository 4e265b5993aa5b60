/**
 * Wall-clock times of a time zone, as instants.
 *
 * Temporal knows the zones' rules. Two things are added here: a time that falls into a gap means the end of the gap (by
 * itself Temporal would shift it by the length of the gap), and a date that a zone leaves out has no times at all. The build
 * puts temporal-polyfill into this file (scripts/inline-packages.js).
 */
import { Temporal } from 'temporal-polyfill';

/** A time of the day in a time zone. */
export interface LocalTime {
  /** The result lies strictly after this instant, in ms since the epoch. */
  after: number;
  /** Time of day, `'HH:MM'`, from `'00:00'` to `'23:59'`. */
  time: string;
  /** IANA name, e.g. `'Europe/Berlin'`, or an offset such as `'+02:00'`. */
  timeZone: string;
  /** A local date, `'YYYY-MM-DD'`, on which the result must not fall. */
  notOn?: string | null | undefined;
}

/**
 * The next instant at which the clocks of a zone show a time of day.
 *
 * Where clocks go forward, a time that is left out means the end of the gap; where they go back, a time that comes twice
 * means the first one. A date that the zone leaves out (Samoa, 2011-12-30) is passed over.
 *
 * @returns ms since the epoch
 * @throws {TypeError} an unknown zone, a malformed time or date, an `after` that is not a number
 * @example
 * nextLocalTime({ after: now(), time: '10:00', timeZone: 'America/New_York' })
 */
export function nextLocalTime({ after, time, timeZone, notOn }: LocalTime): number {
  const clockTime = parseTime(time);
  const excluded = notOn == null ? undefined : parseDate(notOn);
  const here = zoned(after, timeZone);
  let date = here.toPlainDate();
  // Today's is over: a conversion less, and conversions are what this function costs.
  if (Temporal.PlainTime.compare(here.toPlainTime(), clockTime) >= 0) date = date.add(DAY);
  for (; ; date = date.add(DAY)) {
    const found = firstAt(date.toPlainDateTime(clockTime), timeZone);
    if (found.epochMilliseconds <= after || excluded?.equals(found.toPlainDate())) continue;
    if (found.toPlainDate().equals(date) || dayExists(date, timeZone)) return found.epochMilliseconds;
  }
}

/**
 * The next of the instants that lie 7 days apart from `from`, in the past and the future, at the same local time.
 *
 * @param schedule `after`: the result lies strictly after it. `from`: one of the instants, and the first one. Both in ms since
 * the epoch.
 * @returns ms since the epoch
 * @throws {TypeError} an unknown zone, an instant that is not a number
 */
export function nextWeekly({ after, from, timeZone }: { after: number; from: number; timeZone: string }): number {
  const first = zoned(from, timeZone).toPlainDateTime();
  // One week less than have passed, since weeks with a change of the clocks are up to a day shorter or longer than 168 h.
  for (let week = Math.max(0, Math.floor((after - from) / WEEK) - 1); ; week++) {
    const instant = week === 0 ? from : firstAt(first.add({ weeks: week }), timeZone).epochMilliseconds;
    if (instant > after) return instant;
  }
}

/**
 * The date that a zone's calendar shows at an instant, `'YYYY-MM-DD'`.
 * @throws {TypeError} an unknown zone, an instant that is not a number
 */
export function localDate(instant: number, timeZone: string): string {
  return zoned(instant, timeZone).toPlainDate().toString();
}

/**
 * The instant some calendar days after another one, at the same local time.
 * @throws {TypeError} an unknown zone, an instant that is not a number
 */
export function addLocalDays(instant: number, days: number, timeZone: string): number {
  return firstAt(zoned(instant, timeZone).toPlainDateTime().add({ days }), timeZone).epochMilliseconds;
}

const DAY = { days: 1 };
const WEEK = 7 * 24 * 3_600_000;

function zoned(instant: number, timeZone: string): Temporal.ZonedDateTime {
  if (!Number.isFinite(instant))
    throw new TypeError(`An instant is a number of milliseconds; this one is ${String(instant)}.`);
  try {
    // Temporal takes the zone of a whole ISO date as well, which would hide a mix-up of arguments.
    if (typeof timeZone === 'string' && /^[A-Za-z+-]/.test(timeZone)) {
      return Temporal.Instant.fromEpochMilliseconds(Math.floor(instant)).toZonedDateTimeISO(timeZone);
    }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
  }
  throw new TypeError(
    `Unknown time zone ${JSON.stringify(timeZone)}. A time zone is an IANA name such as 'Europe/Berlin'.`,
  );
}

function firstAt(dateTime: Temporal.PlainDateTime, timeZone: string): Temporal.ZonedDateTime {
  const found = dateTime.toZonedDateTime(timeZone, { disambiguation: 'earlier' });
  if (found.toPlainDateTime().equals(dateTime)) return found;
  // A gap: `found` lies before it, and the next change of the zone's offset ends it.
  return found.getTimeZoneTransition('next') as Temporal.ZonedDateTime;
}

function dayExists(date: Temporal.PlainDate, timeZone: string): boolean {
  return date.toZonedDateTime(timeZone).toPlainDate().equals(date);
}

function parseTime(time: string): Temporal.PlainTime {
  const [, hour, minute] = (typeof time === 'string' && /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time)) || [];
  if (hour === undefined || minute === undefined) {
    throw new TypeError(`Malformed time ${JSON.stringify(time)}. A time is 'HH:MM', from '00:00' to '23:59'.`);
  }
  return new Temporal.PlainTime(Number(hour), Number(minute));
}

function parseDate(date: string): Temporal.PlainDate {
  try {
    const parsed = typeof date === 'string' ? Temporal.PlainDate.from(date) : undefined;
    if (parsed?.toString() === date) return parsed;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
  }
  throw new TypeError(`Malformed date ${JSON.stringify(date)}. A date is 'YYYY-MM-DD'.`);
}
