/** Enrolment: whose number it is, whoever changes what in whichever order; and who has opted out before. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { welcome } from '../../machines/texts/micro-health-intervention.ts';
import { type ConversationFlow, createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const ADA = '+15551234567';
const TABLE = 'intervention_participants';
const flow = microHealthInterventionFlow;

let test: TestRuntime;
let participants: Participants;
let conversation: ConversationFlow;
let asked: number;
let last = 0;
beforeEach(async () => {
  asked = 0;
  const generate = async () => ({ text: `Hello, for the ${++asked}. time!` });
  conversation = createConversationFlow({ generate });
  test = await createTestRuntime({ flows: [flow, conversation], start: Date.parse('2026-01-02T08:00Z') });
  participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
});
afterEach(() => test.stop());
const say = (text: string, from = ADA) => test.receive({ channel: 'sms', id: `m${++last}`, from, text });
const enrol = (phone_number = ADA) => participants.enrolInIntervention({ phone_number });
const set = (id: string, status: 'active' | 'paused' | 'withdrawn' | 'completed') =>
  participants.update(TABLE, id, { status });
const statusOf = async (id: string) => (await participants.get(TABLE, id))?.status;
const taken = expect.objectContaining({ code: 'PHONE_NUMBER_TAKEN' });
const heard = () => test.delivered.map(({ text }) => text);
const crash = async () => {
  await test.crash();
  await test.restart();
  participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
};

describe('a number belongs to one active participant of a flow', () => {
  it.each(['withdrawn', 'completed'] as const)('who is %s stays so, once it was enrolled anew', async (status) => {
    const old = await enrol();
    await set(old.id, status);
    const anew = await enrol();
    await expect(set(old.id, 'active')).rejects.toMatchObject(
      status === 'withdrawn' ? { code: 'PHONE_NUMBER_TAKEN' } : { code: 'INVALID_ARGUMENT' },
    );
    await set(anew.id, 'withdrawn');
    if (status === 'withdrawn') await expect(set(old.id, 'active')).rejects.toEqual(taken);
    await set(anew.id, 'active');
    expect([await statusOf(old.id), await statusOf(anew.id)]).toEqual([status, 'active']);
    expect(await say('ready')).toMatchObject({ status: 'applied', address: { participantId: anew.id } });
  });

  it('also who is paused has it', async () => {
    const { id } = await enrol();
    await set(id, 'paused');
    await expect(enrol()).rejects.toEqual(taken);
    await set(id, 'active');
    await expect(enrol()).rejects.toEqual(taken);
  });

  it.each([
    ['+54 11 2345-6789', '+54 9 11 2345-6789'],
    ['+54 9 11 2345-6789', '+54 11 2345-6789'],
    ['+52 55 1234 5678', '+52 1 55 1234 5678'],
    ['+55 31 8888-8888', '+55 31 98888-8888'],
  ])('in both forms: %s and %s', async (one, other) => {
    const old = await enrol(one);
    await expect(enrol(other)).rejects.toEqual(taken);
    await set(old.id, 'withdrawn');
    const anew = await enrol(other);
    await expect(set(old.id, 'active')).rejects.toEqual(taken);
    for (const from of [one, other])
      expect(await say('ready', from)).toMatchObject({ address: { participantId: anew.id } });
    expect(await participants.list(TABLE, { phoneNumber: one })).toMatchObject([{ id: anew.id }]);
  });

  it('also in a row that was written with the older form', async () => {
    const old = await enrol('+55 31 98888-8888');
    for (const [table, column] of [
      [TABLE, 'phone_number'],
      ['response_handlers', 'phone_number'],
      ['flow_states', 'address'],
    ] as const)
      await test.knex(table).update({ [column]: '+553188888888' });
    await crash();
    expect(await say('hello', '5531988888888')).toMatchObject({ address: { participantId: old.id } });
    await expect(enrol('+55 31 98888-8888')).rejects.toEqual(taken);
    expect(await say('stop', '5531988888888')).toMatchObject({ status: 'stopped' });
    expect(await statusOf(old.id)).toBe('withdrawn');
  });

  it('whoever comes first of many at once', async () => {
    const enrolled = await Promise.allSettled(Array.from({ length: 5 }, () => enrol()));
    expect(enrolled.map(({ status }) => status).sort()).toEqual(['fulfilled', ...Array(4).fill('rejected')]);
    const [old] = await participants.list(TABLE);
    await set(old!.id, 'withdrawn');
    await Promise.allSettled([set(old!.id, 'active'), enrol(), set(old!.id, 'active'), enrol()]);
    expect((await participants.list(TABLE)).filter(({ status }) => status === 'active')).toHaveLength(1);
  });

  it('those who come side by side share a transaction, and none takes it from another', async () => {
    const [first, second, third] = ['+15551234501', '+15551234502', '+15551234503'];
    await enrol(second);
    const begun: string[] = [];
    test.knex.on('query', ({ sql }: { sql: string }) => void (/^begin/i.test(sql) && begun.push(sql)));
    const enrolled = await Promise.allSettled([first, second, third, first].map((number) => enrol(number)));
    expect(enrolled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    for (const number of [first, third])
      expect(await participants.list(TABLE, { phoneNumber: number })).toMatchObject([{ status: 'active' }]);
    expect(begun).toHaveLength(1);
  });

  it('nor where one of them cannot be written', async () => {
    await test.knex.raw(
      `CREATE TRIGGER no_eve BEFORE INSERT ON ${TABLE} WHEN NEW.name = 'Eve' BEGIN SELECT RAISE(ABORT, 'no Eve'); END`,
    );
    const named = (phone_number: string, name: string) => participants.enrolInIntervention({ phone_number, name });
    const enrolled = await Promise.allSettled([
      named('+15551234501', 'Ada'),
      named('+15551234502', 'Eve'),
      named(ADA, 'Bo'),
    ]);
    expect(enrolled).toMatchObject([
      { value: { name: 'Ada' } },
      { reason: { message: expect.stringContaining('no Eve') } },
      { value: { name: 'Bo' } },
    ]);
    expect((await participants.list(TABLE)).map(({ name }) => name).sort()).toEqual(['Ada', 'Bo']);
  });

  it('and START brings back who has it now', async () => {
    const old = await enrol();
    await set(old.id, 'withdrawn');
    const anew = await enrol();
    await say('STOP');
    expect(await say('START')).toMatchObject({ status: 'started' });
    expect([await statusOf(old.id), await statusOf(anew.id)]).toEqual(['withdrawn', 'active']);
  });

  it('also where the event that brings somebody back is sent to the actor itself', async () => {
    const old = await enrol();
    await set(old.id, 'withdrawn');
    const anew = await enrol();
    await expect(test.actor(flow, old.id).send({ type: 'rejoin' })).rejects.toMatchObject({
      message: expect.stringContaining('the number was enrolled anew'),
    });
    expect([await statusOf(old.id), await statusOf(anew.id)]).toEqual(['withdrawn', 'active']);
    expect((await test.actor(flow, old.id).describe()).state).toBe('WITHDRAWN');
  });

  it('and a change is made whole, or not at all', async () => {
    const old = await enrol();
    await set(old.id, 'withdrawn');
    await enrol();
    await expect(participants.update(TABLE, old.id, { name: 'Eve', status: 'active' })).rejects.toEqual(taken);
    expect(await participants.get(TABLE, old.id)).toMatchObject({ name: null, status: 'withdrawn' });
  });
});

describe('who has said STOP', () => {
  beforeEach(async () => {
    await say('STOP');
    await test.settle();
    test.delivered.length = 0;
  });

  it('is enrolled in the intervention as withdrawn, and welcomed after START', async () => {
    const enrolled = await participants.enrolInIntervention({ phone_number: ADA, name: 'Ada', study_days: 3 });
    expect(enrolled).toMatchObject({ status: 'withdrawn', opted_out: true });
    expect(await test.actor(flow, enrolled.id).timers()).toEqual([]);
    await test.advance('5d');
    expect(heard()).toEqual([]);
    expect(await test.outbox(enrolled.id)).toEqual([]);
    await expect(set(enrolled.id, 'active')).rejects.toThrow('They come back by writing START themselves');
    await crash();
    expect(await say('start')).toMatchObject({ status: 'started' });
    await test.settle();
    expect(heard()).toEqual([welcome('Ada'), expect.stringContaining('Welcome back')]);
    expect(await statusOf(enrolled.id)).toBe('active');
    // The study's days count from here.
    await test.advance('2d');
    expect(await test.actor(flow, enrolled.id).describe()).toMatchObject({ status: 'active' });
    await say('stop');
    await say('start');
    await test.settle();
    expect(heard().filter((text) => text === welcome('Ada'))).toHaveLength(1);
  });

  it('is enrolled in the conversation as withdrawn, and greeted after START', async () => {
    const enrolled = await participants.enrolInConversation({ phone_number: ADA });
    expect(enrolled).toMatchObject({ status: 'withdrawn', opted_out: true });
    await test.advance('1d');
    await crash();
    expect([asked, heard()]).toEqual([0, []]);
    await say('start');
    await test.settle();
    expect(heard()).toEqual([expect.stringContaining('Welcome back'), 'Hello, for the 1. time!']);
    expect(await participants.get('conversation_participants', enrolled.id)).toMatchObject({ status: 'active' });
  });

  it('is known in each form of the number', async () => {
    await say('STOP', '5491123456789');
    expect(await enrol('+54 11 2345-6789')).toMatchObject({ opted_out: true });
  });

  it('and is enrolled anew, begins once', async () => {
    const old = await enrol();
    const anew = await enrol();
    await say('start');
    await test.settle();
    expect([await statusOf(old.id), await statusOf(anew.id)]).toEqual(['withdrawn', 'active']);
    expect(heard().filter((text) => text === welcome(null))).toHaveLength(1);
  });
});

it.each(['STOP first', 'enrolment first'])(
  'a STOP and an enrolment at once leave nobody active in silence: %s',
  async (order) => {
    const both = [() => say('STOP'), () => enrol()];
    await Promise.all((order === 'STOP first' ? both : both.reverse()).map((each) => each()));
    const [participant] = await participants.list(TABLE);
    expect(participant!.status).toBe('withdrawn');
    await say('START');
    expect(await statusOf(participant!.id)).toBe('active');
  },
);

describe('the values of an enrolment', () => {
  it.each(['2026-01-05T10:00:00Z', '2026-01-05T10:00+01:00', '2025-12-29T10:00:00.5Z'])(
    'weekly_reset may be %s',
    async (weekly_reset) => {
      expect(await participants.enrolInIntervention({ phone_number: ADA, weekly_reset })).toMatchObject({
        weekly_reset,
      });
    },
  );

  it.each([
    '1',
    'Monday',
    'March 7',
    '2026-01-05',
    '2026-01-05T10:00:00',
    '2026-02-30T10:00:00Z',
    '2026-01-05T25:00:00Z',
    '05.01.2026',
    '9999-01-05T10:00:00Z',
    '0001-01-05T10:00:00Z',
    '',
  ])('and not %s', async (weekly_reset) => {
    await expect(participants.enrolInIntervention({ phone_number: ADA, weekly_reset })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('weekly_reset must be'),
    });
    expect(await participants.list(TABLE)).toEqual([]);
  });

  it.each([0, 1.5, -3, 1e9, Number.NaN])('study_days is not %s', async (study_days) => {
    await expect(participants.enrolInIntervention({ phone_number: ADA, study_days })).rejects.toThrow(
      'study_days must be',
    );
  });

  it('are those that stand for nothing where they are null', async () => {
    const nothing = { name: null, timezone: null, daily_prompt_time: null, weekly_reset: null, study_days: null };
    expect(await participants.enrolInIntervention({ phone_number: ADA, ...(nothing as object) })).toMatchObject({
      name: null,
      timezone: 'UTC',
      daily_prompt_time: '10:00',
    });
  });
});
