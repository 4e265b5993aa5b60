import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createMachine, fromTransition, setup } from 'xstate';
import { checkGoldens } from '../../src/evolution/index.ts';
import { versionsOf } from '../../src/flow/versions.ts';
import { defineFlow } from '../../src/index.ts';
import { createConversationFlow } from '../../src/study/conversation.ts';
import { offlineResponder } from '../../src/study/generator.ts';
import { microHealthInterventionFlow } from '../../src/study/micro-health-intervention.ts';
import { goldenSnapshots } from '../../src/testing/index.ts';
import { bookingV1, bookingV2, machineV1, machineV2, toV2 } from './booking.ts';

describe('golden snapshots of the two flows', () => {
  const folder = new URL('../golden/', import.meta.url);
  const replies = ['ready', '1', '2', '3', '4', 'done', 'no', 'It was fine.'].map((text) => ({ type: 'reply', text }));

  it('of the micro health intervention go on', async () => {
    const states = ['COMMITMENT_PROMPT', 'END_OF_DAY', 'COMPLETE'];
    const { proved } = await goldenSnapshots(microHealthInterventionFlow, {
      folder,
      input: { participantId: 'golden', name: 'Ada', timezone: 'Europe/Berlin' },
      events: [
        ...replies,
        { type: 'update', timezone: 'America/New_York' },
        ...states.map((to) => ({ type: 'advance', to })),
      ],
    });
    expect(proved).toBeGreaterThan(10);
  });

  it('of the conversation go on', async () => {
    const { proved } = await goldenSnapshots(createConversationFlow({ generate: offlineResponder }), {
      folder,
      input: { participantId: 'golden', systemPrompt: 'Be kind.', participantBackground: 'Name: Ada.' },
      events: [...replies.slice(-1), { type: 'update', name: 'Ada' }],
      outcomes: { generateReply: { resolve: [{ text: 'Hello!' }], reject: ['It failed.'] } },
    });
    expect(proved).toBeGreaterThan(5);
  });
});

describe('golden snapshots', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'golden-'));
    vi.stubEnv('CI', '');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  const events = [{ type: 'reply', text: 'monday' }];
  const files = (version = 1) => readdirSync(join(folder, 'booking', `v${version}`)).sort();
  const file = (state: string) => join(folder, 'booking', 'v1', `${state}.json`);

  it('are written for each state the first time, with deadlines and invocations, and proved from then on', async () => {
    const first = await goldenSnapshots(bookingV1, { folder, events });
    expect(first.written).toHaveLength(5);
    expect(files()).toEqual([
      '_shape.json',
      'asking.json',
      'booked.json',
      'confirming.json',
      'lapsed.json',
      'reminded.json',
    ]);
    expect(JSON.parse(readFileSync(file('confirming'), 'utf8'))).toMatchObject({
      flow: 'booking',
      version: 1,
      state: 'confirming',
      stored: { snapshot: { value: 'confirming', children: { confirm: { snapshot: { status: 'active' } } } } },
    });
    expect(JSON.parse(readFileSync(file('reminded'), 'utf8')).stored.timers).toHaveLength(1);
    expect(await goldenSnapshots(bookingV1, { folder, events })).toMatchObject({ written: [], proved: 5 });
  });

  it('are the same, whenever they are written', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const before = files().map((name) => readFileSync(join(folder, 'booking', 'v1', name), 'utf8'));
    await goldenSnapshots(bookingV1, { folder, events, update: true });
    expect(files().map((name) => readFileSync(join(folder, 'booking', 'v1', name), 'utf8'))).toEqual(before);
  });

  it('lie beside the test that calls, unless it says where', async () => {
    const beside = fileURLToPath(new URL('./__golden__/', import.meta.url));
    try {
      const { folder } = await goldenSnapshots(bookingV1, { events });
      expect(`${folder}/`).toBe(beside);
      expect(existsSync(join(beside, 'booking', 'v1', 'asking.json'))).toBe(true);
    } finally {
      rmSync(beside, { recursive: true, force: true });
    }
  });

  it('catch a state that was removed, and name it, the file and what to do', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const { reminded: _, ...states } = machineV1.config.states as any;
    const config = { ...machineV1.config, states: { ...states, asking: {} } };
    const logic = createMachine(config as never, machineV1.implementations as never);
    const changed = defineFlow({ type: 'booking', version: 1, logic });
    const proof = goldenSnapshots(changed, { folder, events });
    await expect(proof).rejects.toMatchObject({ code: 'GOLDEN_SNAPSHOT' });
    const message = await proof.catch((error: Error) => error.message);
    expect(message).toContain("'reminded' of version 1: ");
    expect(message).toContain("State 'reminded' does not exist");
    expect(message).toContain(file('reminded'));
    expect(message).toContain("'asking' of version 1: its pending deadline 'reminder'");
    expect(message).toContain('Raise the version and declare migrate');
  });

  it('catch a state that became final: who stands there would never end', async () => {
    const flow = (b: object) =>
      defineFlow({
        type: 'ending',
        version: 1,
        logic: createMachine({ id: 'ending', initial: 'a', states: { a: { on: { go: 'b' } }, b } }),
      });
    await goldenSnapshots(flow({}), { folder });
    await expect(goldenSnapshots(flow({ type: 'final' }), { folder })).rejects.toThrow(
      "'b' of version 1: it stands where the machine ends, and has not ended: it would wait for ever",
    );
  });

  it('catch a deadline that is new in a state, under the same version', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const { states } = machineV1.config as any;
    const patient = { ...states, booked: { ...states.booked, after: { 5000: 'lapsed' } } };
    const logic = createMachine({ ...machineV1.config, states: patient } as never, machineV1.implementations as never);
    await expect(
      goldenSnapshots(defineFlow({ type: 'booking', version: 1, logic }), { folder, events }),
    ).rejects.toThrow("'booked' has a deadline '5000', which the snapshot has not: it would wait for ever");
  });

  it('of an old version are proved under the new one: migrated, or finished', async () => {
    expect(await goldenSnapshots(bookingV1, { folder, events })).toMatchObject({ proved: 5 });
    await expect(goldenSnapshots(bookingV2(), { folder, events })).rejects.toThrow('no migrate[1]');
    await expect(
      goldenSnapshots(
        bookingV2((it) => it),
        { folder, events },
      ),
    ).rejects.toThrow("has no 'language'");
    expect(files()).toHaveLength(6);
    expect(await goldenSnapshots(bookingV2(toV2), { folder, events })).toMatchObject({ proved: 9 });
    expect(await goldenSnapshots([bookingV2(), bookingV1], { folder, events })).toMatchObject({
      proved: 9,
      written: [],
    });
    expect(files(1)).toHaveLength(6);
    expect(files(2)).toEqual(['_shape.json', 'asking.json', 'booked.json', 'confirming.json', 'lapsed.json']);
  });

  it('take a step further: what throws on an old context shows', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const logic = machineV2.provide({ delays: { patience: ({ context }) => context.language.length } });
    const loose = defineFlow({
      type: 'booking',
      version: 2,
      logic,
      migrate: {
        1: (persisted, actor) => {
          const { snapshot, timers } = toV2(persisted, actor);
          return { timers, snapshot: { ...snapshot, context: { slots: null, language: 'de' } } };
        },
      },
    });
    await expect(goldenSnapshots(loose, { folder, events })).rejects.toThrow("'reply' makes it throw");
  });

  it('that were changed by hand are not believed', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const text = readFileSync(file('asking'), 'utf8');
    writeFileSync(file('asking'), JSON.stringify(JSON.parse(text))); // laid out in another way, it is the same
    await goldenSnapshots(bookingV1, { folder, events });
    writeFileSync(file('asking'), text.replace('"asking"', '"booked"'));
    await expect(goldenSnapshots(bookingV1, { folder, events })).rejects.toThrow(/asking\.json was changed by hand/);
    writeFileSync(file('asking'), text.slice(0, 100));
    await expect(goldenSnapshots(bookingV1, { folder, events })).rejects.toThrow(/asking\.json is not readable/);
  });

  it('are never written where CI runs the test', async () => {
    vi.stubEnv('CI', 'true');
    await expect(goldenSnapshots(bookingV1, { folder, events })).rejects.toThrow(/no golden snapshot of 'asking', /);
    expect(existsSync(join(folder, 'booking'))).toBe(false);
  });

  it('stay as they are where they cannot be written anew', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    const text = readFileSync(file('asking'), 'utf8');
    const logic = createMachine({ id: 'a', initial: 'asking', states: { asking: {}, island: {} } });
    const flow = defineFlow({ type: 'booking', version: 1, logic });
    await expect(goldenSnapshots(flow, { folder, update: true })).rejects.toThrow("'island' was not reached");
    vi.stubEnv('CI', 'true');
    await expect(goldenSnapshots(bookingV1, { folder, events, update: true })).rejects.toThrow('under CI none are');
    expect(files()).toHaveLength(6);
    expect(readFileSync(file('asking'), 'utf8')).toBe(text);
    vi.stubEnv('CI', '');
    expect(await goldenSnapshots(flow, { folder, update: true, unreached: ['island'] })).toMatchObject({ proved: 1 });
    expect(files()).toEqual(['_shape.json', 'asking.json']);
  });

  it('of a state that is not reached are asked for, and nothing is written', async () => {
    const logic = createMachine({ id: 'a', initial: 'here', states: { here: {}, island: {} } });
    const flow = defineFlow({ type: 'booking', version: 1, logic });
    await expect(goldenSnapshots(flow, { folder })).rejects.toThrow("'island' was not reached");
    expect(existsSync(join(folder, 'booking'))).toBe(false);
    expect(await goldenSnapshots(flow, { folder, unreached: ['island'] })).toMatchObject({
      written: [expect.anything()],
    });
  });

  it('know parallel states, final ones, and those that nobody rests in', async () => {
    const logic = createMachine({
      id: 'p',
      type: 'parallel',
      states: {
        day: {
          initial: 'idle',
          states: { idle: { on: { go: 'passing' } }, passing: { always: 'resting' }, resting: {} },
        },
        week: { initial: 'counting', states: { counting: { after: { 1000: 'over' } }, over: { type: 'final' } } },
        alone: {},
      },
    });
    await goldenSnapshots(defineFlow({ type: 'booking', version: 1, logic }), { folder });
    expect(files()).toEqual(
      ['_shape', 'alone', 'day.idle', 'day.resting', 'week.counting', 'week.over'].map((name) => `${name}.json`),
    );
  });

  describe('of a machine that invokes another one', () => {
    const errand = { out: { after: { 1000: 'back' } }, back: { after: { 1000: 'home' } }, home: { type: 'final' } };
    const household = (states: Record<string, object>) =>
      defineFlow({
        type: 'household',
        version: 1,
        logic: setup({ actors: { errand: createMachine({ id: 'errand', initial: 'out', states }) } }).createMachine({
          id: 'household',
          initial: 'waiting',
          states: { waiting: { invoke: { src: 'errand', onDone: 'served' } }, served: {} },
        }),
      });

    it('are of its states too, and of those that it leads to', async () => {
      const { written } = await goldenSnapshots(household(errand), { folder });
      expect(written.map((name) => basename(name))).toEqual([
        'waiting.json',
        'served.json',
        'errand%2fout.json',
        'errand%2fback.json',
      ]);
    });

    it('catch a state of it that was removed', async () => {
      await goldenSnapshots(household(errand), { folder });
      await expect(
        goldenSnapshots(household({ out: { after: { 1000: 'home' } }, home: errand.home }), { folder }),
      ).rejects.toThrow(
        "'errand/back' of version 1: child '0.household.waiting': State 'back' does not exist on 'errand'",
      );
    });
  });

  it('have names that every file system takes', async () => {
    const logic = createMachine({ id: 'a', initial: 'yes/no?', states: { 'yes/no?': {} } });
    const flow = defineFlow({ type: 'booking', version: 1, logic });
    await goldenSnapshots(flow, { folder });
    expect(files()).toEqual(['_shape.json', 'yes%2fno%3f.json']);
    expect(await goldenSnapshots(flow, { folder })).toMatchObject({ proved: 1, written: [] });
  });

  it('of a state that is called as the file of the shape are beside it', async () => {
    const logic = createMachine({ id: 'a', initial: '_shape', states: { _shape: { on: { go: 'b' } }, b: {} } });
    const flow = defineFlow({ type: 'booking', version: 1, logic });
    expect(await goldenSnapshots(flow, { folder })).toMatchObject({ proved: 2 });
    expect(files()).toEqual(['%5fshape.json', '_shape.json', 'b.json']);
    expect(await goldenSnapshots(flow, { folder })).toMatchObject({ proved: 2, written: [] });
  });

  it('are checked without a test too', async () => {
    await goldenSnapshots(bookingV1, { folder, events });
    expect(checkGoldens(folder, versionsOf([bookingV2(toV2)]))).toMatchObject({
      ok: true,
      flows: [{ versions: [{ version: 1, to: 2, fates: { migrates: 5 } }] }],
    });
    const { ok, flows } = checkGoldens(folder, versionsOf([bookingV2()]));
    expect(ok).toBe(false);
    expect(flows[0]!.versions[0]!.findings).toContainEqual(
      expect.objectContaining({ state: 'reminded', participants: [file('reminded')], kind: 'migration' }),
    );
    expect(() => checkGoldens(join(folder, 'nowhere'), versionsOf([bookingV1]))).toThrow('There are no golden files');
  });

  it('of a logic without states are one', async () => {
    const logic = fromTransition((state: { n: number }, event: { type: 'add' }) => ({ n: state.n + (event ? 1 : 0) }), {
      n: 0,
    });
    await goldenSnapshots(defineFlow({ type: 'booking', version: 1, logic }), { folder });
    expect(files()).toEqual(['_shape.json', 'active.json']);
  });
});
