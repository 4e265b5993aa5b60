/** Stores of which each breaks one promise, by its name in conformance.ts; in all else they are right. */
import type { Commit } from '../../src/store/rows.ts';
import type { Store } from '../../src/store/store.ts';

/** A store that does some things in a way of its own. */
function but(store: Store, own: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, key) {
      const value = key in own ? own[key as keyof Store] : target[key as keyof Store];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const without = (commit: Commit, key: keyof Commit): Commit => {
  const { [key]: _, ...rest } = commit;
  return rest;
};

/** Leaves changes of a kind out of each commit. */
const ignoring = (kind: string) => (store: Store) =>
  but(store, {
    commit: (group) =>
      store.commit(
        group.map((one) => (one.also ? { ...one, also: one.also.filter((change) => change.kind !== kind) } : one)),
      ),
  });

export const WRONG: Readonly<Record<string, (store: Store) => Store>> = {
  'a turn is written as a whole, or not at all': (store) =>
    but(store, {
      commit: async (group) => {
        for (const { outbox } of group) if (outbox) await store.commit([{ outbox }]);
        return store.commit(group.map((one) => without(one, 'outbox')));
      },
    }),
  'who loses writes nothing, is told why, and the others of the group stand': (store) =>
    but(store, {
      commit: async (group) => {
        const outcomes = await store.commit(group);
        const lost = outcomes.find(({ result }) => result === 'conflict');
        return group.length > 1 && lost ? group.map(() => lost) : outcomes;
      },
    }),
  'an inbound message is applied once': (store) =>
    but(store, {
      commit: async (group) => {
        const outcomes = await store.commit(group);
        return outcomes.map((outcome) => (outcome.result === 'duplicate' ? { result: 'committed' } : outcome));
      },
    }),
  'messages of one id are told apart by their senders': (store) =>
    but(store, {
      commit: (group) =>
        store.commit(group.map((one) => (one.inbound ? { ...one, inbound: { ...one.inbound, scope: '' } } : one))),
    }),
  'of two who swap a version at once, one wins': (store) =>
    but(store, {
      commit: async (group) => {
        const [outcome] = await store.commit(group);
        const { update } = group[0]!;
        if (outcome?.result !== 'conflict' || !update) return [outcome!];
        return store.commit([{ update: { ...update, version: update.version + 1 } }]);
      },
    }),
  'what lies in one commit fails that one alone': (store) =>
    but(store, {
      commit: async (group) => {
        const outcomes = await store.commit(group);
        const failed = outcomes.find(({ result }) => result === 'failed');
        return failed ? group.map(() => failed) : outcomes;
      },
    }),
  'ids rise, and are never given twice, whatever was deleted': (store) =>
    but(store, { nextId: (table) => store.lastId(table) || store.nextId(table) }),
  'messages to a recipient are in the order of their ids': (store) =>
    but(store, { unsentOf: async (of, limit) => (await store.unsentOf(of, limit)).reverse() }),
  'each recipient of what is not sent is on one of the pages': (store) =>
    but(store, { unsent: async (after, limit) => (await store.unsent(after, limit)).slice(after ? 1 : 0) }),
  'deadlines come in their order, page by page, whatever is written meanwhile': (store) => {
    let seen = 0;
    return but(store, {
      due: async (until, after, limit) => {
        const page = (await store.due(until, undefined, 1_000)).slice(after ? seen : 0).slice(0, limit);
        seen += page.length;
        return page;
      },
    });
  },
  'leases come the oldest first, each once': (store) =>
    but(store, {
      leased: async (after) => (after ? [] : (await store.leased(undefined, 1_000)).sort((a, b) => a.id - b.id)),
    }),
  'instants come back to the last bit': (store) =>
    but(store, {
      commit: (group) =>
        store.commit(
          group.map(({ insert, ...one }) =>
            insert ? { ...one, insert: { ...insert, next_due_at: Math.round(insert.next_due_at ?? 0) } } : one,
          ),
        ),
    }),
  'text comes back as it was written, and nothing is not empty': (store) =>
    but(store, {
      commit: (group) =>
        store.commit(
          group.map(({ insert, ...one }) =>
            insert ? { ...one, insert: { ...insert, state_data: insert.state_data.normalize('NFC') } } : one,
          ),
        ),
    }),
  'a journal is read forwards and backwards, page by page': (store) =>
    but(store, { journal: (id, limit, after) => store.journal(id, limit, after, false) }),
  'a change that finds nothing to change fails its commit': ignoring('letter'),
  'a rewrite loses where the row has another version': (store) =>
    but(store, {
      commit: async (group) => {
        const outcomes = await store.commit(group);
        return outcomes.map((outcome) => (outcome.result === 'conflict' ? { result: 'committed' } : outcome));
      },
    }),
  'an actor is erased with all that is kept of it': ignoring('erase'),
  'who has opted out gets nothing that is not sent yet, in whichever form of their address': (store) =>
    but(store, { hasOptedOut: (forms) => store.hasOptedOut(forms.slice(0, 1)) }),
  'dead letters are listed page by page, and decided on once': (store) =>
    but(store, { deadLetters: (of, { limit, after }) => store.deadLetters(of, { limit, after: after && after + 1 }) }),
  'a message that failed is listed, and sent again or given up': ignoring('resend'),
  'events wait for their receiver, and are taken up with their order': ignoring('takeUp'),
  'an address is bound to one actor of a flow that has not ended': (store) =>
    but(store, { bind: async (handler) => (await store.bind(handler)) || true }),
  'settings are kept, and listed by how their keys begin': (store) =>
    but(store, { settings: () => store.settings('') }),
  'what is old and needed no more is deleted, and nothing else': (store) =>
    but(store, { prune: (kind, after, { flows, others }) => store.prune(kind, after, { flows, others: others + 1 }) }),
  'a transaction that is shared is durable once it is sealed, and not before': (store) =>
    but(store, { within: (trx) => but(store.within(trx), { seal: async () => {} }) }),
  'what another process has written is known, as where the answer of a commit was lost': (store) => {
    const own = new Set<string>();
    return but(store, {
      commit: (group) => {
        for (const { inbound } of group) if (inbound) own.add(inbound.message_id);
        return store.commit(group);
      },
      isApplied: async ({ message_id }) => own.has(message_id),
    });
  },
  'actors are counted and listed by flow and version': (store) =>
    but(store, { versionsAbove: (flow, version) => store.versionsAbove(flow, version - 1) }),
};
