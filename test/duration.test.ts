import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createMachine } from 'xstate';
import { steadyClock, wakeAt } from '../src/clock.ts';
import { createRuntime, defineFlow, type RuntimeOptions } from '../src/index.ts';

const flow = defineFlow({ type: 'f', version: 1, logic: createMachine({ on: { nothing: {} } }) });
const LONG = '60d'; // Node's setTimeout takes what is beyond 24.8 days for 1 ms

const running = async (options: Partial<RuntimeOptions>) => {
  const runtime = createRuntime({ database: ':memory:', flows: [flow], ...options });
  await runtime.start();
  return runtime;
};

it('a transaction may take as long as it says, however long that is', async () => {
  const runtime = await running({});
  const body = async () => {
    await delay(20);
    return 'done';
  };
  expect(await runtime.transaction(body, { timeout: LONG })).toBe('done');
  await runtime.stop();
});

it('a component may be silent for as long as it says, however long that is', async () => {
  const runtime = createRuntime({ database: ':memory:', flows: [flow], recovery: { patience: LONG } });
  runtime.recovery.registerRecoverable({ name: 'slow', recoverState: () => delay(20) });
  await runtime.start();
  expect(runtime.recovery.report?.components.find(({ name }) => name === 'slow')?.error).toBeUndefined();
  await runtime.stop();
});

it('SQLite waits for others as long as it can, where it is told to wait longer', async () => {
  const runtime = await running({ sqlite: { busyTimeout: LONG } });
  expect(await runtime.knex.raw('PRAGMA busy_timeout')).toEqual([{ timeout: 2 ** 31 - 1 }]);
  await runtime.stop();
});

it('what is to come in 60 days does not come now', async () => {
  let woken = false;
  const stop = wakeAt(steadyClock, steadyClock.now() + 60 * 86_400_000, () => (woken = true));
  await delay(20);
  stop();
  expect(woken).toBe(false);
});
