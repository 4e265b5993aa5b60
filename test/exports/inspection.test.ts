/** What observers of live actors hear: the truth, of what has been committed, without participants' data. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assign, fromPromise, sendParent, setup } from 'xstate';
import {
  defineFlow,
  type InspectedActor,
  type InspectedSnapshot,
  type InspectionObserver,
  type InspectOptions,
} from '../../src/index.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';
import { counter } from '../guarantees/machines.ts';

const helper = setup({
  types: { context: {} as { name: string }, input: {} as { name: string } },
}).createMachine({
  id: 'helper',
  context: ({ input }) => ({ name: input.name }),
  initial: 'waiting',
  states: { waiting: { on: { HELP: 'helping' } }, helping: { entry: sendParent({ type: 'HELPED', by: 'Bob' }) } },
});

const visit = defineFlow({
  type: 'visit',
  version: 1,
  logic: setup({
    types: { events: {} as { type: 'GO' } | { type: 'LEAVE' } | { type: 'HELPED'; by: string } },
    actors: { helper, lookUp: fromPromise<string, string>(() => new Promise(() => {})) },
  }).createMachine({
    id: 'visit',
    context: { helped: null },
    initial: 'here',
    states: {
      here: {
        invoke: [
          { id: 'aide', src: 'helper', input: () => ({ name: 'Bob' }) },
          { id: 'lookUp', src: 'lookUp', input: () => 'Ada Lovelace' },
        ],
        on: {
          GO: { actions: ({ self }) => self.getSnapshot().children['aide']?.send({ type: 'HELP' }) },
          HELPED: { actions: assign({ helped: ({ event }) => event.by }) },
          LEAVE: 'gone',
        },
      },
      gone: {},
    },
  }),
});

/** Writes down what it hears. */
class Notes implements Required<InspectionObserver> {
  readonly heard: {
    kind: string;
    id: string;
    event?: any;
    snapshot?: InspectedSnapshot;
    actor: InspectedActor;
    source?: string | undefined;
  }[] = [];

  actor(actor: InspectedActor, snapshot: InspectedSnapshot) {
    this.heard.push({ kind: 'actor', id: actor.sessionId, snapshot, actor });
  }
  event(actor: InspectedActor, event: object, { source }: { source: InspectedActor | undefined }) {
    this.heard.push({ kind: 'event', id: actor.sessionId, event, actor, source: source?.sessionId });
  }
  snapshot(actor: InspectedActor, snapshot: InspectedSnapshot, { event }: { event: object }) {
    this.heard.push({ kind: 'snapshot', id: actor.sessionId, snapshot, event, actor });
  }

  /** What was heard since the last time, in short. */
  take() {
    return this.heard.splice(0);
  }
  lines() {
    return this.take().map(({ kind, id, event, snapshot }) =>
      [kind, id, kind === 'actor' ? '' : event.type, snapshot ? JSON.stringify(snapshot.value ?? snapshot.status) : '']
        .filter(Boolean)
        .join(' '),
    );
  }
}

describe('runtime.inspect', () => {
  let runtime: TestRuntime;
  const faults: string[] = [];
  beforeEach(async () => {
    faults.length = 0;
    runtime = await createTestRuntime({
      flows: [counter, visit],
      prepare: (created) =>
        created.on('fault', ({ during, error }) => faults.push(`${during}: ${(error as Error).message}`)),
    });
  });
  const { commit } = SqliteStore.prototype;
  afterEach(async () => {
    SqliteStore.prototype.commit = commit;
    await runtime.stop();
  });

  const look = (options: InspectOptions = { unmasked: true }) => {
    const notes = new Notes();
    const end = runtime.runtime.inspect(notes, options);
    return { notes, end };
  };
  const again = async () => {
    await runtime.crash();
    await runtime.restart();
  };

  it('introduces an actor that is spawned, and then tells of each turn', async () => {
    const { notes } = look();
    const actor = await runtime.spawn(counter, 'a');
    expect(notes.lines()).toEqual(['actor counter/a "calm"', 'snapshot counter/a xstate.init "calm"']);
    await actor.send({ type: 'inc' });
    const [event, snapshot] = notes.take();
    expect(event).toMatchObject({ kind: 'event', id: 'counter/a', event: { type: 'inc' } });
    expect(snapshot).toMatchObject({
      kind: 'snapshot',
      snapshot: { status: 'active', context: { count: 1, log: [] } },
    });
    await actor.stop();
    expect(notes.take().at(-1)).toMatchObject({ kind: 'snapshot', snapshot: { status: 'stopped' } });
  });

  it('introduces an actor that is restored with the state in which it is, not the one in which it began', async () => {
    const actor = await runtime.spawn(counter, 'a');
    await actor.send({ type: 'throw later' });
    await again();
    const { notes } = look();
    await runtime.actor(counter, 'a').getSnapshot();
    expect(notes.lines()).toEqual(['actor counter/a "doomed"', 'snapshot counter/a xstate.init "doomed"']);
  });

  it('introduces at once those that are live already', async () => {
    await runtime.spawn(counter, 'a');
    await runtime.spawn(counter, 'b');
    const { notes } = look();
    expect(notes.lines().filter((line) => line.startsWith('actor'))).toEqual([
      'actor counter/a "calm"',
      'actor counter/b "calm"',
    ]);
  });

  it('hears nothing of what is not committed, and nothing of it ever where it is undone', async () => {
    const actor = await runtime.spawn(counter, 'a');
    const { notes } = look();
    notes.take();
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    SqliteStore.prototype.commit = async function (group) {
      await gate;
      return commit.call(this, group);
    };
    const sent = actor.send({ type: 'inc' });
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    const late = look();
    expect([notes.lines(), late.notes.lines()]).toEqual([[], []]);
    open();
    await sent;
    expect(notes.take().at(-1)?.snapshot?.context).toMatchObject({ count: 1 });
    expect(late.notes.take()[0]?.snapshot?.context).toMatchObject({ count: 1 });

    SqliteStore.prototype.commit = async (group) => group.map(() => ({ result: 'failed', error: new Error('no') }));
    await expect(actor.send({ type: 'inc' })).rejects.toThrow('no');
    SqliteStore.prototype.commit = commit;
    await expect(actor.send({ type: 'throw' })).rejects.toThrow();
    await actor.getSnapshot();
    for (const { kind, snapshot } of notes.take()) {
      expect(kind).not.toBe('event');
      expect(snapshot?.context).toMatchObject({ count: 1 });
    }
  });

  it("hears of a transaction's turns once it has committed, and nothing of one that is rolled back", async () => {
    const actor = await runtime.spawn(counter, 'a');
    const { notes } = look();
    notes.take();
    await runtime.runtime.transaction(async (trx) => {
      await trx.actor(counter, 'a').send({ type: 'inc' });
      expect(notes.lines()).toEqual([]);
      expect(look().notes.take()[0]?.snapshot?.context).toMatchObject({ count: 0 });
    });
    expect(notes.take().at(-1)?.snapshot?.context).toMatchObject({ count: 1 });
    const undone = runtime.runtime.transaction(async (trx) => {
      await trx.actor(counter, 'a').send({ type: 'inc' });
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    await actor.getSnapshot();
    expect(notes.lines()).toEqual([]);
  });

  it('shows children, what passes between them, and their end', async () => {
    const { notes } = look();
    const actor = await runtime.spawn(visit, 'v');
    /** Without what tells this life of the actor from others. */
    const short = (id: string) => id.replaceAll(/x:[\w.]+:/g, 'x:');
    expect(notes.lines().map(short)).toEqual([
      'actor visit/v "here"',
      'snapshot visit/v xstate.init "here"',
      'actor visit/v/x:1 "waiting"',
      'snapshot visit/v/x:1 xstate.init "waiting"',
      'actor visit/v/x:2 "active"',
      'snapshot visit/v/x:2 xstate.init "active"',
    ]);
    await actor.send({ type: 'GO' });
    await runtime.settle();
    const heard = notes.take();
    const help = heard.find(({ event }) => event?.type === 'HELP');
    expect(help).toMatchObject({ kind: 'event', actor: { id: 'aide', src: 'helper', _parent: { id: 'visit/v' } } });
    const helped = heard.find(({ event }) => event?.type === 'HELPED');
    expect(helped).toMatchObject({ kind: 'event', id: 'visit/v', source: help?.id, event: { by: 'Bob' } });
    await actor.send({ type: 'LEAVE' });
    const ended = notes.take().filter(({ kind, id }) => kind === 'snapshot' && id !== 'visit/v');
    expect(ended.map(({ id, snapshot }) => [short(id), snapshot!.status])).toEqual([
      ['visit/v/x:1', 'stopped'],
      ['visit/v/x:2', 'stopped'],
    ]);
    await again();
    const { notes: later } = look();
    await runtime.actor(visit, 'v').getSnapshot();
    expect(later.lines()).toEqual(['actor visit/v "gone"', 'snapshot visit/v xstate.init "gone"']);
  });

  describe('masks', () => {
    const secret = 'I feel lonely';
    const enter = async (id: string) => {
      const actor = await runtime.spawn(counter, id);
      await actor.send({ type: 'note', text: secret });
      await actor.send({ type: 'note', text: 'other' });
      await actor.send({ type: 'note', text: secret });
      return actor;
    };

    it('hides data and ids, and keeps the structure', async () => {
      const { notes } = look({});
      await enter('p_0123456789abcdef');
      await (await runtime.spawn(visit, 'v')).send({ type: 'GO' });
      await runtime.settle();
      const all = JSON.stringify(notes.heard);
      for (const hidden of [secret, 'other', 'p_0123456789abcdef', 'Ada', 'Bob', '"v"', 'visit/v']) {
        expect(all).not.toContain(hidden);
      }
      const last = notes.heard.filter(({ id }) => id.startsWith('counter')).at(-1)!;
      expect(last.snapshot).toMatchObject({ status: 'active', value: 'calm', context: { log: expect.any(Array) } });
      expect(last.event).toMatchObject({ type: 'note', text: expect.stringMatching(/^masked-[0-9a-f]{8}$/) });
      const { log } = last.snapshot!.context as { log: string[] };
      // By its mark a value is seen to come back.
      expect([log.length, log[0] === log[2], log[0] === log[1]]).toEqual([3, true, false]);
    });

    it('has the same marks after a restart, and other ones for another participant', async () => {
      const marks = async (id: string) => {
        const { notes } = look({ flow: counter, participantId: id });
        await runtime.actor(counter, id).getSnapshot();
        const [first] = notes.take();
        return [first!.id, ...(first!.snapshot!.context as { log: string[] }).log];
      };
      await enter('a');
      await enter('b');
      const [a, b] = [await marks('a'), await marks('b')];
      expect(new Set([...a, ...b]).size).toBe(6);
      await again();
      expect(await marks('a')).toEqual(a);
    });

    it('lets an application say itself what is shown', async () => {
      const seen: string[] = [];
      const { notes } = look({
        sanitize: (value, { what, address }) => {
          seen.push(`${what} ${address.participantId}`);
          return what === 'context' ? { count: (value as { count: number }).count } : what;
        },
      });
      await enter('a');
      expect(notes.take().at(-1)).toMatchObject({
        id: 'counter/participantId',
        snapshot: { context: { count: 0 } },
        event: { type: 'note' },
      });
      expect(new Set(seen)).toEqual(new Set(['participantId a', 'context a', 'event a']));
    });
  });

  it('shows one flow, or one participant, who is read where nobody has met them yet', async () => {
    for (const id of ['a', 'b']) await runtime.spawn(counter, id);
    await runtime.spawn(visit, 'a');
    await again();
    const { notes: one } = look({ flow: 'counter', participantId: 'a', unmasked: true });
    const { notes: flow } = look({ flow: visit, unmasked: true });
    await runtime.settle();
    expect(one.lines()).toEqual(['actor counter/a "calm"', 'snapshot counter/a xstate.init "calm"']);
    await runtime.actor(visit, 'a').getSnapshot();
    await runtime.actor(counter, 'b').send({ type: 'inc' });
    expect(one.lines()).toEqual([]);
    expect(flow.lines()[0]).toBe('actor visit/a "here"');
    expect(() => runtime.runtime.inspect({}, { flow: 'none' })).toThrow("There is no flow 'none'");
  });

  it('is harmed by no observer that throws, and tells the others', async () => {
    runtime.runtime.inspect({
      actor: () => {
        throw new Error('cannot look');
      },
    });
    const { notes } = look();
    const actor = await runtime.spawn(counter, 'a');
    expect((await actor.send({ type: 'inc' })).context.count).toBe(1);
    expect(notes.lines()).toHaveLength(4);
    expect(faults).toContain('an inspector: cannot look');
  });

  it('ends when it is told to, and outlasts a stop and a start of the runtime', async () => {
    const { notes, end } = look();
    const actor = await runtime.spawn(counter, 'a');
    await runtime.runtime.stop();
    await runtime.runtime.start();
    notes.take();
    await actor.send({ type: 'inc' });
    expect(notes.lines().at(0)).toBe('actor counter/a "calm"');
    end();
    await actor.send({ type: 'inc' });
    expect(notes.lines()).toEqual([]);
  });
});
