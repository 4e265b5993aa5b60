import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { perdureHttp } from '../../src/http/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { Participants } from '../../src/study/participants.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const START = Date.UTC(2026, 0, 5, 8);
const [ADA, BOB] = ['+15551234567', '+15551234568'] as const;
const INTERVENTION = '/intervention/participants';
const CONVERSATION = '/conversation/participants';
let prompts: string[][] = [];
const conversation = createConversationFlow({
  generate: async ({ messages }) => {
    prompts.push(messages.filter(({ role }) => role === 'system').map(({ content }) => content));
    return { text: 'I hear you.' };
  },
});

describe('what an operator does over HTTP', () => {
  let test: TestRuntime;
  let app: FastifyInstance;
  let down = false;
  beforeEach(async () => {
    down = false;
    prompts = [];
    test = await createTestRuntime({
      flows: [microHealthInterventionFlow, conversation],
      start: START,
      transport: {
        send: () => {
          if (down) throw new Error('The line is dead.');
        },
      },
    });
    await serve();
  });
  afterEach(async () => {
    await app.close();
    await test.stop();
  });
  const serve = async () => {
    app = Fastify();
    const participants = new Participants({ runtime: test.runtime, conversation, systemPrompt: 'Be kind.' });
    await app.register(perdureHttp, { runtime: test.runtime, participants });
  };
  const crash = async () => {
    await app.close();
    await test.crash();
    await test.restart();
    await serve();
  };

  const ask = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: unknown) => {
    const response = await app.inject({ method, url, ...(payload !== undefined && { payload: payload as object }) });
    return { http: response.statusCode, ...response.json() };
  };
  /** The result of a request that must go well. */
  const good = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: unknown) => {
    const { http, status, result, message } = await ask(method, url, payload);
    expect([status, message]).toEqual(['ok', undefined]);
    expect(http).toBeLessThan(300);
    await test.settle();
    return result;
  };
  const enrol = async (path: string = INTERVENTION, phone_number: string = ADA, more: object = {}) =>
    (await good('POST', path, { phone_number, ...more })).id as string;
  let last = 0;
  const say = (text: string, from: string = ADA) =>
    good('POST', '/messages', { channel: 'sms', id: `m${++last}`, from, text });
  const timers = async (id: string) => (await good('GET', `/timers?participant=${id}`)).map((it: any) => it.due_at);
  const counts = async () => {
    const result: Record<string, number> = {};
    for (const table of await test.knex('sqlite_master').where({ type: 'table' }).pluck('name'))
      if (!/^(sqlite|perdure|runtime)/.test(table)) result[table] = (await test.knex(table)).length;
    return result;
  };

  describe('changes what is known of a participant', () => {
    it('moves the next daily prompt along with the time and the zone', async () => {
      const id = await enrol();
      expect((await timers(id))[0]).toBe('2026-01-05T10:00:00.000Z');
      const changed = await good('PUT', `${INTERVENTION}/${id}`, {
        name: 'Ada',
        timezone: 'Europe/Berlin',
        daily_prompt_time: '18:30',
      });
      expect(changed).toMatchObject({ id, name: 'Ada', timezone: 'Europe/Berlin', daily_prompt_time: '18:30' });
      expect((await timers(id))[0]).toBe('2026-01-05T17:30:00.000Z');
      await crash();
      expect((await timers(id))[0]).toBe('2026-01-05T17:30:00.000Z');
      expect(await good('GET', `${INTERVENTION}/${id}`)).toMatchObject({ name: 'Ada', daily_prompt_time: '18:30' });
      expect((await good('GET', `/participants/${id}/state`)).context).toMatchObject({
        name: 'Ada',
        timezone: 'Europe/Berlin',
      });
    });

    it('tells the assistant what is new of the person', async () => {
      const id = await enrol(CONVERSATION, BOB, { name: 'Bob', background: 'Sails.' });
      await good('PUT', `${CONVERSATION}/${id}`, { background: 'Climbs.', gender: 'male', timezone: 'Asia/Tokyo' });
      expect(await good('GET', `${CONVERSATION}/${id}`)).toMatchObject({
        name: 'Bob',
        gender: 'male',
        background: 'Climbs.',
        timezone: 'Asia/Tokyo',
      });
      await say('hi', BOB);
      expect(prompts.at(-1)).toEqual(['Be kind.', 'About the participant: Name: Bob. Gender: male. Climbs.']);
    });

    it.each([
      [
        INTERVENTION,
        [
          ['paused', 'paused'],
          ['active', 'active'],
          ['withdrawn', 'withdrawn'],
          ['active', 'active'],
          ['completed', 'completed'],
        ],
      ],
      [
        CONVERSATION,
        [
          ['paused', 'paused'],
          ['active', 'active'],
          ['withdrawn', 'withdrawn'],
          ['active', 'active'],
          ['completed', 'completed'],
        ],
      ],
    ] as const)('leads a participant of %s from status to status', async (path, steps) => {
      const id = await enrol(path);
      for (const [to, expected] of steps) {
        expect(await good('PUT', `${path}/${id}`, { status: to })).toMatchObject({ status: expected });
        expect(await good('PUT', `${path}/${id}`, { status: to })).toMatchObject({ status: expected }); // again: nothing
      }
      const { http, message } = await ask('PUT', `${path}/${id}`, { status: 'active' });
      expect([http, message]).toEqual([400, `${id} is completed and cannot become active. Enrol the number anew.`]);
      expect((await good('PUT', `${path}/${id}`, { name: 'Late' })).name).toBe('Late');
    });

    it('drops the deadlines of who is withdrawn, and says nothing to who is paused', async () => {
      const id = await enrol();
      await good('PUT', `${INTERVENTION}/${id}`, { status: 'paused' });
      const said = (await test.outbox(id)).length;
      await test.advance('2h');
      expect(await test.outbox(id)).toHaveLength(said);
      await good('PUT', `${INTERVENTION}/${id}`, { status: 'active' });
      expect((await test.outbox(id)).length).toBeGreaterThan(said);
      await good('PUT', `${INTERVENTION}/${id}`, { status: 'withdrawn' });
      expect(await timers(id)).toEqual([]);
    });

    it('brings nobody back who asked not to be written to', async () => {
      const id = await enrol();
      await say('STOP');
      const { http, message } = await ask('PUT', `${INTERVENTION}/${id}`, { status: 'active' });
      expect([http, message]).toEqual([400, expect.stringContaining('writing START')]);
    });

    it.each([
      [{}, /nothing to change.*name, timezone/],
      [{ phone_number: BOB }, /'phone_number' cannot be changed/],
      [{ name: 7 }, /name must be a text/],
      [{ name: 'Ada', timezone: 'Mars/Olympus' }, /Mars/],
      [{ daily_prompt_time: '25:00' }, /25:00/],
      [{ name: 'Ada', status: 'gone' }, /'gone' is not known.*active, paused/],
      [[], /JSON object/],
    ])('refuses %j, and changes nothing', async (change, message) => {
      const id = await enrol();
      const before = [await good('GET', `${INTERVENTION}/${id}`), await counts()];
      const answer = await ask('PUT', `${INTERVENTION}/${id}`, change);
      expect(answer).toMatchObject({ http: 400, code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
      expect([await good('GET', `${INTERVENTION}/${id}`), await counts()]).toEqual(before);
    });
  });

  describe('deletes a participant with all data', () => {
    const nothing = async () =>
      Object.entries(await counts())
        .filter(([table, count]) => count > 0 && table !== 'inbox')
        .map(([table]) => table);

    it.each([
      ['the intervention', INTERVENTION],
      ['the conversation', CONVERSATION],
    ])('of %s: no row is left, nothing fires, nothing is sent, and the number is free', async (_, path) => {
      const id = await enrol(path);
      await say('ready');
      await say('1');
      down = true;
      await say('2');
      expect(await good('DELETE', `${path}/${id}`)).toEqual({ id, status: 'deleted' });
      expect(await nothing()).toEqual([]);
      down = false;
      await test.advance('2d');
      expect(await nothing()).toEqual([]);
      expect((await ask('GET', `${path}/${id}`)).http).toBe(404);
      expect((await ask('GET', `/participants/${id}/state`)).http).toBe(404);
      expect((await ask('DELETE', `${path}/${id}`)).http).toBe(404);
      await crash();
      expect(await nothing()).toEqual([]);
      expect(await say('hello?')).toMatchObject({ status: 'unrouted' });
      await enrol(path);
      expect(await say('ready')).toMatchObject({ status: 'applied' });
    });

    it('leaves the other participants alone, also the same person in the other flow', async () => {
      const [ada, talk, bob] = [await enrol(), await enrol(CONVERSATION), await enrol(INTERVENTION, BOB)];
      await good('DELETE', `${INTERVENTION}/${ada}`);
      expect(await say('hi')).toMatchObject({ status: 'applied', participantId: talk });
      expect(await say('ready', BOB)).toMatchObject({ status: 'applied', participantId: bob });
      expect((await good('GET', `/participants/${talk}/messages`)).length).toBeGreaterThan(1);
    });

    it.each(['completed', 'withdrawn', 'quarantined', 'unreadable', 'discarded'])('who is %s', async (what) => {
      const id = await enrol();
      if (what === 'completed' || what === 'withdrawn') await good('PUT', `${INTERVENTION}/${id}`, { status: what });
      else {
        await crash();
        await test.knex('flow_states').update({ state_data: '{' });
        if (what !== 'unreadable')
          await ask('POST', '/messages', { channel: 'sms', id: 'x', from: ADA, text: 'ready' });
        if (what === 'discarded') await good('POST', `/quarantine/micro_health_intervention/${id}/discard`);
      }
      expect(await good('DELETE', `${INTERVENTION}/${id}`)).toEqual({ id, status: 'deleted' });
      expect(await nothing()).toEqual([]);
    });

    it('all or nothing, whenever the process dies', async () => {
      for (let steps = 0, deleted = false; !deleted && steps < 1_000_000; steps += 1 + (steps >> 3)) {
        if ((await good('GET', INTERVENTION)).length === 0) await enrol();
        const before = await counts();
        const [{ id }] = await good('GET', INTERVENTION);
        const answer = ask('DELETE', `${INTERVENTION}/${id}`).catch(() => undefined);
        for (let step = 0; step < steps; step++) await new Promise(setImmediate);
        await test.crash();
        await answer;
        await test.restart();
        await app.close();
        await serve();
        await test.settle();
        deleted = (await nothing()).length === 0;
        if (!deleted) expect(await counts()).toEqual(before);
      }
      expect(await nothing()).toEqual([]);
    });

    it('forgets what the number wrote before it was enrolled, and keeps an opt-out', async () => {
      await say('who are you?');
      const id = await enrol();
      await say('STOP');
      await good('DELETE', `${INTERVENTION}/${id}`);
      expect(JSON.stringify(await test.knex('inbox'))).not.toContain('who are you');
      expect(await test.knex('opt_outs').pluck('address')).toEqual([ADA]);
    });
  });

  describe('acts on a participant of the intervention', () => {
    it('applies a reply as if it came from the phone, once for an id', async () => {
      const id = await enrol();
      const path = `${INTERVENTION}/${id}/responses`;
      expect(await good('POST', path, { text: 'ready', id: 'r1' })).toEqual({
        participant: id,
        status: 'applied',
        handled: true,
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.COMMITMENT_PROMPT',
      });
      expect(await good('POST', path, { text: 'ready', id: 'r1' })).toMatchObject({ status: 'duplicate' });
      expect(await good('POST', path, { text: '1' })).toMatchObject({
        state: expect.stringContaining('FEELING_PROMPT'),
      });
      expect(await good('POST', path, { text: 'Stop' })).toMatchObject({ status: 'stopped' });
      expect(await good('GET', `${INTERVENTION}/${id}`)).toMatchObject({ status: 'withdrawn' });
    });

    it('moves a participant to a state, with the reason in the journal', async () => {
      const id = await enrol();
      expect(
        await good('POST', `${INTERVENTION}/${id}/advance`, { to_state: 'MOOD_QUESTION', reason: 'a demo' }),
      ).toEqual({
        participant: id,
        handled: true,
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.MOOD_QUESTION',
      });
      expect((await good('GET', `/participants/${id}/journal`))[0]).toMatchObject({
        note: 'moved by an operator: a demo',
      });
      expect((await timers(id))[0]).toBe('2026-01-05T08:15:00.000Z');
      await good('POST', `${INTERVENTION}/${id}/advance`, { to_state: 'COMPLETE' });
      expect(await good('GET', `${INTERVENTION}/${id}`)).toMatchObject({ status: 'completed' });
      expect(await ask('POST', `${INTERVENTION}/${id}/advance`, { to_state: 'ORIENTATION' })).toMatchObject({
        http: 400,
        message: expect.stringContaining('is completed and cannot be moved'),
      });
    });

    it('lets a participant start over', async () => {
      const id = await enrol();
      await say('ready');
      expect(await good('POST', `${INTERVENTION}/${id}/reset`)).toMatchObject({
        state: 'PARTICIPATING.week.COUNTING,PARTICIPATING.day.ORIENTATION',
      });
      await say('STOP');
      expect((await ask('POST', `${INTERVENTION}/${id}/reset`)).http).toBe(400);
    });

    it('shows the state and the answers so far', async () => {
      const id = await enrol();
      for (const text of ['ready', '1', '2']) await say(text);
      const { responses, ...stands } = await good('GET', `${INTERVENTION}/${id}/history`);
      expect(stands).toEqual({
        participant: id,
        state: expect.stringContaining('SEND_INTERVENTION'),
        status: 'active',
      });
      expect(responses.map((it: any) => [it.state, it.response_text, it.response_type])).toEqual([
        ['ORIENTATION', 'ready', 'general'],
        ['COMMITMENT_PROMPT', '1', 'commitment'],
        ['FEELING_PROMPT', '2', 'feeling'],
      ]);
      expect((await good('GET', `${INTERVENTION}/${id}/history?limit=1&after=${responses[1].id}`)).responses).toEqual([
        responses[2],
      ]);
    });

    it('gives the weekly summary now, to one or to all', async () => {
      const [ada, bob] = [await enrol(), await enrol(INTERVENTION, BOB)];
      await enrol(INTERVENTION, '+15551234569');
      await say('STOP', '+15551234569');
      const before = [(await test.outbox(ada)).length, (await test.outbox(bob)).length];
      expect(await good('POST', '/intervention/weekly-summary')).toEqual({ summarised: 2, skipped: 0, failed: [] });
      expect(await good('POST', '/intervention/weekly-summary', { participant_id: ada })).toMatchObject({
        summarised: 1,
      });
      expect([(await test.outbox(ada)).length, (await test.outbox(bob)).length]).toEqual([
        before[0]! + 2,
        before[1]! + 1,
      ]);
      expect((await ask('POST', '/intervention/weekly-summary', { participant_id: 'nobody' })).http).toBe(404);
    });

    it('goes on with the others where the summary of one fails', async () => {
      const [ada] = [await enrol(), await enrol(INTERVENTION, BOB)];
      await crash();
      await test.knex('flow_states').where({ participant_id: ada }).update({ state_data: '{' });
      expect(await good('POST', '/intervention/weekly-summary')).toMatchObject({
        summarised: 1,
        failed: [{ participant: ada, error: expect.stringContaining('quarantined') }],
      });
    });

    it('counts how the study goes', async () => {
      expect(await good('GET', '/intervention/stats')).toEqual({
        participants: 0,
        by_status: {},
        by_state: {},
        responses: 0,
        by_response_type: {},
        completion_rate: null,
        mean_response_time_s: null,
      });
      await enrol();
      await enrol(INTERVENTION, BOB);
      for (const phone of [ADA, BOB]) {
        await test.advance('10s');
        await say('ready', phone);
        await test.advance('20s');
        await say('1', phone);
        await say('1', phone);
      }
      await say('done', ADA);
      await say('no', BOB);
      await say('STOP', BOB);
      expect(await good('GET', '/intervention/stats')).toMatchObject({
        participants: 2,
        by_status: { active: 1, withdrawn: 1 },
        by_state: { END_OF_DAY: 1, WITHDRAWN: 1 },
        by_response_type: { commitment: 2, feeling: 2, completion: 2, general: 2 },
        completion_rate: 0.5,
        mean_response_time_s: expect.any(Number),
      });
    });

    it.each([
      ['POST', 'responses', {}, 400],
      ['POST', 'responses', { text: 5 }, 400],
      ['POST', 'advance', { to_state: 'NOWHERE' }, 400],
      ['POST', 'advance', { reason: 'none' }, 400],
      ['GET', 'history?limit=0', undefined, 400],
    ] as const)('answers %s …/%s with %j by %s', async (method, path, body, http) => {
      const id = await enrol();
      expect(await ask(method, `${INTERVENTION}/${id}/${path}`, body)).toMatchObject({
        http,
        code: 'INVALID_ARGUMENT',
      });
    });

    it('answers 404 for a participant that there is not', async () => {
      for (const [method, path, body] of [
        ['PUT', '', { name: 'Ada' }],
        ['DELETE', '', undefined],
        ['POST', '/responses', { text: 'hi' }],
        ['POST', '/advance', { to_state: 'END_OF_DAY' }],
        ['POST', '/reset', undefined],
        ['GET', '/history', undefined],
      ] as const)
        expect(await ask(method, `${INTERVENTION}/nobody${path}`, body)).toMatchObject({
          http: 404,
          code: 'NOT_FOUND',
        });
    });
  });

  describe('cancels a deadline', () => {
    it('for good, and leaves the others', async () => {
      const id = await enrol();
      await say('ready');
      await say('1');
      const [feeling, ...others] = await good('GET', `/timers?participant=${id}`);
      expect(await good('GET', `/timers/${encodeURIComponent(feeling.id)}`)).toEqual(feeling);
      await test.advance('1m');
      const path = `/timers/${encodeURIComponent(feeling.id)}`;
      expect(await good('DELETE', path)).toEqual({ id: feeling.id, status: 'cancelled' });
      expect(await timers(id)).toEqual(others.map((it: any) => it.due_at));
      expect((await good('GET', `/participants/${id}/journal`))[0]).toMatchObject({ event: 'perdure.cancel' });
      for (const method of ['GET', 'DELETE'] as const)
        expect(await ask(method, path)).toMatchObject({ http: 404, code: 'NOT_FOUND' });
      await crash();
      await test.advance('1h');
      expect(await good('GET', `${INTERVENTION}/${id}`)).toMatchObject({
        state: expect.stringContaining('FEELING_PROMPT'),
      });
      expect(await say('2')).toMatchObject({ status: 'applied' });
    });

    it('that has fired meanwhile: too late', async () => {
      const id = await enrol();
      await say('ready');
      await say('1');
      const [feeling] = await good('GET', `/timers?participant=${id}`);
      await test.advance('15m');
      expect(await ask('DELETE', `/timers/${encodeURIComponent(feeling.id)}`)).toMatchObject({
        http: 404,
        message: expect.stringContaining('list them again'),
      });
      for (const bad of ['x', 'a:b:c:d', 'micro_health_intervention:nobody:1:0'])
        expect((await ask('DELETE', `/timers/${bad}`)).http).toBe(404);
    });
  });

  describe('sends and receives by hand', () => {
    it('sends a message in the name of the actor that the number is bound to, once for an id', async () => {
      const id = await enrol();
      const before = await good('GET', `/participants/${id}/state`);
      expect(await good('POST', '/send', { to: '1 555 123 4567', text: 'We moved.', id: 's1' })).toEqual({
        status: 'accepted',
        to: ADA,
      });
      expect(await good('POST', '/send', { to: ADA, text: 'We moved.', id: 's1' })).toMatchObject({
        status: 'duplicate',
      });
      await test.settle();
      const messages = await good('GET', `/participants/${id}/messages`);
      expect(messages.filter(({ text }: any) => text === 'We moved.')).toMatchObject([
        { direction: 'out', status: 'sent' },
      ]);
      const after = await good('GET', `/participants/${id}/state`);
      expect({ ...after, version: 0, updatedAt: '' }).toEqual({ ...before, version: 0, updatedAt: '' });
      expect((await good('GET', `/participants/${id}/journal`))[0]).toMatchObject({
        event: 'perdure.direct',
        note: null,
      });
    });

    it('sends a message to a number that nobody knows, and to one whose participant has ended', async () => {
      await good('POST', '/send', { to: BOB, text: 'Hello.', id: 's1' });
      expect(await good('POST', '/send', { to: BOB, text: 'Hello.', id: 's1' })).toMatchObject({ status: 'duplicate' });
      const id = await enrol();
      await good('PUT', `${INTERVENTION}/${id}`, { status: 'completed' });
      await good('POST', '/send', { to: ADA, text: 'Thanks again.' });
      const receipts = await good('GET', '/receipts');
      expect(receipts.map((it: any) => [it.to, it.text.split('\n')[0], it.status])).toEqual([
        [BOB, 'Hello.', 'sent'],
        [ADA, expect.any(String), 'sent'],
        [ADA, expect.any(String), 'sent'],
        [ADA, 'Thanks again.', 'sent'],
      ]);
    });

    it('sends nothing to who asked not to be written to', async () => {
      await enrol();
      await say('STOP');
      expect(await ask('POST', '/send', { to: ADA, text: 'Still there?' })).toMatchObject({
        http: 400,
        message: expect.stringContaining('STOP'),
      });
    });

    it('lists what was sent, and what became of it', async () => {
      const id = await enrol();
      down = true;
      await say('ready');
      const receipts = await good('GET', '/receipts');
      expect(receipts.map(({ status }: any) => status)).toEqual(['sent', 'pending']);
      expect(receipts[1]).toMatchObject({ to: ADA, participant: id, attempts: 1, error: 'The line is dead.' });
      expect(await good('GET', `/receipts?limit=1&after=${receipts[0].id}`)).toEqual([receipts[1]]);
      expect(await good('GET', '/receipts?participant=nobody')).toEqual([]);
    });

    it('takes a message by hand, and lists what people wrote, the last first', async () => {
      const id = await enrol();
      expect(await good('POST', '/response', { from: ADA, text: 'ready' })).toMatchObject({
        status: 'applied',
        participantId: id,
      });
      await test.advance('1s');
      await good('POST', '/response', { from: BOB, text: 'who are you?' });
      expect(await good('GET', '/responses')).toEqual([
        {
          id: '0-2',
          participant: null,
          from: BOB,
          channel: 'operator',
          text: 'who are you?',
          at: '2026-01-05T08:00:01.000Z',
        },
        { id: '2-2', participant: id, from: ADA, channel: 'operator', text: 'ready', at: '2026-01-05T08:00:00.000Z' },
      ]);
      expect(await good('GET', '/responses?limit=1')).toHaveLength(1);
    });

    it('counts all there is', async () => {
      await enrol();
      await enrol(CONVERSATION, BOB);
      await say('ready');
      await say('who?', '+15559999999');
      expect(await good('GET', '/stats')).toEqual({
        participants: { intervention: 1, conversation: 1 },
        messages_in: 2,
        messages_out: { sent: 4 },
        quarantined: 0,
        dead_letters: 0,
      });
    });

    it.each([
      ['/send', {}],
      ['/send', { to: ADA }],
      ['/send', { to: ADA, text: ' ' }],
      ['/send', { to: 'somebody', text: 'hi' }],
      ['/send', { to: ADA, text: 'hi', id: 7 }],
      ['/response', { text: 'hi' }],
      ['/response', { from: 'x', text: 'hi' }],
    ])('refuses %s of %j, and writes nothing', async (path, body) => {
      const before = await counts();
      expect(await ask('POST', path, body)).toMatchObject({ http: 400, message: expect.stringMatching(/\.$/) });
      expect(await counts()).toEqual(before);
    });
  });
});
