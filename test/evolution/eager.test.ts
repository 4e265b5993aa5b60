import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AnyFlow, defineFlow } from '../../src/index.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { bookingV1, bookingV2, machineV2, toV2 } from './booking.ts';
import { BIN, START, Study } from './study.ts';

const HOUR = 3_600_000;

describe('an eager migration', { timeout: 60_000 }, () => {
  let study: Study;
  let test: TestRuntime | undefined;
  beforeEach(async () => {
    study = new Study();
    await study.fill();
  });
  afterEach(async () => {
    await test?.stop();
    test = undefined;
    study.remove();
  });
  const deploy = async (...flows: AnyFlow[]) => {
    test = await createTestRuntime({ flows, database: study.database, start: START + HOUR });
    return test;
  };
  const versions = () =>
    study.read(async (knex) => {
      const rows: { flow_version: number; n: number }[] = await knex('flow_states')
        .groupBy('flow_version')
        .select('flow_version')
        .count({ n: '*' });
      return Object.fromEntries(rows.map(({ flow_version, n }) => [flow_version, n]));
    });

  it('leads everybody over, with deadlines that nobody has to touch, and shows its progress', async () => {
    await study.multiply(1_200);
    const { runtime } = await deploy(bookingV2(toV2));
    const progress: { done: number; total: number }[] = [];
    const report = await runtime.migrate({ onProgress: (step) => progress.push(step) });
    expect(report).toMatchObject({
      ok: true,
      dryRun: false,
      flows: [{ flowType: 'booking', version: 2, versions: [{ version: 1, to: 2, fates: { migrates: 1_203 } }] }],
    });
    expect(progress.map(({ done }) => done)).toEqual([500, 1_000, 1_203]);
    expect(progress.at(-1)!.total).toBe(1_203);
    expect(await versions()).toEqual({ 2: 1_203 });
    await test!.advance('1d');
    const lapsed = await study.read((knex) => knex('flow_states').where({ current_state: 'lapsed' }));
    expect(lapsed).toHaveLength(1_202);
    expect((await test!.journal('p_asked')).map(({ event, from, to }) => [event, from, to])).toContainEqual([
      'perdure.migrated',
      'asking',
      'asking',
    ]);
  });

  it('leaves as they are those who cannot be led over, and says who', async () => {
    const choosy = bookingV2((persisted, actor) => {
      if (persisted.value === 'reminded') throw new Error('not this one');
      return toV2(persisted, actor);
    });
    const { runtime } = await deploy(choosy);
    const report = await runtime.migrate();
    expect(report).toMatchObject({
      ok: false,
      flows: [
        {
          versions: [
            {
              fates: { migrates: 2, stranded: 1 },
              findings: [{ state: 'reminded', reason: 'migrate[1] threw: not this one', participants: ['p_reminded'] }],
            },
          ],
        },
      ],
    });
    const row = await study.read((knex) => knex('flow_states').where({ participant_id: 'p_reminded' }).first());
    expect(row).toMatchObject({ flow_version: 1, status: 'active', current_state: 'reminded' });
  });

  it('leaves those alone who finish on an old version', async () => {
    const { runtime } = await deploy(bookingV2(), bookingV1);
    expect(await runtime.migrate()).toMatchObject({ ok: true, flows: [{ versions: [{ fates: { finishes: 3 } }] }] });
    expect(await versions()).toEqual({ 1: 3 });
  });

  it('as a dry run tells the same and changes nothing, also while the runtime runs', async () => {
    const { runtime } = await deploy(bookingV2(toV2));
    expect(await runtime.migrate({ dryRun: true })).toMatchObject({
      ok: true,
      dryRun: true,
      flows: [{ versions: [{ fates: { migrates: 3 } }] }],
    });
    expect(await versions()).toEqual({ 1: 3 });
  });

  it('goes beside turns of the same actors; none of either is lost', async () => {
    await study.multiply(300);
    const logic = machineV2.provide({ delays: { patience: 1e9 } });
    const counting = defineFlow({
      type: 'booking',
      version: 2,
      migrate: { 1: toV2 },
      logic,
      receive: () => null,
    });
    const { runtime } = await deploy(counting);
    const sent = Array.from({ length: 300 }, (_, i) =>
      runtime.actor(counting, `p_${i + 1}`).send({ type: 'reply', text: `slot ${i}` }),
    );
    const [report] = await Promise.all([runtime.migrate(), ...sent]);
    expect(report.ok).toBe(true);
    await test!.settle();
    const rows = await study.read((knex) => knex('flow_states').where('id', '>', 1_000));
    expect(rows.map(({ flow_version, current_state }) => [flow_version, current_state])).toEqual(
      rows.map(() => [2, 'booked']),
    );
    expect(rows.map(({ state_data }) => JSON.parse(state_data).snapshot.context.slots.length)).toEqual(
      rows.map(() => 1),
    );
  });

  it('is resumed after a kill, on the command line; nobody is led over by half or twice', async () => {
    await study.multiply(2_000);
    // Slow, so that the kill comes in the middle; counts how often it was applied to each.
    const module = study.module(`
      export const flow = bookingV2((persisted, actor) => {
        for (const until = performance.now() + 1; performance.now() < until; );
        const result = toV2(persisted, actor);
        result.snapshot.context.times = (persisted.context.times ?? 0) + 1;
        return result;
      });`);
    const child = spawn(process.execPath, [BIN, 'migrate', module, '--database', study.file], { stdio: 'ignore' });
    for (let led = 0; led === 0 && child.exitCode === null; ) led = (await versions())[2] ?? 0;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const killed = await versions();
    expect(killed[1]).toBeGreaterThan(0);
    expect(killed[2]).toBeGreaterThan(0);
    const flow = bookingV2((persisted, actor) => {
      const { snapshot, timers } = toV2(persisted, actor);
      const times = (persisted.context.times ?? 0) + 1;
      return { timers, snapshot: { ...snapshot, context: { ...snapshot.context, times } } };
    });
    const { runtime } = await deploy(flow);
    const report = await runtime.migrate();
    expect(report).toMatchObject({ ok: true, flows: [{ versions: [{ fates: { migrates: killed[1] } }] }] });
    expect(await versions()).toEqual({ 2: 2_003 });
    const times = await study.read((knex) =>
      knex('flow_states').distinct(knex.raw("state_data->>'$.snapshot.context.times' AS times")),
    );
    expect(times).toEqual([{ times: 1 }]);
  });

  it('on the command line is refused beside a server, and exits 2 where somebody was left', async () => {
    const module = study.module('export const flow = bookingV2(() => undefined);');
    const { runtime } = await deploy(bookingV1);
    const refused = await study.run('migrate', module, '--database', study.file);
    expect(refused).toMatchObject({ code: 1, errors: expect.stringContaining('A server runs on') });
    expect(runtime.health().status).toBe('running');
    await test!.stop();
    test = undefined;
    const left = await study.run('migrate', module, '--database', study.file, '--dry-run');
    expect(left.code).toBe(2);
    expect(left.output).toContain('migrate[1] did not return a snapshot');
    expect(left.output).toContain('Nothing was changed.');
    expect(await versions()).toEqual({ 1: 3 });
  });
});
