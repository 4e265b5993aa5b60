/** What a turn writes: nothing where nothing happened, and else each row with what leads from one to the other. */
import { describe, expect, it } from 'vitest';
import { assign, emit, fromPromise, setup } from 'xstate';
import { LiveActor, type Stimulus } from '../../src/actor/live-actor.ts';
import { onlooker } from '../../src/actor/onlooker.ts';
import { Cell, type Work } from '../../src/engine/cell.ts';
import { Composer, LEASE } from '../../src/engine/composer.ts';
import type { Outbox } from '../../src/engine/outbox.ts';
import { defineFlow, type FlowDefinition } from '../../src/index.ts';
import type { Store } from '../../src/store/store.ts';

const BORN = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const PHONE = '+15551234567';

const machine = setup({
  types: {
    context: {} as { count: number },
    events: {} as { type: 'inc' | 'wait' | 'cut' | 'ask' | 'speak' | 'act' | 'end' },
    emitted: {} as { type: string; [key: string]: unknown },
  },
  actions: { shout: () => {} },
  actors: { ask: fromPromise(async () => 'an answer') },
}).createMachine({
  context: { count: 0 },
  initial: 'calm',
  on: {
    inc: { actions: assign({ count: ({ context }) => context.count + 1 }) },
    act: { actions: 'shout' },
    cut: { actions: emit({ type: 'message', text: 'hi', to: 'sim:\ud83d' }) },
    speak: {
      actions: [
        emit({ type: 'message', text: 'to its own address' }),
        emit({ type: 'noted', text: 'for no one' }),
        emit({ type: 'message', text: 'to somebody', to: '+15550000000' }),
        emit({ type: 'perdure.send', to: { flowType: 'other', participantId: 'bob' }, event: { type: 'hi' } }),
      ],
    },
  },
  states: {
    calm: { on: { wait: 'waiting', ask: 'asking', end: 'over' } },
    waiting: { after: { 60000: 'calm' } },
    asking: { invoke: { src: 'ask' } },
    over: { type: 'final' },
  },
});

type Parts = Partial<Pick<FlowDefinition<any>, 'record' | 'project' | 'note'>>;

/** An actor on its own, at version 4 of its row, whose last line in the journal is 40; ids are given from 101. */
function begin({ journal = true, address = PHONE as string | null, ...parts }: Parts & Record<string, any> = {}) {
  let id = 100;
  const composer = new Composer(
    { nextId: () => ++id } as Pick<Store, 'nextId'> as Store,
    { statusOf: () => 'sending' } as Pick<Outbox, 'statusOf'> as Outbox,
    journal,
  );
  const flow = defineFlow({ type: 'talk', version: 2, logic: machine, ...parts });
  const cell = new Cell({ flowType: 'talk', participantId: 'ada' }, flow, {} as never);
  const ambient = { now: () => BORN, random: () => 0 };
  const { actor, turn: first } = LiveActor.spawn(machine, undefined, onlooker(cell.address), ambient, '7.life');
  cell.live = actor;
  cell.row = {
    id: 7,
    participant_id: 'ada',
    flow_type: 'talk',
    current_state: 'calm',
    created_at: new Date(BORN).toISOString(),
    updated_at: new Date(BORN).toISOString(),
    version: 4,
    flow_version: 1,
    status: 'active',
    next_due_at: null,
    lease_until: null,
    last_error: null,
    address,
    journal_id: 40,
  };
  const compose = (stimulus: Stimulus, work: Partial<Work> = {}, at = BORN + 1) => {
    const before = actor.snapshot;
    const turn = actor.perform(stimulus, { now: () => at, random: () => 0 });
    return composer.turn(cell, { stimulus, ...work }, turn, before, at);
  };
  const send = (type: string, work?: Partial<Work>) => compose({ kind: 'event', event: { type } }, work);
  return { composer, cell, row: cell.row, live: actor, first, compose, send };
}
/** The row's life, as it is in keys. */
const LIFE = `7.${BORN.toString(36)}`;
const inbound = { channel: 'sms', messageId: 'm1', scope: 's', text: 'hello' };
const failure = new Error('the deadline threw');

describe('a turn in which nothing happened', () => {
  it('writes nothing', () => {
    const { send, compose } = begin();
    expect(send('unknown')).toBeUndefined();
    expect(compose({ kind: 'timer' })).toBeUndefined();
    expect(compose({ kind: 'cancel', dueAt: 1, nth: 0 })).toBeUndefined();
  });

  it('leaves a line all the same, and the mark, where a message from a person was in it', () => {
    const { send } = begin();
    const commit = send('unknown', { inbound })!;
    expect(commit.inbound).toEqual({
      id: 101,
      channel: 'sms',
      message_id: 'm1',
      scope: 's',
      applied_at: BORN + 1,
      sender: null,
      text: null, // is kept once, in the journal
    });
    expect(commit.journal).toMatchObject({ event_type: 'unknown', inbox_id: 101, text: 'hello', note: 'ignored' });
    expect(commit.update!.version).toBe(5);
  });

  it('writes what was asked for beside it; one that answers is not called ignored', () => {
    const { send } = begin();
    const also = [{ kind: 'optIn', forms: [PHONE] }] as const;
    expect(send('unknown', { also })).toMatchObject({ also, journal: { note: 'ignored' } });
    const answered = send('unknown', { notices: [{ recipient: PHONE, payload: { text: 'sorry' } }], note: 'told so' })!;
    expect(answered.journal).toMatchObject({ note: 'told so', outbox_count: 1 });
  });

  it('is no such turn where there is a transition, if only for a custom action', () => {
    expect(begin().send('act')!.journal).toMatchObject({ event_type: 'act', from_state: 'calm', note: null });
  });
});

describe('what a turn says of the actor', () => {
  it('follows the deadline and the process that it has, in the version of the flow that made the turn', () => {
    const at = BORN + 1;
    const common = { version: 5, flow_version: 2, status: 'active', updated_at: new Date(at).toISOString() };
    expect(begin().send('wait')!.update).toMatchObject({
      ...common,
      current_state: 'waiting',
      next_due_at: at + MINUTE,
      lease_until: null,
    });
    const asking = { ...common, current_state: 'asking', next_due_at: null, lease_until: at + LEASE };
    expect(begin().send('ask')!.update).toMatchObject(asking);
  });

  it('leaves nothing to wait for where it has ended, and says which deadline made the turn', () => {
    const { compose, row, send, live } = begin();
    send('wait');
    row.current_state = 'waiting';
    const due = live.nextDueAt!;
    expect(compose({ kind: 'timer' }, {}, due + 5)!.journal).toMatchObject({ due_at: due, at: due + 5 });
    send('ask');
    expect(compose({ kind: 'stop' })!.update).toMatchObject({
      status: 'stopped',
      next_due_at: null,
      lease_until: null,
    });
  });

  it.each(['wait', 'ask'])('leaves one that had ended as it was, whatever its snapshot says (%s)', (goesOn) => {
    const { row, send } = begin();
    send(goesOn);
    Object.assign(row, { status: 'stopped', last_error: 'Discarded.' });
    const commit = send('unknown', { inbound })!;
    const ended = { status: 'stopped', last_error: 'Discarded.', next_due_at: null, lease_until: null };
    expect(commit.update).toMatchObject(ended);
    expect(commit).not.toHaveProperty('handlers');
  });

  it('links its line to the one before, and the row to its line', () => {
    const { row, send, composer } = begin();
    const { journal, update } = send('inc')!;
    expect(journal).toMatchObject({ id: 101, previous_id: 40, version: 5, from_state: 'calm', to_state: 'calm' });
    expect(update!.journal_id).toBe(101);
    expect(composer.line(row, 'perdure.retried', 'why', 9)).toEqual({
      ...journal,
      id: 102,
      event_type: 'perdure.retried',
      at: 9,
      note: 'why',
    });
  });

  it('keeps the link of the row where no journal is kept', () => {
    const { row, send, composer } = begin({ journal: false });
    const commit = send('speak')!;
    expect(commit).not.toHaveProperty('journal');
    expect(commit.update!.journal_id).toBe(40);
    expect(composer.line(row, 'perdure.retried', null, 9)).toBeUndefined();
  });
});

describe('the messages of a turn', () => {
  it('have keys of the life, the version and their place, and follow one another', () => {
    const { outbox, journal } = begin().send('speak', {
      notices: [
        { recipient: PHONE, payload: { text: 'one' } },
        { recipient: PHONE, payload: { text: 'two' } },
      ],
    })!;
    const key = `talk/ada:${LIFE}:5`;
    expect(outbox!.map((row) => [row.id, row.idempotency_key, row.kind, row.recipient, row.status])).toEqual([
      [101, `${key}:0`, 'message', PHONE, 'sending'],
      [102, `${key}:2`, 'message', '+15550000000', 'sending'],
      [103, `${key}:3`, 'event', 'other/bob', 'pending'],
      [104, `${key}:notice:0`, 'message', PHONE, 'sending'],
      [105, `${key}:notice:1`, 'message', PHONE, 'sending'],
    ]);
    expect(journal).toMatchObject({ outbox_id: 101, outbox_count: 5 });
    expect(JSON.parse(outbox![2]!.payload)).toEqual({
      to: { flowType: 'other', participantId: 'bob' },
      event: { type: 'hi' },
    });
  });

  it('of a promise have its own key, which is the same when it runs again', () => {
    const emitted: Stimulus = { kind: 'emit', event: { type: 'message', text: 'soon' }, key: 'x:1:digest:0' };
    const keys = [begin(), begin()].map(({ compose, row }, i) => {
      row.version += i;
      return compose(emitted)!.outbox![0]!.idempotency_key;
    });
    expect(keys).toEqual(['talk/ada:x:1:digest:0', 'talk/ada:x:1:digest:0']);
  });

  it('go to the participant where the actor has no address', () => {
    expect(begin({ address: null }).send('speak')!.outbox![0]).toMatchObject({ recipient: 'ada' });
  });
});

describe('a recipient with half of a surrogate pair', () => {
  it('is refused, with the actor that writes to it', () => {
    expect(() => begin().send('cut' as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('surrogate') }),
    );
  });
});

describe('the address of an actor', () => {
  const handlersOf = (turn: string, address: string | null = PHONE) => {
    const { cell, composer, first, send } = begin({ address, handlerTtl: '1h' });
    if (turn !== 'first') return send(turn)!.handlers;
    return composer.turn(cell, { stimulus: { kind: 'event', event: first.event! } }, first, undefined, BORN)!.handlers;
  };

  it('is bound in its first turn for good, and in its last one for as long as the flow says', () => {
    expect(handlersOf('first')).toMatchObject([{ phone_number: PHONE, handler_type: 'talk', bound_at: BORN }]);
    expect(handlersOf('first')![0]!.expires_at).toBeGreaterThan(Date.UTC(9999, 0, 1));
    expect(handlersOf('inc')).toBeUndefined();
    expect(handlersOf('end')).toMatchObject([{ participant_id: 'ada', expires_at: BORN + 1 + 60 * MINUTE }]);
  });

  it('is bound for that long at once by one that ends in its first turn', () => {
    const { cell, composer, first, send } = begin({ handlerTtl: '1h' });
    send('end');
    const { handlers } = composer.turn(cell, { stimulus: { kind: 'timer' } }, first, undefined, BORN)!;
    expect(handlers).toMatchObject([{ bound_at: BORN, expires_at: BORN + 60 * MINUTE }]);
  });

  it('is bound by nobody who has none', () => {
    for (const turn of ['first', 'inc', 'end']) expect(handlersOf(turn, null)).toBeUndefined();
  });
});

describe('the rows of the application', () => {
  const parts: Parts = {
    record: (emitted: any) => (emitted.type === 'perdure.send' ? null : { table: 'said', row: { text: emitted.text } }),
    project: ({ after }) => ({ table: 'people', where: { id: 'ada' }, set: { state: after.value } }),
    note: (emitted: any) => (emitted.type === 'noted' ? emitted.text : null),
  };

  it('are of all that was emitted, in order; then of the state, where it is another one', () => {
    const { send } = begin(parts);
    const spoken = send('speak')!;
    expect(spoken.records).toEqual(
      ['to its own address', 'for no one', 'to somebody'].map((text) => ({ table: 'said', row: { text } })),
    );
    expect(spoken.journal!.note).toBe('for no one');
    expect(send('wait')!.records).toEqual([{ table: 'people', where: { id: 'ada' }, set: { state: 'waiting' } }]);
  });

  it('are left out of a turn that cannot be recorded, whose messages go out; the line says why', () => {
    const { send } = begin(parts);
    const commit = send('speak', { unrecorded: new Error('the table is gone') })!;
    expect(commit).not.toHaveProperty('records');
    expect(commit.outbox).toHaveLength(3);
    expect(commit.journal!.note).toBe('not recorded: the table is gone');
    expect(send('end', { unrecorded: new Error('no') })!).not.toHaveProperty('records');
  });

  it('are refused where no column can hold one of the state', () => {
    const project = () => ({ table: 'people', where: { id: undefined }, set: {} });
    expect(() => begin({ project }).send('wait')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('what is written in place of a turn that threw', () => {
  it('leaves the state, and has the answer and the dead letter of who asked for it', () => {
    const { cell, composer, live } = begin();
    const deadLetter = { kind: 'message', error: 'no' } as never;
    const commit = composer.failure(
      cell,
      {
        stimulus: { kind: 'event', event: { type: 'reply' } },
        inbound,
        onFailure: () => ({ deadLetter, notices: [{ recipient: PHONE, payload: { text: 'sorry' } }] }),
      },
      { handled: false, event: { type: 'reply' }, emitted: [], actions: [], deliveries: [] },
      new Error('the reply threw'),
      BORN + 1,
    );
    expect(commit).toMatchObject({ deadLetter, inbound: { message_id: 'm1' }, outbox: [{ recipient: PHONE }] });
    expect(commit.update!.state_data).toBe(live.encode());
    expect(commit.journal).toMatchObject({ event_type: 'reply', to_state: 'calm', note: 'failed: the reply threw' });
  });

  it('by supervision has the event as a dead letter that can be stored, with whom it was for', () => {
    const { cell, composer, live, send } = begin();
    send('wait');
    const before = live.snapshot;
    const socket = () => {};
    const event = { type: 'xstate.promise.reject', data: Object.assign(new Error('refused'), { socket }) };
    const undone = { kind: 'result', target: 'x:1', event } as const;
    const commit = composer.supervised(cell, live.dropTimer(), before, undone, failure, BORN + MINUTE);
    expect(commit.deadLetter).toMatchObject({
      participant_id: 'ada',
      flow_type: 'talk',
      kind: 'result',
      target: 'x:1',
      error: 'the deadline threw',
      at: BORN + MINUTE,
    });
    expect(commit.deadLetter!.event).toContain('refused');
    expect(commit.update).toMatchObject({ status: 'active', next_due_at: null });
    expect(commit.journal).toMatchObject({ due_at: BORN + 1 + MINUTE, note: 'failed: the deadline threw' });
  });
});
