/**
 * Follows what is committed, row by row, and holds it against the reference: each version of an actor must follow from the
 * one before by something that happened, and the reference, given just that, must come to the same state, deadlines,
 * messages and actions.
 */
import type { AnyEventObject } from 'xstate';
import { decodeState, parse } from '../../src/actor/codec.ts';
import { describeState } from '../../src/actor/state.ts';
import { chanceOf } from '../../src/engine/chance.ts';
import { formatAddress } from '../../src/errors.ts';
import { type AnyFlow, eventFor, type InboundMessage } from '../../src/flow.ts';
import { keywordOf } from '../../src/messaging/keywords.ts';
import { type ActorRow, type InboxRow, type JournalRow, lifeOf, type OutboxRow } from '../../src/store/rows.ts';
import type { SimulatedDatabase } from './database.ts';
import { Reference } from './reference.ts';

/** A promise of Perdure's that was broken. */
export class Violation extends Error {
  readonly guarantee: string;

  constructor(guarantee: string, message: string) {
    super(`${guarantee}: ${message}`);
    this.guarantee = guarantee;
  }
}

/** What the world has done, as far as it explains turns. */
export interface Doings {
  input(participantId: string): unknown;
  messages: ReadonlyMap<string, InboundMessage>;
  /** Events that the application sent, for which it is not known that they were applied. */
  sends: Sent[];
  /** The application's purchases: of each, by the id of its event or message, there are the row and the turn, or neither. */
  purchases: ReadonlySet<string>;
  /** How promises ended, by their key; each may be applied once. */
  outcomes: Result[];
  /** The latest instant that there has been. */
  latest: number;
  /** The clock was set. */
  clockSet: boolean;
  /** Whether a deadline, which was seen to at an instant, passed while nobody watched; `undefined`: it may have. */
  passedUnwatched(dueAt: number, at: number): boolean | undefined;
  /** Whether a deadline is to fire on time. */
  isPunctual(dueAt: number): boolean;
}

/** What an attempt at a promise brought. */
export interface Result {
  key: string;
  tag: string;
  outcome: { value: unknown } | { error: Error };
  /** When, in ms of the time that has passed. */
  at: number;
  /** There is no further attempt. */
  last: boolean;
}

/** An event that the application sent. `shows`: the serial that the row has, where others followed in one transaction. */
export interface Sent {
  address: string;
  event: AnyEventObject;
  shows?: string;
}

/** A step takes up to 10 s, and there are some of them until a deadline fires; in ms. */
const LATE = 60_000;

type Mark = Pick<InboxRow, 'channel' | 'message_id'>;

export interface Followed {
  address: string;
  flow: AnyFlow;
  reference: Reference;
  row: ActorRow;
  /** The line of its last turn. */
  line: JournalRow | undefined;
  /** The version of the flow that its row was migrated to. */
  generation: number | undefined;
  /** What the version before called: the process may not know yet that this is over. */
  formerCalls: string[];
}

export class Ledger {
  readonly actors = new Map<string, Followed>();
  /** How often a custom action may still run, by key. */
  readonly actions = new Map<string, number>();
  /** Inbound messages that were applied by an actor. */
  readonly applied = new Set<string>();
  /** Serials of events that were applied. */
  readonly #taken = new Set<string>();
  readonly #database: SimulatedDatabase;
  readonly #doings: Doings;
  readonly #seed: string;
  readonly #flow: (flowType: string, version: number) => AnyFlow;
  readonly #deliveries = new Map<string, AnyEventObject>();
  readonly #outboxSeen = new Set<number>();
  /** Messages, by id, that were to be sent while their recipient had opted out. */
  readonly #unwanted = new Set<number>();
  turns = 0;

  constructor(database: SimulatedDatabase, doings: Doings, seed: string, flow: Ledger['flowOf']) {
    this.#database = database;
    this.#doings = doings;
    this.#seed = seed;
    this.#flow = flow;
  }

  get flowOf() {
    return this.#flow;
  }

  /** Takes note of all that was committed since. */
  async catchUp(): Promise<void> {
    const heads = this.#database.read<Pick<ActorRow, 'id' | 'version' | 'participant_id' | 'flow_type'>>(
      'SELECT id, version, participant_id, flow_type FROM flow_states',
    );
    for (const head of heads) {
      const address = formatAddress({ flowType: head.flow_type, participantId: head.participant_id });
      const known = this.actors.get(address);
      if (known?.row.version === head.version) continue;
      const [row] = this.#database.read<ActorRow>('SELECT * FROM flow_states WHERE id = ?', [head.id]);
      await this.#follow(address, known, row!);
    }
    if (this.#doings.purchases.size > 0) this.#comparePurchases();
    this.#followOptOuts();
  }

  /** Only what was to be said while its recipient had opted out may be withheld. */
  #followOptOuts(): void {
    if (![...this.actors.values()].some(({ flow }) => flow.optOut)) return;
    const rows = this.#database.read<{ id: number; key: string; to: string; status: string; out: number }>(
      `SELECT id, idempotency_key AS key, recipient AS "to", status, recipient IN (SELECT address FROM opt_outs) AS out
      FROM outbox_messages WHERE out OR status = 'cancelled'`,
    );
    for (const { id, key, to, status, out } of rows) {
      if (out) this.#unwanted.add(id);
      else if (status === 'cancelled' && !this.#unwanted.has(id))
        throw new Violation('STOP', `${key} is withheld from ${to}, who has not opted out`);
    }
  }

  /** Of each purchase, the row and the turn, or neither. */
  #comparePurchases(): void {
    const rows = new Set(this.#database.read<{ id: string }>('SELECT id FROM purchases').map(({ id }) => id));
    for (const id of this.#doings.purchases) {
      const marks = this.#database.read("SELECT 1 FROM inbox WHERE channel = 'sms' AND message_id = ?", [id]);
      const taken = this.#taken.has(id) || marks.length > 0;
      if (rows.has(id) !== taken)
        throw new Violation('G3', `of the transaction of ${id} there is ${taken ? 'the turn' : 'the row'} alone.`);
    }
  }

  /** A row of each turn, and nothing else. */
  close(): void {
    this.#followOptOuts();
    const { count } = this.#database.read<{ count: number }>(
      'SELECT COUNT(*) AS count FROM outbox_messages WHERE participant_id IS NOT NULL AND flow_type IS NOT NULL',
    )[0]!;
    if (count !== this.#outboxSeen.size)
      throw new Violation('G3', `${count} messages are in the outbox, ${this.#outboxSeen.size} belong to turns.`);
  }

  async #follow(address: string, known: Followed | undefined, row: ActorRow): Promise<void> {
    const [line] = this.#database.read<JournalRow>('SELECT * FROM flow_journal WHERE id = ?', [row.journal_id]);
    if (!line || line.version !== row.version)
      throw new Violation('G3', `version ${row.version} of ${address} has no line in the journal.`);
    const calls = known?.reference.pendingCalls ?? [];
    for (const earlier of this.#earlier(address, known, row)) await this.#turn(address, known, row, earlier);
    await this.#turn(address, known, row, line);
    const actor = this.actors.get(address)!;
    actor.row = row;
    actor.formerCalls = calls;
  }

  /** The lines of the turns before the last one, where a transaction has taken several. */
  #earlier(address: string, known: Followed | undefined, row: ActorRow): JournalRow[] {
    const before = known?.row.version ?? 0;
    if (row.version === before + 1) return [];
    const lines = this.#database.read<JournalRow>(
      'SELECT * FROM flow_journal WHERE participant_id = ? AND flow_type = ? AND version > ? AND version < ? ORDER BY version',
      [row.participant_id, row.flow_type, before, row.version],
    );
    if (this.#doings.purchases.size === 0 || !known || lines.length !== row.version - before - 1)
      throw new Violation('G2', `${address} went from version ${before} to ${row.version}.`);
    return lines;
  }

  /** Takes note of one turn. `row`: as it is after the last one of its transaction. */
  async #turn(address: string, known: Followed | undefined, row: ActorRow, line: JournalRow): Promise<void> {
    this.turns++;
    const { version } = line;
    const flow = this.#flow(row.flow_type, row.flow_version);
    const { participant_id: participantId, flow_type: flowType } = row;
    const ambient = { now: () => line.at, random: chanceOf(this.#seed, { participantId, flowType }, version) };
    let actor = known;
    if (!actor) {
      if (line.event_type !== 'xstate.init') throw new Violation('G2', `${address} begins with '${line.event_type}'.`);
      const reference = new Reference(flow.logic, this.#doings.input(participantId), ambient);
      actor = { address, flow, reference, row, line: undefined, generation: undefined, formerCalls: [] };
      this.actors.set(address, actor);
    } else {
      actor.reference.begin(ambient);
      // Only a turn writes the snapshot, and by then the row has been migrated.
      if (row.flow_version > actor.row.flow_version) actor.generation = row.flow_version;
      await this.#apply(actor, line, row);
    }
    if (actor.reference.failure)
      throw new Violation(
        'G2',
        `the reference of ${address} did not survive '${line.event_type}': ${actor.reference.failure}`,
      );
    this.#compare(actor, row, line);
    this.#compareLines(actor, row, line);
    actor.line = line;
    actor.flow = flow;
    for (const key of actor.reference.actions) {
      const name = `${participantId}|${key}|${version}`;
      this.actions.set(name, (this.actions.get(name) ?? 0) + 1);
    }
  }

  async #apply(actor: Followed, line: JournalRow, row: ActorRow): Promise<void> {
    const { address, reference } = actor;
    const note = line.note ?? '';
    const type = line.event_type;
    const mark = line.inbox_id === null ? undefined : this.#mark(address, line.inbox_id);
    if (/^perdure\.(quarantined|retried|realigned|direct)$/.test(type)) return;
    if (type === 'xstate.stop') return reference.stop();
    const due = reference.deadlines[0];
    const wish = due && wishOf(actor.flow, due.dueAt);
    const unwatched = due && this.#doings.passedUnwatched(due.dueAt, line.at);
    const isPassedOver = type === 'perdure.postpone' || note.startsWith('skipped:');
    if (isPassedOver && (wish === 'fire' || unwatched === false))
      throw new Violation(
        'G4',
        `${address} passed over '${due!.type}' of ${instant(due!.dueAt)}, which it had watched.`,
      );
    if (line.due_at !== null && !isPassedOver && unwatched && wish !== 'fire')
      throw new Violation('G4', `${address} fired '${type}' of ${instant(line.due_at)}, which was to be passed over.`);
    if (type === 'perdure.postpone')
      return reference.postpone(Date.parse(/postponed to ([^:]+:\d\d:[\d.]+Z)/.exec(note)![1]!));
    if (line.due_at !== null) {
      if (due?.dueAt !== line.due_at || due.type !== type)
        throw new Violation(
          'G4',
          `${address} fired '${type}' of ${instant(line.due_at)}, and the earliest is ${due ? `'${due.type}' of ${instant(due.dueAt)}` : 'none'}.`,
        );
      if (line.at < line.due_at)
        throw new Violation('G4', `${address} fired '${type}' ${line.due_at - line.at} ms early.`);
      if (line.at > line.due_at + LATE && this.#doings.isPunctual(line.due_at))
        throw new Violation(
          'G4',
          `${address} fired '${type}' ${line.at - line.due_at} ms late, and nothing was wrong.`,
        );
      return note.startsWith('failed:') || note.startsWith('skipped:') ? reference.drop() : reference.fire();
    }
    if (note.includes('failed:')) return;
    // An event waits for the deadlines that were due when it came, not for one that came due behind those.
    if (actor.row.status === 'active' && due && due.dueAt <= line.at && actor.line?.due_at == null)
      throw new Violation(
        'G4',
        `${address} took '${type}' at ${instant(line.at)}, before its deadline '${due.type}' of ${instant(due.dueAt)}.`,
      );
    if (type.startsWith('xstate.promise.')) return this.#result(actor, type, row);
    if (mark) {
      const event = this.#eventOf(actor, mark, type);
      if (event) reference.send(event);
      return;
    }
    const sent = this.#doings.sends.findIndex(
      ({ address: to, event, shows = event['serial'] }) =>
        to === address && event.type === type && (shows === undefined || row.state_data.includes(`"${shows}"`)),
    );
    if (sent < 0) throw new Violation('G2', `${address} took '${type}', which nobody sent, or for the second time.`);
    const { event } = this.#doings.sends.splice(sent, 1)[0]!;
    this.#taken.add(event['serial']);
    reference.send(event);
  }

  #mark(address: string, id: number): Mark {
    const [mark] = this.#database.read<Mark>('SELECT channel, message_id FROM inbox WHERE id = ?', [id]);
    if (!mark) throw new Violation('G3', `a turn of ${address} applied a message, and its mark is missing.`);
    const key = `${mark.channel}/${mark.message_id}`;
    if (this.applied.has(key)) throw new Violation('G5', `${address} applied ${key} a second time.`);
    this.applied.add(key);
    return mark;
  }

  /** What a message meant to the actor; null: nothing. */
  #eventOf({ address, reference, flow }: Followed, mark: Mark, type: string): AnyEventObject | null {
    const { channel, message_id: id } = mark;
    if (channel === 'perdure') {
      const event = this.#deliveries.get(id);
      if (event) return event;
      throw new Violation('G5', `${address} took an event of the actor message ${id}, which was never emitted.`);
    }
    const message = this.#doings.messages.get(id.split('#')[0]!);
    if (!message) throw new Violation('G5', `${address} applied the message ${id}, which nobody wrote.`);
    const keyword = keywordOf(message.text);
    if (keyword === 'stop') return flow.optOut!.withdraw;
    if (keyword === 'start' && type === flow.optOut?.rejoin.type) return flow.optOut!.rejoin;
    return eventFor(flow, message, reference.snapshot);
  }

  /** Which promise the result is of, the new state tells: it holds what that brought. */
  async #result(
    { address, reference, row: { state_data: before } }: Followed,
    type: string,
    row: ActorRow,
  ): Promise<void> {
    const pending = reference.pendingCalls;
    const isError = type.endsWith('reject');
    const candidates = this.#doings.outcomes.filter(
      ({ key, outcome }) => pending.includes(key) && 'error' in outcome === isError,
    );
    const times = (text: string, whole: string) => whole.split(text).length;
    // Of an invocation that was attempted several times, what the first attempts brought is no result.
    const found =
      candidates.find(({ tag }) => times(tag, row.state_data) > times(tag, before)) ??
      candidates.find(({ tag }) => row.state_data.includes(tag)) ?? // as the result before it
      candidates[0];
    if (!found)
      throw new Violation('G7', `${address} took a result (${type}) of none of ${pending.join(', ') || 'no call'}.`);
    if (isError && !found.last)
      throw new Violation(
        'G7',
        `${address} took a failure of ${found.key} (${found.tag}), which was to be attempted again.`,
      );
    this.#doings.outcomes.splice(this.#doings.outcomes.indexOf(found), 1);
    await reference.settle(found.key, found.outcome);
  }

  #compare({ address, reference, generation }: Followed, row: ActorRow, line: JournalRow): void {
    const differ: Differ = (guarantee, what, is, should) => {
      if (JSON.stringify(is) === JSON.stringify(should)) return;
      const [a, b] = [canonical(is), canonical(should)];
      if (a !== b)
        throw new Violation(
          guarantee,
          `${what} of ${address} after '${line.event_type}' (version ${line.version}):\n  is        ${a}\n  should be ${b}`,
        );
    };
    if (row.status === 'quarantined') return;
    if (line.version === row.version) this.#compareState(reference, generation, row, differ);
    this.#compareMessages(`${address}:${lifeOf(row)}`, reference, line, differ);
  }

  /** A line follows from the one before it, and says what the row says. */
  #compareLines({ address, line: former, reference }: Followed, row: ActorRow, line: JournalRow): void {
    const wrong = (what: string, is: unknown, should: unknown) => {
      if (is !== should)
        throw new Violation('G3', `${what} of ${address} (version ${line.version}) is ${is}, and should be ${should}.`);
    };
    wrong('the line before', line.previous_id, former?.id ?? null);
    wrong('the former state in the journal', line.from_state, former?.to_state ?? null);
    if (line.version === row.version) wrong('the state in the row', row.current_state, line.to_state);
    if (row.status !== 'quarantined' && line.version === row.version)
      wrong('the state in the journal', line.to_state, describeState(reference.snapshot));
    if (line.at > this.#doings.latest)
      throw new Violation('G4', `version ${line.version} of ${address} is of an instant that is still to come.`);
    if (former && line.at < former.at && !this.#doings.clockSet)
      throw new Violation(
        'G3',
        `version ${line.version} of ${address} is of an instant before that of the one before.`,
      );
  }

  #compareState(reference: Reference, generation: number | undefined, row: ActorRow, differ: Differ): void {
    const stored = decodeState(row.state_data);
    const persisted = reference.persisted;
    if (generation !== undefined) persisted.context = { ...persisted.context, generation };
    differ('G3', 'the state', plain(stored.snapshot), plain(persisted));
    if (row.status !== persisted.status) differ('G3', 'the status', row.status, persisted.status);
    const deadlines = row.status === 'active' ? reference.deadlines : [];
    if (row.status === 'active')
      differ(
        'G4',
        'the deadlines',
        (stored.timers ?? []).map(({ event, dueAt }: any) => ({ type: event.type, dueAt })),
        deadlines,
      );
    differ('G4', 'next_due_at', row.next_due_at, deadlines[0]?.dueAt ?? null);
  }

  #compareMessages(life: string, reference: Reference, line: JournalRow, differ: Differ): void {
    const rows = this.#database.read<OutboxRow>('SELECT * FROM outbox_messages WHERE id >= ? AND id < ?', [
      line.outbox_id ?? 0,
      (line.outbox_id ?? 0) + line.outbox_count,
    ]);
    for (const { id } of rows) this.#outboxSeen.add(id);
    const said = rows.filter(({ idempotency_key }) => !idempotency_key.includes(':notice:'));
    const emitted = reference.emitted.flatMap((event, i): object[] => {
      const key = `${life}:${line.version}:${i}`;
      if (event.type === 'perdure.send') {
        this.#deliveries.set(key, event['event']);
        return [{ key, kind: 'event', payload: { to: event['to'], event: event['event'] } }];
      }
      return event.type === 'message' ? [{ key, kind: 'message', payload: event }] : [];
    });
    differ(
      'G6',
      'what was said',
      said.map(({ idempotency_key: key, kind, payload }) => ({ key, kind, payload: parse(payload) })),
      emitted,
    );
  }
}

/** What a flow wants of a deadline that passed while nobody watched. */
const wishOf = ({ overdue }: AnyFlow, dueAt: number) =>
  typeof overdue === 'function' ? overdue({ dueAt } as never, undefined as never) : overdue;

/** Complains, where two are not the same. */
type Differ = (guarantee: string, what: string, is: unknown, should: unknown) => void;

/** Only what a state is; not what XState and Perdure keep beside it. */
function plain(snapshot: any): unknown {
  if (!snapshot) return snapshot;
  const { status, value, context, output, historyValue, input, children = {} } = snapshot;
  return {
    status,
    value,
    context,
    output,
    input,
    historyValue,
    children: Object.fromEntries(
      Object.entries<any>(children).flatMap(([id, child]) => (child ? [[id, plain(child.snapshot)]] : [])),
    ),
  };
}

/** JSON with the keys in order; what is empty or undefined is left out. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const entries = Object.entries(part).filter(
      ([, inner]) => inner !== undefined && !(typeof inner === 'object' && inner && Object.keys(inner).length === 0),
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

const instant = (at: number) => new Date(at).toISOString();
