/**
 * Follows what is committed, row by row, and holds it against the reference: each version of an actor must follow from the
 * one before by something that happened (causes.ts), and the reference, given just that, must come to the same state,
 * deadlines and messages (comparison.ts), rows of the application (books.ts), dead letters and actions.
 */
import type { AnyActorRef } from 'xstate';
import { decodeState } from '../../src/actor/codec.ts';
import { chanceOf } from '../../src/engine/chance.ts';
import { formatAddress } from '../../src/errors.ts';
import type { AnyFlow } from '../../src/flow/flow.ts';
import type { ActorRow, DeadLetterRow, JournalRow, OutboxRow } from '../../src/store/rows.ts';
import { Books } from './books.ts';
import { Causes, type Doings, isGivenUp } from './causes.ts';
import { compareLines, compareMessages, compareState, differOf } from './comparison.ts';
import type { SimulatedDatabase } from './database.ts';
import { type Stand, standOf } from './readers.ts';
import { Reference } from './reference.ts';
import { Violation } from './violation.ts';

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
  /** What it was after each turn, where somebody looks. */
  stands: Stand[];
  /** It was put aside, and ended without a turn: its row still says where it stood. */
  asItWas: boolean;
  /** Its dead letters, each with the child that it was for; the root's have none. */
  letters: Map<number, AnyActorRef | undefined>;
}

export class Ledger {
  readonly actors = new Map<string, Followed>();
  /** Of who was deleted, what they called, by their ids: as long as nobody has the answer, the process may not know that this is over. */
  readonly #lastCalls = new Map<string, string[]>();
  /** How often a custom action may still run, by key. */
  readonly actions = new Map<string, number>();
  readonly causes: Causes;
  readonly #books: Books;
  readonly #database: SimulatedDatabase;
  readonly #doings: Doings;
  readonly #seed: string;
  readonly #flow: (flowType: string, version: number) => AnyFlow;
  /** Messages that were written by turns, by id; whose they are. */
  readonly #outboxSeen = new Map<number, string>();
  /** The id of the message that has a key: there is no other. */
  readonly #keys = new Map<string, number>();
  /** Addresses of actors that were removed. */
  readonly #removed = new Set<string>();
  /** Messages, by id, that were to be sent while their recipient had opted out. */
  readonly #unwanted = new Set<number>();
  turns = 0;

  /** @param flow the flow of a type that a row of a version goes on with */
  constructor(
    database: SimulatedDatabase,
    doings: Doings,
    seed: string,
    flow: (flowType: string, version: number) => AnyFlow,
  ) {
    this.#database = database;
    this.#doings = doings;
    this.#seed = seed;
    this.#flow = flow;
    this.causes = new Causes(database, doings);
    this.#books = new Books(database, doings.purchases, this.causes.taken);
  }

  /** Takes note of all that was committed since. @throws {Violation} */
  async catchUp(): Promise<void> {
    const heads = this.#database.read<Pick<ActorRow, 'id' | 'version' | 'participant_id' | 'flow_type'>>(
      'SELECT id, version, participant_id, flow_type FROM flow_states',
    );
    this.#bury(heads);
    for (const head of heads) {
      const address = formatAddress({ flowType: head.flow_type, participantId: head.participant_id });
      const known = this.actors.get(address);
      if (known?.row.version === head.version) continue;
      const [row] = this.#database.read<ActorRow>('SELECT * FROM flow_states WHERE id = ?', [head.id]);
      await this.#follow(address, known, row!);
    }
    this.#books.compare();
    this.#books.comparePurchases();
    this.#followOptOuts();
  }

  /** Whether a turn that was committed has given this key to a message. */
  knows(key: string): boolean {
    return this.#keys.has(key);
  }

  /** A row of each turn, and nothing else. @throws {Violation} */
  close(): void {
    this.#followOptOuts();
    this.causes.close(this.actors, this.#removed);
    const rows = this.#database.read<{ id: number; key: string }>(
      'SELECT id, idempotency_key AS key FROM outbox_messages WHERE participant_id IS NOT NULL AND flow_type IS NOT NULL',
    );
    if (rows.length !== this.#outboxSeen.size)
      throw new Violation('G3', `${rows.length} messages are in the outbox, ${this.#outboxSeen.size} belong to turns.`);
    const other = rows.find(({ id, key }) => this.#keys.get(key) !== id);
    if (other) throw new Violation('G6', `the message ${other.id} has another key than at first: ${other.key}.`);
  }

  /** Who is gone was to be deleted, with all that is kept of them. */
  #bury(heads: Pick<ActorRow, 'id'>[]): void {
    for (const [address, { row, reference }] of this.actors) {
      if (heads.some(({ id }) => id === row.id)) continue;
      if (!this.#doings.isLeaving(row.participant_id))
        throw new Violation('G9', `${address} is gone, and nobody has removed it.`);
      const left = this.#database.read(
        `SELECT 1 FROM flow_journal WHERE participant_id = ?1 AND flow_type = ?2 AND id <= ?3
        UNION ALL SELECT 1 FROM outbox_messages WHERE participant_id = ?1 AND flow_type = ?2 AND id IN (SELECT value FROM json_each(?4))`,
        [row.participant_id, row.flow_type, row.journal_id, JSON.stringify(this.#messagesOf(address))],
      );
      if (left.length > 0) throw new Violation('G9', `${address} was removed, and something of it is left.`);
      for (const id of this.#messagesOf(address)) this.#outboxSeen.delete(id);
      this.#removed.add(address);
      this.#lastCalls.set(row.participant_id, reference.pendingCalls);
      this.actors.delete(address);
    }
  }

  /** Who is deleted, without an answer yet, may still have called this. */
  mayStillCall(participantId: string, key: string): boolean {
    return this.#doings.isLeaving(participantId) && (this.#lastCalls.get(participantId)?.includes(key) ?? false);
  }

  #messagesOf(address: string): number[] {
    return [...this.#outboxSeen].flatMap(([id, whose]) => (whose === address ? [id] : []));
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
      else if (status === 'cancelled' && !this.#unwanted.has(id) && !this.#doings.forsaking.has(key))
        throw new Violation('STOP', `${key} is withheld from ${to}, who has not opted out`);
    }
  }

  async #follow(address: string, known: Followed | undefined, row: ActorRow): Promise<void> {
    const [line] = this.#database.read<JournalRow>('SELECT * FROM flow_journal WHERE id = ?', [row.journal_id]);
    if (!line || line.version !== row.version)
      throw new Violation('G3', `version ${row.version} of ${address} has no line in the journal.`);
    const calls = known?.reference.pendingCalls ?? [];
    const lines = [...this.#earlier(address, known, row), line];
    for (const each of lines) await this.#turn(address, known, row, each);
    const actor = this.actors.get(address)!;
    actor.row = row;
    actor.formerCalls = calls;
    this.#followLetters(actor, lines);
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
      const { name } = decodeState(row.state_data).snapshot.context ?? {};
      const reference = new Reference(flow.logic, this.#doings.input(participantId, name), ambient);
      actor = {
        address,
        flow,
        reference,
        row,
        line: undefined,
        generation: undefined,
        formerCalls: [],
        asItWas: false,
        letters: new Map(),
        stands: [],
      };
      this.actors.set(address, actor);
      this.#books.turn(actor, line, undefined);
    } else {
      const { reference } = actor;
      const before = reference.snapshot;
      reference.begin(ambient);
      // Only a turn writes the snapshot, and by then the row has been migrated.
      if (row.flow_version > actor.row.flow_version) actor.generation = row.flow_version;
      await this.causes.apply(actor, line, row);
      if (line.event_type === 'xstate.stop' && row.state_data === actor.row.state_data) this.#endsAsItWas(actor);
      this.#books.turn(actor, line, before);
    }
    const { failure } = actor.reference;
    if (failure)
      throw new Violation('G2', `the reference of ${address} did not survive '${line.event_type}': ${failure}`);
    this.#compare(actor, row, line);
    actor.line = line;
    actor.flow = flow;
    if (this.#doings.watched) actor.stands.push(standOf(actor, line, row));
    for (const key of actor.reference.actions) {
      const name = `${participantId}|${key}|${version}`;
      this.actions.set(name, (this.actions.get(name) ?? 0) + 1);
    }
  }

  #endsAsItWas(actor: Followed): void {
    actor.asItWas = true;
    if (!this.#doings.mayEndAsItWas)
      throw new Violation('G9', `${actor.address} was ended without a turn, and could have had one.`);
  }

  #compare(actor: Followed, row: ActorRow, line: JournalRow): void {
    const { address, reference } = actor;
    if (row.status !== 'quarantined') {
      const differ = differOf(address, line);
      if (line.version === row.version && !actor.asItWas) compareState(actor, row, differ);
      const said = this.#said(address, line);
      compareMessages(reference, said, differ);
      const events = reference.emitted.filter(({ type }) => type === 'perdure.send');
      for (const { id, kind, idempotency_key: key } of said)
        if (kind === 'event') this.causes.deliveries.set(key, { id, from: address, event: events.shift()!['event'] });
    }
    compareLines(actor, row, line, this.#doings);
  }

  /** The messages that a turn has written, without those that the runtime itself adds. */
  #said(address: string, line: JournalRow): OutboxRow[] {
    const first = line.outbox_id ?? 0;
    const rows = this.#database.read<OutboxRow>('SELECT * FROM outbox_messages WHERE id >= ? AND id < ?', [
      first,
      first + line.outbox_count,
    ]);
    for (const { id, idempotency_key: key } of rows) {
      this.#outboxSeen.set(id, address);
      if ((this.#keys.get(key) ?? id) !== id) throw new Violation('G6', `two messages have the key ${key}.`);
      this.#keys.set(key, id);
    }
    return rows.filter(({ idempotency_key }) => !idempotency_key.includes(':notice:'));
  }

  /** What was given up is a dead letter, and nothing else is. */
  #followLetters({ address, row, letters, reference }: Followed, lines: JournalRow[]): void {
    const given = lines.filter(isGivenUp);
    const rows = this.#database.read<DeadLetterRow & { id: number }>(
      'SELECT * FROM dead_letters WHERE participant_id = ? AND flow_type = ? AND id > ? ORDER BY id',
      [row.participant_id, row.flow_type, Math.max(0, ...letters.keys())],
    );
    for (const { id, kind } of rows) letters.set(id, kind === 'deadline' ? reference.dropped : undefined);
    // Events of other actors may also be refused without a turn of its own.
    const own = rows.filter(({ kind }) => kind !== 'event');
    if (rows.length < given.length || own.length > given.length)
      throw new Violation('G9', `${address} gave ${given.length} events up, and has ${rows.length} new dead letters.`);
  }
}
