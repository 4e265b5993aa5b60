/**
 * Enrolment: the participant's row, the actor and its handler come to be in one transaction, or none of them.
 *
 * A phone number belongs to one active participant per flow. When its participant has withdrawn or completed, the number
 * may enrol anew: the old row keeps the number with its own id behind it, so that the history stays whole.
 */
import { randomBytes } from 'node:crypto';
import type { CountryCode } from 'libphonenumber-js';
import { InvalidArgumentError, PhoneNumberTakenError, StoreError } from '../errors.ts';
import { nextLocalTime } from '../machine/index.ts';
import { normalizePhoneNumber } from '../messaging/address.ts';
import type { Runtime } from '../runtime.ts';
import type { ConversationFlow } from './conversation.ts';
import { microHealthInterventionFlow } from './micro-health-intervention.ts';

export interface InterventionEnrolment {
  phone_number: string;
  name?: string;
  /** IANA name. Default: `UTC`. */
  timezone?: string;
  /** `HH:MM`. Default: `10:00`. */
  daily_prompt_time?: string;
  /** ISO 8601; the weekly summary comes every 7 days from here. Default: the enrolment. */
  weekly_reset?: string;
  study_days?: number;
}

export interface ConversationEnrolment {
  phone_number: string;
  name?: string;
  gender?: string;
  ethnicity?: string;
  background?: string;
  timezone?: string;
}

export interface ParticipantsOptions {
  runtime: Runtime;
  conversation: ConversationFlow;
  systemPrompt: string;
  defaultCountry?: CountryCode;
}

export class Participants {
  readonly #options: ParticipantsOptions;

  constructor(options: ParticipantsOptions) {
    this.#options = options;
  }

  /**
   * @throws {InvalidArgumentError | InvalidPhoneNumberError} bad input; nothing was written
   * @throws {PhoneNumberTakenError}
   */
  async enrolInIntervention(enrolment: InterventionEnrolment): Promise<Participant> {
    const { name, timezone = 'UTC', daily_prompt_time: dailyPromptTime = '10:00', study_days: studyDays } = enrolment;
    const phoneNumber = this.#phoneNumber(enrolment);
    checkTexts(enrolment as never, ['name', 'timezone', 'daily_prompt_time', 'weekly_reset']);
    checkTime(timezone, dailyPromptTime);
    if (studyDays !== undefined && !(Number.isInteger(studyDays) && studyDays > 0)) {
      throw new InvalidArgumentError('study_days must be a whole number above 0.');
    }
    const weeklyReset = enrolment.weekly_reset === undefined ? undefined : Date.parse(enrolment.weekly_reset);
    if (Number.isNaN(weeklyReset))
      throw new InvalidArgumentError('weekly_reset must be an instant like 2026-11-23T10:00:00Z.');
    const row = {
      ...this.#common(phoneNumber, name, timezone),
      daily_prompt_time: dailyPromptTime,
      weekly_reset: enrolment.weekly_reset ?? null,
    };
    await this.#enrol('intervention_participants', row, microHealthInterventionFlow.type, {
      participantId: row.id,
      timezone,
      dailyPromptTime,
      ...(name !== undefined && { name }),
      ...(weeklyReset !== undefined && { weeklyReset }),
      ...(studyDays !== undefined && { studyDays }),
    });
    return row;
  }

  /** @throws as {@link enrolInIntervention} */
  async enrolInConversation(enrolment: ConversationEnrolment): Promise<Participant> {
    const { name, gender = null, ethnicity = null, background = null, timezone = 'UTC' } = enrolment;
    const phoneNumber = this.#phoneNumber(enrolment);
    checkTexts(enrolment as never, ['name', 'gender', 'ethnicity', 'background', 'timezone']);
    checkTime(timezone, '10:00');
    const row = { ...this.#common(phoneNumber, name, timezone), gender, ethnicity, background };
    const known = [
      name && `Name: ${name}.`,
      gender && `Gender: ${gender}.`,
      ethnicity && `Ethnicity: ${ethnicity}.`,
      background,
    ].filter(Boolean);
    await this.#enrol('conversation_participants', row, this.#options.conversation.type, {
      participantId: row.id,
      systemPrompt: this.#options.systemPrompt,
      ...(known.length > 0 && { participantBackground: `About the participant: ${known.join(' ')}` }),
      ...(name !== undefined && { name }),
    });
    return row;
  }

  list(table: ParticipantTable): Promise<Participant[]> {
    return this.#options.runtime.knex(table).orderBy('created_at').orderBy('id');
  }

  get(table: ParticipantTable, id: string): Promise<Participant | undefined> {
    return this.#options.runtime.knex(table).where({ id }).first();
  }

  #phoneNumber({ phone_number }: { phone_number: string }): string {
    return normalizePhoneNumber(phone_number, this.#options.defaultCountry);
  }

  #common(phone_number: string, name: string | undefined, timezone: string): Participant {
    const now = new Date(this.#options.runtime.clock.now()).toISOString();
    const id = `p_${randomBytes(8).toString('hex')}`;
    return {
      id,
      phone_number,
      name: name ?? null,
      timezone,
      status: 'active',
      enrolled_at: now,
      created_at: now,
      updated_at: now,
    };
  }

  async #enrol(table: ParticipantTable, row: Participant, flowType: string, input: unknown): Promise<void> {
    const flow = this.#options.runtime.flows.get(flowType)!;
    try {
      await this.#options.runtime.spawn(flow, row.id, {
        input,
        phoneNumber: row.phone_number,
        also: async (run, knex) => {
          await run(
            knex(table)
              .where({ phone_number: row.phone_number })
              .whereIn('status', ['withdrawn', 'completed'])
              .update({ phone_number: knex.raw("phone_number || ' (' || id || ')'") }) as never,
          );
          await run(knex(table).insert(row) as never);
        },
      });
    } catch (error) {
      if (!(error instanceof StoreError && error.reason === 'constraint')) throw error;
      throw new PhoneNumberTakenError(
        `${row.phone_number} belongs to an active participant already. Withdraw that one first, or use another number.`,
        { cause: error },
      );
    }
  }
}

export type ParticipantTable = 'intervention_participants' | 'conversation_participants';

/** A row of a participants table, with the columns that both have. */
export interface Participant {
  id: string;
  phone_number: string;
  name: string | null;
  timezone: string;
  status: string;
  enrolled_at: string;
  created_at: string;
  updated_at: string;
}

function checkTexts(enrolment: Record<string, unknown>, fields: string[]): void {
  for (const field of fields) {
    if (enrolment[field] !== undefined && enrolment[field] !== null && typeof enrolment[field] !== 'string') {
      throw new InvalidArgumentError(`${field} must be a text.`);
    }
  }
}

function checkTime(timeZone: string, time: string): void {
  try {
    nextLocalTime({ after: 0, time, timeZone });
  } catch (cause) {
    throw new InvalidArgumentError((cause as Error).message, { cause });
  }
}
