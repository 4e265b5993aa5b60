/** The participants of the two flows: enrolled (see enrolments.ts), listed, changed, and deleted with all that is theirs. */
import { randomBytes } from 'node:crypto';
import { ActorNotFoundError, InvalidArgumentError, PhoneNumberTakenError } from '../errors.ts';
import { formsOf, normalizePhoneNumber } from '../messaging/address.ts';
import type { CountryCode } from '../messaging/phone-numbers.ts';
import { pageOf } from '../operations/page.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Transaction } from '../transaction/api.ts';
import { forgetKept, forgetLogs, keptActors } from './adoption/legacy-erasure.ts';
import type { ConversationFlow } from './conversation.ts';
import { ACTIVE, Enrolments } from './enrolments.ts';
import { microHealthInterventionFlow } from './micro-health-intervention.ts';
import { checkStudyDays, checkTexts, checkTime, weeklyResetOf } from './participant-fields.ts';
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
  readonly #intervention: Enrolments;
  readonly #conversation: Enrolments;

  constructor(options: ParticipantsOptions) {
    const { runtime, conversation } = options;
    this.#options = options;
    this.#intervention = new Enrolments(runtime, 'intervention_participants', microHealthInterventionFlow);
    this.#conversation = new Enrolments(runtime, 'conversation_participants', conversation);
  }

  /**
   * A number that has said STOP is enrolled as `withdrawn`, with `opted_out`: the flow begins with their START.
   * @throws {InvalidArgumentError | InvalidPhoneNumberError} bad input; nothing was written
   * @throws {PhoneNumberTakenError}
   */
  async enrolInIntervention(enrolment: InterventionEnrolment): Promise<Participant> {
    const { name, study_days: studyDays } = enrolment;
    const [timezone, dailyPromptTime] = [enrolment.timezone ?? 'UTC', enrolment.daily_prompt_time ?? '10:00'];
    const phoneNumber = this.#phoneNumber(enrolment);
    checkTexts(enrolment, ['name', 'timezone', 'daily_prompt_time', 'weekly_reset']);
    checkTime(timezone, dailyPromptTime);
    checkStudyDays(studyDays);
    const weeklyReset = weeklyResetOf(enrolment.weekly_reset, this.#options.runtime.clock.now());
    const row = {
      ...this.#common(phoneNumber, name, timezone),
      daily_prompt_time: dailyPromptTime,
      weekly_reset: enrolment.weekly_reset ?? null,
    };
    return this.#intervention.add<Participant>(row, {
      participantId: row.id,
      timezone,
      dailyPromptTime,
      ...(name && { name }),
      ...(weeklyReset !== undefined && { weeklyReset }),
      ...(studyDays && { studyDays }),
    });
  }

  /** @throws as {@link enrolInIntervention} */
  async enrolInConversation(enrolment: ConversationEnrolment): Promise<Participant> {
    const { name, gender = null, ethnicity = null, background = null } = enrolment;
    const timezone = enrolment.timezone ?? 'UTC';
    const phoneNumber = this.#phoneNumber(enrolment);
    checkTexts(enrolment, ['name', 'gender', 'ethnicity', 'background', 'timezone']);
    checkTime(timezone, '10:00');
    const row = { ...this.#common(phoneNumber, name, timezone), gender, ethnicity, background };
    const participantBackground = backgroundOf({ name: name ?? null, gender, ethnicity, background });
    return this.#conversation.add<Participant>(row, {
      participantId: row.id,
      systemPrompt: this.#options.systemPrompt,
      ...(participantBackground && { participantBackground }),
      ...(name && { name }),
    });
  }

  /**
   * Changes what is known of a participant, and whether they take part: all of it in one transaction, or nothing.
   * @returns the row; `undefined` where there is no such participant
   * @throws {InvalidArgumentError} bad input; nothing was changed
   * @throws {PhoneNumberTakenError} the number was enrolled anew: there cannot be two active participants of it
   */
  async update(table: ParticipantTable, id: string, change: ParticipantChange): Promise<Participant | undefined> {
    const { runtime } = this.#options;
    const { status, ...columns } = checkChange(table, change);
    if (!(await this.get(table, id))) return undefined;
    return runtime.transaction(async (trx) => {
      const former: Participant | undefined = await trx(table).where({ id }).first();
      if (!former) return undefined;
      checkTime(columns.timezone ?? former.timezone, columns.daily_prompt_time ?? former.daily_prompt_time ?? '10:00');
      const actor = trx.actor(this.#flowOf(table), id);
      const step = status === undefined ? undefined : await this.#stepTo(trx, table, status, former);
      if (Object.keys(columns).length > 0) {
        await actor.send(
          table === 'intervention_participants' ? interventionUpdate(columns) : conversationUpdate(former, columns),
        );
        // Also what the machine does not know, or does not want to know any more.
        const updated_at = new Date(runtime.clock.now()).toISOString();
        await trx(table)
          .where({ id })
          .update({ ...columns, updated_at });
      }
      if (step && !(await actor.send({ type: step })).handled)
        throw new InvalidArgumentError(`${id} has ended, and cannot become ${status}.`);
      return trx(table).where({ id }).first();
    });
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
    const forms = formsOf(plainNumber(participant.phone_number));
    const phones = forms.flatMap((form) => [form, form.slice(1)]); // as it is written now, and as the system before wrote it
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
      if (await trx(other).whereIn('phone_number', forms).first('id')) return;
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
    trx: Transaction,
    table: ParticipantTable,
    status: ParticipantStatus,
    { id, status: former, phone_number }: Participant,
  ): Promise<string | undefined> {
    if (status === former) return undefined;
    const step = STEPS[`${former} → ${status}`];
    if (!step) {
      const advice = former === 'completed' ? 'Enrol the number anew.' : 'Make the participant active first.';
      throw new InvalidArgumentError(`${id} is ${former} and cannot become ${status}. ${advice}`);
    }
    if (step !== 'rejoin') return step;
    const number = plainNumber(phone_number);
    const forms = formsOf(number);
    const others = trx(table).whereIn('phone_number', forms).whereIn('status', ACTIVE).whereNot({ id });
    if (number !== phone_number || (await others.first('id')))
      throw new PhoneNumberTakenError(
        `The number of ${id} was enrolled anew since, and belongs to that participant. To begin once more, enrol it again.`,
      );
    if (await trx('opt_outs').whereIn('address', forms).first('address'))
      throw new InvalidArgumentError(
        `${number} asked not to be written to (STOP). They come back by writing START themselves.`,
      );
    return step;
  }

  /** Counts the participants of each flow, whatever their status. */
  async count(): Promise<{ intervention: number; conversation: number }> {
    const { knex } = this.#options.runtime;
    const rows = async (table: ParticipantTable) => Number((await knex(table).count({ n: '*' }).first())?.['n'] ?? 0);
    return {
      intervention: await rows('intervention_participants'),
      conversation: await rows('conversation_participants'),
    };
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
}

/** Where a number was enrolled anew, the former participant keeps it with the own id behind it. */
export const plainNumber = (phoneNumber: string): string => phoneNumber.replace(/ .*/s, '');

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
  /** The number has said STOP before it was enrolled: nothing is sent until START. Told at the enrolment only. */
  opted_out?: boolean;
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
