/**
 * Enrolment: the participant's row, the actor and its handler come to be in one transaction, or none of them.
 *
 * A phone number belongs to one active participant per flow. When its participant has withdrawn or completed, the number
 * may enrol anew: the old row keeps the number with its own id behind it, so that the history stays whole.
 */
import { randomBytes } from 'node:crypto';
import type { CountryCode } from 'libphonenumber-js';
import { ActorNotFoundError, InvalidArgumentError, PhoneNumberTakenError } from '../errors.ts';
import { nextLocalTime } from '../machine/index.ts';
import { formsOf, normalizePhoneNumber } from '../messaging/address.ts';
import { pageOf } from '../operations/page.ts';
import type { Runtime } from '../runtime.ts';
import { forgetKept, forgetLogs, keptActors } from './adoption/kept.ts';
import type { ConversationFlow } from './conversation.ts';
import { microHealthInterventionFlow } from './micro-health-intervention.ts';
import type { ParticipantStatus } from './participation.ts';

/** Who is enrolled in the micro health intervention. */
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

/** Who is enrolled in the conversation; what is known of them, the assistant is told. */
export interface ConversationEnrolment {
  phone_number: string;
  name?: string;
  gender?: string;
  ethnicity?: string;
  background?: string;
  timezone?: string;
}

/** What {@link Participants} works on. */
export interface ParticipantsOptions {
  runtime: Runtime;
  conversation: ConversationFlow;
  systemPrompt: string;
  defaultCountry?: CountryCode;
}

/** Enrols the participants of the two flows, reads, changes and deletes them. */
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
    const participantBackground = backgroundOf({ name: name ?? null, gender, ethnicity, background });
    await this.#enrol('conversation_participants', row, this.#options.conversation.type, {
      participantId: row.id,
      systemPrompt: this.#options.systemPrompt,
      ...(participantBackground && { participantBackground }),
      ...(name !== undefined && { name }),
    });
    return row;
  }

  /**
   * Changes what is known of a participant, and whether they take part. Each part is a turn of the actor; the row follows
   * in the same transaction.
   * @returns the row; `undefined` where there is no such participant
   * @throws {InvalidArgumentError} bad input; nothing was changed
   */
  async update(table: ParticipantTable, id: string, change: ParticipantChange): Promise<Participant | undefined> {
    const { runtime } = this.#options;
    const former = await this.get(table, id);
    if (!former) return undefined;
    const { status, ...columns } = checkChange(table, change);
    checkTime(columns.timezone ?? former.timezone, columns.daily_prompt_time ?? former.daily_prompt_time ?? '10:00');
    const actor = runtime.actor(this.#flowOf(table), id);
    const step = status === undefined ? undefined : await this.#stepTo(status, former);
    if (Object.keys(columns).length > 0) {
      const event =
        table === 'intervention_participants' ? interventionUpdate(columns) : conversationUpdate(former, columns);
      const set = { ...columns, updated_at: new Date(runtime.clock.now()).toISOString() };
      await runtime.transaction(async (trx) => {
        await trx.actor(this.#flowOf(table), id).send(event);
        // Also what the machine does not know, or does not want to know any more.
        await trx(table).where({ id }).update(set);
      });
    }
    if (step) {
      const { handled } = await actor.send({ type: step });
      if (!handled)
        throw new InvalidArgumentError(`${id} has ended, or changed meanwhile, and cannot become ${status}.`);
    }
    return this.get(table, id);
  }

  /**
   * Deletes a participant with all data: the actor has ended, and its rows are gone from all tables, in one transaction.
   * @returns whether there was one
   */
  async remove(table: ParticipantTable, id: string): Promise<boolean> {
    const participant = await this.get(table, id);
    if (!participant) return false;
    const other = table === 'intervention_participants' ? 'conversation_participants' : 'intervention_participants';
    const flow = this.#flowOf(table);
    const phone = participant.phone_number;
    const phones = [phone, phone.slice(1)]; // as it is written now, and as the system before wrote it
    await this.#options.runtime.transaction(async (trx) => {
      await trx.remove(flow, id).catch((error) => {
        if (!(error instanceof ActorNotFoundError)) throw error; // its row was lost, and the rest is deleted
      });
      if (table === 'intervention_participants')
        await trx('intervention_responses').where({ participant_id: id }).delete();
      await trx(table).where({ id }).delete();
      await forgetKept(trx, flow, id);
      for (const kept of await keptActors(trx, flow, id)) await trx.remove(flow, kept);
      // The logs by phone number stay for as long as the number takes part in the other flow.
      if (await trx(other).where({ phone_number: phone }).first('id')) return;
      await trx('inbox').whereIn('sender', phones).update({ sender: null, text: null });
      await forgetLogs(trx, phones);
    });
    return true;
  }

  #flowOf(table: ParticipantTable): string {
    return table === 'intervention_participants' ? microHealthInterventionFlow.type : this.#options.conversation.type;
  }

  /** The event that brings a participant into a status; `undefined` where there is nothing to do. */
  async #stepTo(
    status: ParticipantStatus,
    { id, status: former, phone_number }: Participant,
  ): Promise<string | undefined> {
    if (status === former) return undefined;
    const step = STEPS[`${former} → ${status}`];
    if (!step) {
      const advice = former === 'completed' ? 'Enrol the number anew.' : 'Make the participant active first.';
      throw new InvalidArgumentError(`${id} is ${former} and cannot become ${status}. ${advice}`);
    }
    const optedOut = await this.#options.runtime.knex('opt_outs').where({ address: phone_number }).first();
    if (step === 'rejoin' && optedOut) {
      throw new InvalidArgumentError(
        `${phone_number} asked not to be written to (STOP). They come back by writing START themselves.`,
      );
    }
    return step;
  }

  /**
   * Those of a flow in the order of their enrolment, a page at a time.
   * @throws {InvalidArgumentError} `limit` is none, or there is no participant `after`
   */
  async list(table: ParticipantTable, { phoneNumber, after, ...page }: ParticipantFilter = {}): Promise<Participant[]> {
    const rows = this.#options.runtime.knex(table).orderBy('created_at').orderBy('id').limit(pageOf(page).limit);
    if (phoneNumber !== undefined)
      rows.whereIn('phone_number', formsOf(this.#phoneNumber({ phone_number: phoneNumber })));
    if (after === undefined) return rows;
    const last = await this.get(table, after);
    if (!last) throw new InvalidArgumentError(`There is no participant ${after} to go on after. List from the start.`);
    return rows.whereRaw('(created_at, id) > (?, ?)', [last.created_at, last.id]);
  }

  /** One of them, if there is one. */
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
    const { runtime } = this.#options;
    const flow = runtime.flows.get(flowType)!;
    await runtime.transaction(async (trx) => {
      const forms = formsOf(row.phone_number);
      if (await trx(table).whereIn('phone_number', forms).whereIn('status', ['active', 'paused']).first('id'))
        throw numberTaken(row.phone_number);
      await trx(table)
        .whereIn('phone_number', forms)
        .update({ phone_number: trx.raw("phone_number || ' (' || id || ')'") });
      await trx(table).insert(row);
      await trx.spawn(flow, row.id, { input, phoneNumber: row.phone_number });
    });
  }
}

const numberTaken = (phoneNumber: string) =>
  new PhoneNumberTakenError(
    `${phoneNumber} belongs to an active participant already. Withdraw that one first, or use another number.`,
  );

/** A part of the list of a flow's participants. */
export interface ParticipantFilter {
  /** How many at most, 1 to 1000. Default: 100. */
  limit?: number;
  /** Those after the participant with this id, the last of the page before. */
  after?: string;
  /** Only who has this number, in any usual form. */
  phoneNumber?: string;
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
  /** Of the intervention. */
  daily_prompt_time?: string;
  /** Of the conversation. */
  gender?: string | null;
  ethnicity?: string | null;
  background?: string | null;
}

/** What may be changed; `daily_prompt_time` in the intervention, `gender`, `ethnicity`, `background` in the conversation. */
export interface ParticipantChange {
  name?: string;
  timezone?: string;
  daily_prompt_time?: string;
  gender?: string;
  ethnicity?: string;
  background?: string;
  status?: ParticipantStatus;
}

type Columns = Omit<ParticipantChange, 'status'>;

/** The machines' events from one status to another. */
const STEPS: Record<string, string> = {
  'active → paused': 'pause',
  'paused → active': 'resume',
  'active → withdrawn': 'withdraw',
  'paused → withdrawn': 'withdraw',
  'withdrawn → active': 'rejoin',
  'active → completed': 'complete',
  'paused → completed': 'complete',
};

const CHANGEABLE: Record<ParticipantTable, string[]> = {
  intervention_participants: ['name', 'timezone', 'daily_prompt_time', 'status'],
  conversation_participants: ['name', 'gender', 'ethnicity', 'background', 'timezone', 'status'],
};

function checkChange(table: ParticipantTable, change: ParticipantChange): ParticipantChange {
  const fields = CHANGEABLE[table];
  const given = Object.keys(change);
  const unknown = given.find((field) => !fields.includes(field));
  if (unknown !== undefined || given.length === 0) {
    throw new InvalidArgumentError(
      `${unknown === undefined ? 'There is nothing to change' : `'${unknown}' cannot be changed`}. What can be changed is ${fields.join(', ')}.`,
    );
  }
  for (const [field, value] of Object.entries(change))
    if (typeof value !== 'string') throw new InvalidArgumentError(`${field} must be a text.`);
  const { status } = change;
  if (status !== undefined && !STATUSES.includes(status))
    throw new InvalidArgumentError(`The status '${status}' is not known. It is one of ${STATUSES.join(', ')}.`);
  return change;
}

const STATUSES = ['active', 'paused', 'completed', 'withdrawn'];

const interventionUpdate = ({ name, timezone, daily_prompt_time: dailyPromptTime }: Columns) => ({
  type: 'update',
  ...(name !== undefined && { name }),
  ...(timezone !== undefined && { timezone }),
  ...(dailyPromptTime !== undefined && { dailyPromptTime }),
});

const conversationUpdate = (former: Participant, columns: Columns) => ({
  type: 'update',
  ...(columns.name !== undefined && { name: columns.name }),
  participantBackground: backgroundOf({ ...former, ...columns }),
});

/** What the assistant is told of the participant. */
export function backgroundOf({ name, gender, ethnicity, background }: Partial<Participant>): string {
  const known = [
    name && `Name: ${name}.`,
    gender && `Gender: ${gender}.`,
    ethnicity && `Ethnicity: ${ethnicity}.`,
    background,
  ].filter(Boolean);
  return known.length > 0 ? `About the participant: ${known.join(' ')}` : '';
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
