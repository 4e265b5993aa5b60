import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { questions, texts } from '../../../machines/texts/micro-health-intervention.ts';
import { type AdoptedRow, adopt } from '../../../src/study/adoption/index.ts';
import { AT, DAY, HOUR, history, LegacyFile, MINUTE } from './promptpipe.ts';
import { type Study, startStudy } from './study.ts';

const INTERVENTION = 'micro_health_intervention';

let legacy: LegacyFile;
let study: Study | undefined;
let rows: AdoptedRow[];
beforeEach(async () => {
  legacy = await LegacyFile.create();
  study = undefined;
  rows = [];
});
afterEach(async () => {
  await study?.test.stop();
  legacy.remove();
});

/** Adopts the file, at an instant, and starts the runtime on it, at the same one or another. */
async function begin(adoptedAt = AT + MINUTE, startedAt = adoptedAt): Promise<Study> {
  await legacy.close();
  await adopt({ file: legacy.file, clock: { now: () => adoptedAt }, onRow: (row) => void rows.push(row) });
  study = await startStudy(legacy.file, startedAt);
  return study;
}

const snapshotOf = ({ test }: Study, id: string, flow = INTERVENTION) =>
  test.runtime.actor(flow, id).getSnapshot() as any;
const stateOf = async (study: Study, id: string, flow = INTERVENTION) =>
  (await study.test.runtime.actor(flow, id).describe()).state.replace(/^.*day\./, '');
const dueAt = async ({ test }: Study, id: string, name: string, flow = INTERVENTION) =>
  (await test.runtime.actor(flow, id).timers()).find(({ event }) => event.type.includes(name))?.dueAt;
const said = async ({ test }: Study, id: string) => (await test.outbox(id)).map(({ text }) => text);

/** 10:00 in New York on the days after AT. */
const prompt = (days: number) => Date.UTC(2026, 6, 15 + days, 14);

interface Kept {
  state: string;
  /** Ours; default: of the same name. */
  to?: string;
  data?: Record<string, unknown>;
  deadline: string;
  after?: number;
  /** Instead of `after`. */
  at?: number;
  /** Where the deadline leads. */
  then: string;
}

const kept: Kept[] = [
  { state: 'ORIENTATION', deadline: 'nextDailyPrompt', at: prompt(0), then: 'COMMITMENT_PROMPT' },
  { state: 'COMMITMENT_PROMPT', deadline: 'commitmentDeadline', after: 12 * HOUR, then: 'END_OF_DAY' },
  { state: 'FEELING_PROMPT', deadline: 'feelingDeadline', after: 15 * MINUTE, then: 'SEND_INTERVENTION' },
  { state: 'SEND_INTERVENTION_IMMEDIATE', deadline: 'habitDeadline', after: 30 * MINUTE, then: 'DID_YOU_GET_A_CHANCE' },
  {
    state: 'SEND_INTERVENTION_REFLECTIVE',
    deadline: 'habitDeadline',
    after: 30 * MINUTE,
    then: 'DID_YOU_GET_A_CHANCE',
  },
  { state: 'DID_YOU_GET_A_CHANCE', deadline: 'chanceDeadline', after: 15 * MINUTE, then: 'END_OF_DAY' },
  { state: 'CONTEXT_QUESTION', deadline: 'contextDeadline', after: 15 * MINUTE, then: 'END_OF_DAY' },
  { state: 'MOOD_QUESTION', deadline: 'moodDeadline', after: 15 * MINUTE, then: 'END_OF_DAY' },
  { state: 'BARRIER_CHECK_AFTER_CONTEXT_MOOD', deadline: 'barrierDeadline', after: 30 * MINUTE, then: 'END_OF_DAY' },
  {
    state: 'BARRIER_REASON_NO_CHANCE',
    to: 'BARRIER_REASON_NO_CHANCE.CHOOSING',
    deadline: 'reasonDeadline',
    after: 30 * MINUTE,
    then: 'END_OF_DAY',
  },
  {
    state: 'BARRIER_REASON_NO_CHANCE',
    to: 'BARRIER_REASON_NO_CHANCE.IN_WORDS',
    data: { barrierReasonResponse: '4' },
    deadline: 'reasonDeadline',
    after: 30 * MINUTE,
    then: 'END_OF_DAY',
  },
  { state: 'END_OF_DAY', deadline: 'nextDailyPrompt', at: prompt(1), then: 'COMMITMENT_PROMPT' },
  {
    state: 'HABIT_REMINDER',
    to: 'SEND_INTERVENTION_REFLECTIVE',
    data: { flowAssignment: 'REFLECTIVE' },
    deadline: 'habitDeadline',
    after: 30 * MINUTE,
    then: 'DID_YOU_GET_A_CHANCE',
  },
  {
    state: 'HABIT_REMINDER',
    to: 'SEND_INTERVENTION_IMMEDIATE',
    deadline: 'habitDeadline',
    after: 30 * MINUTE,
    then: 'DID_YOU_GET_A_CHANCE',
  },
  { state: 'FOLLOW_UP', to: 'END_OF_DAY', deadline: 'nextDailyPrompt', at: prompt(1), then: 'COMMITMENT_PROMPT' },
  { state: 'IGNORED_PATH', to: 'END_OF_DAY', deadline: 'nextDailyPrompt', at: prompt(1), then: 'COMMITMENT_PROMPT' },
  {
    state: 'REINFORCEMENT_FOLLOWUP',
    to: 'END_OF_DAY',
    deadline: 'nextDailyPrompt',
    at: prompt(1),
    then: 'COMMITMENT_PROMPT',
  },
];

describe('a legacy state', () => {
  it.each(kept)('$state → $to goes on at its deadline, to the millisecond, and says nothing before', async (it) => {
    const id = await legacy.intervention({ state: it.state, data: { feelingTimerID: 'timer_1', ...it.data } });
    const study = await begin();
    const deadline = it.at ?? AT + it.after!;
    expect(await stateOf(study, id)).toBe(it.to ?? it.state);
    expect(await dueAt(study, id, it.deadline)).toBe(deadline);
    expect(rows.find(({ table }) => table === 'flow_states')).toMatchObject({
      from: it.state,
      staleTimers: ['feelingTimerID'],
      deadlines: expect.arrayContaining([{ event: it.deadline, dueAt: new Date(deadline).toISOString() }]),
    });
    await study.test.advanceTo(deadline - 1);
    expect(await said(study, id)).toEqual([]);
    await study.test.advanceTo(deadline);
    expect(await stateOf(study, id)).toContain(it.then);
    expect(await said(study, id)).not.toEqual([]);
    expect((await study.test.journal(id)).filter(({ dueAt }) => dueAt !== null)).toMatchObject([
      { dueAt: deadline, at: deadline },
    ]);
  });

  it.each(kept)('$state → $to fires once and late where its deadline has passed, also after a crash', async (it) => {
    const id = await legacy.intervention({ state: it.state, data: it.data ?? {} });
    const now = AT + 2 * DAY + 3 * HOUR;
    const study = await begin(now);
    const deadline = it.at ?? AT + it.after!;
    const fired = async () => (await study.test.journal(id)).filter(({ dueAt }) => dueAt === deadline);
    expect(await fired()).toMatchObject([{ dueAt: deadline, at: now }]);
    const messages = await said(study, id);
    await study.test.crash();
    await study.test.restart();
    expect(await fired()).toHaveLength(1);
    expect(await said(study, id)).toEqual(messages);
  });

  it('RANDOM_ASSIGNMENT suggests the habit when the runtime starts, once, and waits from there', async () => {
    const open = await legacy.intervention({ state: 'RANDOM_ASSIGNMENT', data: { feelingResponse: '3' } });
    const drawn = await legacy.intervention({ state: 'RANDOM_ASSIGNMENT', data: { flowAssignment: 'REFLECTIVE' } });
    const now = AT + 2 * MINUTE;
    const study = await begin(now);
    expect(await said(study, drawn)).toEqual([questions.reflective.text]);
    expect(await said(study, open)).toHaveLength(1);
    expect(await snapshotOf(study, open)).toMatchObject({ context: { feelingResponse: '3' } });
    expect(await dueAt(study, drawn, 'habitDeadline')).toBe(now + 30 * MINUTE);
    await study.test.crash();
    await study.test.restart();
    expect(await said(study, drawn)).toHaveLength(1);
  });

  it('COMPLETE has ended: nothing is said, and the participant counts as completed', async () => {
    const id = await legacy.intervention({ state: 'COMPLETE' });
    const study = await begin(AT + 5 * DAY);
    await study.test.advance('9d');
    expect(await said(study, id)).toEqual([]);
    expect((await snapshotOf(study, id)).status).toBe('done');
    expect(await study.participants.get('intervention_participants', id)).toMatchObject({ status: 'completed' });
  });
});

describe('what was recorded', () => {
  it('comes along, as the types that the machine has', async () => {
    const data = {
      flowAssignment: 'IMMEDIATE',
      feelingResponse: '3',
      completionResponse: 'no',
      gotChanceResponse: 'false',
      contextResponse: '2',
      moodResponse: '',
      barrierResponse: 'the “cat”',
      lastCommitmentDate: '2026-07-14',
      timesCompletedToday: '1',
      timesCompletedThisWeek: '3',
      weekStartDate: '2026-07-13',
      hasSeenOrientation: 'true',
    };
    const id = await legacy.intervention({ state: 'BARRIER_REASON_NO_CHANCE', data });
    const { context } = await snapshotOf(await begin(), id);
    expect(context).toMatchObject({
      ...data,
      moodResponse: null,
      barrierReasonResponse: null,
      timesCompletedToday: 1,
      timesCompletedThisWeek: 3,
      hasSeenOrientation: true,
      name: 'Ada',
      timezone: 'America/New_York',
      dailyPromptTime: '10:00',
      paused: false,
    });
  });

  it('is answered from the phone as if nothing had been', async () => {
    const id = await legacy.intervention({ state: 'CONTEXT_QUESTION', participant: { phone_number: '15551234567' } });
    const study = await begin();
    const receipt = await study.test.receive({ channel: 'sms', id: 'SM1', from: '+1 (555) 123-4567', text: '2' });
    expect(receipt).toMatchObject({ status: 'applied', address: { participantId: id } });
    expect(await stateOf(study, id)).toBe('MOOD_QUESTION');
    expect(await snapshotOf(study, id)).toMatchObject({ context: { contextResponse: '2' } });
    expect(await said(study, id)).toEqual([expect.stringContaining(questions.mood.text)]);
  });

  it('keeps the day’s prompt from being sent twice', async () => {
    // 08:30 local, and the round is over already: the prompt of 10:00 is not sent again.
    const known = await legacy.intervention({ state: 'END_OF_DAY', data: { lastCommitmentDate: '2026-07-15' } });
    const derived = await legacy.intervention({ state: 'END_OF_DAY' });
    // The last round was yesterday’s.
    const due = await legacy.intervention({ state: 'END_OF_DAY', data: { lastCommitmentDate: '2026-07-14' } });
    const study = await begin();
    expect(await dueAt(study, known, 'nextDailyPrompt')).toBe(prompt(1));
    expect(await dueAt(study, derived, 'nextDailyPrompt')).toBe(prompt(1));
    expect(await dueAt(study, due, 'nextDailyPrompt')).toBe(prompt(0));
  });

  it('an overdue prompt is sent once, and the next one on the next local day', async () => {
    const id = await legacy.intervention({ state: 'END_OF_DAY' });
    const study = await begin(AT + 9 * DAY);
    const asked = async () => (await said(study, id)).filter((text) => text.startsWith(questions.commitment.text));
    expect(await asked()).toHaveLength(1);
    await study.test.advanceTo(prompt(9) + HOUR);
    expect(await asked()).toHaveLength(1);
    await study.test.advanceTo(prompt(10));
    expect(await asked()).toHaveLength(2);
  });

  it('the weekly summary is due where the week that was counted ends', async () => {
    const reset = Date.UTC(2026, 5, 22, 12, 30, 0, 123); // a Monday, weekly from there
    const counted = await legacy.intervention({ data: { weekStartDate: '2026-07-13', timesCompletedThisWeek: '2' } });
    const late = await legacy.intervention({ data: { weekStartDate: '2026-07-01', timesCompletedThisWeek: '4' } });
    // It began on the very day of a summary, and ends with the next one.
    const monday = await legacy.intervention({ data: { weekStartDate: '2026-07-06' } });
    const unknown = await legacy.intervention();
    const study = await begin();
    expect(await dueAt(study, counted, 'weekEnd')).toBe(reset + 28 * DAY);
    expect(await dueAt(study, unknown, 'weekEnd')).toBe(reset + 28 * DAY);
    const summary = expect.stringContaining('4 times');
    expect(await said(study, late)).toEqual([summary]);
    expect(await dueAt(study, late, 'weekEnd')).toBe(reset + 28 * DAY);
    const ended = (id: string) =>
      rows.find(({ participantId, table }) => participantId === id && table === 'flow_states')?.deadlines?.[0];
    const weekEnd = (instant: number) => ({ event: 'weekEnd', dueAt: new Date(instant).toISOString() });
    expect(ended(late)).toEqual(weekEnd(reset + 14 * DAY));
    expect(ended(monday)).toEqual(weekEnd(reset + 21 * DAY));
  });
});

describe('a conversation', () => {
  const flow = 'conversation';

  it('whose last word was the assistant’s waits for the participant', async () => {
    const data = { conversationHistory: history(['user', 'hi'], ['assistant', 'hello']), systemPrompt: 'Be brief.' };
    const id = await legacy.conversation({ data, participant: { phone_number: '15551234567' } });
    const study = await begin();
    await study.test.advance('23h'); // its number is bound for 24
    expect(await said(study, id)).toEqual([]);
    const { context } = await snapshotOf(study, id, flow);
    expect(context).toMatchObject({ systemPrompt: 'Be brief.', name: 'Bo' });
    expect(context.participantBackground).toContain('likes tea');
    await study.test.crash();
    await study.test.restart();
    await study.test.receive({ channel: 'sms', id: 'SM1', from: '15551234567', text: 'still there?' });
    await study.test.settle();
    expect(await said(study, id)).toEqual(['heard: still there?']);
    expect((await snapshotOf(study, id, flow)).context.conversationHistory).toMatchObject([
      { role: 'user', content: 'hi', timestamp: new Date(AT - HOUR).toISOString() },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'still there?' },
      { role: 'assistant', content: 'heard: still there?' },
    ]);
  });

  it('whose last word was the participant’s is answered once, when the runtime starts', async () => {
    const data = { conversationHistory: history(['assistant', 'hello'], ['user', 'one'], ['user', 'two']) };
    const id = await legacy.conversation({ data });
    const study = await begin(AT + 3 * DAY);
    expect(await said(study, id)).toEqual(['heard: two']);
    expect(await snapshotOf(study, id, flow)).toMatchObject({ context: { failedAttempts: 0, lastError: null } });
    await study.test.crash();
    await study.test.restart();
    await study.test.advance('1d');
    expect(await said(study, id)).toEqual(['heard: two']);
  });

  it('in which nobody has spoken is begun by the assistant', async () => {
    const id = await legacy.conversation();
    const study = await begin();
    expect(await said(study, id)).toHaveLength(1);
  });

  it('keeps the last 50 messages, of the two who talk', async () => {
    const many = Array.from({ length: 70 }, (_, i): [string, string] => [i % 2 ? 'assistant' : 'user', `m${i}`]);
    const data = {
      conversationHistory: history(['system', 'x'], ...many),
      participantBackground: 'a nurse',
      userProfile: '{}',
    };
    const id = await legacy.conversation({ data });
    const { context } = await snapshotOf(await begin(), id, flow);
    expect(context.conversationHistory.map(({ content }: { content: string }) => content)).toEqual(
      many.slice(-50).map(([, content]) => content),
    );
    expect(context.participantBackground).toBe('a nurse');
    expect(rows.find(({ table }) => table === 'flow_states')?.notes).toEqual([
      expect.stringContaining('other roles'),
      'kept in promptpipe_flow_states alone: userProfile',
    ]);
  });
});

describe('a participant', () => {
  it('who is paused keeps the state; what is due is held back until resumed', async () => {
    const id = await legacy.intervention({ state: 'MOOD_QUESTION', participant: { status: 'paused' } });
    const data = { conversationHistory: history(['user', 'hi']) };
    const talking = await legacy.conversation({ data, participant: { status: 'paused' } });
    const study = await begin(AT + HOUR);
    expect(await stateOf(study, id)).toBe('END_OF_DAY');
    expect([...(await said(study, id)), ...(await said(study, talking))]).toEqual([]);
    await study.participants.update('intervention_participants', id, { status: 'active' });
    await study.participants.update('conversation_participants', talking, { status: 'active' });
    await study.test.settle();
    expect(await said(study, id)).toEqual([texts.closing]);
    expect(await said(study, talking)).toEqual(['heard: hi']);
  });

  it('who has withdrawn is not written to, and comes back by writing START', async () => {
    const id = await legacy.intervention({
      state: 'COMMITMENT_PROMPT',
      participant: { status: 'withdrawn', phone_number: '15551234567' },
    });
    const study = await begin(AT + 3 * DAY);
    await study.test.advance('30d');
    expect(await said(study, id)).toEqual([]);
    expect(await study.test.runtime.actor(INTERVENTION, id).timers()).toEqual([]);
    await expect(study.test.runtime.sendTo({ to: '+15551234567', text: 'hello' })).rejects.toThrow(/STOP/);
    const { status } = await study.test.receive({ channel: 'sms', id: 'SM1', from: '15551234567', text: 'START' });
    expect(status).toBe('started');
    expect(await stateOf(study, id)).toBe('END_OF_DAY');
  });

  it('who has withdrawn does not opt out another one who took over the number', async () => {
    const phone_number = '15551234567';
    const gone = await legacy.intervention({ participant: { status: 'withdrawn', phone_number: `+${phone_number}` } });
    const here = await legacy.intervention({ state: 'END_OF_DAY', participant: { phone_number } });
    const study = await begin();
    const { address } = await study.test.receive({ channel: 'sms', id: 'SM1', from: phone_number, text: 'ready' });
    expect(address).toMatchObject({ participantId: here });
    expect(await said(study, here)).toHaveLength(1);
    expect(await study.participants.get('intervention_participants', gone)).toMatchObject({
      phone_number: `+${phone_number} (${gone})`,
    });
  });

  it('who has completed is done', async () => {
    const id = await legacy.intervention({ state: 'MOOD_QUESTION', participant: { status: 'completed' } });
    const talked = await legacy.conversation({ participant: { status: 'completed' } });
    const study = await begin(AT + 3 * DAY);
    await study.test.advance('9d');
    expect([...(await said(study, id)), ...(await said(study, talked))]).toEqual([]);
    expect((await snapshotOf(study, id)).status).toBe('done');
  });

  it('is deleted with what is kept of them, however the columns are written', async () => {
    await legacy.exec('ALTER TABLE flow_states RENAME COLUMN participant_id TO Participant_ID');
    const id = await legacy.intervention();
    const other = await legacy.intervention();
    for (const participant_id of [id, other])
      await legacy.insert('intervention_responses', {
        id: `r_${participant_id}`,
        participant_id,
        state: 'ORIENTATION',
        response_text: 'ready',
        response_type: 'general',
        timestamp: '2026-07-15 12:00:00',
      });
    for (const recipient of ['15550000001', '15550009999'])
      await legacy.insert('receipts', { recipient, status: 'sent', time: 1 });
    const { test, participants } = await begin();
    await test.knex('intervention_participants').where({ id }).update({ phone_number: '+15550000001' });
    await participants.remove('intervention_participants', id);
    expect(await test.knex('receipts').pluck('recipient')).toEqual(['15550009999']);
    for (const table of ['flow_states', 'intervention_participants', 'intervention_responses']) {
      for (const name of [table, `promptpipe_${table}`]) {
        const rows = JSON.stringify(await test.knex(name));
        expect(rows, name).not.toContain(id);
        expect(rows, name).toContain(other);
      }
    }
  });
});
