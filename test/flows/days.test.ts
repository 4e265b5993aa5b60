/** Whole days of both flows on the runtime, with a crash between any two steps. */
import { afterEach, describe, expect, it } from 'vitest';
import { createConversationFlow } from '../../src/flows/conversation.ts';
import { microHealthInterventionFlow } from '../../src/flows/micro-health-intervention.ts';
import { type InterventionEnrolment, Participants } from '../../src/flows/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const ADA = '+15551234567';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let test: TestRuntime;
let participant: string;
let messages = 0;
afterEach(() => test.stop());

async function crash() {
  await test.crash();
  await test.restart();
  await test.settle();
}

async function say(text: string) {
  const receipt = await test.receive({ channel: 'sms', id: `m${++messages}`, from: ADA, text });
  await test.settle();
  await crash();
  return receipt;
}

async function wait(ms: number) {
  await test.advance(ms);
  await crash();
}

describe('a day of the intervention', () => {
  const flow = microHealthInterventionFlow;
  /** Friday, 08:00 UTC. */
  const START = Date.UTC(2026, 0, 2, 8);

  async function begin(
    coin: 'IMMEDIATE' | 'REFLECTIVE',
    enrolment: Partial<InterventionEnrolment> = {},
    start = START,
  ) {
    const random = () => (coin === 'IMMEDIATE' ? 0.2 : 0.8);
    test = await createTestRuntime({ flows: [flow], start, random });
    const participants = new Participants({ runtime: test.runtime, conversation: null as never, systemPrompt: '' });
    participant = (await participants.enrolInIntervention({ phone_number: ADA, ...enrolment })).id;
    await test.settle();
    await crash();
  }
  const state = async () => {
    const snapshot = await test.actor(flow, participant).getSnapshot();
    const { day } = (snapshot.value as { PARTICIPATING?: { day: string | object } }).PARTICIPATING ?? {};
    return day === undefined ? snapshot.value : typeof day === 'string' ? day : Object.keys(day)[0];
  };
  const context = async () => (await test.actor(flow, participant).getSnapshot()).context as Record<string, any>;
  /** The deadline of the day, not the week's. */
  const deadline = async () =>
    (await test.actor(flow, participant).timers()).find(({ event }) => !/week/i.test(event.type))?.dueAt;
  const heard = () => test.delivered.map(({ text }) => text);

  /** Steps: what is said, or how long is waited, and the state that follows. */
  const COMMIT = [
    ['ready', 'COMMITMENT_PROMPT'],
    ['1', 'FEELING_PROMPT'],
  ] as const;
  const days: [
    name: string,
    coin: 'IMMEDIATE' | 'REFLECTIVE',
    steps: readonly (readonly [string | number, string])[],
    data: object,
  ][] = [
    [
      'done at once',
      'IMMEDIATE',
      [...COMMIT, ['3', 'SEND_INTERVENTION_IMMEDIATE'], [' "Done!. "', 'END_OF_DAY']],
      { feelingResponse: '3', flowAssignment: 'IMMEDIATE', completionResponse: 'done', timesCompletedToday: 1 },
    ],
    [
      'done after a reflection',
      'REFLECTIVE',
      [...COMMIT, ['📖 I need more information', 'SEND_INTERVENTION_REFLECTIVE'], ['done', 'END_OF_DAY']],
      { feelingResponse: '4', flowAssignment: 'REFLECTIVE', timesCompletedThisWeek: 1 },
    ],
    [
      'not yet',
      'IMMEDIATE',
      [
        ['ready', 'COMMITMENT_PROMPT'],
        ['2', 'END_OF_DAY'],
      ],
      { timesCompletedToday: 0 },
    ],
    [
      'no answer to the commitment',
      'IMMEDIATE',
      [
        ['ready', 'COMMITMENT_PROMPT'],
        [12 * HOUR, 'END_OF_DAY'],
      ],
      {},
    ],
    [
      'no feeling',
      'IMMEDIATE',
      [...COMMIT, [15 * MINUTE, 'SEND_INTERVENTION_IMMEDIATE']],
      { feelingResponse: 'timed_out' },
    ],
    [
      'a feeling on demand',
      'IMMEDIATE',
      [...COMMIT, ['ready', 'SEND_INTERVENTION_IMMEDIATE']],
      { feelingResponse: 'on_demand' },
    ],
    [
      'no word of it, then a chance, and all questions',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        [30 * MINUTE, 'DID_YOU_GET_A_CHANCE'],
        ['yes', 'CONTEXT_QUESTION'],
        ['2', 'MOOD_QUESTION'],
        ['3', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD'],
        ['The sun was out.', 'END_OF_DAY'],
      ],
      {
        completionResponse: 'no_reply',
        gotChanceResponse: 'true',
        contextResponse: '2',
        moodResponse: '3',
        barrierResponse: 'The sun was out.',
      },
    ],
    [
      'no chance, and a reason',
      'REFLECTIVE',
      [
        ...COMMIT,
        ['5', 'SEND_INTERVENTION_REFLECTIVE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['2', 'BARRIER_REASON_NO_CHANCE'],
        ['1', 'END_OF_DAY'],
      ],
      { completionResponse: 'no', gotChanceResponse: 'false', barrierReasonResponse: '1' },
    ],
    [
      'no chance, and a reason in words, asked for',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['no', 'BARRIER_REASON_NO_CHANCE'],
        ['4', 'BARRIER_REASON_NO_CHANCE'],
        ['My cat was ill.', 'END_OF_DAY'],
      ],
      { barrierReasonResponse: 'My cat was ill.' },
    ],
    [
      'no word at all',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        [30 * MINUTE, 'DID_YOU_GET_A_CHANCE'],
        [15 * MINUTE, 'END_OF_DAY'],
      ],
      { gotChanceResponse: 'no_reply' },
    ],
    [
      'silence at the context',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['1', 'CONTEXT_QUESTION'],
        [15 * MINUTE, 'END_OF_DAY'],
      ],
      {},
    ],
    [
      'silence at the mood',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['1', 'CONTEXT_QUESTION'],
        ['1', 'MOOD_QUESTION'],
        [15 * MINUTE, 'END_OF_DAY'],
      ],
      {},
    ],
    [
      'silence at the barriers',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['1', 'CONTEXT_QUESTION'],
        ['1', 'MOOD_QUESTION'],
        ['1', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD'],
        [30 * MINUTE, 'END_OF_DAY'],
      ],
      {},
    ],
    [
      'silence at the reason',
      'IMMEDIATE',
      [
        ...COMMIT,
        ['1', 'SEND_INTERVENTION_IMMEDIATE'],
        ['no', 'DID_YOU_GET_A_CHANCE'],
        ['2', 'BARRIER_REASON_NO_CHANCE'],
        [30 * MINUTE, 'END_OF_DAY'],
      ],
      {},
    ],
  ];

  it.each(days)('%s', async (_, coin, steps, data) => {
    await begin(coin);
    for (const [step, then] of steps) {
      const before = await state();
      if (typeof step === 'string') {
        // An answer that does not fit moves nothing, and no deadline.
        if (
          !['ORIENTATION', 'END_OF_DAY', 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', 'BARRIER_REASON_NO_CHANCE'].includes(
            String(before),
          )
        ) {
          const due = await deadline();
          await say('¿?');
          expect([await state(), await deadline()]).toEqual([before, due]);
        }
        expect((await say(step)).status).toBe('applied');
      } else {
        const due = test.clock.now() + step;
        expect(await deadline()).toBe(due);
        await wait(step - 1);
        expect([await state(), await deadline()]).toEqual([before, due]);
        await wait(1);
      }
      expect(await state()).toBe(then);
    }
    expect(await context()).toMatchObject(data);
    const sent = await test.outbox(participant);
    expect(sent.every(({ status }) => status === 'sent')).toBe(true);
    expect(heard()).toEqual(sent.map(({ text }) => text)); // each once, in order
    // Every answer is a row, as it was written; the next day begins at ten.
    const responses = await test.knex('intervention_responses').where({ participant_id: participant }).orderBy('id');
    const answers = steps.map(([step]) => step).filter((step) => typeof step === 'string');
    expect(responses.map(({ response_text }) => response_text)).toEqual(answers);
    if ((await state()) !== 'END_OF_DAY') return;
    expect(await deadline()).toBe(Date.UTC(2026, 0, 3, 10));
    await test.advanceTo(Date.UTC(2026, 0, 3, 10));
    expect(await state()).toBe('COMMITMENT_PROMPT');
  });

  it.each([
    ['Europe/Berlin', Date.UTC(2026, 2, 28, 8), ['2026-03-28T09:00', '2026-03-29T08:00', '2026-03-30T08:00']],
    ['Europe/Berlin', Date.UTC(2026, 9, 24, 7), ['2026-10-24T08:00', '2026-10-25T09:00', '2026-10-26T09:00']],
    ['America/New_York', Date.UTC(2026, 2, 7, 14), ['2026-03-07T15:00', '2026-03-08T14:00', '2026-03-09T14:00']],
    ['America/New_York', Date.UTC(2026, 9, 31, 13), ['2026-10-31T14:00', '2026-11-01T15:00', '2026-11-02T15:00']],
    ['Asia/Kathmandu', Date.UTC(2026, 0, 2, 2), ['2026-01-02T04:15', '2026-01-03T04:15']],
  ])('is prompted at ten in %s, whatever the clocks do', async (timezone, start, prompts) => {
    await begin('IMMEDIATE', { timezone }, start);
    for (const prompt of prompts) {
      const due = Date.parse(`${prompt}Z`);
      expect(await deadline()).toBe(due);
      await wait(due - test.clock.now() - 1);
      expect(await state()).not.toBe('COMMITMENT_PROMPT');
      await wait(1);
      expect(await state()).toBe('COMMITMENT_PROMPT');
      await say('2');
    }
  });

  it('sums up every seven days, in whatever state the day is', async () => {
    await begin('IMMEDIATE');
    for (const text of ['ready', '1', '1', 'done']) await say(text);
    await wait(START + 7 * 24 * HOUR - test.clock.now() - 1);
    const before = await state();
    const said = heard().length;
    await wait(1);
    expect(await state()).toBe(before);
    expect(heard().length).toBe(said + 1);
    expect(await context()).toMatchObject({ timesCompletedThisWeek: 0 });
  });

  it('stops at STOP from any state, and comes back at START', async () => {
    for (const before of [[], ['ready'], ['ready', '1'], ['ready', '1', '1'], ['ready', '1', '1', 'no']]) {
      await begin('IMMEDIATE');
      for (const text of before) await say(text);
      await say('STOP');
      expect(await state()).toBe('WITHDRAWN');
      expect(await test.knex('intervention_participants').pluck('status')).toEqual(['withdrawn']);
      const said = heard().length;
      await wait(48 * HOUR);
      expect(heard().length).toBe(said);
      await say('START');
      expect(await state()).toBe('END_OF_DAY');
      expect(await test.knex('intervention_participants').pluck('status')).toEqual(['active']);
      if (before.length < 4) await test.stop();
    }
  });

  it('holds its prompts back while paused, and goes on when resumed', async () => {
    await begin('IMMEDIATE');
    await test.actor(flow, participant).send({ type: 'pause' });
    await test.settle();
    const said = heard().length;
    await wait(2 * HOUR);
    expect([await state(), heard().length]).toEqual(['COMMITMENT_PROMPT', said]);
    expect(await test.knex('intervention_participants').pluck('status')).toEqual(['paused']);
    await test.actor(flow, participant).send({ type: 'resume' });
    await test.settle();
    expect(heard().length).toBe(said + 1);
  });
});

describe('a conversation', () => {
  interface Call {
    said: string[];
    resolve: (text: string) => void;
    reject: (error: Error) => void;
  }
  const calls: Call[] = [];
  const flow = createConversationFlow({
    generate: ({ messages }) =>
      new Promise((resolve, reject) => {
        const said = messages.filter(({ role }) => role === 'user').map(({ content }) => content);
        calls.push({ said, reject, resolve: (text) => resolve({ text }) });
      }),
  });

  async function begin() {
    calls.length = 0;
    test = await createTestRuntime({ flows: [flow] });
    const participants = new Participants({ runtime: test.runtime, conversation: flow, systemPrompt: 'Be kind.' });
    participant = (await participants.enrolInConversation({ phone_number: ADA, name: 'Ada' })).id;
    await test.settle();
  }
  /** The reply that is being composed, since the last crash. */
  const answer = async (text: string) => {
    calls.at(-1)!.resolve(text);
    await test.settle();
  };
  const heard = () => test.delivered.map(({ text }) => text);

  it('begins with the assistant, and goes on over crashes while a reply is composed', async () => {
    await begin();
    await crash();
    await answer('Hello Ada!');
    await say('Hi');
    await crash();
    await answer('How are you?');
    await say('Fine.');
    await answer('Good.');
    expect(heard()).toEqual(['Hello Ada!', 'How are you?', 'Good.']);
    const { conversationHistory } = (await test.actor(flow, participant).getSnapshot()).context;
    expect(conversationHistory.map(({ content }) => content)).toEqual([
      'Hello Ada!',
      'Hi',
      'How are you?',
      'Fine.',
      'Good.',
    ]);
  });

  it('answers together what came while a reply was composed', async () => {
    await begin();
    await answer('Hello!');
    await say('one');
    await say('two');
    await say('three');
    await answer('To one.');
    await answer('To two and three.');
    expect(heard()).toEqual(['Hello!', 'To one.', 'To two and three.']);
    expect(calls.at(-1)!.said).toEqual(['one', 'two', 'three']);
  });

  it('tries again when the generator fails, then apologises, and takes up what was said', async () => {
    await begin();
    await answer('Hello!');
    await say('Are you there?');
    for (const pause of [5_000, 30_000]) {
      calls.at(-1)!.reject(new Error('overloaded'));
      await test.settle();
      const before = calls.length;
      await wait(pause);
      expect(calls.length).toBeGreaterThan(before);
    }
    calls.at(-1)!.reject(new Error('overloaded'));
    await test.settle();
    expect(heard()).toHaveLength(2);
    expect(heard()[1]).toMatch(/sorry/i);
    expect((await test.journal(participant)).some(({ note }) => note?.includes('overloaded'))).toBe(true);
    await say('Now?');
    await answer('Yes.');
    expect(calls.at(-1)!.said).toEqual(['Are you there?', 'Now?']);
    expect(heard().at(-1)).toBe('Yes.');
  });

  it('does not wait for ever for a generator that never answers', async () => {
    await begin();
    const first = calls.length;
    await wait(2 * MINUTE);
    await wait(5_000);
    expect(calls.length).toBeGreaterThan(first);
    await answer('Hello at last!');
    expect(heard()).toEqual(['Hello at last!']);
  });

  it('says nothing after STOP, not even what was being composed', async () => {
    await begin();
    await say('STOP');
    const said = heard().length;
    for (const call of calls) call.resolve('Too late.');
    await test.settle();
    await say('hello?');
    await wait(24 * HOUR);
    expect(heard()).toHaveLength(said);
  });
});
