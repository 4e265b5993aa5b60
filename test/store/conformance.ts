/**
 * What every store promises, as checks that know nothing of its database. A right store passes all of them, and for each there is a
 * wrong store (wrong-stores.ts) that fails it: a check that nothing can fail says nothing.
 */
import { expect } from 'vitest';
import { type ActorRow, type Commit, type DueRow, NO_TURN, type OutboxRow } from '../../src/store/rows.ts';
import type { Store } from '../../src/store/store.ts';

/** A store on data of its own. */
export interface Subject {
  store: Store;
  /** Opens the same data once more, as another process does, or the next one. */
  another(): Promise<Store>;
}

export interface StorePromise {
  name: string;
  check(subject: Subject): Promise<void>;
}

const AT = 1_700_000_000_000;

/** Rows for a store, with ids of its own. */
const rowsFor = (store: Store) => ({
  actor: (participant_id: string, change: Partial<ActorRow> = {}): ActorRow => ({
    id: store.nextId('flow_states'),
    participant_id,
    flow_type: 'test',
    current_state: 'a',
    state_data: '{}',
    created_at: '',
    updated_at: '',
    version: 1,
    flow_version: 1,
    status: 'active',
    next_due_at: null,
    lease_until: null,
    last_error: null,
    address: null,
    journal_id: null,
    ...change,
  }),
  mark: (message_id: string, scope = 'ada'): NonNullable<Commit['inbound']> => ({
    id: store.nextId('inbox'),
    channel: 'sms',
    message_id,
    scope,
    applied_at: AT,
    sender: null,
    text: null,
  }),
  message: (recipient: string, change: Partial<OutboxRow> = {}): OutboxRow => {
    const id = store.nextId('outbox_messages');
    return {
      id,
      participant_id: 'ada',
      flow_type: 'test',
      recipient,
      kind: 'message',
      payload: '{"text":"Hello"}',
      status: 'pending',
      attempts: 0,
      next_attempt_at: null,
      idempotency_key: `key:${id}`,
      last_error: null,
      created_at: AT,
      updated_at: AT,
      ...change,
    };
  },
  line: (participant_id: string, version: number, previous_id: number | null): NonNullable<Commit['journal']> => ({
    ...NO_TURN,
    id: store.nextId('flow_journal'),
    previous_id,
    participant_id,
    flow_type: 'test',
    version,
    event_type: `e${version}`,
    from_state: null,
    to_state: 'a',
    at: AT + version,
    note: null,
  }),
});

const of = (participantId: string) => ({ flowType: 'test', participantId });
const turn = (row: ActorRow, version: number, change: Partial<ActorRow> = {}): Commit => ({
  update: { ...row, ...change, version },
});
const results = async (store: Store, group: Commit[]) => (await store.commit(group)).map(({ result }) => result);
const load = async (store: Store, id: string) => (await store.load([of(id)]))[0];
const commit = async (store: Store, one: Commit) => expect(await results(store, [one])).toEqual(['committed']);

/** All of a list, page by page. @param between called between two pages */
async function pages<T>(read: (last: T | undefined) => Promise<T[]>, between = async () => {}): Promise<T[]> {
  const all: T[] = [];
  for (let last: T | undefined; ; ) {
    const page = await read(last);
    if (page.length === 0) return all;
    all.push(...page);
    last = page.at(-1);
    if (all.length > 1_000) throw new Error('The list has no end.');
    await between();
  }
}

export const PROMISES: readonly StorePromise[] = [
  {
    name: 'a turn is written as a whole, or not at all',
    check: async ({ store }) => {
      const { actor, message, line, mark } = rowsFor(store);
      const ada = actor('ada');
      await commit(store, { insert: ada });
      const sent = message('+1');
      const whole = { ...turn(ada, 2), outbox: [sent], inbound: mark('m') };
      const broken = { ...whole, journal: { ...line('ada', 2, null), event_type: null as never } };
      expect(await results(store, [broken])).toEqual(['failed']);
      expect([(await load(store, 'ada'))?.version, await store.isUnsent(sent.id)]).toEqual([1, false]);
      expect(await store.isApplied(whole.inbound)).toBe(false);
      await commit(store, whole);
      expect([(await load(store, 'ada'))?.version, await store.isUnsent(sent.id)]).toEqual([2, true]);
    },
  },
  {
    name: 'who loses writes nothing, is told why, and the others of the group stand',
    check: async ({ store }) => {
      const { actor, message, mark } = rowsFor(store);
      const [a, b, c] = [actor('a'), actor('b'), actor('c')];
      expect(await results(store, [{ insert: a }, { insert: b }, { insert: c }])).toEqual(Array(3).fill('committed'));
      const lost = message('+1');
      const group = [
        turn(a, 2),
        { ...turn(b, 5), outbox: [lost] },
        { ...turn(c, 2), inbound: mark('x') },
        { inbound: mark('x') },
        { insert: actor('a') },
        { insert: actor('d') },
      ];
      expect(await results(store, group)).toEqual([
        'committed',
        'conflict',
        'committed',
        'duplicate',
        'conflict',
        'committed',
      ]);
      const rows = await store.load(['a', 'b', 'c', 'd', 'e'].map(of));
      expect(rows.map((row) => row?.version)).toEqual([2, 1, 2, 1, undefined]);
      expect(await store.isUnsent(lost.id)).toBe(false);
    },
  },
  {
    name: 'an inbound message is applied once',
    check: async ({ store }) => {
      const { mark } = rowsFor(store);
      await commit(store, { inbound: mark('x') });
      expect(await results(store, [{ inbound: mark('x') }, { inbound: mark('y') }])).toEqual([
        'duplicate',
        'committed',
      ]);
    },
  },
  {
    name: 'messages of one id are told apart by their senders',
    check: async ({ store }) => {
      const { mark } = rowsFor(store);
      const both = [{ inbound: mark('7', 'ada') }, { inbound: mark('7', 'bob') }];
      expect(await results(store, both)).toEqual(['committed', 'committed']);
      expect(await store.isApplied(mark('7', 'eve'))).toBe(false);
    },
  },
  {
    name: 'of two who swap a version at once, one wins',
    check: async ({ store, another }) => {
      const other = await another();
      const { actor } = rowsFor(store);
      const ada = actor('ada');
      await commit(store, { insert: ada });
      const both = [turn(ada, 2, { current_state: 'b' }), turn(ada, 2, { current_state: 'c' })];
      const [[one], [two]] = await Promise.all([results(store, [both[0]!]), results(other, [both[1]!])]);
      expect([one, two].sort()).toEqual(['committed', 'conflict']);
      expect(await load(store, 'ada')).toMatchObject({ version: 2, current_state: one === 'committed' ? 'b' : 'c' });
    },
  },
  {
    name: 'what lies in one commit fails that one alone',
    check: async ({ store }) => {
      const { actor, line } = rowsFor(store);
      const group = [
        { insert: actor('a') },
        { journal: { ...line('b', 1, null), event_type: null as never } },
        { insert: actor('c') },
      ];
      expect(await results(store, group)).toEqual(['committed', 'failed', 'committed']);
      expect((await store.load(['a', 'c'].map(of))).map((row) => row?.participant_id)).toEqual(['a', 'c']);
    },
  },
  {
    name: 'ids rise, and are never given twice, whatever was deleted',
    check: async ({ store, another }) => {
      const { actor } = rowsFor(store);
      const [a, b] = [actor('a'), actor('b')];
      expect(b.id).toBeGreaterThan(a.id);
      await commit(store, { insert: a });
      await commit(store, { insert: b });
      await commit(store, { also: [{ kind: 'erase', actor: of('b') }] });
      const next = await another();
      expect(next.nextId('flow_states')).toBeGreaterThan(b.id);
      expect(next.lastId('flow_states')).toBeGreaterThan(b.id);
    },
  },
  {
    name: 'messages to a recipient are in the order of their ids',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const rows = Array.from({ length: 12 }, () => message('+1'));
      await commit(store, { outbox: rows.slice(0, 5) });
      await commit(store, { outbox: rows.slice(5) });
      const found = await store.unsentOf({ kind: 'message', recipient: '+1' }, 10);
      expect(found.map(({ id }) => id)).toEqual(rows.slice(0, 10).map(({ id }) => id));
    },
  },
  {
    name: 'each recipient of what is not sent is on one of the pages',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const recipients = ['+1', '+2', '+3', '+4', '+5'];
      for (const recipient of recipients) await commit(store, { outbox: [message(recipient)] });
      await commit(store, { outbox: [message('test/bob', { kind: 'event' }), message('+6', { status: 'sent' })] });
      const found = await pages<OutboxRow>((last) => store.unsent(last, 2));
      expect(found.map(({ recipient }) => recipient)).toEqual(['test/bob', ...recipients]);
    },
  },
  {
    name: 'deadlines come in their order, page by page, whatever is written meanwhile',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      const rows = Array.from({ length: 20 }, (_, i) => actor(`p${i}`, { next_due_at: AT + ((i * 7) % 20) }));
      await store.commit(rows.map((insert) => ({ insert })));
      await commit(store, { insert: actor('later', { next_due_at: AT + 1_000 }) });
      await commit(store, { insert: actor('ended', { next_due_at: AT, status: 'done' }) });
      const fired: ActorRow[] = [];
      const order = [...rows].sort((a, b) => a.next_due_at! - b.next_due_at!);
      const found = await pages<DueRow>(
        (last) => store.due(AT + 500, last, 3),
        async () => {
          // The first ones of the page before have fired: they leave the list.
          for (const row of order.slice(fired.length, fired.length + 2)) {
            fired.push(row);
            await commit(store, turn(row, 2, { next_due_at: null }));
          }
        },
      );
      expect(found.map(({ participant_id }) => participant_id)).toEqual(order.map((row) => row.participant_id));
    },
  },
  {
    name: 'leases come the oldest first, each once',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      const until = [30, 10, 20, 10];
      await store.commit(until.map((ms, i) => ({ insert: actor(`p${i}`, { lease_until: AT + ms }) })));
      const found = await pages<{ lease_until: number; participant_id: string }>((last) =>
        store.leased(last as never, 1),
      );
      expect(found.map(({ participant_id }) => participant_id)).toEqual(['p1', 'p3', 'p2', 'p0']);
    },
  },
  {
    name: 'instants come back to the last bit',
    check: async ({ store, another }) => {
      const { actor } = rowsFor(store);
      const instants = [0, -1, 1.5, AT + 0.125, 8_640_000_000_000_000, Number.MAX_SAFE_INTEGER];
      await store.commit(instants.map((next_due_at, i) => ({ insert: actor(`p${i}`, { next_due_at }) })));
      const rows = await (await another()).load(instants.map((_, i) => of(`p${i}`)));
      expect(rows.map((row) => row?.next_due_at)).toEqual(instants);
    },
  },
  {
    name: 'text comes back as it was written, and nothing is not empty',
    check: async ({ store, another }) => {
      const { actor } = rowsFor(store);
      const texts = [
        'it\'s "so" \\ ?1 :a $b',
        '👩‍👩‍👧 e\u0301 \u00e9 \u202e',
        ' \t\r\n',
        '',
        'x'.repeat(300_000),
        '{}',
      ];
      await store.commit(texts.map((text, i) => ({ insert: actor(`p${i}`, { state_data: text, last_error: text }) })));
      await commit(store, { insert: actor('none', { last_error: null }) });
      const next = await another();
      const rows = await next.load(texts.map((_, i) => of(`p${i}`)));
      expect(rows.map((row) => [row?.state_data, row?.last_error])).toEqual(texts.map((text) => [text, text]));
      expect((await load(next, 'none'))?.last_error).toBeNull();
    },
  },
  {
    name: 'a journal is read forwards and backwards, page by page',
    check: async ({ store }) => {
      const { actor, line } = rowsFor(store);
      let row = actor('ada');
      const ids: number[] = [];
      for (let version = 1; version <= 5; version++) {
        const journal = line('ada', version, row.journal_id);
        row = { ...row, version, journal_id: journal.id };
        await commit(store, version === 1 ? { insert: row, journal } : { ...turn(row, version), journal });
        ids.push(journal.id);
      }
      const read = (lastFirst: boolean) =>
        pages<{ id: number }>((last) => store.journal('ada', 2, last?.id ?? 0, lastFirst));
      expect((await read(false)).map(({ id }) => id)).toEqual(ids);
      expect((await read(true)).map(({ id }) => id)).toEqual(ids.reverse());
    },
  },
  {
    name: 'a change that finds nothing to change fails its commit',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const sent = message('+1');
      const [outcome] = await store.commit([
        { outbox: [sent], also: [{ kind: 'letter', id: 9, set: { error: 'It threw.' } }] },
      ]);
      expect(outcome).toMatchObject({ result: 'failed', error: { code: 'NOTHING_TO_CHANGE' } });
      expect(await store.isUnsent(sent.id)).toBe(false);
    },
  },
  {
    name: 'a rewrite loses where the row has another version',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      const ada = actor('ada');
      await commit(store, { insert: ada });
      const set = { version: 2, status: 'quarantined' as const };
      const rewrite = { also: [{ kind: 'rewrite' as const, id: ada.id, version: 1, set }] };
      expect(await results(store, [rewrite])).toEqual(['committed']);
      expect(await results(store, [rewrite])).toEqual(['conflict']);
      expect(await load(store, 'ada')).toMatchObject(set);
    },
  },
  {
    name: 'an actor is erased with all that is kept of it',
    check: async ({ store }) => {
      const { actor, line, message } = rowsFor(store);
      const journal = line('ada', 1, null);
      const sent = message('+1');
      const event = message('test/ada', { kind: 'event', participant_id: 'bob' });
      const letter = { ...of('ada'), participant_id: 'ada', flow_type: 'test' };
      await commit(store, {
        insert: actor('ada', { journal_id: journal.id }),
        journal,
        outbox: [sent, event],
        deadLetter: {
          participant_id: letter.participant_id,
          flow_type: letter.flow_type,
          kind: 'event',
          target: null,
          event: '{}',
          error: 'It threw.',
          at: AT,
        },
      });
      await commit(store, { also: [{ kind: 'erase', actor: of('ada') }] });
      expect(await load(store, 'ada')).toBeUndefined();
      expect(await store.journal('ada', 10, 0, false)).toEqual([]);
      expect(await store.deadLetters({ status: 'all' }, { limit: 10, after: 0 })).toEqual([]);
      expect([await store.isUnsent(sent.id), await store.isUnsent(event.id)]).toEqual([false, false]);
    },
  },
  {
    name: 'who has opted out gets nothing that is not sent yet, in whichever form of their address',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const [theirs, other] = [message('+55 1'), message('+55 2')];
      await commit(store, { outbox: [theirs, other] });
      const forms = ['+55 1', '+55 91'];
      await commit(store, { also: [{ kind: 'optOut', forms, address: '+55 91', source: 'STOP', at: AT }] });
      expect([await store.hasOptedOut(forms), await store.hasOptedOut(['+55 2'])]).toEqual([true, false]);
      expect([await store.isUnsent(theirs.id), await store.isUnsent(other.id)]).toEqual([false, true]);
      await commit(store, { also: [{ kind: 'optIn', forms }] });
      expect(await store.hasOptedOut(forms)).toBe(false);
    },
  },
  {
    name: 'dead letters are listed page by page, and decided on once',
    check: async ({ store }) => {
      const letter = (error: string) => ({
        deadLetter: {
          participant_id: 'ada',
          flow_type: 'test',
          kind: 'event' as const,
          target: null,
          event: '{}',
          error,
          at: AT,
        },
      });
      for (const error of ['one', 'two', 'three']) await commit(store, letter(error));
      const found = await pages<{ id: number; error: string }>((last) =>
        store.deadLetters({ status: 'open' }, { limit: 1, after: last?.id ?? 0 }),
      );
      expect(found.map(({ error }) => error)).toEqual(['one', 'two', 'three']);
      const { id } = found[0]!;
      const retried = { also: [{ kind: 'letter' as const, id, set: { status: 'retried' as const, resolved_at: AT } }] };
      expect([...(await results(store, [retried])), ...(await results(store, [retried]))]).toEqual([
        'committed',
        'failed',
      ]);
      expect(await store.deadLetter(id)).toMatchObject({ status: 'retried', resolved_at: AT });
    },
  },
  {
    name: 'a message that failed is listed, and sent again or given up',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const [one, two] = [message('+1'), message('+2')];
      await commit(store, { outbox: [one, two] });
      const failed = (row: OutboxRow) => ({ ...row, status: 'failed' as const, attempts: 3, last_error: 'No.' });
      await commit(store, { marks: [failed(one), failed(two)] });
      const list = async () =>
        (await store.undelivered({ status: undefined }, { limit: 10, after: 0 })).map(({ id }) => id);
      expect(await list()).toEqual([one.id, two.id]);
      await commit(store, { also: [{ kind: 'resend', id: one.id, of: 'message', at: AT, unlessOptedOut: ['+1'] }] });
      await commit(store, { also: [{ kind: 'giveUp', id: two.id, error: 'No more.', at: AT }] });
      expect([await list(), await store.isUnsent(one.id), await store.isUnsent(two.id)]).toEqual([[], true, false]);
    },
  },
  {
    name: 'events wait for their receiver, and are taken up with their order',
    check: async ({ store }) => {
      const { actor, message } = rowsFor(store);
      const events = [1, 2].map(() => message('test/bob', { kind: 'event' }));
      await commit(store, { outbox: events });
      const wait = { kind: 'letWait' as const, recipient: 'test/bob', patience: 1_000, error: 'Nobody there.', at: AT };
      await commit(store, { also: [wait] });
      expect([await store.awaited(), await store.wakeable(AT), await store.nextExpiry()]).toEqual([
        ['test/bob'],
        [],
        AT + 1_000,
      ]);
      expect(await store.wakeable(AT + 1_000)).toEqual(['test/bob']);
      await commit(store, { insert: actor('bob') });
      expect(await store.wakeable(AT)).toEqual(['test/bob']);
      await commit(store, { also: [{ kind: 'takeUp', recipient: 'test/bob' }] });
      const found = await store.unsentOf({ kind: 'event', recipient: 'test/bob' }, 10);
      expect(found.map(({ id }) => id)).toEqual(events.map(({ id }) => id));
    },
  },
  {
    name: 'an address is bound to one actor of a flow that has not ended',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      const handler = (participant_id: string) => ({
        phone_number: '+1',
        flow_type: 'test',
        participant_id,
        handler_type: 'flow',
        bound_at: AT,
        expires_at: AT + 1,
      });
      await commit(store, { insert: actor('ada', { address: '+1' }), handlers: [handler('ada')] });
      await commit(store, { insert: actor('bob') });
      expect([await store.bind(handler('bob')), await store.bind(handler('ada'))]).toEqual([false, true]);
      const [claims] = await store.claims([['+1', '+01']]);
      expect(claims).toMatchObject([{ participant_id: 'ada', own: true, bound_at: AT }]);
    },
  },
  {
    name: 'settings are kept, and listed by how their keys begin',
    check: async ({ store, another }) => {
      await store.saveSetting('a.one', { x: [1, null] });
      await store.saveSetting('a.one', { x: [2, null] });
      await commit(store, { also: [{ kind: 'setting', key: 'a.two', value: 'two' }] });
      await store.saveSetting('b', true);
      const next = await another();
      expect([await next.setting('a.one'), await next.setting('c')]).toEqual([{ x: [2, null] }, undefined]);
      expect((await next.settings('a.')).map(({ key }) => key).sort()).toEqual(['a.one', 'a.two']);
    },
  },
  {
    name: 'what is old and needed no more is deleted, and nothing else',
    check: async ({ store }) => {
      const { message } = rowsFor(store);
      const rows = [message('+1', { status: 'sent' }), message('+1'), message('+1', { status: 'failed' })];
      await commit(store, { outbox: rows });
      const cutoffs = (others: number) => ({ flows: new Map(), others });
      expect((await store.prune('messages', 0, cutoffs(AT))).deleted).toBe(0);
      expect((await store.prune('messages', 0, cutoffs(AT + 1))).deleted).toBe(1);
      expect((await store.prune('messages', 0, cutoffs(AT + 1))).deleted).toBe(0);
      expect(await store.isUnsent(rows[1]!.id)).toBe(true);
    },
  },
  {
    name: 'a transaction that is shared is durable once it is sealed, and not before',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      for (const seals of [false, true]) {
        const trx = await store.begin();
        const shared = store.within(trx);
        await shared.lock();
        await shared.write({ insert: actor('ada') });
        expect((await load(shared, 'ada'))?.version).toBe(1);
        if (seals) await shared.seal();
        await trx.rollback();
        expect((await load(store, 'ada'))?.version).toBe(seals ? 1 : undefined);
      }
    },
  },
  {
    name: 'what another process has written is known, as where the answer of a commit was lost',
    check: async ({ store, another }) => {
      const other = await another();
      const { actor, message, mark } = rowsFor(other);
      const [sent, inbound] = [message('+1'), mark('x')];
      await commit(other, { insert: actor('ada'), outbox: [sent], inbound });
      expect([await store.isApplied(inbound), await store.isUnsent(sent.id)]).toEqual([true, true]);
      expect((await load(store, 'ada'))?.version).toBe(1);
      await commit(other, { marks: [{ ...sent, status: 'sent' }] });
      expect(await store.isUnsent(sent.id)).toBe(false);
    },
  },
  {
    name: 'actors are counted and listed by flow and version',
    check: async ({ store }) => {
      const { actor } = rowsFor(store);
      const rows = [
        actor('a', { flow_version: 1 }),
        actor('b', { flow_version: 2 }),
        actor('c', { flow_version: 3, next_due_at: AT - 1 }),
        actor('d', { flow_version: 3, status: 'done' }),
        actor('e', { flow_version: 3, status: 'quarantined' }),
        actor('f', { flow_type: 'other', flow_version: 3 }),
      ];
      await store.commit(rows.map((insert) => ({ insert })));
      expect(await store.countRows()).toBe(6);
      expect(await store.versionsAbove('test', 2)).toEqual([{ version: 3, actors: 1 }]);
      expect(await store.countOtherVersions('test', 2)).toBe(2);
      const others = await pages<ActorRow>((last) => store.ofOtherVersions('test', 2, last?.id ?? 0, 1));
      expect(others.map(({ participant_id }) => participant_id)).toEqual(['a', 'c']);
      expect([await store.hasActors('test', 3), await store.hasActors('test', 4)]).toEqual([true, false]);
      expect(await store.participantsOf('test', 2)).toEqual(['a', 'b']);
      const aside = await store.quarantined({ flowType: 'test' }, { limit: 10, after: 0 });
      expect(aside.map(({ participant_id }) => participant_id)).toEqual(['e']);
      const figures = (await store.figures(AT, 1_000)).get('test');
      expect(figures).toMatchObject({ quarantined: 1, deadlines: { overdue: 1, armed: 0, beyond: 0 } });
    },
  },
];
