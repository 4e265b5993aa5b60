import { afterEach, expect, it } from 'vitest';
import { createHttpService } from '../../src/http/index.ts';
import { PermanentSendError } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

let test: TestRuntime;
afterEach(() => test.stop());

it('lists, shows, sends again and discards what did not arrive', async () => {
  let refuses = true;
  const transport = {
    send: () => {
      if (refuses) throw new PermanentSendError('no such number');
    },
  };
  test = await createTestRuntime({ flows: [counter], transport });
  const app = await createHttpService({ runtime: test.runtime });
  const ask = async (method: 'GET' | 'POST', url: string, payload?: object) => {
    const response = await app.inject({ method, url, ...(payload && { payload }) });
    return { http: response.statusCode, ...response.json() };
  };
  await test.spawn(counter, 'p_1', { phoneNumber: '+15551234567' });
  for (const text of ['one', 'two']) await test.actor(counter, 'p_1').send({ type: 'say', text });
  await test.settle();
  const { result: all } = await ask('GET', '/undelivered');
  expect(all).toMatchObject([
    { id: 1, participant: 'p_1', flow: 'counter', kind: 'message', status: 'failed', payload: { text: 'one' } },
    { id: 2, error: 'no such number', attempts: 1 },
  ]);
  expect((await ask('GET', '/undelivered?limit=1&after=1&status=failed&participant=p_1')).result).toEqual([all[1]]);
  expect((await ask('GET', '/undelivered/2')).result).toEqual(all[1]);
  refuses = false;
  expect(await ask('POST', '/undelivered/1/resend')).toMatchObject({ http: 200, result: { id: 1, status: 'resent' } });
  expect(await ask('POST', '/undelivered/2/discard', { reason: 'told by phone' })).toMatchObject({ http: 200 });
  await test.settle();
  expect((await test.outbox()).map(({ status }) => status)).toEqual(['sent', 'cancelled']);
  expect((await ask('GET', '/undelivered')).result).toEqual([]);
  expect(await ask('POST', '/undelivered/1/resend')).toMatchObject({ http: 404, code: 'UNDELIVERED_NOT_FOUND' });
  expect(await ask('GET', '/undelivered?status=lost')).toMatchObject({ http: 400 });
  expect(await ask('GET', '/undelivered/first')).toMatchObject({ http: 400 });
  await app.close();
});
