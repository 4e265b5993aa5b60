/** The carrier of the messages to people: it fails, hangs, and sends and then fails. It checks what it is handed (G6, STOP). */
import { type OutgoingMessage, PermanentSendError, type Runtime } from '../../src/index.ts';
import { OUTSIDE } from './scheduler.ts';
import { MINUTE, SECOND, type Surroundings } from './surroundings.ts';
import { Violation } from './violation.ts';

/** So often is a message tried, where the transport does not say. */
const DEFAULT_ATTEMPTS = 60;

/** A message that it refused, for good or for now. */
interface Refusal {
  life: number;
  at: number;
  final: boolean;
  /** An operator has had it sent again since. */
  forgiven?: true;
}

/** That an operator has a message sent again. */
interface Resend {
  /** How often it had been handed over by then. */
  ever: number;
  /** When that was answered, in ms of the time that has passed. */
  at: number;
}

export class Carrier {
  readonly #world: Surroundings;
  /** Whether something is bought in transactions, which others see only after their end. */
  readonly #hasTransactions: () => boolean;
  /** Keys of messages that it took. */
  readonly #carried = new Set<string>();
  readonly #bodies = new Map<string, string>();
  /** How often each was handed over, in all lives and in the present one. */
  readonly #handedOver = new Map<string, { ever: number; inLife: number }>();
  /** How often a message is tried; `undefined`: as Perdure does by itself. */
  attempts: number | undefined;
  /** By key, what it said last, where it refused. */
  readonly #refusals = new Map<string, Refusal>();
  /** Keys of messages that a process left behind when it may have sent them, and whose flow says to hold. */
  readonly #toHold = new Set<string>();
  /** The last time that each was to be sent again. */
  readonly #resends = new Map<string, Resend>();
  /** The key of each message, by its id. */
  readonly #keys = new Map<number, string>();
  /** Keys of messages, also between actors, that an operator asked to give up; and that they were told to be. */
  readonly forsaking = new Set<string>();
  readonly forsaken = new Set<string>();

  constructor(world: Surroundings, hasTransactions: () => boolean) {
    this.#world = world;
    this.#hasTransactions = hasTransactions;
  }

  /** A process begins, and finds what the one before has left. */
  begin(runtime: Runtime): void {
    for (const handed of this.#handedOver.values()) handed.inLife = 0;
    for (const { flow_type, key } of this.#world.database.read<{ flow_type: string; key: string }>(
      "SELECT flow_type, idempotency_key AS key FROM outbox_messages WHERE status = 'sending' AND kind = 'message'",
    ))
      if (runtime.flows.get(flow_type)?.uncertain === 'hold') this.#toHold.add(key);
  }

  /** An operator asks for a message to be sent again: marked, at once, and as often as a new one. */
  resending(key: string): void {
    const refusal = this.#refusals.get(key);
    if (refusal) refusal.forgiven = true;
    const handed = this.#handedOver.get(key) ?? { ever: 0, inLife: 0 };
    this.#handedOver.set(key, { ...handed, inLife: 0 });
    this.#toHold.delete(key);
    this.#resends.set(key, { ever: handed.ever, at: Number.POSITIVE_INFINITY });
  }

  /** They were told that it is. */
  resent(key: string): void {
    this.#resends.get(key)!.at = this.#world.scheduler.elapsed;
  }

  /** Takes a message from the process of this life, or not. */
  send(message: OutgoingMessage, life: number): Promise<void> {
    this.#check(message, life);
    const { scheduler, chance, faults, calm } = this.#world;
    const { idempotencyKey: key } = message;
    const promise = (settle: (resolve: () => void, reject: (error: Error) => void) => void) =>
      new Promise<void>(settle);
    const delay = chance.pick(calm ? [0, 10] : [0, 0, 10, SECOND, 20 * SECOND]);
    if (!calm) {
      if (chance.happens(faults.sendFails)) {
        const final = chance.happens(0.1);
        const error = final ? new PermanentSendError('no such number') : new Error('the carrier is down');
        const refuse = (reject: (error: Error) => void) => {
          this.#refusals.set(key, { life, at: scheduler.elapsed, final });
          reject(error);
        };
        return promise((_, reject) => scheduler.after(delay, `${key} fails`, () => refuse(reject), life));
      }
      if (chance.happens(faults.sendHangs)) {
        if (chance.happens(0.5)) this.#carried.add(key);
        return promise(() => {});
      }
      if (chance.happens(faults.sentAndFails)) {
        this.#carried.add(key);
        return promise((_, reject) =>
          scheduler.after(delay, `${key} is sent, and fails`, () => reject(new Error('the line broke')), life),
        );
      }
    }
    return promise((resolve) => {
      // On its way it reaches the carrier, whatever becomes of the process; the answer does not.
      scheduler.after(delay, `${key} arrives`, () => this.#carried.add(key), OUTSIDE);
      scheduler.after(delay, `${key} is sent`, resolve, life);
    });
  }

  /** In the end each message was sent. @throws {Violation} */
  close(): void {
    const { database, scheduler } = this.#world;
    for (const { recipient, idempotency_key, status } of database.read<any>(
      "SELECT * FROM outbox_messages WHERE status IN ('pending', 'sending') AND created_at < ?",
      [scheduler.clock.now() - 8 * MINUTE],
    ))
      throw new Violation('G6', `${idempotency_key} is never sent to ${recipient}: it is '${status}'`);
    for (const { key } of database.read<{ key: string }>(
      "SELECT idempotency_key AS key FROM outbox_messages WHERE status = 'failed' AND kind = 'message'",
    )) {
      const resend = this.#resends.get(key);
      const isResent = resend !== undefined && resend.at < Number.POSITIVE_INFINITY;
      const { ever } = this.#handedOver.get(key) ?? { ever: 0 };
      const attempts = isResent ? ever - resend.ever : ever;
      const refusal = this.#refusals.get(key);
      const isFinal = refusal?.final && !(isResent && refusal.forgiven);
      if (!isFinal && attempts < (this.attempts ?? DEFAULT_ATTEMPTS))
        throw new Violation('G6', `${key} was given up after ${attempts} attempts`);
    }
    for (const { idempotency_key, kind } of database.read<any>("SELECT * FROM outbox_messages WHERE status = 'sent'"))
      if (kind === 'message' && !this.#carried.has(idempotency_key))
        throw new Violation('G6', `${idempotency_key} counts as sent, and never was`);
  }

  #isJustResent(key: string): boolean {
    const resend = this.#resends.get(key);
    return resend !== undefined && resend.at > this.#world.scheduler.elapsed - 4 * MINUTE;
  }

  #check(message: OutgoingMessage, life: number): void {
    const { scheduler, database, ledger, process, clockSet, tell } = this.#world;
    const { idempotencyKey: key, id, to, maybeSent, payload } = message;
    const broken = (guarantee: string, what: string) => this.#world.broken(guarantee, what);
    tell(
      `carrier: ${key} to ${to}, attempt ${message.attempt}${maybeSent ? ', maybe sent' : ''}: ${JSON.stringify(message.text)}`,
    );
    const [row] = database.read<{ status: string; flow_type: string | null; participant_id: string | null }>(
      'SELECT * FROM outbox_messages WHERE id = ?',
      [id],
    );
    // A transaction that is open may show rows that nobody else sees.
    const [, address, version] = /^(.*):[\w.]+:(\d+):\d+$/.exec(key) ?? [];
    const isOpen = address && !ledger.knows(key) && (ledger.actors.get(address)?.row.version ?? 0) < Number(version);
    if (isOpen || (!row && !ledger.knows(key))) broken('G6', `${key} was handed over before it was committed`);
    else if (row && row.status !== 'sending') broken('G6', `${key} was handed over with the status '${row.status}'`);
    // What others say while a transaction is open is committed after it, and may have been numbered before.
    const [whose, ids] = this.#hasTransactions()
      ? ['participant_id = ? AND flow_type = ? AND', [row?.participant_id, row?.flow_type]]
      : ['', []];
    const before = database.read<{ idempotency_key: string }>(
      `SELECT idempotency_key FROM outbox_messages WHERE ${whose} recipient = ? AND kind = 'message' AND id < ? AND status IN ('pending', 'sending')`,
      [...ids, to, id],
    );
    // A later one may have been on its way when an earlier one was to be sent again.
    const first = before.find((each) => !this.#isJustResent(each.idempotency_key));
    if (first) broken('G6', `${key} was handed over before ${first.idempotency_key}`);
    if (this.forsaken.has(key)) broken('G6', `${key} was given up by an operator, and is handed over`);
    if (this.#resends.has(key) && !maybeSent) broken('G6', `${key} was sent again, as was asked for, without a mark`);
    if ((this.#keys.get(id) ?? key) !== key) broken('G6', `${this.#keys.get(id)} was sent again as ${key}`);
    this.#keys.set(id, key);
    if (this.#toHold.has(key)) broken('G6', `${key} may have been sent before, and its flow says to hold`);
    const refusal = this.#refusals.get(key);
    if (refusal?.life === life && !clockSet && !refusal.forgiven) {
      if (refusal.final) broken('G6', `${key} was tried again, which the carrier had refused for good`);
      else if (scheduler.elapsed < refusal.at + SECOND) broken('G6', `${key} was tried again without a pause`);
    }
    const handed = this.#handedOver.get(key) ?? { ever: 0, inLife: 0 };
    this.#handedOver.set(key, { ever: handed.ever + 1, inLife: handed.inLife + 1 });
    if (handed.inLife >= (this.attempts ?? DEFAULT_ATTEMPTS))
      broken('G6', `${key} was tried ${handed.inLife + 1} times in one life`);
    const body = JSON.stringify(payload);
    if ((this.#bodies.get(key) ?? body) !== body) broken('G6', `${key} is two messages`);
    this.#bodies.set(key, body);
    if (this.#carried.has(key) && !maybeSent) broken('G6', `${key} was sent again without a mark`);
    if (
      this.#carried.has(key) &&
      row?.flow_type &&
      process!.flows.get(row.flow_type)?.uncertain === 'hold' &&
      message.attempt === 1
    )
      broken('G6', `${key} was sent again, and its flow says to hold`);
    const [out] = database.read('SELECT 1 FROM opt_outs WHERE address = ?', [to]);
    if (out && !payload['essential']) broken('STOP', `${key} was sent to ${to}, who opted out`);
  }
}
