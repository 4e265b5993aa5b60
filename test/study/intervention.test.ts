/**
 * Whole days of the intervention, as a participant lives them: each test is a script of what is said, heard and waited for.
 * The process dies after everything that happens, and at once: a message is redelivered to its successor, which goes on.
 */
import { describe, expect, it } from 'vitest';
import type { InterventionEvent } from '../../machines/micro-health-intervention.ts';
import {
  type Question,
  questions,
  texts,
  weeklySummary,
  welcome,
  words,
} from '../../machines/texts/micro-health-intervention.ts';
import { type Choice, message } from '../../src/machine/index.ts';
import { defaultTexts, keywordOf } from '../../src/messaging/keywords.ts';
import { microHealthInterventionFlow as flow } from '../../src/study/micro-health-intervention.ts';
import { type InterventionEnrolment, Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const ADA = '+15551234567';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The first prompt after a round on Friday. Ada is enrolled on Friday, 2 January 2026, at 08:00 UTC. */
const SATURDAY = '2026-01-03T10:00Z';
const FOREVER = Number.POSITIVE_INFINITY;

interface Life {
  test: TestRuntime;
  id: string;
  /** How many of the messages that arrived were expected by the script so far. */
  heard: number;
  said: number;
  /** What `intervention_responses` and `intervention_participants` must hold. */
  responses: object[];
  row: Record<string, unknown>;
}
type Step = (life: Life) => Promise<void>;
type Script = readonly (Step | Script)[];

interface Beginning extends Partial<InterventionEnrolment> {
  start?: string;
  coin?: 'IMMEDIATE' | 'REFLECTIVE';
}

/** Enrols Ada, has her welcomed, and goes through a script. Whatever it leaves out must not happen. */
async function live({ start = '2026-01-02T08:00Z', coin, ...enrolment }: Beginning, ...script: Script) {
  const random = () => (coin === 'REFLECTIVE' ? 0.5 : 0.4999);
  const test = await createTestRuntime({ flows: [flow], start: Date.parse(start), random });
  try {
    const participants = new Participants({ runtime: test.runtime, conversation: null as never, systemPrompt: '' });
    const { id } = await participants.enrolInIntervention({ phone_number: '+1 (555) 123-4567', ...enrolment });
    const at = iso(test);
    const life: Life = {
      test,
      id,
      heard: 0,
      said: 0,
      responses: [],
      row: {
        ...{ id, phone_number: ADA, name: null, timezone: 'UTC', daily_prompt_time: '10:00', weekly_reset: null },
        ...{ name: enrolment.name ?? null, timezone: enrolment.timezone ?? 'UTC' },
        ...{ daily_prompt_time: enrolment.daily_prompt_time ?? '10:00', weekly_reset: enrolment.weekly_reset ?? null },
        ...{ status: 'active', enrolled_at: at, created_at: at, updated_at: at },
      },
    };
    await die(life);
    const steps = [hears(welcome(enrolment.name ?? null)), script].flat(FOREVER as 1) as Step[];
    for (const [i, step] of steps.entries()) {
      await step(life).catch((error: Error) => {
        error.message = `step ${i} of ${steps.length - 1}: ${error.message}`;
        throw error;
      });
    }
    await hears()(life);
    expect(await test.knex('intervention_participants')).toEqual([life.row]);
    expect(await test.knex('intervention_responses').orderBy('id')).toEqual(
      life.responses.map((response, i) => ({ id: i + 1, participant_id: id, ...response })),
    );
    const sent = await test.outbox();
    expect(sent.map(({ text }) => text)).toEqual(arrived(life).map(({ text }) => text));
    expect(sent.every(({ status, to }) => status === 'sent' && to === ADA)).toBe(true);
  } finally {
    await test.stop();
  }
}

const iso = (test: TestRuntime) => new Date(test.clock.now()).toISOString();
const instant = (test: TestRuntime, due: number | string) =>
  typeof due === 'string' ? Date.parse(due) : test.clock.now() + due;

/** The process dies, and is up again after `down` ms. */
async function die({ test }: Life, down = 0) {
  await test.crash();
  test.clock.moveTo(test.clock.now() + down);
  await test.restart();
  await test.settle();
}

/** What reached the phone. What a crash left in doubt comes again, is marked so, and is dropped by its key. */
function arrived({ test }: Life) {
  const keys = new Set<string>();
  return test.delivered.filter(({ idempotencyKey, maybeSent }) => {
    if (keys.has(idempotencyKey)) expect(maybeSent).toBe(true);
    return keys.size < keys.add(idempotencyKey).size;
  });
}

async function standing({ test, id }: Life) {
  const actor = test.actor(flow, id);
  const [{ value, context }, timers] = [await actor.getSnapshot(), await actor.timers()];
  const due = (week: boolean) => timers.find(({ event }) => event.type.startsWith('xstate.after.weekEnd') === week);
  const path = (state: any): string =>
    typeof state === 'string' ? state : Object.entries(state).map(([key, inner]) => `${key}.${path(inner)}`)[0]!;
  const day = (value as any).PARTICIPATING?.day ?? value;
  return { state: path(day), context: context as any, dayDue: due(false)?.dueAt, weekDue: due(true)?.dueAt };
}

// The steps.

/** These messages came since the script last looked, and no others. */
const hears =
  (...expected: string[]): Step =>
  async (life) => {
    await life.test.settle();
    const all = arrived(life).map(({ text }) => text);
    expect(all.slice(life.heard)).toEqual(expected);
    life.heard = all.length;
  };

/** The state of the day, and its only deadline: in so many ms from now, or at an instant. */
const is =
  (expected: string, due?: number | string): Step =>
  async (life) => {
    const { state, dayDue, weekDue } = await standing(life);
    expect({ state, dayDue }).toEqual({
      state: expected,
      dayDue: due === undefined ? undefined : instant(life.test, due),
    });
    if (due === undefined) expect(weekDue).toBeUndefined();
  };

/** Says something, which is an answer of this type, or none. */
const says =
  (text: string, type?: string): Step =>
  async (life) => {
    await hears()(life);
    if (type) {
      const [state] = (await standing(life)).state.split('.');
      life.responses.push({ state, response_text: text, response_type: type, timestamp: iso(life.test) });
    }
    const sms = { channel: 'sms', id: `SM${++life.said}`, from: ADA, text };
    expect(await life.test.receive(sms)).not.toMatchObject({ status: 'duplicate' });
    await die(life);
    expect(await life.test.receive(sms)).toMatchObject({ status: 'duplicate' });
  };

/** Says something that does not fit: it is answered, or not, and moves nothing. */
const saysInVain =
  (text: string, ...answer: string[]): Step =>
  async (life) => {
    const before = await standing(life);
    await says(text)(life);
    await hears(...answer)(life);
    expect({ ...(await standing(life)), context: null }).toEqual({ ...before, context: null });
  };

const does =
  (event: InterventionEvent): Step =>
  async (life) => {
    await hears()(life);
    await life.test.actor(flow, life.id).send(event);
    await die(life);
  };

const waits =
  (due: number | string): Step =>
  async (life) => {
    await hears()(life);
    await life.test.advanceTo(instant(life.test, due));
    await die(life);
  };

/** The deadline is then; nothing happens before, though the process dies, and just then it passes. */
const lapses =
  (due: number | string): Step =>
  async (life) => {
    const before = await standing(life);
    const at = instant(life.test, due);
    expect(before.dayDue).toBe(at);
    await waits(at - 1 - life.test.clock.now())(life);
    await hears()(life);
    expect(await standing(life)).toEqual(before);
    await waits(1)(life);
    expect((await standing(life)).dayDue).not.toBe(at);
  };

const isDownFor =
  (ms: number): Step =>
  async (life) => {
    await hears()(life);
    await die(life, ms);
  };

const knows =
  (expected: object): Step =>
  async (life) =>
    expect((await standing(life)).context).toMatchObject(expected);

const weekEnds =
  (due: string): Step =>
  async (life) =>
    expect((await standing(life)).weekDue).toBe(Date.parse(due));

/** The status in `intervention_participants` has just become this. */
const isNow =
  (status: string): Step =>
  async ({ test, row }) => {
    Object.assign(row, { status, updated_at: iso(test) });
    expect(await test.knex('intervention_participants')).toEqual([row]);
  };

/** An update, which the row follows at once. */
const updates =
  (change: Omit<Extract<InterventionEvent, { type: 'update' }>, 'type'>): Step =>
  async (life) => {
    await does({ type: 'update', ...change })(life);
    const { dailyPromptTime: daily_prompt_time, ...columns } = change;
    Object.assign(life.row, columns, daily_prompt_time && { daily_prompt_time }, { updated_at: iso(life.test) });
    expect(await life.test.knex('intervention_participants')).toEqual([life.row]);
  };

const asked = (name: keyof typeof questions) => {
  const { text, options }: Question = questions[name];
  return message(text, options).text;
};
const hinted = (name: keyof typeof questions) => {
  const { hint, options }: Question = questions[name];
  return message(hint ?? texts.pleaseChoose, options).text;
};

// The ways to the states.

const asks = (question: keyof typeof questions, state: string, deadline: number) => [
  hears(asked(question)),
  is(state, deadline),
];
const begins = [says('ready', 'general'), asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR)];
const commits = [begins, says('1', 'commitment'), asks('feeling', 'FEELING_PROMPT', 15 * MINUTE)];
const getsHabit = [commits, says('2', 'feeling'), asks('immediate', 'SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE)];
const reflects = [commits, says('2', 'feeling'), asks('reflective', 'SEND_INTERVENTION_REFLECTIVE', 30 * MINUTE)];
const saysNo = [getsHabit, says('no', 'completion'), asks('gotChance', 'DID_YOU_GET_A_CHANCE', 15 * MINUTE)];
const gotChance = [saysNo, says('yes', 'followup'), asks('context', 'CONTEXT_QUESTION', 15 * MINUTE)];
const tellsContext = [gotChance, says('2', 'followup'), asks('mood', 'MOOD_QUESTION', 15 * MINUTE)];
const tellsMood = [
  tellsContext,
  says('3', 'followup'),
  asks('barrierCheck', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', 30 * MINUTE),
];
const noChance = [
  saysNo,
  says('2', 'followup'),
  asks('barrierReason', 'BARRIER_REASON_NO_CHANCE.CHOOSING', 30 * MINUTE),
];
const wantsWords = [
  noChance,
  waits(20 * MINUTE),
  says('4', 'followup'),
  asks('barrierWords', 'BARRIER_REASON_NO_CHANCE.IN_WORDS', 10 * MINUTE),
];
const done = [getsHabit, says('Done', 'completion'), hears(texts.praise), is('END_OF_DAY', SATURDAY)];

/** The day ends with these words; on the next one the prompt comes on time, and the answers of this one are gone. */
const endsDay = (...said: string[]) => [
  hears(...said),
  is('END_OF_DAY', SATURDAY),
  lapses(SATURDAY),
  asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
  knows({ ...nothing, lastCommitmentDate: '2026-01-03', timesCompletedToday: 0 }),
];
const nothing = {
  flowAssignment: null,
  feelingResponse: null,
  completionResponse: null,
  gotChanceResponse: null,
  contextResponse: null,
  moodResponse: null,
  barrierResponse: null,
  barrierReasonResponse: null,
};

/** In each state: the way there; after how long silence ends it; what is said then; where that leads; what it means. */
interface Waiting {
  way: Script;
  coin?: 'REFLECTIVE';
  lasts: number;
  /** The answer to what does not fit. */
  hint: string;
  then: string[];
  next: [state: string, due: number | string];
  known: object;
}
const toEnd = { then: [texts.closing], next: ['END_OF_DAY', SATURDAY] } satisfies Partial<Waiting>;
const toHabit = {
  lasts: 15 * MINUTE,
  hint: hinted('feeling'),
  known: { feelingResponse: 'timed_out' },
} satisfies Partial<Waiting>;
const toChance = {
  lasts: 30 * MINUTE,
  hint: hinted('immediate'),
  then: [asked('gotChance')],
  next: ['DID_YOU_GET_A_CHANCE', 15 * MINUTE],
  known: { completionResponse: 'no_reply' },
} satisfies Partial<Waiting>;
const states: Record<string, Waiting> = {
  ORIENTATION: {
    way: [],
    lasts: 2 * HOUR,
    hint: texts.readyHint,
    then: [asked('commitment')],
    next: ['COMMITMENT_PROMPT', 12 * HOUR],
    known: { lastCommitmentDate: '2026-01-02', hasSeenOrientation: true },
  },
  COMMITMENT_PROMPT: {
    ...toEnd,
    way: begins,
    lasts: 12 * HOUR,
    hint: hinted('commitment'),
    known: { ...nothing, lastCommitmentDate: '2026-01-02' },
  },
  'FEELING_PROMPT (a coin for IMMEDIATE)': {
    ...toHabit,
    way: commits,
    then: [asked('immediate')],
    next: ['SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE],
  },
  'FEELING_PROMPT (a coin for REFLECTIVE)': {
    ...toHabit,
    way: commits,
    coin: 'REFLECTIVE',
    then: [asked('reflective')],
    next: ['SEND_INTERVENTION_REFLECTIVE', 30 * MINUTE],
  },
  SEND_INTERVENTION_IMMEDIATE: { ...toChance, way: getsHabit },
  SEND_INTERVENTION_REFLECTIVE: { ...toChance, way: reflects, coin: 'REFLECTIVE' },
  DID_YOU_GET_A_CHANCE: {
    way: saysNo,
    lasts: 15 * MINUTE,
    hint: hinted('gotChance'),
    then: [texts.encouragement, texts.encouragementAgain],
    next: ['END_OF_DAY', SATURDAY],
    known: { gotChanceResponse: 'no_reply' },
  },
  CONTEXT_QUESTION: {
    ...toEnd,
    way: gotChance,
    lasts: 15 * MINUTE,
    hint: hinted('context'),
    known: { contextResponse: null, gotChanceResponse: 'true' },
  },
  MOOD_QUESTION: {
    ...toEnd,
    way: tellsContext,
    lasts: 15 * MINUTE,
    hint: hinted('mood'),
    known: { contextResponse: '2', moodResponse: null },
  },
  BARRIER_CHECK_AFTER_CONTEXT_MOOD: {
    ...toEnd,
    way: tellsMood,
    lasts: 30 * MINUTE,
    hint: hinted('barrierCheck'),
    known: { moodResponse: '3', barrierResponse: null },
  },
  'BARRIER_REASON_NO_CHANCE (a choice)': {
    ...toEnd,
    way: noChance,
    lasts: 30 * MINUTE,
    hint: hinted('barrierReason'),
    known: { gotChanceResponse: 'false', barrierReasonResponse: null },
  },
  'BARRIER_REASON_NO_CHANCE (a few words)': {
    ...toEnd,
    way: wantsWords,
    lasts: 10 * MINUTE,
    hint: hinted('barrierWords'),
    known: { barrierReasonResponse: '4' },
  },
  END_OF_DAY: {
    way: done,
    lasts: 26 * HOUR,
    hint: texts.allSet,
    then: [asked('commitment')],
    next: ['COMMITMENT_PROMPT', 12 * HOUR],
    known: { ...nothing, lastCommitmentDate: '2026-01-03', timesCompletedToday: 0, timesCompletedThisWeek: 1 },
  },
};
const each = Object.entries(states);
/** Where free text is welcome, only a number that is no option, or nothing at all, does not fit. */
const doesNotFit = ({ hint }: Waiting) =>
  hint === hinted('barrierReason') ? '17' : hint === hinted('barrierCheck') ? ' ' : 'maybe?';

describe('in each state', () => {
  it.each(each)('%s: what does not fit, and HELP, moves nothing; silence lasts to the deadline', (_, state) =>
    live(
      state,
      state.way,
      waits(3 * MINUTE),
      saysInVain(doesNotFit(state), state.hint),
      saysInVain('Help!', defaultTexts.help),
      lapses(state.lasts - 3 * MINUTE),
      hears(...state.then),
      is(...state.next),
      knows(state.known),
    ),
  );

  it.each(each)('%s: paused, its deadline passes without a word, which comes on resuming', (_, state) =>
    live(
      state,
      state.way,
      does({ type: 'pause' }),
      isNow('paused'),
      saysInVain(doesNotFit(state)),
      lapses(state.lasts),
      is(...state.next),
      knows(state.known),
      waits(MINUTE),
      does({ type: 'resume' }),
      isNow('active'),
      hears(...state.then),
    ),
  );

  it.each(each)('%s: STOP ends all of it, START comes back to the next prompt', (_, state) =>
    live(
      state,
      state.way,
      says('Stop.'),
      hears(defaultTexts.stopped),
      is('WITHDRAWN'),
      isNow('withdrawn'),
      saysInVain('ready'),
      saysInVain('STOP'),
      waits('2026-01-12T09:00Z'),
      is('WITHDRAWN'),
      says('start'),
      hears(defaultTexts.started),
      is('END_OF_DAY', HOUR),
      isNow('active'),
      lapses(HOUR),
      asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
      says('2', 'commitment'),
      hears(texts.notYet),
    ),
  );
});

describe('a whole day', () => {
  it('has the habit done at once', () =>
    live(
      { name: 'Ada' },
      is('ORIENTATION', 2 * HOUR),
      lapses('2026-01-02T10:00Z'),
      asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
      waits(11 * HOUR),
      says("  LET'S DO IT!!! ", 'commitment'),
      asks('feeling', 'FEELING_PROMPT', 15 * MINUTE),
      waits(14 * MINUTE),
      says('💪 Motivated', 'feeling'),
      asks('immediate', 'SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE),
      waits(29 * MINUTE),
      says(' "Done!. "', 'completion'),
      knows({
        flowAssignment: 'IMMEDIATE',
        feelingResponse: '3',
        completionResponse: 'done',
        timesCompletedToday: 1,
        timesCompletedThisWeek: 1,
        lastCommitmentDate: '2026-01-02',
        weekStartDate: '2026-01-02',
      }),
      endsDay(texts.praise),
    ));

  it('has the habit done after a reflection', () =>
    live(
      { coin: 'REFLECTIVE' },
      reflects,
      says('done', 'completion'),
      knows({ flowAssignment: 'REFLECTIVE', completionResponse: 'done', timesCompletedToday: 1 }),
      endsDay(texts.praise),
    ));

  it.each(['2', '⏳ Not yet', 'later.'])('is put off with %j', (text) =>
    live({}, begins, says(text, 'commitment'), endsDay(texts.notYet)),
  );

  it.each([
    ['1', '1'],
    ['🤔 Curious', '2'],
    ['3. Motivated', '3'],
    ['need info', '4'],
    ['5️⃣', '5'],
    ['Ready', 'on_demand'],
  ])('begins with the feeling %j, recorded as %s', (text, feelingResponse) =>
    live(
      {},
      commits,
      says(text, 'feeling'),
      asks('immediate', 'SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE),
      knows({ feelingResponse }),
    ),
  );

  it.each([
    ['1', '1', '1', '1'],
    ['with others', '2', '😐 Neutral', '2'],
    ['3', '3', 'STRESSED', '3'],
    ['⏰ busy and stressed', '4', '2', '2'],
  ])(
    'without the habit, with a chance, and all the circumstances: %s, %s',
    (context, contextResponse, mood, moodResponse) =>
      live(
        {},
        gotChance,
        says(context, 'followup'),
        asks('mood', 'MOOD_QUESTION', 15 * MINUTE),
        says(mood, 'followup'),
        asks('barrierCheck', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', 30 * MINUTE),
        waits(29 * MINUTE),
        says(' The sun was out ☀️ ', 'followup'),
        knows({
          completionResponse: 'no',
          gotChanceResponse: 'true',
          contextResponse,
          moodResponse,
          barrierResponse: 'The sun was out ☀️',
          timesCompletedThisWeek: 0,
        }),
        endsDay(texts.thanks),
      ),
  );

  it.each([
    ['1', '1'],
    ['Did not understand', '2'],
    ['😴 not motivated', '3'],
    ['My cat was ill.', 'My cat was ill.'],
  ])('without a chance, for a reason: %s', (text, barrierReasonResponse) =>
    live(
      {},
      noChance,
      waits(29 * MINUTE),
      says(text, 'followup'),
      knows({ gotChanceResponse: 'false', barrierReasonResponse }),
      endsDay(texts.thanks),
    ),
  );

  it('without a chance, for a reason of one’s own, within the same half hour', () =>
    live(
      {},
      wantsWords,
      waits(9 * MINUTE),
      says('4 of us were ill', 'followup'),
      knows({ barrierReasonResponse: '4 of us were ill' }),
      endsDay(texts.thanks),
    ));

  it('without a word after the commitment: two encouragements, in order', () =>
    live(
      {},
      commits,
      lapses(15 * MINUTE),
      asks('immediate', 'SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE),
      lapses(30 * MINUTE),
      asks('gotChance', 'DID_YOU_GET_A_CHANCE', 15 * MINUTE),
      lapses(15 * MINUTE),
      knows({ feelingResponse: 'timed_out', completionResponse: 'no_reply', gotChanceResponse: 'no_reply' }),
      endsDay(texts.encouragement, texts.encouragementAgain),
    ));

  it('has as many rounds as are asked for, and is all set once a day', () =>
    live(
      {},
      done,
      saysInVain('thanks!', texts.allSet),
      saysInVain('bye'),
      begins,
      knows({ completionResponse: null, timesCompletedToday: 1, timesCompletedThisWeek: 1 }),
      says('1', 'commitment'),
      hears(asked('feeling')),
      says('1', 'feeling'),
      hears(asked('immediate')),
      says('done', 'completion'),
      hears(texts.praise),
      knows({ timesCompletedToday: 2, timesCompletedThisWeek: 2 }),
      saysInVain('bye'),
      waits('2026-01-03T09:00Z'),
      saysInVain('good morning', texts.allSet),
      lapses(SATURDAY),
      hears(asked('commitment')),
      knows({ timesCompletedToday: 0, timesCompletedThisWeek: 2 }),
    ));

  it('lasts into the next one, which still has its prompt', () =>
    live(
      { daily_prompt_time: '23:50' },
      lapses('2026-01-02T23:50Z'),
      asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
      waits('2026-01-03T00:10Z'),
      says('2', 'commitment'),
      hears(texts.notYet),
      is('END_OF_DAY', '2026-01-03T23:50Z'),
    ));

  it.each([
    ['IMMEDIATE', 'immediate'],
    ['REFLECTIVE', 'reflective'],
  ] as const)('goes where an operator moves it: %s', (coin, question) =>
    live(
      { coin },
      does({ type: 'advance', to: 'RANDOM_ASSIGNMENT' }),
      asks(question, `SEND_INTERVENTION_${coin}`, 30 * MINUTE),
      does({ type: 'advance', to: 'IGNORED_PATH' }),
      hears(texts.encouragement, texts.encouragementAgain),
      is('END_OF_DAY', 2 * HOUR),
    ),
  );
});

describe('a process that is down for long', () => {
  it('sends a prompt that fell due once, late, and gives the whole time to answer it', () =>
    live({}, isDownFor(5 * HOUR), asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR), says('2', 'commitment'), [
      hears(texts.notYet),
      is('END_OF_DAY', SATURDAY),
    ]));

  it('sends one prompt for all the days that passed, and none again on that day', () =>
    live(
      {},
      done,
      isDownFor(4 * DAY - HOUR), // Tuesday, 07:00
      asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
      says('2', 'commitment'),
      hears(texts.notYet),
      is('END_OF_DAY', '2026-01-07T10:00Z'),
    ));

  it('does not shorten a deadline, or give it anew', () =>
    live({}, commits, isDownFor(14 * MINUTE), is('FEELING_PROMPT', MINUTE), lapses(MINUTE), hears(asked('immediate'))));

  it('lets a deadline that has passed go before an answer that is too late', () =>
    live(
      {},
      commits,
      async (life) => {
        await life.test.crash();
        life.test.clock.moveTo(life.test.clock.now() + 16 * MINUTE);
        await life.test.restart();
        await life.test.receive({ channel: 'sms', id: 'late', from: ADA, text: '3' });
      },
      hears(asked('immediate'), hinted('immediate')),
      is('SEND_INTERVENTION_IMMEDIATE', 30 * MINUTE),
      knows({ feelingResponse: 'timed_out' }),
    ));
});

describe('the daily prompt', () => {
  const days = (timezone: string, daily_prompt_time: string, start: string, ...prompts: string[]) => ({
    ...{ name: `${timezone} ${daily_prompt_time}, ${prompts[1]!.slice(0, 10)}` },
    ...{ timezone, daily_prompt_time, start, prompts },
  });

  it.each([
    // Clocks go forward.
    days('Europe/Berlin', '10:00', '2026-03-28T00:00Z', '2026-03-28T09:00Z', '2026-03-29T08:00Z', '2026-03-30T08:00Z'),
    days(
      'America/New_York',
      '10:00',
      '2026-03-07T12:00Z',
      '2026-03-07T15:00Z',
      '2026-03-08T14:00Z',
      '2026-03-09T14:00Z',
    ),
    // Clocks go back.
    days('Europe/Berlin', '10:00', '2026-10-24T00:00Z', '2026-10-24T08:00Z', '2026-10-25T09:00Z', '2026-10-26T09:00Z'),
    days(
      'America/New_York',
      '10:00',
      '2026-10-31T12:00Z',
      '2026-10-31T14:00Z',
      '2026-11-01T15:00Z',
      '2026-11-02T15:00Z',
    ),
    // A time that does not exist that day: the next instant that does.
    days('Europe/Berlin', '02:30', '2026-03-28T00:00Z', '2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'),
    days(
      'America/New_York',
      '02:30',
      '2026-03-07T06:00Z',
      '2026-03-07T07:30Z',
      '2026-03-08T07:00Z',
      '2026-03-09T06:30Z',
    ),
    // A time that exists twice: the first.
    days('Europe/Berlin', '02:30', '2026-10-24T00:00Z', '2026-10-24T00:30Z', '2026-10-25T00:30Z', '2026-10-26T01:30Z'),
    days(
      'America/New_York',
      '01:30',
      '2026-10-31T05:00Z',
      '2026-10-31T05:30Z',
      '2026-11-01T05:30Z',
      '2026-11-02T06:30Z',
    ),
    // No change at all, and quarters of an hour.
    days('Asia/Kathmandu', '10:00', '2026-01-02T02:00Z', '2026-01-02T04:15Z', '2026-01-03T04:15Z', '2026-01-04T04:15Z'),
  ])('comes at the participant’s local time, once: $name', ({ name: _, prompts, ...enrolment }) =>
    live(
      enrolment,
      prompts.map((prompt) => [
        lapses(prompt),
        asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
        says('2', 'commitment'),
        hears(texts.notYet),
      ]),
    ),
  );

  it('leaves the twelve hours for an answer twelve hours long, whatever the clocks do', () =>
    live(
      { timezone: 'Europe/Berlin', daily_prompt_time: '20:00', start: '2026-10-24T17:00Z' },
      lapses('2026-10-24T18:00Z'),
      hears(asked('commitment')),
      lapses('2026-10-25T06:00Z'), // 07:00 in Berlin
      hears(texts.closing),
      is('END_OF_DAY', '2026-10-25T19:00Z'),
    ));

  it('is not sent on a day that had its round before it', () =>
    live({ timezone: 'America/New_York', start: '2026-03-08T13:00Z' }, begins, says('2', 'commitment'), [
      hears(texts.notYet),
      is('END_OF_DAY', '2026-03-09T14:00Z'),
    ]));

  it('moves along with an update, not the deadline of a question', () =>
    live(
      {},
      is('ORIENTATION', '2026-01-02T10:00Z'),
      updates({ dailyPromptTime: '18:30' }),
      is('ORIENTATION', '2026-01-02T18:30Z'),
      updates({ timezone: 'America/New_York' }),
      is('ORIENTATION', '2026-01-02T23:30Z'),
      updates({ timezone: 'Asia/Tokyo', dailyPromptTime: '19:00' }),
      is('ORIENTATION', '2026-01-02T10:00Z'),
      updates({ name: 'Grace' }),
      lapses('2026-01-02T10:00Z'),
      asks('commitment', 'COMMITMENT_PROMPT', 12 * HOUR),
      updates({ timezone: 'Europe/Berlin', dailyPromptTime: '12:00' }),
      is('COMMITMENT_PROMPT', 12 * HOUR),
      says('2', 'commitment'),
      hears(texts.notYet),
      // The local day has had its prompt: not today, though it is not yet twelve.
      is('END_OF_DAY', '2026-01-03T11:00Z'),
      updates({ dailyPromptTime: '08:15' }),
      lapses('2026-01-03T07:15Z'),
      hears(asked('commitment')),
    ));

  it('is what it was after an update that cannot be', () =>
    live(
      {},
      async ({ test, id }) => {
        for (const change of [{ timezone: 'Nowhere/Land' }, { dailyPromptTime: '25:00' }]) {
          await expect(test.actor(flow, id).send({ type: 'update', ...change })).rejects.toThrow();
        }
      },
      [is('ORIENTATION', '2026-01-02T10:00Z'), knows({ timezone: 'UTC', dailyPromptTime: '10:00' })],
    ));

  it('is, after an update, what the participant’s row says', () =>
    live({}, waits(MINUTE), updates({ name: 'Grace', timezone: 'Europe/Berlin', dailyPromptTime: '18:30' })));
});

describe('the weekly summary', () => {
  it('comes every seven days, amidst a question that it does not disturb', () =>
    live(
      {},
      weekEnds('2026-01-09T08:00Z'),
      done,
      lapses(SATURDAY),
      hears(asked('commitment')),
      says('1', 'commitment'),
      hears(asked('feeling')),
      says('1', 'feeling'),
      hears(asked('immediate')),
      says('done', 'completion'),
      hears(texts.praise),
      // Nobody answers from Sunday to Thursday.
      ['04', '05', '06', '07', '08'].map((day) => [
        waits(`2026-01-${day}T10:00Z`),
        hears(asked('commitment')),
        waits(`2026-01-${day}T22:00Z`),
        hears(texts.closing),
      ]),
      waits('2026-01-09T07:50Z'),
      commits,
      waits('2026-01-09T07:59:59.999Z'),
      knows({ timesCompletedThisWeek: 2 }),
      waits(1),
      hears(weeklySummary(2)),
      is('FEELING_PROMPT', 5 * MINUTE),
      knows({ timesCompletedThisWeek: 0, weekStartDate: '2026-01-09' }),
      weekEnds('2026-01-16T08:00Z'),
      lapses(5 * MINUTE),
      hears(asked('immediate')),
    ));

  it.each([
    ['Europe/Berlin', '2026-03-25T09:00Z', '2026-04-01T08:00Z', '2026-04-08T08:00Z'],
    ['Europe/Berlin', '2026-10-21T08:00Z', '2026-10-28T09:00Z', '2026-11-04T09:00Z'],
    ['America/New_York', '2026-03-04T15:00Z', '2026-03-11T14:00Z', '2026-03-18T14:00Z'],
    ['America/New_York', '2026-10-28T14:00Z', '2026-11-04T15:00Z', '2026-11-11T15:00Z'],
  ])('keeps to the local time in %s, from %s on, over weeks of silence', (timezone, start, ...ends) =>
    live(
      { timezone, start, weekly_reset: start },
      does({ type: 'pause' }),
      isNow('paused'),
      ends.map((end) => [weekEnds(end), waits(end)]),
      // The last summary and the last prompt, which fell due at the same instant, were held back.
      does({ type: 'resume' }),
      isNow('active'),
      hears(weeklySummary(0), asked('commitment')),
    ),
  );

  it('comes first where an earlier beginning of the week says so', () =>
    live(
      { weekly_reset: '2025-12-30T09:30:00Z' },
      weekEnds('2026-01-06T09:30Z'),
      done,
      isDownFor(3 * 7 * DAY), // Friday, three weeks later
      // Each late, in the order in which they fell due.
      hears(asked('commitment'), weeklySummary(1)),
      weekEnds('2026-01-27T09:30Z'),
      knows({ timesCompletedThisWeek: 0 }),
    ));

  it('comes at once when an operator asks for it, and on schedule all the same', () =>
    live(
      {},
      done,
      does({ type: 'weeklySummary' }),
      hears(weeklySummary(1)),
      weekEnds('2026-01-09T08:00Z'),
      knows({ timesCompletedThisWeek: 0, timesCompletedToday: 1 }),
    ));
});

describe('pause and resume', () => {
  it('lets a whole round be answered in silence, and says only what is asked at last', () =>
    live(
      {},
      begins,
      does({ type: 'pause' }),
      isNow('paused'),
      says('1', 'commitment'),
      says('1', 'feeling'),
      says('no', 'completion'),
      says('yes', 'followup'),
      says('1', 'followup'),
      waits(10 * MINUTE),
      does({ type: 'resume' }),
      isNow('active'),
      hears(asked('mood')),
      is('MOOD_QUESTION', 5 * MINUTE),
    ));

  it('holds the prompt back for days, and says the last one only', () =>
    live(
      {},
      does({ type: 'pause' }),
      isNow('paused'),
      waits('2026-01-04T12:00Z'),
      is('COMMITMENT_PROMPT', 10 * HOUR),
      does({ type: 'resume' }),
      isNow('active'),
      hears(asked('commitment')),
      does({ type: 'resume' }),
      says('2', 'commitment'),
      hears(texts.notYet),
    ));

  it('ends with START, where STOP came in between', () =>
    live(
      {},
      begins,
      does({ type: 'pause' }),
      isNow('paused'),
      says('unsubscribe'),
      hears(defaultTexts.stopped),
      isNow('withdrawn'),
      says('START'),
      hears(defaultTexts.started),
      isNow('active'),
      is('END_OF_DAY', SATURDAY),
      lapses(SATURDAY),
      hears(asked('commitment')),
    ));
});

describe('withdrawal', () => {
  it('keeps what was counted, if the participant is back within the week', () =>
    live(
      {},
      done,
      says('STOP'),
      hears(defaultTexts.stopped),
      isNow('withdrawn'),
      waits('2026-01-05T12:00Z'),
      says('Start'),
      hears(defaultTexts.started),
      isNow('active'),
      is('END_OF_DAY', '2026-01-06T10:00Z'),
      weekEnds('2026-01-09T08:00Z'),
      knows({ timesCompletedThisWeek: 1 }),
    ));

  it('begins a new week, without a summary, for who is back later', () =>
    live(
      {},
      done,
      says('STOP'),
      hears(defaultTexts.stopped),
      isNow('withdrawn'),
      waits('2026-01-12T12:00Z'),
      says('Start'),
      hears(defaultTexts.started),
      isNow('active'),
      weekEnds('2026-01-16T08:00Z'),
      knows({ timesCompletedThisWeek: 0, weekStartDate: '2026-01-12' }),
    ));

  it('explains itself to who asks for HELP', () =>
    live(
      {},
      says('STOP'),
      hears(defaultTexts.stopped),
      isNow('withdrawn'),
      saysInVain('help', defaultTexts.help),
      is('WITHDRAWN'),
    ));

  it('is never broken: no message is sent, however late something is said', () =>
    live({}, says('STOP'), hears(defaultTexts.stopped), isNow('withdrawn'), waits(49 * HOUR), saysInVain('hello?')));
});

describe('the end of the study', () => {
  it('comes in place of the prompt after its last day', () =>
    live(
      { study_days: 2 },
      done,
      lapses(SATURDAY),
      hears(asked('commitment')),
      says('2', 'commitment'),
      hears(texts.notYet),
      lapses('2026-01-04T10:00Z'),
      hears(texts.complete),
      is('COMPLETE'),
      isNow('completed'),
      saysInVain('ready'),
      waits(40 * HOUR),
      says('STOP'),
      hears(defaultTexts.stopped),
      says('START'),
      hears(defaultTexts.started),
      is('COMPLETE'),
      waits(DAY),
    ));

  it('comes in place of a round that is asked for when it is over', () =>
    live(
      { study_days: 1 },
      done,
      waits('2026-01-03T07:59:59.999Z'),
      commits,
      waits(2 * MINUTE),
      says('1', 'feeling'),
      hears(asked('immediate')),
      says('done', 'completion'),
      hears(texts.praise),
      says('ready'),
      hears(texts.complete),
      isNow('completed'),
      is('COMPLETE'),
    ));

  it('comes when an operator says so, amidst a question', () =>
    live(
      {},
      noChance,
      does({ type: 'complete' }),
      hears(texts.complete),
      is('COMPLETE'),
      isNow('completed'),
      waits(DAY),
    ));
});

it('no listed answer is a word that the messaging edge keeps for itself', () => {
  const lists = [...Object.values(questions), ...Object.values(words)].flatMap((entry: Question | readonly Choice[]) =>
    Array.isArray(entry) ? entry : ((entry as Question).options ?? []),
  );
  const answers = lists.flatMap(({ label, synonyms = [] }: Choice) => [label, ...synonyms]);
  expect(answers.filter((answer) => keywordOf(answer))).toEqual([]);
});
