/**
 * Micro health intervention: once a day a participant is asked to try a one-minute habit, in one of two wordings assigned
 * by chance, reports, and is asked about the circumstances.
 *
 * While participating, two things go on side by side: the states of the day (`day`) and the weekly summary (`week`). What
 * holds in every state:
 *
 * - An answer that does not fit gets one hint, each time, and changes nothing: no state, no deadline.
 * - Paused, everything goes on (answers count, deadlines fire), but nothing is said. What a step would have said is kept
 *   until the next step says something, and so is the last weekly summary; resuming says what is kept. Hints and "all set"
 *   are not kept: they answer what was said just then.
 * - Withdrawn, all deadlines are gone and nothing is said, until `rejoin`, which also ends a pause. Who had opted out before
 *   the enrolment is withdrawn at once: the study starts with their `rejoin`.
 * - The study ends when, after `studyDays` days, the next round would begin; a round under way is finished.
 * - `reset` starts over: all recorded data are cleared and the study's days count anew; the welcome is not repeated.
 */
import { assign, emit, enqueueActions, setup } from 'xstate';
import {
  addLocalDays,
  canonical,
  choose,
  localDate,
  type Message,
  message,
  nextLocalTime,
  nextWeekly,
  now,
  random,
} from '../src/machine/index.ts';
import { type Question, questions, texts, weeklySummary, welcome, words } from './texts/micro-health-intervention.ts';

/** The states of the day, and the study's end. */
export type InterventionState =
  | 'ORIENTATION'
  | 'COMMITMENT_PROMPT'
  | 'FEELING_PROMPT'
  | 'RANDOM_ASSIGNMENT'
  | 'SEND_INTERVENTION_IMMEDIATE'
  | 'SEND_INTERVENTION_REFLECTIVE'
  | 'REINFORCEMENT_FOLLOWUP'
  | 'DID_YOU_GET_A_CHANCE'
  | 'CONTEXT_QUESTION'
  | 'MOOD_QUESTION'
  | 'BARRIER_CHECK_AFTER_CONTEXT_MOOD'
  | 'BARRIER_REASON_NO_CHANCE'
  | 'IGNORED_PATH'
  | 'END_OF_DAY'
  | 'COMPLETE';

export interface InterventionInput {
  participantId: string;
  name?: string;
  /** IANA name. Default: `'UTC'`. */
  timezone?: string;
  /** `'HH:MM'`, local time. Default: `'10:00'`. */
  dailyPromptTime?: string;
  /** An instant from which the weeks count, in ms since the epoch. Default: the enrolment. */
  weeklyReset?: number;
  /** The study ends after so many days. Default: it has no end. */
  studyDays?: number;
  /** Has opted out before: nothing is said at first, `withdraw` follows at once, and the study begins with `rejoin`. Default: false. */
  optedOut?: boolean;
}

/** The answers of a round; cleared when the next one begins. */
export interface RoundAnswers {
  flowAssignment: 'IMMEDIATE' | 'REFLECTIVE' | null;
  /** `'1'` to `'5'`, `'on_demand'` or `'timed_out'`. */
  feelingResponse: string | null;
  /** `'done'`, `'no'` or `'no_reply'`. */
  completionResponse: string | null;
  /** `'true'`, `'false'` or `'no_reply'`. */
  gotChanceResponse: string | null;
  /** `'1'` to `'4'`. */
  contextResponse: string | null;
  /** `'1'` to `'3'`. */
  moodResponse: string | null;
  /** In the participant's words. */
  barrierResponse: string | null;
  /** `'1'` to `'4'`, or the participant's words. */
  barrierReasonResponse: string | null;
}

export interface InterventionContext extends RoundAnswers {
  participantId: string;
  name: string | null;
  timezone: string;
  dailyPromptTime: string;
  weeklyReset: number;
  studyDays: number | null;
  /** When the study's days began to count, in ms since the epoch. */
  enrolledAt: number;
  hasSeenOrientation: boolean;
  /** Local date of the last round's beginning. */
  lastCommitmentDate: string | null;
  timesCompletedToday: number;
  timesCompletedThisWeek: number;
  /** Local date. */
  weekStartDate: string;
  /** When the week's summary is due, in ms since the epoch. */
  weekEndsAt: number;
  /** Local date of the last "all set for today". */
  allSetDate: string | null;
  paused: boolean;
  /** Opted out before the enrolment, and has not come back yet. */
  optedOut?: boolean;
  /** While paused: what the last step of the day, and the last summary, would have said. */
  held: { day: Message[]; week: Message[] };
}

export type InterventionEvent =
  /** What the participant's phone said. */
  | { type: 'reply'; text: string }
  | { type: 'pause' }
  | { type: 'resume' }
  /** Opts out. */
  | { type: 'withdraw' }
  /** Comes back after `withdraw`. */
  | { type: 'rejoin' }
  /** Ends the study for this participant. */
  | { type: 'complete' }
  /** Starts over. */
  | { type: 'reset' }
  /** An operator's move to a state, which is entered as if the flow had come there. */
  | { type: 'advance'; to: InterventionState; reason?: string }
  /** The weekly summary now; the counter starts at 0, the schedule stays. */
  | { type: 'weeklySummary' }
  /** Changes what is known of the participant; a pending daily prompt moves along. */
  | { type: 'update'; name?: string; timezone?: string; dailyPromptTime?: string };

/** A row of `intervention_responses`: an answer that was accepted, as it was typed. */
export interface InterventionResponse {
  type: 'response';
  state: InterventionState;
  text: string;
  responseType: 'commitment' | 'feeling' | 'completion' | 'followup' | 'general';
}

export type InterventionEmitted = Message | InterventionResponse;

/** The context of a participant who has just been enrolled. */
export function interventionContext(input: InterventionInput): InterventionContext {
  const timezone = input.timezone ?? 'UTC';
  return {
    participantId: input.participantId,
    name: input.name ?? null,
    timezone,
    dailyPromptTime: input.dailyPromptTime ?? '10:00',
    weeklyReset: input.weeklyReset ?? now(),
    studyDays: input.studyDays ?? null,
    enrolledAt: now(),
    hasSeenOrientation: false,
    ...nothingRecorded,
    weekStartDate: localDate(now(), timezone),
    weekEndsAt: now(),
    paused: false,
    ...(input.optedOut && { optedOut: true }),
    held: { day: [], week: [] },
  };
}

const noAnswers: RoundAnswers = {
  flowAssignment: null,
  feelingResponse: null,
  completionResponse: null,
  gotChanceResponse: null,
  contextResponse: null,
  moodResponse: null,
  barrierResponse: null,
  barrierReasonResponse: null,
};

const nothingRecorded = {
  ...noAnswers,
  lastCommitmentDate: null,
  timesCompletedToday: 0,
  timesCompletedThisWeek: 0,
  allSetDate: null,
};

type QuestionName = keyof typeof questions;
type ChoiceName = { [K in QuestionName]: (typeof questions)[K] extends { options: unknown } ? K : never }[QuestionName];
type TextName = keyof typeof texts;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const said = (event: InterventionEvent) => (event.type === 'reply' ? event.text : '');
const today = ({ timezone }: InterventionContext) => localDate(now(), timezone);

function questionMessage(name: QuestionName): Message {
  const { text, options }: Question = questions[name];
  return message(text, options);
}

function hintMessage(name: QuestionName): Message {
  const { hint, options }: Question = questions[name];
  return message(hint ?? texts.pleaseChoose, options);
}

export const microHealthInterventionMachine = setup({
  types: {
    context: {} as InterventionContext,
    events: {} as InterventionEvent,
    input: {} as InterventionInput,
    emitted: {} as InterventionEmitted,
    tags: {} as 'asking' | 'resting' | 'withdrawn' | 'completed',
  },
  delays: {
    nextDailyPrompt: ({ context }) =>
      nextLocalTime({
        after: now(),
        time: context.dailyPromptTime,
        timeZone: context.timezone,
        notOn: context.lastCommitmentDate,
      }) - now(),
    weekEnd: ({ context }) => context.weekEndsAt - now(),
    commitmentDeadline: 12 * HOUR,
    feelingDeadline: 15 * MINUTE,
    habitDeadline: 30 * MINUTE,
    chanceDeadline: 15 * MINUTE,
    contextDeadline: 15 * MINUTE,
    moodDeadline: 15 * MINUTE,
    barrierDeadline: 30 * MINUTE,
    reasonDeadline: 30 * MINUTE,
  },
  guards: {
    /** The reply is this option of a multiple-choice question. */
    chose: ({ event }, { question, option }: { question: ChoiceName; option: string }) =>
      choose(said(event), questions[question].options) === option,
    /** The reply is one of the question's options. */
    choseAny: ({ event }, { question }: { question: ChoiceName }) =>
      choose(said(event), questions[question].options) !== undefined,
    saidReady: ({ event }) => choose(said(event), words.ready) !== undefined,
    saidDone: ({ event }) => choose(said(event), words.done) !== undefined,
    saidNo: ({ event }) => choose(said(event), words.notDone) !== undefined,
    saidSomething: ({ event }) => said(event).trim() !== '',
    /** Words, not a number: a number that is no option is an answer that does not fit. */
    saidWords: ({ event }) => /\D/.test(canonical(said(event))),
    saidReadyAfterStudy: ({ context, event }) => choose(said(event), words.ready) !== undefined && studyIsOver(context),
    studyIsOver: ({ context }) => studyIsOver(context),
    hasOptedOut: ({ context }) => context.optedOut === true,
    allSetIsDue: ({ context }) => !context.paused && context.allSetDate !== today(context),
    isAssigned: ({ context }, { to }: { to: RoundAnswers['flowAssignment'] }) => context.flowAssignment === to,
    /** A name alone moves no deadline. */
    changesPromptTime: ({ context, event }) =>
      event.type === 'update' &&
      ((event.timezone ?? context.timezone) !== context.timezone ||
        (event.dailyPromptTime ?? context.dailyPromptTime) !== context.dailyPromptTime),
    changesZone: ({ context, event }) =>
      event.type === 'update' && (event.timezone ?? context.timezone) !== context.timezone,
    movesTo: ({ event }, { state }: { state: InterventionState }) => event.type === 'advance' && event.to === state,
  },
  actions: {
    /** Asks a question; one that was held back and not asked is out of date. */
    ask: enqueueActions(({ context, enqueue }, { question }: { question: QuestionName }) => {
      const asked = questionMessage(question);
      if (context.paused) enqueue.assign({ held: { ...context.held, day: [asked] } });
      else enqueue.emit(asked);
    }),
    /** Says one thing after another. */
    say: enqueueActions(({ context, enqueue }, params: { texts: TextName[] }) => {
      const messages = params.texts.map((name) => message(texts[name]));
      if (context.paused) enqueue.assign({ held: { ...context.held, day: messages } });
      else for (const each of messages) enqueue.emit(each);
    }),
    /** Says how the study works, once in a lifetime. */
    welcome: enqueueActions(({ context, enqueue }) => {
      if (context.optedOut) return;
      const greeting = message(welcome(context.name));
      enqueue.assign({
        hasSeenOrientation: true,
        held: { ...context.held, day: context.paused && !context.hasSeenOrientation ? [greeting] : [] },
      });
      if (!context.paused && !context.hasSeenOrientation) enqueue.emit(greeting);
    }),
    /** Tells what the question's valid answers are. */
    hint: enqueueActions(({ context, enqueue }, { question }: { question: QuestionName }) => {
      if (!context.paused) enqueue.emit(hintMessage(question));
    }),
    hintReady: enqueueActions(({ context, enqueue }) => {
      if (!context.paused) enqueue.emit(message(texts.readyHint));
    }),
    sayAllSet: enqueueActions(({ context, enqueue }) => {
      enqueue.emit(message(texts.allSet));
      enqueue.assign({ allSetDate: today(context) });
    }),
    sayWeeklySummary: enqueueActions(({ context, enqueue }) => {
      const summary = message(weeklySummary(context.timesCompletedThisWeek));
      if (context.paused) enqueue.assign({ held: { ...context.held, week: [summary] } });
      else enqueue.emit(summary);
    }),
    sayWhatWasHeld: enqueueActions(({ context, enqueue }) => {
      for (const each of [...context.held.week, ...context.held.day]) enqueue.emit(each);
      enqueue.assign({ held: { day: [], week: [] } });
    }),
    dropWhatWasHeld: assign({ held: { day: [], week: [] } }),
    holdMessages: assign({ paused: true }),
    letMessagesFlow: assign({ paused: false }),

    /** An answer was accepted: a row of `intervention_responses`. */
    accept: emit(
      (
        { event },
        { state, responseType }: { state: InterventionState; responseType: InterventionResponse['responseType'] },
      ): InterventionEmitted => ({ type: 'response', state, text: said(event), responseType }),
    ),
    /** Records a given value. */
    note: assign((_, { key, value }: { key: keyof RoundAnswers; value: string }) => ({ [key]: value })),
    /** Records the option that was chosen. */
    noteChoice: assign(({ event }, { key, question }: { key: keyof RoundAnswers; question: ChoiceName }) => ({
      [key]: choose(said(event), questions[question].options) ?? null,
    })),
    /** Records the reply in the participant's words. */
    noteWords: assign(({ event }, { key }: { key: keyof RoundAnswers }) => ({ [key]: said(event).trim() })),

    /** Clears the answers of the last round and, on a new local day, the day's count. */
    beginRound: assign(({ context }) => {
      const date = today(context);
      return {
        ...noAnswers,
        lastCommitmentDate: date,
        timesCompletedToday: context.lastCommitmentDate === date ? context.timesCompletedToday : 0,
      };
    }),
    tossCoin: assign({ flowAssignment: () => (random() < 0.5 ? 'IMMEDIATE' : 'REFLECTIVE') }),
    countCompletion: assign({
      timesCompletedToday: ({ context }) => context.timesCompletedToday + 1,
      timesCompletedThisWeek: ({ context }) => context.timesCompletedThisWeek + 1,
    }),
    scheduleWeekEnd: assign({
      weekEndsAt: ({ context }) => nextWeekly({ after: now(), from: context.weeklyReset, timeZone: context.timezone }),
    }),
    beginWeek: assign({ timesCompletedThisWeek: 0, weekStartDate: ({ context }) => today(context) }),
    /** A week that ended while nobody counted has no summary; the counter starts at 0 all the same. */
    catchUpWeek: assign(({ context }) =>
      context.weekEndsAt <= now() ? { timesCompletedThisWeek: 0, weekStartDate: today(context) } : {},
    ),
    updateParticipant: assign(({ context, event }) => {
      if (event.type !== 'update') return {};
      const { name = context.name, timezone = context.timezone, dailyPromptTime = context.dailyPromptTime } = event;
      // Refuses, in this turn, a zone or time with which the next prompt could not be scheduled.
      nextLocalTime({ after: now(), time: dailyPromptTime, timeZone: timezone });
      return { name, timezone, dailyPromptTime };
    }),
    /** The study's days and weeks count from here. */
    begin: assign({ optedOut: false, enrolledAt: () => now(), weekStartDate: ({ context }) => today(context) }),
    startOver: assign({ ...nothingRecorded, enrolledAt: () => now() }),
  },
}).createMachine({
  id: 'micro_health_intervention',
  description:
    'Once a day: a one-minute habit, worded as an action or as a reflection, and what became of it. Every week: how often it was done.',
  context: ({ input }) => interventionContext(input),
  initial: 'PARTICIPATING',
  states: {
    PARTICIPATING: {
      description: 'Takes part in the study. The states of the day and the weekly summary go on side by side.',
      type: 'parallel',
      on: {
        withdraw: {
          target: 'WITHDRAWN',
          actions: 'dropWhatWasHeld',
          description: 'The participant opts out: all deadlines are gone, nothing is said.',
        },
        complete: { target: 'COMPLETE', description: 'An operator ends the study for this participant.' },
        pause: { actions: 'holdMessages', description: 'Messages are held back; answers count and deadlines fire.' },
        resume: {
          actions: ['letMessagesFlow', 'sayWhatWasHeld'],
          description: 'Says what belongs to the current state and was not said.',
        },
      },
      states: {
        week: {
          description: 'The weekly summary, every 7 days at the local time of weeklyReset. Interrupts nothing.',
          initial: 'COUNTING',
          states: {
            COUNTING: {
              description: 'Counts how often the habit is done, until the week ends: 7 days at the same local time.',
              entry: 'scheduleWeekEnd',
              after: {
                weekEnd: {
                  target: 'COUNTING',
                  reenter: true,
                  actions: ['sayWeeklySummary', 'beginWeek'],
                  description: 'The summary of the last 7 days; the counter starts at 0.',
                },
              },
              on: {
                weeklySummary: {
                  actions: ['sayWeeklySummary', 'beginWeek'],
                  description: 'The summary now; the counter starts at 0, the schedule stays.',
                },
                update: {
                  guard: 'changesZone',
                  target: 'COUNTING',
                  reenter: true,
                  description: 'The end of the week moves with the local time.',
                },
              },
            },
          },
        },
        day: {
          description: 'The states of the day.',
          initial: 'ORIENTATION',
          on: {
            update: { actions: 'updateParticipant' },
            reset: {
              target: '.ORIENTATION',
              actions: ['startOver', 'beginWeek', 'dropWhatWasHeld'],
              description: 'Starts over. The welcome is not repeated: orientation is once in a lifetime.',
            },
            advance: [
              { guard: { type: 'movesTo', params: { state: 'ORIENTATION' } }, target: '.ORIENTATION' },
              { guard: { type: 'movesTo', params: { state: 'COMMITMENT_PROMPT' } }, target: '.COMMITMENT_PROMPT' },
              { guard: { type: 'movesTo', params: { state: 'FEELING_PROMPT' } }, target: '.FEELING_PROMPT' },
              { guard: { type: 'movesTo', params: { state: 'RANDOM_ASSIGNMENT' } }, target: '.RANDOM_ASSIGNMENT' },
              {
                guard: { type: 'movesTo', params: { state: 'SEND_INTERVENTION_IMMEDIATE' } },
                target: '.SEND_INTERVENTION_IMMEDIATE',
                actions: { type: 'note', params: { key: 'flowAssignment', value: 'IMMEDIATE' } },
              },
              {
                guard: { type: 'movesTo', params: { state: 'SEND_INTERVENTION_REFLECTIVE' } },
                target: '.SEND_INTERVENTION_REFLECTIVE',
                actions: { type: 'note', params: { key: 'flowAssignment', value: 'REFLECTIVE' } },
              },
              {
                guard: { type: 'movesTo', params: { state: 'REINFORCEMENT_FOLLOWUP' } },
                target: '.REINFORCEMENT_FOLLOWUP',
              },
              {
                guard: { type: 'movesTo', params: { state: 'DID_YOU_GET_A_CHANCE' } },
                target: '.DID_YOU_GET_A_CHANCE',
              },
              { guard: { type: 'movesTo', params: { state: 'CONTEXT_QUESTION' } }, target: '.CONTEXT_QUESTION' },
              { guard: { type: 'movesTo', params: { state: 'MOOD_QUESTION' } }, target: '.MOOD_QUESTION' },
              {
                guard: { type: 'movesTo', params: { state: 'BARRIER_CHECK_AFTER_CONTEXT_MOOD' } },
                target: '.BARRIER_CHECK_AFTER_CONTEXT_MOOD',
              },
              {
                guard: { type: 'movesTo', params: { state: 'BARRIER_REASON_NO_CHANCE' } },
                target: '.BARRIER_REASON_NO_CHANCE',
              },
              { guard: { type: 'movesTo', params: { state: 'IGNORED_PATH' } }, target: '.IGNORED_PATH' },
              {
                guard: { type: 'movesTo', params: { state: 'END_OF_DAY' } },
                target: '.END_OF_DAY',
                actions: { type: 'say', params: { texts: ['closing'] } },
              },
              {
                guard: { type: 'movesTo', params: { state: 'COMPLETE' } },
                target: '#micro_health_intervention.COMPLETE',
              },
            ],
          },
          states: {
            ORIENTATION: {
              description:
                'Welcomes the participant, once in a lifetime, and waits for the first prompt: the next daily prompt time in the participant’s zone, or "ready".',
              tags: 'resting',
              entry: 'welcome',
              after: {
                nextDailyPrompt: [
                  { guard: 'studyIsOver', target: '#micro_health_intervention.COMPLETE' },
                  { target: 'COMMITMENT_PROMPT' },
                ],
              },
              on: {
                reply: [
                  { guard: 'saidReadyAfterStudy', target: '#micro_health_intervention.COMPLETE' },
                  {
                    guard: 'saidReady',
                    target: 'COMMITMENT_PROMPT',
                    actions: { type: 'accept', params: { state: 'ORIENTATION', responseType: 'general' } },
                  },
                  { actions: 'hintReady' },
                ],
                update: {
                  guard: 'changesPromptTime',
                  target: 'ORIENTATION',
                  reenter: true,
                  actions: 'updateParticipant',
                  description: 'The next daily prompt moves along.',
                },
              },
            },
            COMMITMENT_PROMPT: {
              description:
                'Begins a round: clears the answers of the last one and asks whether to try a quick habit today. Waits for 12 hours.',
              tags: 'asking',
              entry: ['beginRound', { type: 'ask', params: { question: 'commitment' } }],
              after: {
                commitmentDeadline: {
                  target: 'END_OF_DAY',
                  actions: { type: 'say', params: { texts: ['closing'] } },
                  description: 'No answer within 12 hours.',
                },
              },
              on: {
                reply: [
                  {
                    guard: { type: 'chose', params: { question: 'commitment', option: '1' } },
                    target: 'FEELING_PROMPT',
                    actions: { type: 'accept', params: { state: 'COMMITMENT_PROMPT', responseType: 'commitment' } },
                  },
                  {
                    guard: { type: 'chose', params: { question: 'commitment', option: '2' } },
                    target: 'END_OF_DAY',
                    actions: [
                      { type: 'accept', params: { state: 'COMMITMENT_PROMPT', responseType: 'commitment' } },
                      { type: 'say', params: { texts: ['notYet'] } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'commitment' } } },
                ],
              },
            },
            FEELING_PROMPT: {
              description: 'Asks how the first step feels. Waits for 15 minutes; whatever comes, the habit is next.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'feeling' } },
              after: {
                feelingDeadline: {
                  target: 'RANDOM_ASSIGNMENT',
                  actions: { type: 'note', params: { key: 'feelingResponse', value: 'timed_out' } },
                  description: 'No answer within 15 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: { type: 'choseAny', params: { question: 'feeling' } },
                    target: 'RANDOM_ASSIGNMENT',
                    actions: [
                      { type: 'noteChoice', params: { key: 'feelingResponse', question: 'feeling' } },
                      { type: 'accept', params: { state: 'FEELING_PROMPT', responseType: 'feeling' } },
                    ],
                  },
                  {
                    guard: 'saidReady',
                    target: 'RANDOM_ASSIGNMENT',
                    actions: [
                      { type: 'note', params: { key: 'feelingResponse', value: 'on_demand' } },
                      { type: 'accept', params: { state: 'FEELING_PROMPT', responseType: 'feeling' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'feeling' } } },
                ],
              },
            },
            RANDOM_ASSIGNMENT: {
              description: 'A fair coin decides how the habit is worded.',
              entry: 'tossCoin',
              always: [
                { guard: { type: 'isAssigned', params: { to: 'IMMEDIATE' } }, target: 'SEND_INTERVENTION_IMMEDIATE' },
                { target: 'SEND_INTERVENTION_REFLECTIVE' },
              ],
            },
            SEND_INTERVENTION_IMMEDIATE: {
              description: 'Sends the habit, worded as an action. Waits for "done" or "no" for 30 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'immediate' } },
              after: {
                habitDeadline: {
                  target: 'DID_YOU_GET_A_CHANCE',
                  actions: { type: 'note', params: { key: 'completionResponse', value: 'no_reply' } },
                  description: 'No answer within 30 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: 'saidDone',
                    target: 'REINFORCEMENT_FOLLOWUP',
                    actions: [
                      { type: 'note', params: { key: 'completionResponse', value: 'done' } },
                      { type: 'accept', params: { state: 'SEND_INTERVENTION_IMMEDIATE', responseType: 'completion' } },
                    ],
                  },
                  {
                    guard: 'saidNo',
                    target: 'DID_YOU_GET_A_CHANCE',
                    actions: [
                      { type: 'note', params: { key: 'completionResponse', value: 'no' } },
                      { type: 'accept', params: { state: 'SEND_INTERVENTION_IMMEDIATE', responseType: 'completion' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'immediate' } } },
                ],
              },
            },
            SEND_INTERVENTION_REFLECTIVE: {
              description: 'Sends the habit, with a reflection first. Waits for "done" or "no" for 30 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'reflective' } },
              after: {
                habitDeadline: {
                  target: 'DID_YOU_GET_A_CHANCE',
                  actions: { type: 'note', params: { key: 'completionResponse', value: 'no_reply' } },
                  description: 'No answer within 30 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: 'saidDone',
                    target: 'REINFORCEMENT_FOLLOWUP',
                    actions: [
                      { type: 'note', params: { key: 'completionResponse', value: 'done' } },
                      { type: 'accept', params: { state: 'SEND_INTERVENTION_REFLECTIVE', responseType: 'completion' } },
                    ],
                  },
                  {
                    guard: 'saidNo',
                    target: 'DID_YOU_GET_A_CHANCE',
                    actions: [
                      { type: 'note', params: { key: 'completionResponse', value: 'no' } },
                      { type: 'accept', params: { state: 'SEND_INTERVENTION_REFLECTIVE', responseType: 'completion' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'reflective' } } },
                ],
              },
            },
            REINFORCEMENT_FOLLOWUP: {
              description: 'Praises, and counts the habit for the day and the week.',
              entry: ['countCompletion', { type: 'say', params: { texts: ['praise'] } }],
              always: 'END_OF_DAY',
            },
            DID_YOU_GET_A_CHANCE: {
              description: 'Asks whether there was a chance to try. Waits for 15 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'gotChance' } },
              after: {
                chanceDeadline: {
                  target: 'IGNORED_PATH',
                  actions: { type: 'note', params: { key: 'gotChanceResponse', value: 'no_reply' } },
                  description: 'No answer within 15 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: { type: 'chose', params: { question: 'gotChance', option: '1' } },
                    target: 'CONTEXT_QUESTION',
                    actions: [
                      { type: 'note', params: { key: 'gotChanceResponse', value: 'true' } },
                      { type: 'accept', params: { state: 'DID_YOU_GET_A_CHANCE', responseType: 'followup' } },
                    ],
                  },
                  {
                    guard: { type: 'chose', params: { question: 'gotChance', option: '2' } },
                    target: 'BARRIER_REASON_NO_CHANCE',
                    actions: [
                      { type: 'note', params: { key: 'gotChanceResponse', value: 'false' } },
                      { type: 'accept', params: { state: 'DID_YOU_GET_A_CHANCE', responseType: 'followup' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'gotChance' } } },
                ],
              },
            },
            CONTEXT_QUESTION: {
              description: 'Asks what was around. Waits for 15 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'context' } },
              after: {
                contextDeadline: {
                  target: 'END_OF_DAY',
                  actions: { type: 'say', params: { texts: ['closing'] } },
                  description: 'No answer within 15 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: { type: 'choseAny', params: { question: 'context' } },
                    target: 'MOOD_QUESTION',
                    actions: [
                      { type: 'noteChoice', params: { key: 'contextResponse', question: 'context' } },
                      { type: 'accept', params: { state: 'CONTEXT_QUESTION', responseType: 'followup' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'context' } } },
                ],
              },
            },
            MOOD_QUESTION: {
              description: 'Asks about the mood before. Waits for 15 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'mood' } },
              after: {
                moodDeadline: {
                  target: 'END_OF_DAY',
                  actions: { type: 'say', params: { texts: ['closing'] } },
                  description: 'No answer within 15 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: { type: 'choseAny', params: { question: 'mood' } },
                    target: 'BARRIER_CHECK_AFTER_CONTEXT_MOOD',
                    actions: [
                      { type: 'noteChoice', params: { key: 'moodResponse', question: 'mood' } },
                      { type: 'accept', params: { state: 'MOOD_QUESTION', responseType: 'followup' } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'mood' } } },
                ],
              },
            },
            BARRIER_CHECK_AFTER_CONTEXT_MOOD: {
              description: 'Asks, in free text, what made it easier or harder. Waits for 30 minutes.',
              tags: 'asking',
              entry: { type: 'ask', params: { question: 'barrierCheck' } },
              after: {
                barrierDeadline: {
                  target: 'END_OF_DAY',
                  actions: { type: 'say', params: { texts: ['closing'] } },
                  description: 'No answer within 30 minutes.',
                },
              },
              on: {
                reply: [
                  {
                    guard: 'saidSomething',
                    target: 'END_OF_DAY',
                    actions: [
                      { type: 'noteWords', params: { key: 'barrierResponse' } },
                      {
                        type: 'accept',
                        params: { state: 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', responseType: 'followup' },
                      },
                      { type: 'say', params: { texts: ['thanks'] } },
                    ],
                  },
                  { actions: { type: 'hint', params: { question: 'barrierCheck' } } },
                ],
              },
            },
            BARRIER_REASON_NO_CHANCE: {
              description:
                'Asks why there was no chance. Waits for 30 minutes in all, the few words after "something else" included.',
              tags: 'asking',
              initial: 'CHOOSING',
              after: {
                reasonDeadline: {
                  target: 'END_OF_DAY',
                  actions: { type: 'say', params: { texts: ['closing'] } },
                  description: 'No answer within 30 minutes.',
                },
              },
              states: {
                CHOOSING: {
                  description: 'Waits for one of the reasons, or for free text.',
                  entry: { type: 'ask', params: { question: 'barrierReason' } },
                  on: {
                    reply: [
                      {
                        guard: { type: 'chose', params: { question: 'barrierReason', option: '4' } },
                        target: 'IN_WORDS',
                        actions: [
                          { type: 'note', params: { key: 'barrierReasonResponse', value: '4' } },
                          { type: 'accept', params: { state: 'BARRIER_REASON_NO_CHANCE', responseType: 'followup' } },
                        ],
                      },
                      {
                        guard: { type: 'choseAny', params: { question: 'barrierReason' } },
                        target: '#micro_health_intervention.PARTICIPATING.day.END_OF_DAY',
                        actions: [
                          { type: 'noteChoice', params: { key: 'barrierReasonResponse', question: 'barrierReason' } },
                          { type: 'accept', params: { state: 'BARRIER_REASON_NO_CHANCE', responseType: 'followup' } },
                          { type: 'say', params: { texts: ['thanks'] } },
                        ],
                      },
                      {
                        guard: 'saidWords',
                        target: '#micro_health_intervention.PARTICIPATING.day.END_OF_DAY',
                        actions: [
                          { type: 'noteWords', params: { key: 'barrierReasonResponse' } },
                          { type: 'accept', params: { state: 'BARRIER_REASON_NO_CHANCE', responseType: 'followup' } },
                          { type: 'say', params: { texts: ['thanks'] } },
                        ],
                      },
                      { actions: { type: 'hint', params: { question: 'barrierReason' } } },
                    ],
                  },
                },
                IN_WORDS: {
                  description: 'Waits for a few words on "something else"; the 30 minutes go on.',
                  entry: { type: 'ask', params: { question: 'barrierWords' } },
                  on: {
                    reply: [
                      {
                        guard: 'saidSomething',
                        target: '#micro_health_intervention.PARTICIPATING.day.END_OF_DAY',
                        actions: [
                          { type: 'noteWords', params: { key: 'barrierReasonResponse' } },
                          { type: 'accept', params: { state: 'BARRIER_REASON_NO_CHANCE', responseType: 'followup' } },
                          { type: 'say', params: { texts: ['thanks'] } },
                        ],
                      },
                      { actions: { type: 'hint', params: { question: 'barrierWords' } } },
                    ],
                  },
                },
              },
            },
            IGNORED_PATH: {
              description: 'Two encouraging messages, in order.',
              entry: { type: 'say', params: { texts: ['encouragement', 'encouragementAgain'] } },
              always: 'END_OF_DAY',
            },
            END_OF_DAY: {
              description:
                'The round is over. Waits for the next daily prompt time in the participant’s zone, on another local date than the last round’s, or for "ready". Anything else is answered at most once a local day.',
              tags: 'resting',
              after: {
                nextDailyPrompt: [
                  { guard: 'studyIsOver', target: '#micro_health_intervention.COMPLETE' },
                  { target: 'COMMITMENT_PROMPT' },
                ],
              },
              on: {
                reply: [
                  { guard: 'saidReadyAfterStudy', target: '#micro_health_intervention.COMPLETE' },
                  {
                    guard: 'saidReady',
                    target: 'COMMITMENT_PROMPT',
                    actions: { type: 'accept', params: { state: 'END_OF_DAY', responseType: 'general' } },
                  },
                  { guard: 'allSetIsDue', actions: 'sayAllSet' },
                ],
                update: {
                  guard: 'changesPromptTime',
                  target: 'END_OF_DAY',
                  reenter: true,
                  actions: 'updateParticipant',
                  description: 'The next daily prompt moves along.',
                },
              },
            },
          },
        },
      },
    },
    WITHDRAWN: {
      description: 'Has opted out. No deadlines, no messages, until the participant comes back.',
      tags: 'withdrawn',
      on: {
        rejoin: [
          {
            guard: 'hasOptedOut',
            target: '#micro_health_intervention.PARTICIPATING',
            actions: 'begin',
            description: 'Had opted out before the enrolment: the study begins now, with the welcome.',
          },
          {
            target: '#micro_health_intervention.PARTICIPATING.day.END_OF_DAY',
            actions: ['letMessagesFlow', 'catchUpWeek'],
            description: 'Comes back, without a word, and waits for the next daily prompt.',
          },
        ],
        update: { actions: 'updateParticipant' },
      },
    },
    COMPLETE: {
      description: 'The study is over: thanks. A participant who is paused is not written to.',
      tags: 'completed',
      type: 'final',
      entry: { type: 'say', params: { texts: ['complete'] } },
    },
  },
});

function studyIsOver({ studyDays, enrolledAt, timezone }: InterventionContext): boolean {
  return studyDays !== null && now() >= addLocalDays(enrolledAt, studyDays, timezone);
}
