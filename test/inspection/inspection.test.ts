/** What an observer is told of one live actor, and how much of it is shown. */
import { describe, expect, it } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { LiveActor, nothing, type Turn } from '../../src/actor/live-actor.ts';
import { Processes } from '../../src/actor/processes.ts';
import type { Cell } from '../../src/engine/cell.ts';
import {
  type InspectedActor,
  type InspectedSnapshot,
  Inspection,
  type InspectionObserver,
  type InspectOptions,
} from '../../src/inspection/inspection.ts';

const ambient = { now: () => 0, random: () => 0 };
const SECRET = 'I feel low';
/** Looks as if it named a person. */
const NUMBER = '15551234567';

const inner = setup({}).createMachine({ id: 'inner', initial: 'idle', states: { idle: {} } });
const logic = setup({
  types: { context: {} as { said: string } },
  actors: { inner, ask: fromPromise(() => new Promise<string>(() => {})) },
}).createMachine({
  id: 'desk',
  context: { said: '' },
  initial: 'calm',
  on: { say: { actions: assign({ said: ({ event }) => event['text'] }) }, bye: '.over' },
  states: {
    calm: { tags: 'ready', on: { call: 'calling' }, after: { 1000: 'calm' } },
    calling: {
      initial: 'ringing',
      invoke: [
        { src: 'inner', id: NUMBER },
        { src: 'ask', id: 'ask', input: () => SECRET },
      ],
      on: { back: 'calm' },
      states: { ringing: {}, last: { type: 'history' } },
    },
    over: { type: 'final' },
  },
  output: () => ({ said: SECRET }),
});

/** An actor, and what becomes of its turns, once they have committed. */
function begin(participantId = 'ada') {
  const faults: unknown[] = [];
  const inspection = new Inspection((error) => faults.push((error as Error).message));
  inspection.key = 'the key of the database';
  const address = { flowType: 'desk', participantId };
  const host = {
    address,
    processes: Processes.held(),
    post: () => {},
    log: () => {},
    actionFailed: () => {},
    get watched() {
      return !inspection.idle;
    },
  };
  const cell = { address, live: LiveActor.spawn(logic, undefined, host, ambient, '1.a').actor as LiveActor } as Cell;
  const send = (event: { type: string; text?: string }): Turn => {
    const turn = cell.live!.perform({ kind: 'event', event }, ambient);
    inspection.committed(cell, turn);
    return turn;
  };
  const look = (options: InspectOptions = { unmasked: true }) => {
    const notes = new Notes();
    return { notes, end: inspection.add(notes, options) };
  };
  const restore = () => {
    cell.live = LiveActor.restore(logic, cell.live!.encode(), host);
  };
  return { cell, faults, inspection, look, restore, send };
}

/** Writes down what it hears. */
class Notes implements Required<InspectionObserver> {
  readonly actors: InspectedActor[] = [];
  readonly snapshots: InspectedSnapshot[] = [];
  readonly events: any[] = [];
  readonly lines: string[] = [];

  actor(actor: InspectedActor, snapshot: InspectedSnapshot) {
    this.actors.push(actor);
    this.#note('actor', actor, snapshot);
  }
  event(actor: InspectedActor, event: { type: string }, { source }: { source: InspectedActor | undefined }) {
    this.events.push(event);
    this.lines.push(`event ${actor.id} ${event.type}${source ? ` from ${source.id}` : ''}`);
  }
  snapshot(actor: InspectedActor, snapshot: InspectedSnapshot, { event }: { event: { type: string } }) {
    this.snapshots.push(snapshot);
    this.#note(`snapshot of ${event.type}`, actor, snapshot);
  }
  #note(what: string, { id }: InspectedActor, { status, value }: InspectedSnapshot) {
    this.lines.push(`${what} ${id} ${JSON.stringify(value ?? status)}`);
  }
  take() {
    return this.lines.splice(0);
  }
}

describe('an observer', () => {
  it('is introduced once to each actor that is live, and again to one that was read again', () => {
    const { cell, inspection, look, restore } = begin();
    expect(inspection.idle).toBe(true);
    const { notes, end } = look();
    expect(inspection.idle).toBe(false);
    inspection.introduce(cell);
    inspection.introduce(cell);
    expect(notes.take()).toEqual(['actor desk/ada "calm"', 'snapshot of xstate.init desk/ada "calm"']);
    restore();
    inspection.introduce(cell);
    expect(notes.take()).toHaveLength(2);
    inspection.introduce({ ...cell, live: undefined } as Cell); // it was forgotten
    expect(notes.take()).toEqual([]);
    end();
    expect(inspection.idle).toBe(true);
  });

  it('that comes during a turn is introduced to what it led to, and hears of the next one as a turn', () => {
    const { look, send } = begin();
    const { notes } = look();
    send({ type: 'bye' });
    expect(notes.take()).toEqual(['actor desk/ada "over"', 'snapshot of xstate.init desk/ada "over"']);
    const second = begin();
    const later = second.look().notes;
    second.inspection.introduce(second.cell);
    later.take();
    second.send({ type: 'bye' });
    expect(later.take()).toEqual(['event desk/ada bye', 'snapshot of bye desk/ada "over"']);
  });

  it('hears of a turn that was made before anybody looked, and of one in which no actor got an event', () => {
    const { cell, inspection, look } = begin();
    const turn = cell.live!.perform({ kind: 'event', event: { type: 'say', text: 'hello' } }, ambient);
    expect(turn.heard).toBeUndefined();
    const { notes } = look();
    inspection.introduce(cell); // by another turn
    notes.take();
    inspection.committed(cell, turn);
    expect(notes.take()).toEqual(['event desk/ada say']);
    inspection.committed(cell, cell.live!.dropTimer());
    expect(notes.take()).toEqual(['event desk/ada xstate.after.1000.desk.calm']);
    inspection.committed(cell, nothing());
    expect(notes.take()).toEqual(['event desk/ada ']);
  });

  it('hears of the end of each child that is gone, and no more of it', () => {
    const { cell, inspection, look, send } = begin();
    const { notes } = look();
    inspection.introduce(cell);
    notes.take();
    send({ type: 'call' });
    const born = notes.take();
    expect(born).toContain(`actor ${NUMBER} "idle"`);
    expect(born).toContain('actor ask "active"');
    expect(born[0]).toBe('event desk/ada call');
    send({ type: 'back' });
    const end = notes.take();
    expect(end.filter((line) => line.startsWith('actor'))).toEqual([]);
    expect(notes.snapshots.slice(-3).map(({ status }) => status)).toEqual(['stopped', 'stopped', 'active']);
    send({ type: 'say', text: 'x' });
    expect(notes.take()).toEqual(['event desk/ada say', 'snapshot of say desk/ada "calm"']);
  });

  it('that rejects or throws is told of, and harms neither the others nor what comes later', async () => {
    const { cell, faults, inspection, look, send } = begin();
    inspection.add(
      {
        actor: () => Promise.reject(new Error('later')) as never,
        event: () => {
          throw new Error('at once');
        },
      },
      {},
    );
    const { notes } = look();
    inspection.introduce(cell);
    send({ type: 'bye' });
    await new Promise(setImmediate);
    expect(faults.sort()).toEqual(['at once', 'later']);
    expect(notes.take()).toHaveLength(4);
  });

  it('sees only what it asked for', () => {
    const { cell, inspection, look } = begin();
    const seen = [
      { flow: 'desk' },
      { flow: { type: 'desk' }, participantId: 'ada' },
      { participantId: 'bob' },
      { flow: 'other', participantId: 'ada' },
    ].map((options) => look(options).notes);
    inspection.introduce(cell);
    expect(seen.map(({ actors }) => actors.length)).toEqual([1, 1, 0, 0]);
  });
});

describe('what is shown', () => {
  it('of an actor says whose child it is, what runs in it, and is what the inspector draws', () => {
    const { cell, inspection, look, send } = begin();
    const { notes } = look();
    inspection.introduce(cell);
    send({ type: 'call' });
    const [root, child, ask] = notes.actors;
    expect(root).toMatchObject({ sessionId: 'desk/ada', id: 'desk/ada', src: undefined, _parent: undefined });
    expect(JSON.parse(JSON.stringify(root!.logic.config))).toEqual(JSON.parse(JSON.stringify(logic.config)));
    expect(root!.logic.config).toMatchObject({ id: 'desk/ada' });
    expect(child).toMatchObject({ sessionId: 'desk/ada/x:1.a:1', id: NUMBER, src: 'inner' });
    expect(child!._parent).toMatchObject({ sessionId: 'desk/ada' });
    expect(JSON.parse(JSON.stringify(ask!.logic.config))).toEqual({ id: 'desk/ada/ask' });
  });

  it('of a state has what it has, with its children by their names, as plain JSON', () => {
    const { cell, inspection, look, send } = begin();
    const { notes } = look();
    inspection.introduce(cell);
    expect(notes.snapshots.at(-1)).toEqual({
      status: 'active',
      value: 'calm',
      context: { said: '' },
      tags: ['ready'],
      children: {},
      historyValue: {},
    });
    send({ type: 'call' });
    expect(notes.snapshots.find(({ value }) => typeof value === 'object')).toMatchObject({
      children: { [NUMBER]: { id: 'desk/ada/x:1.a:1' }, ask: { id: 'desk/ada/x:1.a:2' } },
    });
    expect(notes.snapshots).toContainEqual({ status: 'active', input: SECRET });
    send({ type: 'back' });
    expect(
      notes.snapshots.find(({ historyValue = {} }) => Object.keys(historyValue as object).length > 0),
    ).toMatchObject({
      historyValue: { 'desk.calling.last': [{ id: 'desk.calling.ringing' }] },
    });
    send({ type: 'bye' });
    expect(notes.snapshots.at(-1)).toMatchObject({ status: 'done', output: { said: SECRET } });
  });

  it('is masked: ids, data of every part, and names that look like a person, with marks of the key that there is', () => {
    const { cell, inspection, look, restore, send } = begin('participant-7');
    const { notes } = look({});
    inspection.introduce(cell);
    send({ type: 'call' });
    send({ type: 'say', text: SECRET });
    send({ type: `from ${NUMBER}` });
    send({ type: 'bye' });
    const actors = notes.actors.map(({ logic: _, _parent, ...actor }) => [actor, _parent?.id]);
    const all = JSON.stringify([actors, notes.snapshots, notes.events]);
    expect(all).not.toMatch(/participant-7|feel low|1555/);
    expect(notes.events.map(({ type }) => type)).toEqual([
      'call',
      'xstate.init',
      'xstate.init',
      'say',
      expect.stringMatching(/^masked-/),
      'bye',
    ]);
    const { address } = notes.actors[0]!;
    expect(address.participantId).toMatch(/^masked-/);
    inspection.key = 'another key';
    restore();
    inspection.introduce(cell); // to one who has looked since before that
    expect(notes.actors.at(-1)!.address.participantId).not.toBe(address.participantId);
  });

  it('is what the application says, part by part; an event keeps its type all the same', () => {
    const { cell, inspection, look, send } = begin();
    const parts = new Set<string>();
    const { notes } = look({
      sanitize: (value, { what, address }) => {
        expect(address).toEqual({ flowType: 'desk', participantId: 'ada' });
        parts.add(what);
        return what === 'event' ? 'not an object' : what === 'context' ? { since: new Date(0) } : `a ${typeof value}`;
      },
    });
    inspection.introduce(cell);
    send({ type: 'call' });
    send({ type: 'bye' });
    expect([...parts].sort()).toEqual(['context', 'event', 'input', 'output', 'participantId']);
    expect(notes.events.map((event) => Object.keys(event))).toEqual([['type'], ['type'], ['type'], ['type']]);
    expect(notes.events[0]).toEqual({ type: 'call' });
    expect(notes.actors[0]!.sessionId).toBe('desk/a string');
    expect(notes.snapshots[0]!.context).toEqual({ since: '1970-01-01T00:00:00.000Z' });
  });
});
