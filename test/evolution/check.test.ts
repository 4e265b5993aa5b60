import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMachine } from 'xstate';
import { type AnyFlow, checkDatabase, defineFlow, formatCheck } from '../../src/index.ts';
import { createTestRuntime, goldenSnapshots } from '../../src/testing/index.ts';
import { bookingV1, bookingV2, machineV1, toV2 } from './booking.ts';
import { START, Study } from './study.ts';

/** Version 1, changed. */
function changed(change: (states: any) => object, config: object = {}): AnyFlow {
  const logic = createMachine(
    { ...machineV1.config, ...config, states: change({ ...(machineV1.config.states as object) }) } as never,
    machineV1.implementations as never,
  );
  return defineFlow({ type: 'booking', version: 1, logic });
}
/** The state in which somebody sits is gone. */
const withoutReminded = () =>
  changed(({ reminded: _, ...states }) => ({ ...states, asking: { ...states.asking, after: { patience: 'lapsed' } } }));

describe('a check of a database with people in it', () => {
  let study: Study;
  beforeEach(async () => {
    study = new Study();
    await study.fill();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    study.remove();
  });
  const check = (...flows: AnyFlow[]) => checkDatabase({ database: study.database, flows });
  const only = async (...flows: AnyFlow[]) => {
    const report = await check(...flows);
    return { ...report, ...report.flows[0]!.versions[0]! };
  };

  it('finds nothing where nothing changed', async () => {
    expect(await check(bookingV1)).toMatchObject({
      ok: true,
      flows: [{ flowType: 'booking', version: 1, notes: [], versions: [{ version: 1, to: 1, fates: { goesOn: 3 } }] }],
    });
  });

  it('names who sits in a state that vanished, and whose deadline', async () => {
    const { ok, fates, findings, flows } = await only(withoutReminded());
    expect(ok).toBe(false);
    expect(fates).toMatchObject({ goesOn: 1, impaired: 1, stranded: 1 });
    expect(findings).toEqual([
      expect.objectContaining({
        fate: 'stranded',
        state: 'reminded',
        reason: expect.stringContaining("'reminded'"),
        participants: ['p_reminded'],
      }),
      expect.objectContaining({
        fate: 'impaired',
        kind: 'deadline',
        state: 'asking',
        reason: "its pending deadline 'reminder' of the state 'booking.asking' does not exist any more",
        participants: ['p_asked'],
      }),
      expect.objectContaining({ kind: 'deadline', reason: expect.stringContaining('would wait for ever') }),
    ]);
    expect(flows[0]!.notes).toEqual(
      expect.arrayContaining([
        'The machine of version 1 was changed under the same version:',
        "  state 'booking.reminded' was removed",
      ]),
    );
  });

  it('does not miss a deadline that was used up, also where the database does not know the shape yet', async () => {
    await study.read(async (knex) => {
      await knex('runtime_settings').where('key', 'like', 'shape:%').delete();
      const asked = () => knex('flow_states').where({ participant_id: 'p_asked' });
      const { timers: _, ...stored } = JSON.parse((await asked().first()).state_data);
      await asked().update({ state_data: JSON.stringify(stored), next_due_at: null });
    });
    expect((await check(bookingV1)).ok).toBe(true);
  });

  it('names whose context lacks a field', async () => {
    const { findings } = await only(changed((states) => states, { context: { slots: [], language: 'en' } }));
    expect(findings.map(({ kind, reason, state }) => [kind, reason, state])).toEqual(
      ['reminded', 'asking', 'booked'].map((state) => ['context', "its context has no 'language'", state]),
    );
  });

  it('tells who migrates, who finishes on an old version, and who cannot', async () => {
    expect(await only(bookingV2(toV2))).toMatchObject({ ok: true, to: 2, fates: { migrates: 3 } });
    expect(await only(bookingV2(), bookingV1)).toMatchObject({ ok: true, to: 1, fates: { finishes: 3 } });
    expect(await only(bookingV2())).toMatchObject({ ok: false, to: null, fates: { stranded: 3 } });
    const choosy = bookingV2((persisted, actor) => {
      if (persisted.value === 'reminded') throw new Error(`what to do with ${actor.participantId}?`);
      return toV2(persisted, actor);
    });
    expect(await only(choosy)).toMatchObject({
      ok: false,
      fates: { migrates: 2, stranded: 1 },
      findings: [{ kind: 'migration', reason: 'migrate[1] threw: what to do with p_reminded?', count: 1 }],
    });
  });

  it('passes over who has ended or is in quarantine, and names flows that were not given', async () => {
    await study.read(async (knex) => {
      await knex('flow_states').where({ participant_id: 'p_asked' }).update({ status: 'stopped' });
      await knex('flow_states').where({ participant_id: 'p_reminded' }).update({ status: 'quarantined' });
      await knex('flow_states').where({ participant_id: 'p_booked' }).update({ flow_type: 'other' });
    });
    const { ok, flows } = await check(bookingV1);
    expect(ok).toBe(false);
    expect(flows).toMatchObject([
      { flowType: 'booking', versions: [{ ended: 1, quarantined: 1, fates: { goesOn: 0 } }] },
      { flowType: 'other', version: null, versions: [{ fates: { flowless: 1 } }] },
    ]);
    expect(await checkDatabase({ database: study.database, flows: [bookingV1], flowType: 'booking' })).toMatchObject({
      ok: true,
    });
  });

  it('reads beside a runtime that runs, and changes nothing', async () => {
    const running = await createTestRuntime({ flows: [bookingV1], database: study.database, start: START });
    const all = () => study.read((knex) => knex('flow_states').orderBy('id'));
    const before = await all();
    expect((await check(bookingV2(toV2))).ok).toBe(true);
    expect(await all()).toEqual(before);
    await running.stop();
  });

  it('is written for people', async () => {
    const text = formatCheck(await check(withoutReminded()));
    expect(text).toContain('booking, version 1\n');
    expect(text).toContain('of version 1: 1 go on, 1 are restored, but do not fit, 1 would be quarantined');
    expect(text).toMatch(/1 in 'reminded' would be quarantined: .*\(p_reminded\)/);
  });

  it('on the command line exits 2 where somebody would not go on, with the flows of a TypeScript module', async () => {
    const module = study.module('export const flows: unknown[] = [bookingV2()];\nexport const more = 1;');
    const found = await study.run('check', module, '--database', study.file, '--json');
    expect(found).toMatchObject({ code: 2, errors: '' });
    expect(JSON.parse(found.output)).toMatchObject({ ok: false, flows: [{ versions: [{ fates: { stranded: 3 } }] }] });
  });

  it('on the command line prints one document for programs, also of golden files and a database at once', async () => {
    vi.stubEnv('CI', ''); // where it is set, golden files are never written
    const golden = join(study.folder, 'golden');
    await goldenSnapshots(bookingV1, {
      folder: golden,
      events: [{ type: 'reply', text: 'monday' }, { type: 'cancel' }],
    });
    const module = study.module('export const v2 = bookingV2();');
    const { code, output } = await study.run('check', module, '--golden', golden, '-d', study.file, '--json');
    expect(code).toBe(2);
    expect(JSON.parse(output)).toMatchObject({
      golden: { ok: false, flows: [{ versions: [{ fates: { stranded: 5 } }] }] },
      database: { ok: false, flows: [{ versions: [{ fates: { stranded: 3 } }] }] },
    });
  });

  it('on the command line, where it is strict, exits 2 also for a machine that was changed under its version', async () => {
    const module = study.module('export const v1 = bookingV1;');
    expect((await study.run('check', module, '-d', study.file, '--strict')).code).toBe(0);
    await study.read(async (knex) => {
      const { key, value } = await knex('runtime_settings').where('key', 'like', 'shape:%').first();
      const [recorded] = JSON.parse(value);
      recorded.shape.states.other = { type: 'atomic' };
      await knex('runtime_settings')
        .where({ key })
        .update({ value: JSON.stringify([recorded]) });
    });
    expect((await study.run('check', module, '-d', study.file)).code).toBe(0);
    expect((await study.run('check', module, '-d', study.file, '--strict')).code).toBe(2);
    const report = await checkDatabase({
      database: study.database,
      flows: [changed((states) => ({ ...states, fresh: {} }))],
      strict: true,
    });
    expect(report).toMatchObject({ ok: false, flows: [{ changed: [1], versions: [{ fates: { goesOn: 3 } }] }] });
    expect(formatCheck(report)).toContain('which a strict check refuses: raise the version.');
  });

  it('on the command line exits 0 where all go on, and 1 for what cannot be', async () => {
    const module = study.module('export const v2 = bookingV2(toV2);');
    expect(await study.run('check', module, '-d', study.file)).toMatchObject({
      code: 0,
      output: expect.stringContaining('3 migrate to version 2'),
    });
    const slip = await study.run('check', module, '-d', study.file, '--flow', 'boking');
    expect(slip).toMatchObject({ code: 1, output: '', errors: expect.stringContaining('The flows are booking.') });
    const none = await study.run('check', module, '-d', `${study.file}.not`);
    expect(none).toMatchObject({ code: 1, errors: expect.stringContaining('There is no database') });
    const missing = await study.run('check', './nowhere.ts', '-d', study.file);
    expect(missing).toMatchObject({ code: 1, errors: expect.stringContaining('There is no module ./nowhere.ts') });
  });
});

describe('a machine that was changed under its version', () => {
  let study: Study;
  beforeEach(async () => {
    study = new Study();
    await study.fill();
  });
  afterEach(() => study.remove());

  const startsWith = async (flow: AnyFlow) => {
    const heard: { version: number; changes: readonly string[] }[] = [];
    const test = await createTestRuntime({
      flows: [flow],
      database: study.database,
      start: START,
      prepare: (runtime) => void runtime.on('flowChanged', (event) => heard.push(event)),
    });
    await test.stop();
    return heard;
  };

  it('is told once, with what changed; an old node that starts again does not tell it anew', async () => {
    expect(await startsWith(bookingV1)).toEqual([]);
    const [heard, ...more] = await startsWith(withoutReminded());
    expect(more).toEqual([]);
    expect(heard).toMatchObject({ flowType: 'booking', version: 1 });
    expect(heard!.changes).toEqual([
      "state 'booking.asking' has a new deadline 'patience'",
      "state 'booking.asking' has no deadline 'reminder' any more",
      "state 'booking.reminded' was removed",
    ]);
    expect(await startsWith(bookingV1)).toEqual([]);
    expect(await startsWith(withoutReminded())).toEqual([]);
  });

  it('is not told for another order of keys, other descriptions or function bodies, nor for a new version', async () => {
    const sorted = changed((states) => Object.fromEntries(Object.entries(states).reverse()), { description: 'Books.' });
    expect(await startsWith(sorted)).toEqual([]);
    expect(await startsWith(bookingV2(toV2))).toEqual([]);
  });

  it('is not told where nobody is in it', async () => {
    await study.read((knex) => knex('flow_states').delete());
    expect(await startsWith(withoutReminded())).toEqual([]);
  });

  it('is not overlooked: a start that cannot keep it fails, and the next one tells it', async () => {
    await study.read((knex) =>
      knex.raw(`CREATE TRIGGER full BEFORE UPDATE ON runtime_settings WHEN NEW.key LIKE 'shape:%'
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`),
    );
    await expect(startsWith(withoutReminded())).rejects.toThrow('the disk is full');
    await study.read((knex) => knex.raw('DROP TRIGGER full'));
    expect(await startsWith(withoutReminded())).toMatchObject([{ version: 1 }]);
  });

  it('is not known where the record of it is damaged, which is a fault and keeps no start from coming up', async () => {
    await study.read((knex) => knex('runtime_settings').where('key', 'like', 'shape:%').update({ value: '[{' }));
    const faults: string[] = [];
    const test = await createTestRuntime({
      flows: [withoutReminded()],
      database: study.database,
      start: START,
      prepare: (runtime) => void runtime.on('fault', ({ during }) => faults.push(during)),
    });
    await test.stop();
    expect(faults).toEqual(["comparing the flows' machines with those of before"]);
  });

  it('is still held against what people are in who came before it', async () => {
    await startsWith(withoutReminded());
    expect((await checkDatabase({ database: study.database, flows: [withoutReminded()] })).ok).toBe(false);
  });
});
