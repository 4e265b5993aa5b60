import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Runtime, RuntimeEvents } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { bookingV1, bookingV2, toV2 } from './booking.ts';
import { START, Study } from './study.ts';

describe('a release that is older than its rows', () => {
  let study: Study;
  let test: TestRuntime | undefined;
  beforeEach(async () => {
    study = new Study();
    await study.fill();
    // The newer release runs for a moment, and takes over who is asked; the others have not been touched by it.
    const newer = await createTestRuntime({
      flows: [bookingV2(toV2)],
      database: study.database,
      start: START + 3_700_000,
    });
    await newer.send('p_asked', { type: 'reply', text: 'friday' } as never);
    await newer.settle();
    await newer.stop();
  });
  afterEach(async () => {
    await test?.stop();
    test = undefined;
    study.remove();
  });

  const rollBack = async (options: object = {}) => {
    const told: RuntimeEvents['newerRows'][] = [];
    test = await createTestRuntime({
      flows: [bookingV1],
      database: study.database,
      start: START + 3_800_000,
      prepare: (runtime: Runtime) => runtime.on('newerRows', (rows) => told.push(rows)),
      ...options,
    } as never);
    return { test, told };
  };
  const row = (id: string) => study.read((knex) => knex('flow_states').where({ participant_id: id }).first());

  it('tells of them at its start, in the log, the health and the report', async () => {
    const { test, told } = await rollBack();
    expect(told).toEqual([{ flowType: 'booking', version: 2, newest: 1, actors: 1 }]);
    expect(test.runtime.health()).toMatchObject({
      health: 'degraded',
      troubles: {
        'flow booking':
          '1 actors are of version 2, and the newest here is 1. They sleep until a release that knows it runs again.',
      },
    });
  });

  it('leaves them as they are, whatever comes, and lets the others go on', async () => {
    const before = await row('p_asked');
    const { test } = await rollBack();
    const actor = test.actor(bookingV1, 'p_asked');
    await expect(actor.send({ type: 'cancel' })).rejects.toMatchObject({
      code: 'SNAPSHOT_NEWER',
      address: actor.address,
    });
    await test.advance('30d');
    expect(await actor.describe()).toMatchObject({ status: 'active', lastError: null });
    expect(await row('p_asked')).toEqual(before);
    expect(await test.actor(bookingV1, 'p_reminded').describe()).toMatchObject({ state: 'lapsed' });
  });

  it('does not put them aside where every row is verified', async () => {
    const { test } = await rollBack({ recovery: { mode: 'verify' } });
    const [component] = test.runtime.recovery.report!.components;
    expect(component).toMatchObject({
      failed: [
        {
          participantId: 'p_asked',
          reason: 'It is of version 2, and the newest here is 1.',
          action: 'sleeps until a release that knows it runs again',
        },
      ],
    });
    expect((await row('p_asked')).status).toBe('active');
  });

  it('does not start where that is refused', async () => {
    await expect(rollBack({ recovery: { newer: 'refuse' } })).rejects.toMatchObject({
      code: 'NEWER_FLOW',
      message: expect.stringContaining('flow booking: 1 actors are of version 2, and the newest here is 1.'),
    });
    await expect(rollBack({ recovery: { newer: 'wait' } })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('is no trouble where the newer version is registered again', async () => {
    const { test, told } = await rollBack({ flows: [bookingV2(toV2)] });
    expect(told).toEqual([]);
    expect(test.runtime.health().health).toBe('healthy');
    await test.advance('30d');
    expect((await test.actor(bookingV1, 'p_asked').describe()).status).not.toBe('quarantined');
  });
});
