/**
 * What was left over: dead letters, and messages that did not arrive. Operators list them, and have one tried again, or give it
 * up; sometimes two of them at once, or one of what is done with. What each is told must be what has become of it (G5, G6, G9).
 */
import type { Runtime } from '../../src/index.ts';
import type { DeadLetterRow, OutboxRow } from '../../src/store/rows.ts';
import type { Carrier } from './carrier.ts';
import type { Chance } from './chance.ts';
import type { Questions } from './questions.ts';
import type { Surroundings } from './surroundings.ts';
import { Violation } from './violation.ts';

type Letter = DeadLetterRow & { id: number; status: string };

const UNDELIVERED = "status IN ('failed', 'held', 'waiting')";

const WITH_LETTERS = ['retry', 'retry', 'retry', 'retry twice', 'discard', 'both', 'nothing'] as const;
const WITH_MESSAGES = ['resend', 'resend', 'resend', 'resend twice', 'discard', 'both', 'nothing'] as const;

export class Leftovers {
  readonly #world: Surroundings;
  readonly #questions: Questions;
  readonly #carrier: Carrier;
  readonly #chance: Chance;
  /** Dead letters that were told to be discarded. */
  readonly #discarded = new Set<number>();

  /** @param chance of its own, so that the rest of the world goes as it went without it */
  constructor(world: Surroundings, questions: Questions, carrier: Carrier, chance: Chance) {
    this.#world = world;
    this.#questions = questions;
    this.#carrier = carrier;
    this.#chance = chance;
  }

  /** An operator looks for what was left over, and decides. */
  seeTo(): void {
    const { runtime, database } = this.#world;
    if (!runtime || database.occupied) return;
    const letters = () => this.#ids("SELECT id FROM dead_letters WHERE status = 'open'");
    if (letters().length > 0)
      this.#list(
        'dead letters',
        letters,
        () => runtime.deadLetters.list(),
        (id) => this.#decide(runtime, id),
      );
    const messages = () => this.#ids(`SELECT id FROM outbox_messages WHERE ${UNDELIVERED}`);
    if (messages().length > 0)
      this.#list(
        'undelivered messages',
        messages,
        () => runtime.undelivered.list(),
        (id) => this.#dispose(runtime, id),
      );
    const [done] = this.#ids("SELECT id FROM dead_letters WHERE status != 'open' ORDER BY id DESC LIMIT 1");
    if (done !== undefined && this.#chance.happens(0.5)) this.#retry(runtime, done);
  }

  /** What was retried was applied, and no letter is gone. @throws {Violation} */
  close(): void {
    const { database, ledger } = this.#world;
    const rows = database.read<{ id: number; status: string }>('SELECT id, status FROM dead_letters');
    const statuses = new Map(rows.map(({ id, status }) => [id, status]));
    for (const [id, status] of statuses)
      if ((status === 'retried') !== ledger.causes.retried.has(id))
        throw new Violation(
          'G9',
          `the dead letter ${id} is '${status}', and was ${status === 'retried' ? 'never ' : ''}applied`,
        );
    for (const { address, letters } of ledger.actors.values())
      for (const id of letters.keys())
        if (!statuses.has(id)) throw new Violation('G9', `the dead letter ${id} of ${address} is gone`);
    for (const id of this.#discarded)
      if (statuses.has(id) && statuses.get(id) !== 'discarded')
        throw new Violation('G9', `the dead letter ${id} was discarded, and is '${statuses.get(id)}'`);
  }

  /** What is listed was there, and what was there all the time is listed. */
  #list(what: string, ids: () => number[], list: () => Promise<{ id: number }[]>, decide: (id: number) => void): void {
    const before = ids();
    const last = Math.max(...before);
    this.#questions.ask(`the list of ${what}`, list, (listed) => {
      const found = new Set(listed.map(({ id }) => id));
      const strange = [...found].find((id) => id <= last && !before.includes(id));
      const missing = this.#world.database.occupied
        ? undefined
        : ids().find((id) => before.includes(id) && !found.has(id));
      if (missing !== undefined) this.#world.broken('G9', `${missing} is missing in the list of ${what}`);
      // What waits may have begun to wait meanwhile.
      if (strange !== undefined && what === 'dead letters')
        this.#world.broken('G9', `${strange} is in the list of ${what}, and is not one`);
      for (const id of [...found].slice(0, 3)) decide(id);
      return [...found].join(', ');
    });
  }

  #decide(runtime: Runtime, id: number): void {
    const way = this.#chance.pick(WITH_LETTERS);
    if (way === 'nothing') return;
    if (way !== 'discard') this.#retry(runtime, id);
    if (way === 'retry twice') this.#retry(runtime, id);
    if (way === 'discard' || way === 'both') this.#discard(runtime, id);
  }

  /** Has an event applied after all: once, or it is a dead letter as before. */
  #retry(runtime: Runtime, id: number): void {
    const { ledger } = this.#world;
    const letter = this.#letter(id);
    const actor = letter && ledger.actors.get(`${letter.flow_type}/${letter.participant_id}`);
    const wasActive = actor?.row.status === 'active';
    const wasDone = this.#discarded.has(id) || ledger.causes.retried.has(id);
    const text = `the retry of the dead letter ${id}`;
    this.#questions.ask(
      text,
      () => runtime.deadLetters.retry(id),
      ({ handled, state }) => {
        if (wasDone) this.#world.broken('G9', `${text} succeeded, which was done with before`);
        if (!ledger.causes.retried.has(id)) this.#world.broken('G1', `${text} was answered before it was committed`);
        return `${handled} ${state}`;
      },
      ({ code }) => {
        const isOpen = this.#isStill(this.#letter(id), 'open');
        const isActive = actor?.row.status === 'active' && [...ledger.actors.values()].includes(actor);
        if (isOpen && (code === 'DEAD_LETTER_NOT_FOUND' || (code === 'INVALID_ARGUMENT' && wasActive && isActive)))
          this.#world.broken('G9', `${text} is refused with ${code}, and it is open`);
      },
    );
  }

  #discard(runtime: Runtime, id: number): void {
    const text = `the discard of the dead letter ${id}`;
    const wasDone = this.#discarded.has(id) || this.#world.ledger.causes.retried.has(id);
    this.#questions.ask(
      text,
      () => runtime.deadLetters.discard(id, 'hopeless'),
      () => {
        if (wasDone) this.#world.broken('G9', `${text} succeeded, which was done with before`);
        this.#discarded.add(id);
        this.#world.ledger.causes.discarded.add(id);
        return undefined;
      },
      ({ code }) => {
        if (this.#isStill(this.#letter(id), 'open') && /NOT_FOUND|INVALID/.test(code ?? ''))
          this.#world.broken('G9', `${text} is refused with ${code}, and it is open`);
      },
    );
  }

  #dispose(runtime: Runtime, id: number): void {
    const way = this.#chance.pick(WITH_MESSAGES);
    const row = this.#message(id);
    if (way === 'nothing' || !row || !this.#isStill(row, 'failed', 'held', 'waiting')) return;
    if (way !== 'discard') this.#resend(runtime, row);
    if (way === 'resend twice') this.#resend(runtime, row);
    if (way === 'discard' || way === 'both') this.#forsake(runtime, row);
  }

  /** Has a message sent again, or the events tried that wait for a receiver. */
  #resend(runtime: Runtime, row: OutboxRow): void {
    const { id, idempotency_key: key } = row;
    const text = `the resend of ${key}`;
    if (row.kind === 'message') this.#carrier.resending(key);
    this.#questions.ask(
      text,
      () => runtime.undelivered.resend(id),
      () => {
        if (this.#carrier.forsaken.has(key)) this.#world.broken('G6', `${text} succeeded, which was given up before`);
        if (this.#isAsBefore(row))
          this.#world.broken('G6', `${text} was answered, and it is '${row.status}' as before`);
        if (row.kind === 'message') this.#carrier.resent(key);
        return undefined;
      },
      ({ code }) => {
        const isOut = this.#world.database.read('SELECT 1 FROM opt_outs WHERE address = ?', [row.recipient]).length > 0;
        if (this.#isAsBefore(row) && (code === 'UNDELIVERED_NOT_FOUND' || (code === 'INVALID_ARGUMENT' && !isOut)))
          this.#world.broken('G6', `${text} is refused with ${code}, and it is '${row.status}'`);
      },
    );
  }

  /** Gives a message up, which is never sent from then on, or an event, which is never applied. */
  #forsake(runtime: Runtime, row: OutboxRow): void {
    const { id, idempotency_key: key } = row;
    const text = `the discard of ${key}`;
    this.#carrier.forsaking.add(key);
    this.#questions.ask(
      text,
      () => runtime.undelivered.discard(id, 'hopeless'),
      () => {
        this.#carrier.forsaken.add(key);
        return undefined;
      },
      ({ code }) => {
        if (this.#isAsBefore(row) && code === 'UNDELIVERED_NOT_FOUND')
          this.#world.broken('G6', `${text} is refused with ${code}, and it is '${row.status}'`);
      },
    );
  }

  #ids(text: string): number[] {
    return this.#world.database.read<{ id: number }>(text).map(({ id }) => id);
  }

  #letter(id: number): Letter | undefined {
    return this.#world.database.read<Letter>('SELECT * FROM dead_letters WHERE id = ?', [id])[0];
  }

  #message(id: number): OutboxRow | undefined {
    return this.#world.database.read<OutboxRow>('SELECT * FROM outbox_messages WHERE id = ?', [id])[0];
  }

  /** Nothing has become of it since somebody looked. */
  #isAsBefore({ id, status, updated_at }: OutboxRow): boolean {
    const row = this.#message(id);
    return this.#isStill(row, status) && row?.updated_at === updated_at;
  }

  /** A transaction that is open may show what nobody else sees. */
  #isStill(row: { status: string } | undefined, ...statuses: string[]): boolean {
    return row !== undefined && statuses.includes(row.status) && !this.#world.database.occupied;
  }
}
