/**
 * Rows of the micro health intervention. Every state keeps its name and gets the deadline that ours gives it, counted from
 * `updated_at`; what ours has no place for, or passes through, is in {@link STATES}.
 */
import { type InterventionContext, interventionContext } from '../../../machines/micro-health-intervention.ts';
import type { StoredTimer } from '../../actor/live-actor.ts';
import { addLocalDays, localDate, nextLocalTime, nextWeekly } from '../../machine/index.ts';
import { shown, Unreadable } from './columns.ts';
import type { StateData } from './data.ts';
import { instantOf } from './instants.ts';
import type { Adopted, Legacy, Person } from './legacy-state.ts';

/** Where a legacy state leads. */
interface Mapped {
  /** Of the day. */
  to: string | Record<string, string>;
  /** The round of the day has begun: its prompt was sent. */
  begun?: boolean;
  /** Entered as if the flow had come there, once the runtime starts. */
  then?: string;
  note?: string;
}

type Rule = Mapped | ((data: StateData) => Mapped);

const asked = (to: string): Mapped => ({ to, begun: true });
const suggested = (data: StateData) => `SEND_INTERVENTION_${assignmentOf(data) ?? 'IMMEDIATE'}`;

/** Every state that a legacy row may be in. */
const STATES: Record<string, Rule> = {
  ORIENTATION: { to: 'ORIENTATION' },
  COMMITMENT_PROMPT: asked('COMMITMENT_PROMPT'),
  FEELING_PROMPT: asked('FEELING_PROMPT'),
  // The process died before it suggested the habit: nothing was said yet.
  RANDOM_ASSIGNMENT: (data) => ({
    to: 'FEELING_PROMPT',
    begun: true,
    then: assignmentOf(data) ? suggested(data) : 'RANDOM_ASSIGNMENT',
    note: 'the habit had not been suggested yet: it is, when the server starts',
  }),
  SEND_INTERVENTION_IMMEDIATE: asked('SEND_INTERVENTION_IMMEDIATE'),
  SEND_INTERVENTION_REFLECTIVE: asked('SEND_INTERVENTION_REFLECTIVE'),
  // An older name for a habit that was suggested and waits for "done".
  HABIT_REMINDER: (data) => ({
    to: suggested(data),
    begun: true,
    ...(!assignmentOf(data) && {
      note: 'how the habit was worded is not known: taken for IMMEDIATE, recorded as unknown',
    }),
  }),
  // Both spoke on entry, and went on at once: what they say is not said again.
  REINFORCEMENT_FOLLOWUP: { to: 'END_OF_DAY', begun: true },
  IGNORED_PATH: { to: 'END_OF_DAY', begun: true },
  DID_YOU_GET_A_CHANCE: asked('DID_YOU_GET_A_CHANCE'),
  CONTEXT_QUESTION: asked('CONTEXT_QUESTION'),
  MOOD_QUESTION: asked('MOOD_QUESTION'),
  BARRIER_CHECK_AFTER_CONTEXT_MOOD: asked('BARRIER_CHECK_AFTER_CONTEXT_MOOD'),
  BARRIER_REASON_NO_CHANCE: (data) => ({
    to: { BARRIER_REASON_NO_CHANCE: data.text('barrierReasonResponse') === '4' ? 'IN_WORDS' : 'CHOOSING' },
    begun: true,
  }),
  // A question that ours does not ask.
  FOLLOW_UP: { to: 'END_OF_DAY', begun: true },
  END_OF_DAY: { to: 'END_OF_DAY', begun: true },
  COMPLETE: { to: 'COMPLETE' },
};

/**
 * Where a participant of the intervention stands.
 * @throws {Unreadable} it cannot be known
 */
export function adoptIntervention({ person, state, data, updatedAt: at }: Legacy): Adopted {
  const rule = Object.hasOwn(STATES, state) ? STATES[state] : undefined;
  if (!rule) throw new Unreadable(`current_state is ${shown(state)}, which the intervention does not know`);
  const { to, begun = false, then, note } = typeof rule === 'function' ? rule(data) : rule;
  const notes = note === undefined ? [] : [note];
  const context = contextOf(person, data, at, begun, notes);
  if (person.status === 'withdrawn') return { value: 'WITHDRAWN', context, at, notes: [] };
  if (person.status === 'completed' || to === 'COMPLETE') return { value: 'COMPLETE', context, at, notes: [] };
  const timers: StoredTimer[] =
    then === undefined ? [] : [{ event: { type: 'advance', to: then, reason: 'adopted from PromptPipe' }, dueAt: at }];
  return { value: { PARTICIPATING: { week: 'COUNTING', day: to } }, context, at, timers, notes };
}

function contextOf(
  { id: participantId, name, status, timezone, dailyPromptTime, weeklyReset, enrolledAt }: Person,
  data: StateData,
  at: number,
  begun: boolean,
  notes: string[],
): InterventionContext {
  const assignment = data.text('flowAssignment');
  const flowAssignment = assignmentOf(data);
  if (assignment !== null && !flowAssignment)
    notes.push('flowAssignment is neither IMMEDIATE nor REFLECTIVE: recorded as unknown');
  let lastCommitmentDate = dateOf(data, 'lastCommitmentDate', timezone);
  if (begun && lastCommitmentDate === null) {
    lastCommitmentDate = localDate(at, timezone);
    notes.push('lastCommitmentDate was not recorded: taken from updated_at, so that no second prompt is sent that day');
  }
  const week = weekOf({
    started: dateOf(data, 'weekStartDate', timezone),
    from: weeklyReset ?? enrolledAt,
    timezone,
    at,
  });
  return {
    ...interventionContext({ participantId, timezone, dailyPromptTime }),
    name,
    weeklyReset: weeklyReset ?? enrolledAt,
    enrolledAt,
    hasSeenOrientation: data.flag('hasSeenOrientation', true),
    flowAssignment,
    feelingResponse: data.text('feelingResponse'),
    completionResponse: data.text('completionResponse'),
    gotChanceResponse: data.text('gotChanceResponse'),
    contextResponse: data.text('contextResponse'),
    moodResponse: data.text('moodResponse'),
    barrierResponse: data.text('barrierResponse'),
    barrierReasonResponse: data.text('barrierReasonResponse'),
    lastCommitmentDate,
    timesCompletedToday: data.count('timesCompletedToday'),
    timesCompletedThisWeek: data.count('timesCompletedThisWeek'),
    ...week,
    paused: status === 'paused',
  };
}

function assignmentOf(data: StateData): 'IMMEDIATE' | 'REFLECTIVE' | null {
  const text = data.text('flowAssignment')?.trim().toUpperCase();
  return text === 'IMMEDIATE' || text === 'REFLECTIVE' ? text : null;
}

/** A local date that was written as one, or as an instant. */
function dateOf(data: StateData, key: string, timezone: string): string | null {
  const text = data.text(key)?.trim();
  if (text === undefined) return null;
  const instant = instantOf(text, `${key} in state_data`);
  if (instant === undefined) return null;
  return /^\d{4}-\d\d-\d\d$/.test(text) ? text : localDate(instant, timezone);
}

/** The week that is counted: it ends at the first weekly instant after the day on which it began. */
function weekOf({
  started,
  from,
  timezone,
  at,
}: {
  started: string | null;
  from: number;
  timezone: string;
  at: number;
}) {
  if (started === null) {
    const weekEndsAt = nextWeekly({ after: at, from, timeZone: timezone });
    return { weekEndsAt, weekStartDate: localDate(Math.min(addLocalDays(weekEndsAt, -7, timezone), at), timezone) };
  }
  if (started > localDate(at + DAY, timezone))
    throw new Unreadable(`weekStartDate is ${shown(started)}, after updated_at`);
  let weekEndsAt = nextWeekly({ after: Date.parse(started) - DAY, from, timeZone: timezone });
  while (localDate(weekEndsAt, timezone) <= started)
    weekEndsAt = nextWeekly({ after: weekEndsAt, from, timeZone: timezone });
  return { weekEndsAt, weekStartDate: started };
}

const DAY = 86_400_000;

/** @throws {Unreadable} there is no such zone, or no such time of day */
export function checkPromptTime(timeZone: string, time: string): void {
  const key = `${timeZone} ${time}`;
  if (sound.has(key)) return;
  try {
    nextLocalTime({ after: 0, time, timeZone });
  } catch (cause) {
    throw new Unreadable((cause as Error).message.replace(/\.$/, ''), { cause });
  }
  if (sound.size < 10_000) sound.add(key);
}

/** Zones and times that were found good: most participants have the same ones. */
const sound = new Set<string>();
