import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Admission, admit } from '../../src/http/admission.ts';
import { perdureHttp } from '../../src/http/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { appointment } from '../testing/appointment.ts';

const PLACES = 256;
const GUESS = 1; // a ms, until the first count

describe('what would wait for too long is refused', () => {
  let now = 0;
  let admission: Admission;
  let told: { admitted: boolean; at: number }[];
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    now = 0;
    admission = new Admission(2_000, () => now);
    told = [];
  });
  afterEach(() => vi.useRealTimers());
  const enter = () => admission.enter((admitted) => void told.push({ admitted, at: now }));
  const enterAll = (count: number) => Array.from({ length: count }, enter);
  const admitted = () => told.filter((each) => each.admitted).length;
  const refused = () => told.length - admitted();
  const pass = (ms: number) => {
    now += ms;
    vi.advanceTimersByTime(ms);
  };

  it('lets in as many at once as there are places, and the next one as one of them leaves', () => {
    enterAll(PLACES + 3);
    expect([admitted(), refused()]).toEqual([PLACES, 0]);
    admission.leave();
    admission.leave();
    expect([admitted(), refused()]).toEqual([PLACES + 2, 0]);
  });

  it('refuses at once what finds the line too long for its time', () => {
    enterAll(PLACES + 2_000 * GUESS + 5);
    expect([admitted(), refused()]).toEqual([PLACES, 5]);
    expect(told.every(({ at }) => at === 0)).toBe(true);
  });

  it('refuses what has waited for its time, since work has become slower', () => {
    enterAll(PLACES + 5);
    pass(1_000);
    enterAll(5);
    pass(999);
    expect(refused()).toBe(0);
    pass(1);
    expect([admitted(), refused()]).toEqual([PLACES, 5]);
    pass(1_000);
    expect([admitted(), refused()]).toEqual([PLACES, 10]);
  });

  it('learns the pace from what was done while there was a line: a slow server has a short one, a fast one a long one', () => {
    enterAll(PLACES + 100);
    for (let ms = 0; ms < 500; ms += 10) {
      pass(10);
      admission.leave(); // 100 a second
    }
    const before = refused();
    enterAll(500);
    expect(refused() - before).toBe(350); // 200 may wait for 2 s at that pace, and 50 did already
    for (let n = 0; n < 4_000; n++) {
      if (n % 10 === 0) pass(1);
      admission.leave(); // 10,000 a second
      enter();
    }
    const since = refused();
    enterAll(1_000);
    expect(refused() - since).toBe(0);
  });

  it('takes everybody again once there is room, however slow it was', () => {
    enterAll(PLACES + 100);
    pass(10_000);
    expect(refused()).toBe(100);
    enterAll(50); // a few may always wait
    expect(refused()).toBe(100 + 50 - 16);
    for (let n = 0; n < PLACES + 16; n++) admission.leave();
    const before = admitted();
    enterAll(PLACES);
    expect(admitted() - before).toBe(PLACES);
  });

  it('forgets who has gone', () => {
    const leave = enterAll(PLACES + 2);
    leave.at(-2)!();
    admission.leave();
    admission.leave();
    expect(told).toHaveLength(PLACES + 1);
    enterAll(1);
    expect(admitted()).toBe(PLACES + 2);
  });

  it('takes any time to wait, also one that no timer holds', () => {
    admission = new Admission(10 * 365 * 86_400_000, () => now);
    enterAll(PLACES + 1_000);
    pass(86_400_000);
    expect([admitted(), refused()]).toEqual([PLACES, 0]);
  });
});

describe('over HTTP', () => {
  let app: FastifyInstance;
  afterEach(() => app.close());

  it('keeps a place until the work is done, and gives it back whatever becomes of the request', async () => {
    app = Fastify();
    const admission = new Admission(0);
    const leave = vi.spyOn(admission, 'leave');
    let finish: (() => void) | undefined;
    admit(app, admission, (reply) => void reply.code(503).send('no'));
    const traffic = { config: { perdure: 'traffic' as const } };
    app.post('/good', traffic, () => new Promise((resolve) => (finish = () => resolve('done'))));
    app.post('/bad', traffic, () => Promise.reject(new Error('bad')));
    app.get('/other', async () => 'other');
    const good = app.inject({ method: 'POST', url: '/good' });
    await vi.waitFor(() => expect(finish).toBeDefined());
    expect(leave).toHaveBeenCalledTimes(0);
    finish!();
    await good;
    expect(leave).toHaveBeenCalledTimes(1);
    await app.inject({ method: 'POST', url: '/bad' });
    await app.inject({ method: 'POST', url: '/bad', payload: '{', headers: { 'content-type': 'application/json' } });
    expect(leave).toHaveBeenCalledTimes(3);
    await app.inject('/other');
    expect(leave).toHaveBeenCalledTimes(3);
  });

  it('tells the rest at once to come again, and answers operators meanwhile', async () => {
    const test: TestRuntime = await createTestRuntime({ flows: [appointment] });
    const held: (() => void)[] = [];
    vi.spyOn(test.runtime, 'receive').mockImplementation(
      () => new Promise((resolve) => held.push(() => resolve({ status: 'unrouted', handled: false }))),
    );
    app = Fastify();
    await app.register(perdureHttp, { runtime: test.runtime, maxWait: '10ms' });
    const post = async (id: number) =>
      app.inject({
        method: 'POST',
        url: '/messages',
        payload: { channel: 'sms', id: `m${id}`, from: '+15551230001', text: 'Hi' },
      });
    const all = Array.from({ length: PLACES + 100 }, (_, i) => post(i));
    const refused = await Promise.all(all.slice(PLACES));
    for (const answer of refused) {
      expect([answer.statusCode, answer.json()]).toEqual([
        503,
        { status: 'error', code: 'OVERLOADED', message: expect.stringContaining('send it again') },
      ]);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    }
    for (const path of ['/health', '/status', '/timers', '/quarantine', '/receipts'])
      expect([path, (await app.inject(path)).statusCode]).toEqual([path, 200]);
    expect(held).toHaveLength(PLACES);
    for (const finish of held) finish();
    expect((await Promise.all(all.slice(0, PLACES))).map(({ statusCode }) => statusCode)).toEqual(
      Array(PLACES).fill(200),
    );
    await test.stop();
  });
});
