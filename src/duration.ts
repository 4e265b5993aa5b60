import { InvalidArgumentError } from './errors.ts';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** A length of time: a number of milliseconds, or text such as `'250ms'`, `'5s'`, `'15m'`, `'48h'`, `'7d'`, `'2w'`. */
export type Duration = number | `${number}${keyof typeof UNITS}`;

/**
 * Milliseconds of a {@link Duration}.
 * @throws {InvalidArgumentError} when it is negative, not finite, or not of the form above.
 */
export function milliseconds(duration: Duration): number {
  const match = typeof duration !== 'string' ? undefined : /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(duration.trim());
  const value = match ? Number(match[1]) * UNITS[match[2] as keyof typeof UNITS] : duration;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError(
      `${typeof duration === 'string' ? JSON.stringify(duration) : String(duration)} is not a duration; write milliseconds, or text like '15m' or '48h'.`,
    );
  }
  return value;
}

/** A length of time for people: `'15m'`, `'1d2h'`, `'-5s'`. @param ms a number of milliseconds */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return String(ms);
  if (ms < 0) return `-${formatDuration(-ms)}`;
  let left = ms;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = unit === 'ms' ? left : Math.floor(left / UNITS[unit]);
    if (count > 0) text += `${count}${unit}`;
    left -= count * UNITS[unit];
  }
  return text || '0ms';
}

/** Waits that double with every failure. Default: from `'1s'` to `'1m'`. */
export interface BackoffOptions {
  initial?: Duration;
  max?: Duration;
}

/** In ms. */
export interface Backoff {
  initial: number;
  max: number;
}

export const backoffOf = ({ initial = '1s', max = '1m' }: BackoffOptions = {}): Backoff => ({
  initial: milliseconds(initial),
  max: milliseconds(max),
});

/**
 * How long to wait after so many failures, in ms.
 * @param chance in [0, 1): the wait is between half of the whole and the whole, so that many do not come at once
 */
export const backoff = ({ initial, max }: Backoff, failures: number, chance: number): number =>
  Math.round(Math.min(initial * 2 ** (failures - 1), max) * (0.5 + chance / 2));
