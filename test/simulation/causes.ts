/**
 * What a turn came from: each must follow from something that happened, once. The reference is given just that, and so comes
 * to where the turn should have led.
 */
import type { AnyEventObject } from 'xstate';
import { parse } from '../../src/actor/codec.ts';
import { type AnyFlow, eventFor, type InboundMessage } from '../../src/flow/flow.ts';
import { keywordOf } from '../../src/messaging/keywords.ts';
import type { ActorRow, DeadLetterRow, InboxRow, JournalRow } from '../../src/store/rows.ts';
import type { SimulatedDatabase } from './database.ts';
import type { Followed } from './ledger.ts';
import { MINUTE } from './surroundings.ts';
import { instant, Violation } from './violation.ts';

/** What the world has done, as far as it explains turns. */
export interface Doings {
  /** @param name by which its state calls the actor */
  input(participantId: string, name: string | undefined): unknown;
  /** The actor was asked to be removed. */
  isLeaving(participantId: string): boolean;
  /** The actor was asked to be given up, who had been put aside. */
  isDiscarded(address: string): boolean;
  /** An actor may be ended without a turn. */
  readonly mayEndAsItWas: boolean;
  /** Keys of messages that were asked to be given up, and that were told to be. */
  readonly forsaking: ReadonlySet<string>;
  readonly forsaken: ReadonlySet<string>;
  /** A deadline has fired. */
  fired(actor: Followed, dueAt: number, at: number): void;
  /** Somebody looks at actors now and then. */
  watched: boolean;
  messages: ReadonlyMap<string, InboundMessage>;
  /** Events that the application sent, for which it is not known that they were applied. */
  sends: Sent[];
  /** The application's purchases: of each, by the id of its event or message, there are the row and the turn, or neither. */
  purchases: ReadonlySet<string>;
  /** How promises ended, by their key; each may be applied once. */
  outcomes: Result[];
  /** What the last turn that threw had thrown, but for rejections, by the actor's address. */
  thrown: ReadonlyMap<string, Error>;
  /** The latest instant that there has been. */
  latest: number;
  /** The clock was set. */
  clockSet: boolean;
  /** Whether a deadline, which was seen to at an instant, passed while nobody watched; `undefined`: it may have. */
  passedUnwatched(dueAt: number, at: number): boolean | undefined;
  /** Whether a deadline is to fire on time. */
  isPunctual(dueAt: number): boolean;
}

/** An event that an actor sent another one. */
export interface Delivery {
  /** Of its message. */
  id: number;
  from: string;
  event: AnyEventObject;
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
const LATE = MINUTE;

/** Turns that are none of the logic. */
const OF_OPERATORS = /^perdure\.(quarantined|retried|realigned|direct)$/;

type Mark = Pick<InboxRow, 'channel' | 'message_id'>;

export class Causes {
  readonly #database: SimulatedDatabase;
  readonly #doings: Doings;
  /** Inbound messages that were applied by an actor. */
  readonly applied = new Set<string>();
  /** Serials of events that were applied. */
  readonly taken = new Set<string>();
  /** Events between actors, by the key of their message. */
  readonly deliveries = new Map<string, Delivery>();
  /** The last event that one actor took of another. */
  readonly #lastOf = new Map<string, number>();
  /** Dead letters that were applied after all. */
  readonly retried = new Set<number>();
  /** Those that were told to be discarded. */
  readonly discarded = new Set<number>();

  constructor(database: SimulatedDatabase, doings: Doings) {
    this.#database = database;
    this.#doings = doings;
  }

  /**
   * Finds what a turn came from, and lets the reference take it.
   * @param line of the turn
   * @param row as it is after the last turn of its transaction
   * @throws {Violation}
   */
  async apply(actor: Followed, line: JournalRow, row: ActorRow): Promise<void> {
    const { address, reference } = actor;
    const note = line.note ?? '';
    const type = line.event_type;
    const mark = line.inbox_id === null ? undefined : this.#mark(address, line.inbox_id);
    if (OF_OPERATORS.test(type)) return;
    if (type === 'xstate.stop') {
      if (note.startsWith('discarded') && !this.#doings.isDiscarded(address))
        throw new Violation('G9', `${address} was discarded, and nobody has asked for that.`);
      return reference.stop();
    }
    if (this.#deadline(actor, line)) return;
    if (isGivenUp(line)) return;
    const due = reference.deadlines[0];
    // An event waits for the deadlines that were due when it came, not for one that came due behind those.
    if (actor.row.status === 'active' && due && due.dueAt <= line.at && actor.line?.due_at == null)
      throw new Violation(
        'G4',
        `${address} took '${type}' at ${instant(line.at)}, before its deadline '${due.type}' of ${instant(due.dueAt)}.`,
      );
    const letter = /dead letter (\d+), retried/.exec(note);
    if (letter) return this.#letter(actor, Number(letter[1]), type);
    if (type.startsWith('xstate.promise.')) return this.#result(actor, type, row);
    if (mark) {
      const event = this.#eventOf(actor, mark, type);
      if (event) reference.send(event);
      return;
    }
    const { sends } = this.#doings;
    const sent = sends.findIndex(
      ({ address: to, event, shows = event['serial'] }) =>
        to === address && event.type === type && (shows === undefined || row.state_data.includes(`"${shows}"`)),
    );
    if (sent < 0) throw new Violation('G2', `${address} took '${type}', which nobody sent, or for the second time.`);
    const { event } = sends.splice(sent, 1)[0]!;
    this.taken.add(event['serial']);
    reference.send(event);
  }

  /** Whether it is the turn of a deadline, which fires, is passed over or given up. */
  #deadline(actor: Followed, line: JournalRow): boolean {
    const { address, reference, flow } = actor;
    const note = line.note ?? '';
    const type = line.event_type;
    const due = reference.deadlines[0];
    const wish = due && wishOf(flow, due.dueAt);
    const unwatched = due && this.#doings.passedUnwatched(due.dueAt, line.at);
    const isPassedOver = type === 'perdure.postpone' || note.startsWith('skipped:');
    if (isPassedOver && (wish === 'fire' || unwatched === false))
      throw new Violation(
        'G4',
        `${address} passed over '${due!.type}' of ${instant(due!.dueAt)}, which it had watched.`,
      );
    if (line.due_at !== null && !isPassedOver && unwatched && wish !== 'fire')
      throw new Violation('G4', `${address} fired '${type}' of ${instant(line.due_at)}, which was to be passed over.`);
    if (type === 'perdure.postpone') {
      reference.postpone(Date.parse(/postponed to ([^:]+:\d\d:[\d.]+Z)/.exec(note)![1]!));
      return true;
    }
    if (line.due_at === null) return false;
    this.#doings.fired(actor, line.due_at, line.at);
    if (due?.dueAt !== line.due_at || due.type !== type)
      throw new Violation(
        'G4',
        `${address} fired '${type}' of ${instant(line.due_at)}, and the earliest is ${due ? `'${due.type}' of ${instant(due.dueAt)}` : 'none'}.`,
      );
    if (line.at < line.due_at)
      throw new Violation('G4', `${address} fired '${type}' ${line.due_at - line.at} ms early.`);
    if (line.at > line.due_at + LATE && this.#doings.isPunctual(line.due_at))
      throw new Violation('G4', `${address} fired '${type}' ${line.at - line.due_at} ms late, and nothing was wrong.`);
    if (note.startsWith('failed:') || note.startsWith('skipped:')) reference.drop();
    else reference.fire();
    return true;
  }

  #mark(address: string, id: number): Mark {
    const [mark] = this.#database.read<Mark>('SELECT channel, message_id FROM inbox WHERE id = ?', [id]);
    if (!mark) throw new Violation('G3', `a turn of ${address} applied a message, and its mark is missing.`);
    const key = `${mark.channel}/${mark.message_id}`;
    if (this.applied.has(key)) throw new Violation('G5', `${address} applied ${key} a second time.`);
    this.applied.add(key);
    this.#inOrder(address, mark);
    return mark;
  }

  /** Events of one actor come in the order in which they were emitted. */
  #inOrder(address: string, { channel, message_id: key }: Mark): void {
    const delivery = channel === 'perdure' && this.deliveries.get(key);
    if (!delivery) return;
    if (this.#doings.forsaken.has(key))
      throw new Violation('G5', `${address} took the event ${key}, which an operator had given up.`);
    const way = `${delivery.from} > ${address}`;
    if (delivery.id < (this.#lastOf.get(way) ?? 0))
      throw new Violation('G6', `${address} took the event ${key} after a later one.`);
    this.#lastOf.set(way, delivery.id);
  }

  /** In the end each event between actors was applied, or somebody can find it. @throws {Violation} */
  close(actors: ReadonlyMap<string, Followed>, removed: ReadonlySet<string>): void {
    const rows = this.#database.read<{ key: string; status: string; recipient: string; at: number }>(
      "SELECT idempotency_key AS key, status, recipient, created_at AS at FROM outbox_messages WHERE kind = 'event'",
    );
    for (const { key, status, recipient, at } of rows) {
      const isApplied = this.applied.has(`perdure/${key}`);
      const receiver = actors.get(recipient);
      const lost =
        (status === 'sent' && !isApplied) ||
        (status === 'failed' && !isApplied) ||
        (status === 'waiting' && receiver && receiver.row.status !== 'quarantined') ||
        (status === 'cancelled' && !isApplied && !this.#doings.forsaking.has(key) && !removed.has(recipient)) ||
        (status === 'dead' &&
          receiver &&
          Date.parse(receiver.row.created_at) <= at &&
          !this.#hasLetter(receiver, this.deliveries.get(key)!));
      if (lost) throw new Violation('G5', `the event ${key} to ${recipient} is lost: it is '${status}'.`);
    }
  }

  #hasLetter({ row }: Followed, { event }: Delivery): boolean {
    const letters = this.#database.read<{ event: string }>(
      "SELECT event FROM dead_letters WHERE participant_id = ? AND flow_type = ? AND kind = 'event'",
      [row.participant_id, row.flow_type],
    );
    return letters.some((letter) => letter.event.includes(`"${event['serial']}"`));
  }

  /** What a message meant to the actor; null: nothing. */
  #eventOf({ address, reference, flow }: Followed, mark: Mark, type: string): AnyEventObject | null {
    const { channel, message_id: id } = mark;
    if (channel === 'perdure') {
      const delivery = this.deliveries.get(id);
      if (delivery) return delivery.event;
      throw new Violation('G5', `${address} took an event of the actor message ${id}, which was never emitted.`);
    }
    const message = this.#doings.messages.get(id.split('#')[0]!);
    if (!message) throw new Violation('G5', `${address} applied the message ${id}, which nobody wrote.`);
    const keyword = keywordOf(message.text);
    if (keyword === 'stop') return flow.optOut!.withdraw;
    if (keyword === 'start' && type === flow.optOut?.rejoin.type) return flow.optOut!.rejoin;
    return eventFor(flow, message, reference.snapshot);
  }

  /** An event that was put aside, and is applied after all. */
  #letter({ address, reference, flow, letters }: Followed, id: number, type: string): void {
    const [letter] = this.#database.read<DeadLetterRow & { status: string }>(
      'SELECT * FROM dead_letters WHERE id = ?',
      [id],
    );
    if (!letter || `${letter.flow_type}/${letter.participant_id}` !== address)
      throw new Violation('G9', `${address} took the dead letter ${id}, which is not its own.`);
    if (this.retried.has(id)) throw new Violation('G9', `${address} took the dead letter ${id} a second time.`);
    if (this.discarded.has(id))
      throw new Violation('G9', `${address} took the dead letter ${id}, which was discarded.`);
    if (letter.status !== 'retried')
      throw new Violation('G9', `${address} took the dead letter ${id}, which is '${letter.status}'.`);
    this.retried.add(id);
    const stored = parse(letter.event) as any;
    if (letter.kind === 'message') {
      const event = eventFor(flow, stored, reference.snapshot);
      if (event) reference.send(event);
      return;
    }
    if (stored.type !== type) throw new Violation('G9', `the dead letter ${id} of ${address} became '${type}'.`);
    reference.send(stored, letters.get(id));
  }

  /** Which promise the result is of, the new state tells: it holds what that brought. */
  async #result(
    { address, flow, reference, row: { state_data: before } }: Followed,
    type: string,
    row: ActorRow,
  ): Promise<void> {
    const { outcomes } = this.#doings;
    const pending = reference.pendingCalls;
    const isError = type.endsWith('reject');
    const candidates = outcomes.filter(({ key, outcome }) => pending.includes(key) && 'error' in outcome === isError);
    const times = (text: string, whole: string) => whole.split(text).length;
    // Of an invocation that was attempted several times, what the first attempts brought is no result.
    let found =
      candidates.find(({ tag }) => times(tag, row.state_data) > times(tag, before)) ??
      candidates.find(({ tag }) => row.state_data.includes(tag)) ?? // as the result before it
      candidates[0];
    // Where the result made the actor throw, that is the failure of the promise.
    const thrown = this.#doings.thrown.get(address);
    if (!found && isError && thrown && flow.supervision.strategy === 'resume') {
      const brought = outcomes.find(({ key }) => pending.includes(key));
      if (brought) {
        outcomes.splice(outcomes.indexOf(brought), 1);
        found = { ...brought, outcome: { error: thrown }, last: true };
        outcomes.push(found);
      }
    }
    if (!found)
      throw new Violation('G7', `${address} took a result (${type}) of none of ${pending.join(', ') || 'no call'}.`);
    if (isError && !found.last)
      throw new Violation(
        'G7',
        `${address} took a failure of ${found.key} (${found.tag}), which was to be attempted again.`,
      );
    outcomes.splice(outcomes.indexOf(found), 1);
    await reference.settle(found.key, found.outcome);
  }
}

/** What the turn was to apply was put aside. */
export const isGivenUp = ({ event_type, note }: JournalRow): boolean =>
  !OF_OPERATORS.test(event_type) && /(^|; )failed: /.test(note ?? '');

/** What a flow wants of a deadline that passed while nobody watched. */
const wishOf = ({ overdue }: AnyFlow, dueAt: number) =>
  typeof overdue === 'function' ? overdue({ dueAt } as never, undefined as never) : overdue;
