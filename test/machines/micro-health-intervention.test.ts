import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { type InterventionInput, microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import {
  type Question,
  questions,
  texts,
  weeklySummary,
  welcome,
} from '../../machines/texts/micro-health-intervention.ts';
import { message } from '../../src/machine/index.ts';
import { DAY, type DriveOptions, drive, HOUR, MINUTE } from './drive.ts';

type Options = Partial<DriveOptions<typeof microHealthInterventionMachine>>;

/** A participant who was enrolled at 08:00, on a Friday, and gets prompts at 10:00. */
function enroll(input: Partial<InterventionInput> = {}, options: Options = {}) {
  const driver = drive(microHealthInterventionMachine, { input: { participantId: 'p_1', ...input }, ...options });
  return Object.assign(driver, {
    /** Fails unless the participant is in this state, and still will be until `ms` from now, when `then` is entered. */
    waits(state: string, ms: number, then: string) {
      expect(stateOf(driver)).toBe(state);
      driver.pass(ms - 1);
      expect(stateOf(driver)).toBe(state);
      driver.pass(1);
      expect(stateOf(driver)).toBe(then);
    },
  });
}
type Participant = ReturnType<typeof enroll>;

function stateOf({ snapshot }: Pick<Participant, 'snapshot'>): string {
  const value = snapshot.value as any;
  const day = value.PARTICIPATING?.day ?? value;
  return typeof day === 'string' ? day : Object.keys(day)[0]!;
}

/** A participant who is in a state because of what was answered on the way there. */
const ways = {
  COMMITMENT_PROMPT: [],
  FEELING_PROMPT: ['1'],
  SEND_INTERVENTION_IMMEDIATE: ['1', '1'],
  SEND_INTERVENTION_REFLECTIVE: ['1', '1'],
  DID_YOU_GET_A_CHANCE: ['1', '1', 'no'],
  CONTEXT_QUESTION: ['1', '1', 'no', '1'],
  MOOD_QUESTION: ['1', '1', 'no', '1', '1'],
  BARRIER_CHECK_AFTER_CONTEXT_MOOD: ['1', '1', 'no', '1', '1', '1'],
  BARRIER_REASON_NO_CHANCE: ['1', '1', 'no', '2'],
  END_OF_DAY: ['2'],
} as const;

function at(state: keyof typeof ways, input: Partial<InterventionInput> = {}, options: Options = {}) {
  const random = () => (state === 'SEND_INTERVENTION_REFLECTIVE' ? 0.9 : 0.3);
  const participant = enroll(input, { random, ...options });
  participant.reply('ready', ...ways[state]);
  expect(stateOf(participant)).toBe(state);
  participant.emitted;
  return participant;
}

const asked = (name: keyof typeof questions) => {
  const { text, options }: Question = questions[name];
  return message(text, options).text;
};
const hinted = (name: keyof typeof questions) => {
  const { hint, options }: Question = questions[name];
  return message(hint ?? texts.pleaseChoose, options).text;
};
const answer = (state: string, text: string, responseType: string) => ({ type: 'response', state, text, responseType });

describe('ORIENTATION', () => {
  it('welcomes, and waits for the daily prompt time', () => {
    const participant = enroll({ name: 'Ada' });
    expect(participant.said).toEqual([welcome('Ada')]);
    expect(participant.context.hasSeenOrientation).toBe(true);
    participant.waits('ORIENTATION', 2 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.said).toEqual([asked('commitment')]);
  });

  it('waits for the daily prompt time of the participant’s zone', () => {
    const participant = enroll({ timezone: 'America/New_York', dailyPromptTime: '07:30' });
    participant.waits('ORIENTATION', 3.5 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.time).toBe('2026-05-01T11:30:00.000Z');
  });

  it('waits for the next day, where the time has passed', () => {
    enroll({ dailyPromptTime: '08:00' }).waits('ORIENTATION', DAY, 'COMMITMENT_PROMPT');
  });

  it.each(['ready', 'READY!', ' Ready. '])('begins a round at once on %j', (text) => {
    const participant = enroll();
    participant.emitted;
    participant.reply(text);
    expect(stateOf(participant)).toBe('COMMITMENT_PROMPT');
    expect(participant.emitted).toEqual([
      answer('ORIENTATION', text, 'general'),
      expect.objectContaining({ text: asked('commitment') }),
    ]);
  });

  it('answers anything else with a hint', () => {
    const participant = enroll();
    participant.pass(HOUR);
    participant.emitted;
    participant.reply('hello?');
    expect(participant.emitted).toEqual([message(texts.readyHint)]);
    participant.waits('ORIENTATION', HOUR, 'COMMITMENT_PROMPT');
  });

  it.each([{ timezone: 'Nowhere/Land' }, { dailyPromptTime: '25:00' }])('refuses %j', (input) => {
    const actor = createActor(microHealthInterventionMachine, { input: { participantId: 'p_1', ...input } });
    actor.subscribe({ error: () => {} });
    actor.start();
    expect(actor.getSnapshot()).toMatchObject({ status: 'error', error: expect.any(TypeError) });
  });
});

describe('COMMITMENT_PROMPT', () => {
  it('asks, as a multiple-choice message', () => {
    const participant = enroll();
    participant.emitted;
    participant.pass(2 * HOUR);
    expect(participant.emitted).toEqual([
      {
        type: 'message',
        text: "Are you ready for a quick habit today? It takes one minute.\n1. 🚀 Let's do it!\n2. ⏳ Not yet",
        options: [
          { id: '1', label: "🚀 Let's do it!" },
          { id: '2', label: '⏳ Not yet' },
        ],
      },
    ]);
    expect(participant.context.lastCommitmentDate).toBe('2026-05-01');
  });

  it('keeps the local date of the participant', () => {
    expect(at('COMMITMENT_PROMPT', { timezone: 'Pacific/Kiritimati' }).context.lastCommitmentDate).toBe('2026-05-01');
    expect(at('COMMITMENT_PROMPT', { timezone: 'Pacific/Pago_Pago' }).context.lastCommitmentDate).toBe('2026-04-30');
  });

  it.each(['1', "let's do it", '1️⃣', 'yes', 'option 1'])('goes on to FEELING_PROMPT on %j', (text) => {
    const participant = at('COMMITMENT_PROMPT');
    participant.reply(text);
    expect(stateOf(participant)).toBe('FEELING_PROMPT');
    expect(participant.emitted[0]).toEqual(answer('COMMITMENT_PROMPT', text, 'commitment'));
  });

  it.each(['2', 'Not yet.', 'no'])('ends the day on %j', (text) => {
    const participant = at('COMMITMENT_PROMPT');
    participant.reply(text);
    expect(stateOf(participant)).toBe('END_OF_DAY');
    expect(participant.emitted).toEqual([answer('COMMITMENT_PROMPT', text, 'commitment'), message(texts.notYet)]);
  });

  it('ends the day after 12 hours', () => {
    const participant = at('COMMITMENT_PROMPT');
    participant.waits('COMMITMENT_PROMPT', 12 * HOUR, 'END_OF_DAY');
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });

  it('clears the answers of the last round, and no counter', () => {
    const participant = at('MOOD_QUESTION');
    participant.reply('2', 'a noisy room', 'ready', '1', '3', 'done');
    const { flowAssignment, feelingResponse, completionResponse, ...rest } = participant.context;
    expect({ flowAssignment, feelingResponse, completionResponse }).toEqual({
      flowAssignment: 'IMMEDIATE',
      feelingResponse: '3',
      completionResponse: 'done',
    });
    expect(rest).toMatchObject({
      gotChanceResponse: null,
      contextResponse: null,
      moodResponse: null,
      barrierResponse: null,
    });
    expect(rest).toMatchObject({ barrierReasonResponse: null, timesCompletedToday: 1, timesCompletedThisWeek: 1 });
  });
});

describe('FEELING_PROMPT', () => {
  it.each([
    ['1', '1'],
    ['Curious', '2'],
    ['💪 motivated!', '3'],
    ['need info', '4'],
    ['5.', '5'],
    ['ready', 'on_demand'],
  ])('%j is recorded as %s, and the habit is next', (text, recorded) => {
    const participant = at('FEELING_PROMPT');
    participant.reply(text);
    expect(stateOf(participant)).toBe('SEND_INTERVENTION_IMMEDIATE');
    expect(participant.context.feelingResponse).toBe(recorded);
    expect(participant.emitted).toEqual([answer('FEELING_PROMPT', text, 'feeling'), message(asked('immediate'))]);
  });

  it('goes on after 15 minutes', () => {
    const participant = at('FEELING_PROMPT');
    participant.waits('FEELING_PROMPT', 15 * MINUTE, 'SEND_INTERVENTION_IMMEDIATE');
    expect(participant.context.feelingResponse).toBe('timed_out');
    expect(participant.emitted).toEqual([message(asked('immediate'))]);
  });
});

describe('RANDOM_ASSIGNMENT', () => {
  it.each([
    [0, 'IMMEDIATE'],
    [0.4999, 'IMMEDIATE'],
    [0.5, 'REFLECTIVE'],
    [0.9999, 'REFLECTIVE'],
  ])('a chance of %d is %s', (chance, assignment) => {
    const participant = enroll({}, { random: () => chance });
    participant.reply('ready', '1', '1');
    expect(stateOf(participant)).toBe(`SEND_INTERVENTION_${assignment}`);
    expect(participant.context.flowAssignment).toBe(assignment);
  });
});

describe.each(['SEND_INTERVENTION_IMMEDIATE', 'SEND_INTERVENTION_REFLECTIVE'] as const)('%s', (state) => {
  it.each(['done', ' Done!. ', '✅ DONE'])(
    '%j is praised and counted, and ends the day without a closing line',
    (text) => {
      const participant = at(state);
      participant.reply(text);
      expect(stateOf(participant)).toBe('END_OF_DAY');
      expect(participant.context).toMatchObject({
        completionResponse: 'done',
        timesCompletedToday: 1,
        timesCompletedThisWeek: 1,
      });
      expect(participant.emitted).toEqual([answer(state, text, 'completion'), message(texts.praise)]);
    },
  );

  it.each(['no', 'Not yet'])('%j leads to DID_YOU_GET_A_CHANCE', (text) => {
    const participant = at(state);
    participant.reply(text);
    expect(stateOf(participant)).toBe('DID_YOU_GET_A_CHANCE');
    expect(participant.context).toMatchObject({ completionResponse: 'no', timesCompletedToday: 0 });
    expect(participant.emitted).toEqual([
      answer(state, text, 'completion'),
      expect.objectContaining({ text: asked('gotChance') }),
    ]);
  });

  it('asks after 30 minutes whether there was a chance', () => {
    const participant = at(state);
    participant.waits(state, 30 * MINUTE, 'DID_YOU_GET_A_CHANCE');
    expect(participant.context.completionResponse).toBe('no_reply');
    expect(participant.said).toEqual([asked('gotChance')]);
  });
});

describe('DID_YOU_GET_A_CHANCE', () => {
  it.each([
    ['1', 'true', 'CONTEXT_QUESTION', 'context'],
    ['yes', 'true', 'CONTEXT_QUESTION', 'context'],
    ['2', 'false', 'BARRIER_REASON_NO_CHANCE', 'barrierReason'],
    ['No!', 'false', 'BARRIER_REASON_NO_CHANCE', 'barrierReason'],
  ] as const)('%j is %s and leads to %s', (text, recorded, state, question) => {
    const participant = at('DID_YOU_GET_A_CHANCE');
    participant.reply(text);
    expect(stateOf(participant)).toBe(state);
    expect(participant.context.gotChanceResponse).toBe(recorded);
    expect(participant.emitted).toEqual([
      answer('DID_YOU_GET_A_CHANCE', text, 'followup'),
      expect.objectContaining({ text: asked(question) }),
    ]);
  });

  it('encourages twice after 15 minutes, in order, and ends the day without a closing line', () => {
    const participant = at('DID_YOU_GET_A_CHANCE');
    participant.waits('DID_YOU_GET_A_CHANCE', 15 * MINUTE, 'END_OF_DAY');
    expect(participant.context.gotChanceResponse).toBe('no_reply');
    expect(participant.emitted).toEqual([message(texts.encouragement), message(texts.encouragementAgain)]);
  });
});

describe('CONTEXT_QUESTION', () => {
  it.each([
    ['1', '1'],
    ['with others', '2'],
    ['🎧 A distracting place', '3'],
    ['4)', '4'],
  ])('%j is recorded as %s, and the mood is next', (text, recorded) => {
    const participant = at('CONTEXT_QUESTION');
    participant.reply(text);
    expect(stateOf(participant)).toBe('MOOD_QUESTION');
    expect(participant.context.contextResponse).toBe(recorded);
    expect(participant.emitted).toEqual([
      answer('CONTEXT_QUESTION', text, 'followup'),
      expect.objectContaining({ text: asked('mood') }),
    ]);
  });

  it('ends the day after 15 minutes', () => {
    const participant = at('CONTEXT_QUESTION');
    participant.waits('CONTEXT_QUESTION', 15 * MINUTE, 'END_OF_DAY');
    expect(participant.context.contextResponse).toBeNull();
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });
});

describe('MOOD_QUESTION', () => {
  it.each(['1', '2', '3'])('%j is recorded, and the barriers are next', (text) => {
    const participant = at('MOOD_QUESTION');
    participant.reply(text);
    expect(stateOf(participant)).toBe('BARRIER_CHECK_AFTER_CONTEXT_MOOD');
    expect(participant.context.moodResponse).toBe(text);
    expect(participant.emitted).toEqual([answer('MOOD_QUESTION', text, 'followup'), message(asked('barrierCheck'))]);
  });

  it('ends the day after 15 minutes', () => {
    const participant = at('MOOD_QUESTION');
    participant.waits('MOOD_QUESTION', 15 * MINUTE, 'END_OF_DAY');
    expect(participant.context.moodResponse).toBeNull();
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });
});

describe('BARRIER_CHECK_AFTER_CONTEXT_MOOD', () => {
  it.each(['My neighbour was drilling.', '1', '🤷'])('takes any text: %j', (text) => {
    const participant = at('BARRIER_CHECK_AFTER_CONTEXT_MOOD');
    participant.reply(text);
    expect(stateOf(participant)).toBe('END_OF_DAY');
    expect(participant.context.barrierResponse).toBe(text);
    expect(participant.emitted).toEqual([
      answer('BARRIER_CHECK_AFTER_CONTEXT_MOOD', text, 'followup'),
      message(texts.thanks),
    ]);
  });

  it('ends the day after 30 minutes', () => {
    const participant = at('BARRIER_CHECK_AFTER_CONTEXT_MOOD');
    participant.waits('BARRIER_CHECK_AFTER_CONTEXT_MOOD', 30 * MINUTE, 'END_OF_DAY');
    expect(participant.context.barrierResponse).toBeNull();
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });
});

describe('BARRIER_REASON_NO_CHANCE', () => {
  it.each([
    ['1', '1'],
    ['did not understand', '2'],
    ['3.', '3'],
    ['My cat was ill', 'My cat was ill'],
  ])('%j is recorded as %j and ends the day', (text, recorded) => {
    const participant = at('BARRIER_REASON_NO_CHANCE');
    participant.reply(text);
    expect(stateOf(participant)).toBe('END_OF_DAY');
    expect(participant.context.barrierReasonResponse).toBe(recorded);
    expect(participant.emitted).toEqual([answer('BARRIER_REASON_NO_CHANCE', text, 'followup'), message(texts.thanks)]);
  });

  it('ends the day after 30 minutes', () => {
    const participant = at('BARRIER_REASON_NO_CHANCE');
    participant.waits('BARRIER_REASON_NO_CHANCE', 30 * MINUTE, 'END_OF_DAY');
    expect(participant.context.barrierReasonResponse).toBeNull();
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });

  it('asks for a few words on 4, and takes any text', () => {
    const participant = at('BARRIER_REASON_NO_CHANCE');
    participant.reply('4');
    expect(stateOf(participant)).toBe('BARRIER_REASON_NO_CHANCE');
    expect(participant.emitted).toEqual([
      answer('BARRIER_REASON_NO_CHANCE', '4', 'followup'),
      message(asked('barrierWords')),
    ]);
    participant.reply('12 guests');
    expect(stateOf(participant)).toBe('END_OF_DAY');
    expect(participant.context.barrierReasonResponse).toBe('12 guests');
    expect(participant.emitted).toEqual([
      answer('BARRIER_REASON_NO_CHANCE', '12 guests', 'followup'),
      message(texts.thanks),
    ]);
  });

  it('waits for the few words within the same 30 minutes', () => {
    const participant = at('BARRIER_REASON_NO_CHANCE');
    participant.pass(20 * MINUTE);
    participant.reply('other');
    participant.emitted;
    participant.waits('BARRIER_REASON_NO_CHANCE', 10 * MINUTE, 'END_OF_DAY');
    expect(participant.context.barrierReasonResponse).toBe('4');
    expect(participant.emitted).toEqual([message(texts.closing)]);
  });
});

describe('END_OF_DAY', () => {
  it('waits for the next daily prompt, which is not on the same local day', () => {
    const participant = at('END_OF_DAY'); // a round on demand, before 10:00
    participant.waits('END_OF_DAY', DAY + 2 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.said).toEqual([asked('commitment')]);
    expect(participant.time).toBe('2026-05-02T10:00:00.000Z');
  });

  it('begins the next round at once on "ready", and counts both for the day', () => {
    const participant = at('END_OF_DAY');
    participant.reply('ready', '1', '1', 'done');
    expect(participant.context.timesCompletedToday).toBe(1);
    participant.emitted;
    participant.reply('Ready!');
    expect(participant.emitted[0]).toEqual(answer('END_OF_DAY', 'Ready!', 'general'));
    participant.reply('1', '1', 'done');
    expect(participant.context).toMatchObject({ timesCompletedToday: 2, timesCompletedThisWeek: 2 });
    participant.emitted;
    participant.waits('END_OF_DAY', DAY + 2 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.context).toMatchObject({ timesCompletedToday: 0, timesCompletedThisWeek: 2 });
  });

  it('goes by the local date of the participant', () => {
    // 23:00 on 30 April in Honolulu: the prompt of 1 May, at 10:00, is still to come.
    const participant = at('END_OF_DAY', { timezone: 'Pacific/Honolulu' }, { start: '2026-05-01T09:00:00Z' });
    participant.waits('END_OF_DAY', 11 * HOUR, 'COMMITMENT_PROMPT');
  });

  it('answers anything else once a local day', () => {
    const participant = at('END_OF_DAY');
    participant.reply('thanks', 'bye', '1');
    expect(participant.emitted).toEqual([message(texts.allSet)]);
    participant.passUntil('2026-05-02T12:00:00Z');
    participant.reply('2');
    participant.emitted;
    participant.reply('thanks', 'bye');
    expect(participant.said).toEqual([texts.allSet]);
    participant.reply('ready', '2');
    participant.emitted;
    participant.reply('thanks again');
    expect(participant.said).toEqual([]);
  });

  it('prompts every day at the same local time over a change of the clocks', () => {
    const participant = enroll({ timezone: 'America/New_York' }, { start: '2026-03-06T12:00:00Z' });
    const prompts: string[] = [];
    participant.actor.on('message', () => prompts.push(participant.time));
    for (let day = 0; day < 4; day++) {
      participant.passUntil(participant.clock.nextTimer()!);
      participant.reply('2');
    }
    expect(prompts.filter((_, i) => i % 2 === 0)).toEqual([
      '2026-03-06T15:00:00.000Z',
      '2026-03-07T15:00:00.000Z',
      '2026-03-08T14:00:00.000Z',
      '2026-03-09T14:00:00.000Z',
    ]);
  });

  it('prompts once on days on which the time does not exist, or exists twice', () => {
    const days = (start: string, dailyPromptTime: string) => {
      const participant = enroll({ timezone: 'America/New_York', dailyPromptTime }, { start });
      return [0, 1, 2].map(() => {
        participant.passUntil(participant.clock.nextTimer()!);
        participant.reply('2');
        return participant.time;
      });
    };
    expect(days('2026-03-07T00:00:00Z', '02:30')).toEqual([
      '2026-03-07T07:30:00.000Z',
      '2026-03-08T07:00:00.000Z',
      '2026-03-09T06:30:00.000Z',
    ]);
    expect(days('2026-10-31T00:00:00Z', '01:30')).toEqual([
      '2026-10-31T05:30:00.000Z',
      '2026-11-01T05:30:00.000Z',
      '2026-11-02T06:30:00.000Z',
    ]);
  });
});

describe('an answer that does not fit', () => {
  it.each([
    ['COMMITMENT_PROMPT', 'commitment', '3', 12 * HOUR, 'END_OF_DAY'],
    ['FEELING_PROMPT', 'feeling', '6', 15 * MINUTE, 'SEND_INTERVENTION_IMMEDIATE'],
    ['SEND_INTERVENTION_IMMEDIATE', 'immediate', 'maybe', 30 * MINUTE, 'DID_YOU_GET_A_CHANCE'],
    ['SEND_INTERVENTION_REFLECTIVE', 'reflective', '7', 30 * MINUTE, 'DID_YOU_GET_A_CHANCE'],
    ['DID_YOU_GET_A_CHANCE', 'gotChance', 'perhaps', 15 * MINUTE, 'END_OF_DAY'],
    ['CONTEXT_QUESTION', 'context', '5', 15 * MINUTE, 'END_OF_DAY'],
    ['MOOD_QUESTION', 'mood', '4', 15 * MINUTE, 'END_OF_DAY'],
    ['BARRIER_CHECK_AFTER_CONTEXT_MOOD', 'barrierCheck', '  ', 30 * MINUTE, 'END_OF_DAY'],
    ['BARRIER_REASON_NO_CHANCE', 'barrierReason', '5', 30 * MINUTE, 'END_OF_DAY'],
  ] as const)(
    'gets a hint in %s, and leaves state, data and deadline alone',
    (state, question, wrong, deadline, then) => {
      const participant = at(state);
      const { context } = participant;
      participant.pass(deadline - 2000);
      participant.reply(wrong);
      expect(participant.emitted).toEqual([expect.objectContaining({ type: 'message', text: hinted(question) })]);
      participant.pass(1000);
      participant.reply(wrong);
      expect(participant.said).toEqual([hinted(question)]);
      expect(participant.context).toEqual(context);
      participant.waits(state, 1000, then);
    },
  );

  it('lists the valid options', () => {
    const participant = at('MOOD_QUESTION');
    participant.reply('purple');
    expect(participant.emitted).toEqual([message(texts.pleaseChoose, questions.mood.options)]);
  });

  it('gets a hint when words are asked for', () => {
    const participant = at('BARRIER_REASON_NO_CHANCE');
    participant.reply('4');
    participant.emitted;
    participant.reply('');
    expect(participant.said).toEqual([hinted('barrierWords')]);
    expect(stateOf(participant)).toBe('BARRIER_REASON_NO_CHANCE');
  });
});

describe('the weekly summary', () => {
  it('comes every 7 days from the enrolment, and the counter starts at 0', () => {
    const participant = at('END_OF_DAY');
    participant.reply('ready', '1', '1', 'done', 'ready', '1', '1', 'done');
    participant.passUntil('2026-05-08T07:59:59.999Z');
    expect(participant.context.timesCompletedThisWeek).toBe(2);
    const state = stateOf(participant);
    participant.emitted;
    participant.pass(1);
    expect(participant.emitted).toEqual([message(weeklySummary(2))]);
    expect(participant.context).toMatchObject({ timesCompletedThisWeek: 0, weekStartDate: '2026-05-08' });
    expect(stateOf(participant)).toBe(state);
    participant.passUntil('2026-05-15T08:00:00Z');
    expect(participant.said.at(-1)).toBe(weeklySummary(0));
  });

  it('interrupts nothing', () => {
    const participant = enroll({ weeklyReset: Date.parse('2026-05-01T08:10:00Z') });
    participant.reply('ready', '1');
    participant.emitted;
    participant.pass(10 * MINUTE);
    expect(participant.said).toEqual([weeklySummary(0)]);
    participant.waits('FEELING_PROMPT', 5 * MINUTE, 'SEND_INTERVENTION_IMMEDIATE');
  });

  it('counts from an instant in the past, too, and keeps the local time over changes of the clocks', () => {
    const participant = enroll(
      { timezone: 'America/New_York', weeklyReset: Date.parse('2026-02-23T17:00:00Z') },
      { start: '2026-03-01T00:00:00Z' },
    );
    const summaries: string[] = [];
    participant.actor.on('message', ({ text }) => text === weeklySummary(0) && summaries.push(participant.time));
    participant.pass(16 * DAY);
    expect(summaries).toEqual(['2026-03-02T17:00:00.000Z', '2026-03-09T16:00:00.000Z', '2026-03-16T16:00:00.000Z']);
  });

  it('can be asked for: the counter starts at 0, the schedule stays', () => {
    const participant = at('SEND_INTERVENTION_IMMEDIATE');
    participant.reply('done');
    participant.passUntil('2026-05-03T12:00:00Z');
    const state = stateOf(participant);
    participant.emitted;
    participant.send({ type: 'weeklySummary' });
    expect(participant.emitted).toEqual([message(weeklySummary(1))]);
    expect(stateOf(participant)).toBe(state);
    expect(participant.context).toMatchObject({
      timesCompletedThisWeek: 0,
      weekStartDate: '2026-05-03',
      weekEndsAt: Date.parse('2026-05-08T08:00:00Z'),
    });
    participant.passUntil('2026-05-08T08:00:00Z');
    expect(participant.said).toContain(weeklySummary(0));
  });
});

describe('pause and resume', () => {
  it('hold back what is said; deadlines fire, answers count', () => {
    const participant = at('FEELING_PROMPT');
    participant.send({ type: 'pause' });
    expect(participant.context.paused).toBe(true);
    participant.waits('FEELING_PROMPT', 15 * MINUTE, 'SEND_INTERVENTION_IMMEDIATE');
    participant.reply('no', 'what?', '1');
    expect(stateOf(participant)).toBe('CONTEXT_QUESTION');
    expect(participant.said).toEqual([]);
    participant.send({ type: 'resume' });
    expect(participant.said).toEqual([asked('context')]);
    expect(participant.context.held).toEqual({ day: [], week: [] });
    expect(participant.context.paused).toBe(false);
  });

  it('record the answers given while paused', () => {
    const participant = at('FEELING_PROMPT');
    participant.send({ type: 'pause' });
    participant.reply('2');
    expect(participant.emitted).toEqual([answer('FEELING_PROMPT', '2', 'feeling')]);
  });

  it('say no stale message after a week', () => {
    const participant = at('END_OF_DAY');
    participant.send({ type: 'pause' });
    participant.passUntil('2026-05-16T11:00:00Z');
    expect(participant.emitted).toEqual([]);
    expect(stateOf(participant)).toBe('COMMITMENT_PROMPT');
    participant.send({ type: 'resume' });
    // The summary of the week that ended last, and today's prompt.
    expect(participant.said).toEqual([weeklySummary(0), asked('commitment')]);
    participant.waits('COMMITMENT_PROMPT', 11 * HOUR, 'END_OF_DAY');
  });

  it('say nothing twice', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'pause' }, { type: 'resume' }, { type: 'resume' });
    expect(participant.emitted).toEqual([]);
  });

  it('keep both encouragements, in order', () => {
    const participant = at('DID_YOU_GET_A_CHANCE');
    participant.send({ type: 'pause' });
    participant.pass(15 * MINUTE);
    participant.send({ type: 'resume' });
    expect(participant.said).toEqual([texts.encouragement, texts.encouragementAgain]);
  });

  it('survive updates: the pending message is still said', () => {
    const participant = at('SEND_INTERVENTION_IMMEDIATE');
    participant.send({ type: 'pause' });
    participant.reply('done');
    participant.send({ type: 'update', dailyPromptTime: '12:00' }, { type: 'resume' });
    expect(participant.said).toEqual([texts.praise]);
  });

  it('do not use up the "all set" of the day', () => {
    const participant = at('END_OF_DAY');
    participant.send({ type: 'pause' });
    participant.reply('hi');
    participant.send({ type: 'resume' });
    expect(participant.said).toEqual([]);
    participant.reply('hi');
    expect(participant.said).toEqual([texts.allSet]);
  });
});

describe('withdraw and rejoin', () => {
  it.each(Object.keys(ways) as (keyof typeof ways)[])('withdraw from %s: no deadline, no message', (state) => {
    const participant = at(state);
    participant.send({ type: 'withdraw' });
    expect(stateOf(participant)).toBe('WITHDRAWN');
    expect(participant.clock.nextTimer()).toBeUndefined();
    participant.pass(30 * DAY);
    participant.reply('ready', '1', 'hello');
    participant.send({ type: 'weeklySummary' }, { type: 'pause' }, { type: 'resume' }, { type: 'reset' });
    participant.send({ type: 'advance', to: 'COMMITMENT_PROMPT' }, { type: 'complete' }, { type: 'update', name: 'B' });
    expect(participant.emitted).toEqual([]);
    expect(stateOf(participant)).toBe('WITHDRAWN');
    expect(participant.clock.nextTimer()).toBeUndefined();
  });

  it('come back to the next daily prompt, without a word', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'withdraw' });
    participant.pass(2 * DAY);
    participant.send({ type: 'rejoin' });
    expect(participant.emitted).toEqual([]);
    participant.waits('END_OF_DAY', 2 * HOUR, 'COMMITMENT_PROMPT');
  });

  it('do not prompt twice on one local day', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'withdraw' }, { type: 'rejoin' });
    participant.waits('END_OF_DAY', DAY + 2 * HOUR, 'COMMITMENT_PROMPT');
  });

  it('end a pause, and drop what was held back', () => {
    const participant = at('FEELING_PROMPT');
    participant.send({ type: 'pause' });
    participant.pass(15 * MINUTE);
    participant.send({ type: 'withdraw' }, { type: 'rejoin' }, { type: 'resume' });
    expect(participant.emitted).toEqual([]);
    participant.reply('ready');
    expect(participant.said).toEqual([asked('commitment')]);
  });

  it('begin a new week where one has ended meanwhile, on the same schedule', () => {
    const participant = at('SEND_INTERVENTION_IMMEDIATE');
    participant.reply('done');
    participant.send({ type: 'withdraw' });
    participant.pass(6 * DAY);
    participant.send({ type: 'rejoin' }, { type: 'withdraw' });
    expect(participant.context.timesCompletedThisWeek).toBe(1);
    participant.pass(4 * DAY);
    participant.send({ type: 'rejoin' });
    expect(participant.context).toMatchObject({ timesCompletedThisWeek: 0, weekStartDate: '2026-05-11' });
    expect(participant.context.weekEndsAt).toBe(Date.parse('2026-05-15T08:00:00Z'));
  });

  it('begin a new week at the very end of one', () => {
    const participant = at('SEND_INTERVENTION_IMMEDIATE');
    participant.reply('done');
    participant.send({ type: 'withdraw' });
    participant.passUntil('2026-05-08T08:00:00Z');
    participant.send({ type: 'rejoin' });
    expect(participant.context.timesCompletedThisWeek).toBe(0);
    expect(participant.context.weekEndsAt).toBe(Date.parse('2026-05-15T08:00:00Z'));
  });

  it('ignore rejoin while participating', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'rejoin' });
    expect(stateOf(participant)).toBe('MOOD_QUESTION');
  });
});

describe('complete', () => {
  it('thanks, and is the end', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'complete' });
    expect(participant.said).toEqual([texts.complete]);
    expect(participant.snapshot.status).toBe('done');
    expect(participant.clock.nextTimer()).toBeUndefined();
  });

  it('does not write to who is paused', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'pause' }, { type: 'complete' });
    expect(participant.snapshot.status).toBe('done');
    expect(participant.emitted).toEqual([]);
  });

  it('takes the place of the first prompt after `studyDays` days', () => {
    const participant = enroll({ studyDays: 3 });
    const prompts: string[] = [];
    participant.actor.on('message', ({ text }) => text === asked('commitment') && prompts.push(participant.time));
    participant.passUntil('2026-05-04T09:59:59.999Z');
    expect(participant.snapshot.status).toBe('active');
    participant.emitted;
    participant.pass(1);
    expect(participant.said).toEqual([texts.complete]);
    expect(participant.snapshot.status).toBe('done');
    expect(prompts.map((time) => time.slice(0, 10))).toEqual(['2026-05-01', '2026-05-02', '2026-05-03']);
  });

  it('gives as many prompts when the first one is the next day’s', () => {
    const participant = enroll({ studyDays: 2, dailyPromptTime: '07:00' });
    const prompts: string[] = [];
    participant.actor.on('message', ({ text }) => text === asked('commitment') && prompts.push(participant.time));
    participant.pass(10 * DAY);
    expect(participant.snapshot.status).toBe('done');
    expect(prompts.map((time) => time.slice(0, 10))).toEqual(['2026-05-02', '2026-05-03']);
  });

  it('takes the place of a round on demand after the study', () => {
    const participant = enroll({ studyDays: 1 });
    participant.passUntil('2026-05-01T23:00:00Z');
    participant.passUntil('2026-05-02T08:00:00Z');
    participant.emitted;
    participant.reply('ready');
    expect(participant.emitted).toEqual([message(texts.complete)]);
  });
});

describe('reset', () => {
  it('clears what is recorded and waits for the next prompt, without another welcome', () => {
    const participant = at('SEND_INTERVENTION_IMMEDIATE', { studyDays: 5 });
    participant.reply('done', 'hello');
    participant.pass(HOUR);
    participant.emitted;
    participant.send({ type: 'reset' });
    expect(participant.emitted).toEqual([]);
    expect(participant.context).toMatchObject({
      flowAssignment: null,
      feelingResponse: null,
      completionResponse: null,
      lastCommitmentDate: null,
      allSetDate: null,
      timesCompletedToday: 0,
      timesCompletedThisWeek: 0,
      hasSeenOrientation: true,
      enrolledAt: participant.clock.now(),
    });
    participant.waits('ORIENTATION', HOUR, 'COMMITMENT_PROMPT');
  });

  it('leaves a pause alone, and drops what was held back', () => {
    const participant = at('COMMITMENT_PROMPT');
    participant.send({ type: 'pause' });
    participant.reply('1');
    participant.emitted;
    participant.send({ type: 'reset' });
    expect(participant.context.paused).toBe(true);
    participant.send({ type: 'resume' });
    expect(participant.emitted).toEqual([]);
  });
});

describe('advance', () => {
  it.each([
    ['COMMITMENT_PROMPT', 'COMMITMENT_PROMPT', [asked('commitment')]],
    ['FEELING_PROMPT', 'FEELING_PROMPT', [asked('feeling')]],
    ['RANDOM_ASSIGNMENT', 'SEND_INTERVENTION_IMMEDIATE', [asked('immediate')]],
    ['SEND_INTERVENTION_IMMEDIATE', 'SEND_INTERVENTION_IMMEDIATE', [asked('immediate')]],
    ['SEND_INTERVENTION_REFLECTIVE', 'SEND_INTERVENTION_REFLECTIVE', [asked('reflective')]],
    ['REINFORCEMENT_FOLLOWUP', 'END_OF_DAY', [texts.praise]],
    ['DID_YOU_GET_A_CHANCE', 'DID_YOU_GET_A_CHANCE', [asked('gotChance')]],
    ['CONTEXT_QUESTION', 'CONTEXT_QUESTION', [asked('context')]],
    ['MOOD_QUESTION', 'MOOD_QUESTION', [asked('mood')]],
    ['BARRIER_CHECK_AFTER_CONTEXT_MOOD', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', [asked('barrierCheck')]],
    ['BARRIER_REASON_NO_CHANCE', 'BARRIER_REASON_NO_CHANCE', [asked('barrierReason')]],
    ['IGNORED_PATH', 'END_OF_DAY', [texts.encouragement, texts.encouragementAgain]],
    ['END_OF_DAY', 'END_OF_DAY', [texts.closing]],
    ['ORIENTATION', 'ORIENTATION', []],
    ['COMPLETE', 'COMPLETE', [texts.complete]],
  ])('moves to %s', (to, state, said) => {
    for (const from of ['ORIENTATION', 'CONTEXT_QUESTION'] as const) {
      const participant = from === 'ORIENTATION' ? enroll() : at(from);
      participant.emitted;
      participant.send({ type: 'advance', to, reason: 'a test' });
      expect(stateOf(participant)).toBe(state);
      expect(participant.said).toEqual(said);
    }
  });

  it('asks again and gives the full time, where the participant is there already', () => {
    const participant = at('MOOD_QUESTION');
    participant.pass(14 * MINUTE);
    participant.send({ type: 'advance', to: 'MOOD_QUESTION' });
    expect(participant.said).toEqual([asked('mood')]);
    participant.waits('MOOD_QUESTION', 15 * MINUTE, 'END_OF_DAY');
  });

  it('leaves a pause and the week alone', () => {
    const participant = at('MOOD_QUESTION');
    const { weekEndsAt } = participant.context;
    participant.pass(HOUR);
    participant.send({ type: 'pause' }, { type: 'advance', to: 'COMMITMENT_PROMPT' });
    expect(participant.context.paused).toBe(true);
    expect(participant.context.weekEndsAt).toBe(weekEndsAt);
  });

  it('keeps the assignment in line with the wording', () => {
    const participant = at('COMMITMENT_PROMPT');
    participant.send({ type: 'advance', to: 'SEND_INTERVENTION_REFLECTIVE' });
    expect(participant.context.flowAssignment).toBe('REFLECTIVE');
    participant.send({ type: 'advance', to: 'SEND_INTERVENTION_IMMEDIATE' });
    expect(participant.context.flowAssignment).toBe('IMMEDIATE');
  });

  it('to nowhere does nothing', () => {
    const participant = at('MOOD_QUESTION');
    participant.send({ type: 'advance', to: 'ELSEWHERE' });
    participant.waits('MOOD_QUESTION', 15 * MINUTE, 'END_OF_DAY');
  });
});

describe('update', () => {
  it.each(['ORIENTATION', 'END_OF_DAY'] as const)('moves the pending daily prompt in %s, without a word', (state) => {
    const participant = state === 'ORIENTATION' ? enroll() : at(state);
    participant.passUntil('2026-05-02T02:00:00Z');
    if (state === 'ORIENTATION') participant.send({ type: 'reset' });
    participant.emitted;
    participant.send({ type: 'advance', to: state });
    participant.emitted;
    participant.send({ type: 'update', dailyPromptTime: '09:15', timezone: 'Europe/Berlin', name: 'Ada' });
    expect(participant.emitted).toEqual([]);
    expect(participant.context).toMatchObject({ dailyPromptTime: '09:15', timezone: 'Europe/Berlin', name: 'Ada' });
    participant.waits(state, 5.25 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.time).toBe('2026-05-02T07:15:00.000Z');
  });

  it.each([{ timezone: 'Nowhere/Land' }, { dailyPromptTime: '9:00' }])('refuses %j in every state', (change) => {
    for (const state of ['MOOD_QUESTION', 'END_OF_DAY'] as const) {
      const participant = at(state);
      participant.actor.subscribe({ error: () => {} });
      participant.send({ type: 'update', ...change });
      expect(participant.snapshot).toMatchObject({ status: 'error', error: expect.any(TypeError) });
    }
  });

  it('moves the pending daily prompt with the zone alone', () => {
    const participant = at('END_OF_DAY');
    participant.send({ type: 'update', timezone: 'Asia/Tokyo' });
    participant.waits('END_OF_DAY', 17 * HOUR, 'COMMITMENT_PROMPT');
    expect(participant.time).toBe('2026-05-02T01:00:00.000Z');
  });

  it('knows the new name, and leaves the rest as it was', () => {
    const participant = at('END_OF_DAY', { name: 'Ada', dailyPromptTime: '09:00' });
    participant.send({ type: 'update', name: 'Grace' });
    expect(participant.context).toMatchObject({ name: 'Grace', dailyPromptTime: '09:00', timezone: 'UTC' });
    participant.waits('END_OF_DAY', DAY + HOUR, 'COMMITMENT_PROMPT');
  });

  it('leaves a question and its deadline alone', () => {
    const participant = at('MOOD_QUESTION');
    participant.pass(10 * MINUTE);
    participant.send({ type: 'update', timezone: 'Asia/Tokyo' });
    expect(participant.emitted).toEqual([]);
    participant.waits('MOOD_QUESTION', 5 * MINUTE, 'END_OF_DAY');
  });

  it('moves the end of the week along with the zone’s changes of the clocks', () => {
    const participant = enroll({}, { start: '2026-03-06T12:00:00Z' });
    participant.send({ type: 'update', timezone: 'America/New_York' });
    expect(new Date(participant.context.weekEndsAt).toISOString()).toBe('2026-03-13T11:00:00.000Z');
  });
});

describe('the whole', () => {
  it('has a context of plain JSON, in every state', () => {
    for (const state of Object.keys(ways) as (keyof typeof ways)[]) {
      const { context } = at(state);
      expect(JSON.parse(JSON.stringify(context))).toStrictEqual(context);
    }
  });

  it('awaits an answer in every state with a question', () => {
    for (const state of Object.keys(ways) as (keyof typeof ways)[]) {
      expect({ state, asking: at(state).snapshot.hasTag('asking') }).toEqual({ state, asking: state !== 'END_OF_DAY' });
    }
  });
});
