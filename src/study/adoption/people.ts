/** Rows of the two participants' tables. */

import { normalizePhoneNumber } from '../../messaging/address.ts';
import type { CountryCode } from '../../messaging/phone-numbers.ts';
import { backgroundOf } from '../participants.ts';
import type { ParticipantStatus } from '../participation.ts';
import { nameOf, shown, textOf, Unreadable, verbatim } from './columns.ts';
import { instantOf, isoOf } from './instants.ts';
import { checkPromptTime } from './intervention.ts';
import type { Person } from './legacy-state.ts';

/** The participants' table of each flow. */
export const PARTICIPANTS = {
  micro_health_intervention: 'intervention_participants',
  conversation: 'conversation_participants',
} as const;

export type AdoptedFlow = keyof typeof PARTICIPANTS;

/** A participant's row, read. */
export interface ReadPerson {
  person: Person;
  /** E.164; null where the number cannot be read. */
  address: string | null;
  /** Our row, but for the phone number. */
  columns: Record<string, string | null>;
  /** What `phone_number` said. */
  phone: string;
  /** When the row was changed last. */
  at: number;
  /** Why this participant cannot go on. */
  problem: string | null;
  notes: string[];
  /** The row as it was, where there is a problem. */
  verbatim: Record<string, unknown> | null;
}

export interface PeopleOptions {
  now: number;
  defaultCountry: CountryCode | undefined;
}

/**
 * Reads a participant's row; what cannot be read is its `problem`.
 * @param id what the row is called in our tables; where its own id cannot be used, with the reason
 */
export function readPerson(
  flow: AdoptedFlow,
  cells: Record<string, unknown>,
  { id, problem: idProblem }: { id: string; problem: string | null },
  { now, defaultCountry }: PeopleOptions,
): ReadPerson {
  const problems = idProblem === null ? [] : [idProblem];
  const notes: string[] = [];
  /** What `read` gives; if it cannot, that is a problem, or something to note. */
  const attempt = <T>(read: () => T, otherwise: T, told = problems): T => {
    try {
      return read();
    } catch (error) {
      told.push((error as Error).message.replace(/\.$/, ''));
      return otherwise;
    }
  };
  const text = (column: string) => attempt(() => textOf(cells[column], column)?.trim() || null, null, notes);
  const instant = (column: string, told = notes) => attempt(() => instantOf(cells[column], column), undefined, told);

  const createdAt = instant('created_at');
  const updatedAt = instant('updated_at');
  const enrolledAt = Math.min(instant('enrolled_at') ?? createdAt ?? updatedAt ?? now, now);
  const status = attempt(() => statusOf(cells['status']), undefined);
  const phone = attempt(() => nameOf(cells['phone_number'], 'phone_number')?.trim(), undefined);
  const address = attempt(() => normalizePhoneNumber(phone, defaultCountry, 'channel'), null);
  const timezone = attempt(() => nameOf(cells['timezone'], 'timezone')?.trim(), undefined) ?? 'UTC';
  const dailyPromptTime = attempt(() => timeOf(cells['daily_prompt_time']), '10:00');
  attempt(() => checkPromptTime(timezone, dailyPromptTime), undefined);
  const weeklyReset = attempt(() => resetOf(cells['weekly_reset'], now), null);
  const [name, gender, ethnicity, background] = ['name', 'gender', 'ethnicity', 'background'].map(text) as (
    | string
    | null
  )[];

  const columns = {
    id,
    name: name!,
    timezone,
    status: status ?? raw(cells['status'], 'unknown'),
    enrolled_at: isoOf(enrolledAt),
    created_at: isoOf(createdAt ?? enrolledAt),
    updated_at: isoOf(updatedAt ?? createdAt ?? enrolledAt),
    ...(flow === 'conversation'
      ? { gender: gender!, ethnicity: ethnicity!, background: background! }
      : { daily_prompt_time: dailyPromptTime, weekly_reset: weeklyReset === null ? null : isoOf(weeklyReset) }),
  };
  return {
    person: {
      id,
      name: name!,
      status: status ?? 'active',
      timezone,
      enrolledAt,
      dailyPromptTime,
      weeklyReset,
      background: backgroundOf({ name: name!, gender: gender!, ethnicity: ethnicity!, background: background! }),
    },
    address,
    columns,
    phone: address ?? phone ?? '(none)',
    at: updatedAt ?? enrolledAt,
    problem: problems.length > 0 ? problems.join('; ') : null,
    notes,
    verbatim: problems.length > 0 ? verbatim(cells) : null,
  };
}

function statusOf(cell: unknown): ParticipantStatus {
  const status = nameOf(cell, 'status')?.trim().toLowerCase();
  if (!STATUSES.includes(status as ParticipantStatus))
    throw new Unreadable(`status is ${shown(cell)}, and none of ${STATUSES.join(', ')}`);
  return status as ParticipantStatus;
}

const STATUSES: readonly ParticipantStatus[] = ['active', 'paused', 'completed', 'withdrawn'];

/** `HH:MM`, from that, `H:MM` or `HH:MM:SS`. */
function timeOf(cell: unknown): string {
  const text = nameOf(cell, 'daily_prompt_time')?.trim() ?? '10:00';
  return text.replace(/^(\d):/, '0$1:').replace(/^(\d\d:\d\d):\d\d$/, '$1');
}

/** The weeks may begin in the future, but not in another age. */
function resetOf(cell: unknown, now: number): number | null {
  const reset = instantOf(cell, 'weekly_reset');
  if (reset !== undefined && reset > now + YEAR)
    throw new Unreadable(`weekly_reset is ${shown(cell)}, more than a year away`);
  return reset ?? null;
}

const YEAR = 366 * 86_400_000;

/** The text as it is, as far as it is one. */
const raw = (cell: unknown, otherwise: string) => (typeof cell === 'string' && cell !== '' ? cell : otherwise);
