/** What the fields of a participant may be: the one place where their values are checked, whoever gives them. */
import { InvalidArgumentError } from '../errors.ts';
import { nextLocalTime } from '../machine/index.ts';

const DAY = 86_400_000;
/** The weeks may have begun long ago, and may begin later, but in this age: in ms. */
const LONGEST_AGO = 3_660 * DAY;
const LONGEST_AHEAD = 366 * DAY;
/** A hundred years. */
const MOST_DAYS = 36_525;

/** @throws {InvalidArgumentError} a field that is there, and is no text */
export function checkTexts(given: object, fields: readonly string[]): void {
  for (const field of fields) {
    const value = (given as Record<string, unknown>)[field];
    if (value !== undefined && value !== null && typeof value !== 'string')
      throw new InvalidArgumentError(`${field} must be a text.`);
  }
}

/** @throws {InvalidArgumentError} no time zone, or no time of the day */
export function checkTime(timeZone: string, time: string): void {
  try {
    nextLocalTime({ after: 0, time, timeZone });
  } catch (cause) {
    throw new InvalidArgumentError((cause as Error).message, { cause });
  }
}

/**
 * The instant of `weekly_reset`, in ms since the epoch.
 * @throws {InvalidArgumentError} no date and time with a zone, as ISO 8601 writes it, or one of another age
 */
export function weeklyResetOf(text: string | undefined | null, now: number): number | undefined {
  if (text === undefined || text === null) return undefined;
  const [, date] = INSTANT.exec(text) ?? [];
  const instant = Date.parse(text);
  // Date.parse makes the 2nd of March of the 30th of February.
  const isDay = date !== undefined && new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date);
  if (!isDay || Number.isNaN(instant))
    throw new InvalidArgumentError(
      'weekly_reset must be an instant like 2026-11-23T10:00:00Z: date, time and zone (Z, or +01:00).',
    );
  if (instant < now - LONGEST_AGO || instant > now + LONGEST_AHEAD)
    throw new InvalidArgumentError('weekly_reset must be at most ten years ago, and at most one ahead.');
  return instant;
}

const INSTANT = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;

/** @throws {InvalidArgumentError} */
export function checkStudyDays(days: unknown): void {
  if (days === undefined || days === null) return;
  if (!(Number.isInteger(days) && (days as number) > 0 && (days as number) <= MOST_DAYS))
    throw new InvalidArgumentError(`study_days must be a whole number above 0, and at most ${MOST_DAYS}.`);
}
