/** How a row is led to the version in which its actor goes on, by itself: what comes out, and what is refused. */
import { describe, expect, it } from 'vitest';
import { createMachine, fromCallback, fromTransition, setup } from 'xstate';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { onlooker } from '../../src/actor/onlooker.ts';
import { type MigratedRow, migrateRow } from '../../src/engine/migrate-row.ts';
import { FlowVersions } from '../../src/flow/versions.ts';
import { type AnyFlow, defineFlow, type Migration } from '../../src/index.ts';

const NOW = Date.UTC(2026, 0, 2);
const UPDATED = Date.UTC(2026, 0, 1);

const talk = setup({
  types: { context: {} as { name: string; words: string[] } },
  actors: { listen: fromCallback(() => {}), inner: createMachine({ id: 'inner' }) },
}).createMachine({
  id: 'talk',
  context: { name: '', words: [] },
  initial: 'here',
  states: { here: { after: { 1000: 'there' } }, there: { invoke: { id: 'ear', src: 'listen' } } },
});

/** Versions of the flow, of which the last one has these steps. */
const versionsOf = (version: number, migrate?: Record<number, Migration>, ...former: number[]) =>
  new FlowVersions(
    [version, ...former].map(
      (each) =>
        defineFlow({
          type: 'talk',
          version: each,
          logic: talk,
          ...(each === version && migrate && { migrate }),
        } as never) as AnyFlow,
    ),
  );

const here = { status: 'active', value: 'here', context: { name: 'Ada', words: ['hi'] } };
const deadline = { id: 'xstate.after.1000.talk.here', event: { type: 'xstate.after.1000.talk.here' }, dueAt: NOW + 5 };
const rowOf = (state: object | string = {}, flow_version = 1): MigratedRow => ({
  flow_type: 'talk',
  participant_id: 'ada',
  flow_version,
  updated_at: new Date(UPDATED).toISOString(),
  state_data:
    typeof state === 'string'
      ? state
      : JSON.stringify({ snapshot: here, births: 3, life: '7.life', timers: [deadline], ...state }),
});

/** What is stored of it afterwards. */
const migrated = (steps: Record<number, Migration>, row = rowOf()) => {
  const { text, ...rest } = migrateRow(versionsOf(Object.keys(steps).length + 1, steps), row, NOW);
  return { ...rest, text, stored: JSON.parse(text) };
};
/** What it is refused with. */
const refusal = (versions: FlowVersions | undefined, row = rowOf()) => {
  try {
    migrateRow(versions, row, NOW);
  } catch (error) {
    return error as any;
  }
  throw new Error('It was not refused.');
};

describe('a row', () => {
  it('of the version in which it goes on is taken as it is, and not even read', () => {
    const row = rowOf('not to be read', 2);
    const versions = versionsOf(2, { 1: (persisted) => persisted });
    expect(migrateRow(versions, row, NOW)).toEqual({
      flow: versions.newest,
      text: 'not to be read',
      changed: false,
    });
  });

  it('of an old version that is registered goes on there, unless it can get further', () => {
    const versions = versionsOf(3, { 2: (persisted) => persisted }, 1);
    expect(migrateRow(versions, rowOf(), NOW)).toMatchObject({ flow: { version: 1 }, changed: false });
    expect(migrateRow(versions, rowOf({}, 2), NOW)).toMatchObject({ flow: { version: 3 }, changed: true });
  });

  it('is led through all steps in turn; the deadlines go with it where a step says nothing of them', () => {
    const seen: unknown[] = [];
    const note = (persisted: any, { timers, ...actor }: any) => {
      seen.push([persisted.context.name, timers, actor]);
      return { ...persisted, context: { ...persisted.context, name: `${persisted.context.name}!` } };
    };
    const { stored, flow, changed } = migrated({
      1: note,
      2: (persisted, actor) => ({
        snapshot: note(persisted, actor),
        timers: actor.timers.map((timer) => ({ ...timer, dueAt: timer.dueAt + 0.5 })),
      }),
      3: note,
    });
    const about = { participantId: 'ada', at: NOW, updatedAt: UPDATED };
    const timer = { state: 'here', after: '1000', dueAt: NOW + 5 };
    expect(seen).toEqual([
      ['Ada', [timer], about],
      ['Ada!', [timer], about],
      ['Ada!!', [{ ...timer, dueAt: NOW + 5.5 }], about],
    ]);
    expect([flow.version, changed]).toEqual([4, true]);
    expect(stored).toMatchObject({
      snapshot: { context: { name: 'Ada!!!', words: ['hi'] } },
      births: 3,
      life: '7.life',
      timers: [{ ...deadline, dueAt: NOW + 6 }], // whole ms
    });
  });

  it('that is left without a deadline has no list of them, and what XState needs is filled in', () => {
    const { stored } = migrated({
      1: (persisted) => ({
        snapshot: persisted,
        timers: [{ state: 'here', after: 1000, dueAt: Number.POSITIVE_INFINITY }],
      }),
    });
    expect(stored).toEqual({ snapshot: { ...here, children: {}, historyValue: {} }, births: 3, life: '7.life' });
  });

  it('with a child that was added has an identity for it that none had before; one that is to go is gone', () => {
    const ear = { src: 'listen', snapshot: { status: 'active' } };
    const inner = {
      src: 'inner',
      snapshot: { status: 'active', value: {}, context: {}, children: { old: undefined } },
    };
    const { stored, flow, text } = migrated({
      1: (persisted) => ({
        snapshot: { ...persisted, value: 'there', children: { ear, inner, other: undefined, none: null } },
        timers: [],
      }),
    });
    expect(stored.births).toBe(5);
    expect(stored.snapshot.children).toEqual({
      ear: { ...ear, sessionId: 'x:7.life:4' },
      inner: {
        ...inner,
        snapshot: { ...inner.snapshot, children: {}, historyValue: {} },
        sessionId: 'x:7.life:5',
      },
    });
    const live = LiveActor.restore(flow.logic, text, onlooker({ flowType: 'talk', participantId: 'ada' }));
    expect([live.snapshot.value, live.hasProcesses]).toEqual(['there', true]);
  });

  it('keeps values of kinds that JSON has not', () => {
    const since = new Date(UPDATED);
    const { text } = migrated({
      1: (persisted) => ({ ...persisted, context: { ...persisted.context, since, seen: new Set([1]) } }),
    });
    const again = migrateRow(versionsOf(3, { 2: (persisted) => persisted }), rowOf(text, 2), NOW);
    const live = LiveActor.restore(talk, again.text, onlooker({ flowType: 'talk', participantId: 'ada' }));
    expect(live.snapshot.context).toMatchObject({ since, seen: new Set([1]) });
  });

  it('of a flow that is no machine is led over as well', () => {
    const logic = fromTransition((state: { count: number }) => state, { count: 0 });
    const flow = defineFlow({
      type: 'talk',
      version: 2,
      logic,
      migrate: { 1: (persisted: any) => ({ ...persisted, context: { count: persisted.context.n } }) },
    } as never) as AnyFlow;
    const row = rowOf({ snapshot: { status: 'active', context: { n: 5 } }, timers: undefined });
    const { text } = migrateRow(new FlowVersions([flow]), row, NOW);
    expect(JSON.parse(text).snapshot).toEqual({ status: 'active', context: { count: 5 } });
  });

  it('may end by it, and then needs nothing that a state would', () => {
    const { stored } = migrated({ 1: ({ status, ...persisted }) => ({ ...persisted, status: 'done', context: {} }) });
    expect(stored.snapshot).toMatchObject({ status: 'done', context: {} });
  });
});

describe('a row is refused, and says whose it is and why', () => {
  const address = { flowType: 'talk', participantId: 'ada' };

  it('where nobody knows its flow', () => {
    expect(refusal(undefined)).toMatchObject({ code: 'UNKNOWN_FLOW', address });
  });

  it('where it is of a newer version', () => {
    expect(refusal(versionsOf(2), rowOf({}, 3))).toMatchObject({
      code: 'SNAPSHOT_NEWER',
      address,
      message: expect.stringContaining('is of version 3, the flow of version 2: start the release'),
    });
  });

  it('where a step is missing, be it in the middle', () => {
    const versions = versionsOf(4, { 1: (persisted) => persisted, 3: (persisted) => persisted });
    expect(refusal(versions)).toMatchObject({
      code: 'SNAPSHOT_INCOMPATIBLE',
      address,
      misfits: [
        { kind: 'migration', reason: expect.stringContaining('no migrate[2], and version 1 is not registered') },
      ],
    });
  });

  it('where it cannot be read, though a step would lead on', () => {
    const versions = versionsOf(2, { 1: (persisted) => persisted });
    expect(refusal(versions, rowOf('{"snapshot": tru'))).toMatchObject({
      code: 'SNAPSHOT_INCOMPATIBLE',
      misfits: [{ kind: 'unreadable', reason: expect.stringMatching(/^state_data is not readable/) }],
      cause: expect.any(SyntaxError),
    });
  });

  const step = (migrate: Migration) => refusal(versionsOf(3, { 1: (persisted) => persisted, 2: migrate }));

  it.each<[string, Migration, string]>([
    [
      'throws',
      () => {
        throw new Error('a fault.');
      },
      'migrate[2] threw: a fault.',
    ],
    [
      'throws what is no error',
      () => {
        throw 'a fit.';
      },
      'migrate[2] threw: a fit.',
    ],
    [
      'gives a promise',
      async (persisted) => persisted,
      'migrate[2] returned a promise; it must give the snapshot at once.',
    ],
    [
      'gives a status that there is not',
      (persisted) => ({ ...persisted, status: 'sleeping' }),
      'migrate[2] did not return a snapshot',
    ],
    ['gives an empty envelope', () => ({ snapshot: null }), 'migrate[2] did not return a snapshot'],
    [
      'gives timers that are no list',
      (snapshot) => ({ snapshot, timers: {} }),
      'migrate[2] returned timers that are no list.',
    ],
    [
      'gives what cannot be stored',
      (persisted) => ({ ...persisted, context: { ...persisted.context, f: () => 1 } }),
      'migrate[2] returned what cannot be stored: ',
    ],
  ])('where a step %s', (_, migrate, why) => {
    const error = step(migrate);
    expect(error).toMatchObject({ code: 'SNAPSHOT_INCOMPATIBLE', address, misfits: [{ kind: 'migration' }] });
    expect(error.message).toContain(why);
    expect(error.message).toMatch(/[^.]\.$/);
  });

  it('where what comes out does not fit, with all of that, apart', () => {
    const { misfits, message } = step((persisted) => ({
      snapshot: { ...persisted, context: {}, value: 'there' },
      timers: [],
    }));
    expect(misfits.map(({ kind, reason }: any) => `${kind}: ${reason}`)).toEqual([
      "context: after migrate[2], its context has no 'name'",
      expect.stringContaining('words'),
      expect.stringContaining("invokes 'ear'"),
    ]);
    for (const { reason } of misfits) expect(message).toContain(reason);
  });
});
