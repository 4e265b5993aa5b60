/**
 * The world around a process, which outlives it: people with phones, who send a message again until it is acknowledged; a
 * carrier for the messages to them; services that promises call; operators; and whatever kills the process and starts it
 * anew. It checks, at the moment it happens, what the process may do to the world.
 */
import { formatAddress, InvocationTimeoutError } from '../../src/errors.ts';
import {
  type AnyFlow,
  createRuntime,
  type InboundMessage,
  type OutgoingMessage,
  PermanentSendError,
  type Runtime,
} from '../../src/index.ts';
import { Application } from './application.ts';
import { Chance } from './chance.ts';
import type { Mishap, SimulatedDatabase } from './database.ts';
import { type Doings, type Ledger, type Sent, Violation } from './ledger.ts';
import type { Outside } from './outside.ts';
import { OUTSIDE, type Scheduler } from './scheduler.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** So long after the last fault, all that was put off is done. */
const RECOVERED = 5 * MINUTE;
/** A timer that comes so late makes the process believe that it slept; with some to spare. */
const SLEPT = 25 * SECOND;

/** How often what goes wrong, from 0 to 1. Each schedule has its own. */
export interface Faults {
  refused: number;
  unknown: number;
  slow: number;
  crashAtStatement: number;
  sendFails: number;
  sendHangs: number;
  sentAndFails: number;
  callRejects: number;
  callThrows: number;
  callNever: number;
  callLate: number;
  duplicate: number;
}

export interface Person {
  flowType: string;
  participantId: string;
  phoneNumber: string;
  input: unknown;
  spawned: boolean;
}

/** Codes of errors that say that a transaction was rolled back. */
const ROLLED_BACK = new Set<unknown>(['TIMEOUT', 'TRANSACTION', 'UNDONE']);
/** Of all that leave nothing behind. */
const UNDONE = new Set([...ROLLED_BACK, 'TURN_FAILED', 'NOT_RUNNING', 'ACTOR_QUARANTINED', 'ACTOR_NOT_FOUND']);

interface Call {
  actor: string;
  key: string;
  life: number;
  over: boolean;
}

/** A message that the carrier refused, for good or for now. */
interface Refusal {
  life: number;
  at: number;
  final: boolean;
}

export interface WorldOptions {
  scheduler: Scheduler;
  database: SimulatedDatabase;
  chance: Chance;
  faults: Faults;
  people: Person[];
  seed: string;
  /** The flows of a version. */
  flows(version: number): AnyFlow[];
  tell(text: string): void;
}

export class World implements Outside, Doings {
  readonly #options: WorldOptions;
  readonly messages = new Map<string, InboundMessage>();
  readonly sends: Sent[] = [];
  readonly outcomes: Doings['outcomes'] = [];
  ledger!: Ledger;
  #runtime: Runtime | undefined;
  /** It takes messages. */
  #up = false;
  #stopping = false;
  /** The deployed version of the flows. */
  #version = 1;
  #serial = 0;
  #calm = false;
  #crashes = 0;
  readonly #acknowledged = new Set<string>();
  readonly #tries = new Map<string, number>();
  /** When somebody tries again who has no answer, by what it is about. */
  readonly #redeliveries = new Map<string, unknown>();
  /** By recipient, keys of messages that the carrier took. */
  readonly #carried = new Set<string>();
  readonly #bodies = new Map<string, string>();
  /** By key, what the carrier said last, where it refused. */
  readonly #refusals = new Map<string, Refusal>();
  /** Keys of messages that a process left behind when it may have sent them, and whose flow says to hold. */
  readonly #toHold = new Set<string>();
  /** How often a promise was attempted in this life, by its key. */
  readonly #attempts = new Map<string, number>();
  /** The latest instant that the wall clock has shown, before it was set back. */
  #latest = Number.NEGATIVE_INFINITY;
  #clockSet = false;
  /** When this life began, and when it took messages. */
  #began = 0;
  #ready = Number.POSITIVE_INFINITY;
  /** Since when nothing goes wrong any more. */
  #calmSince = Number.POSITIVE_INFINITY;
  /** Something went wrong after which an action need not run. */
  #mishap = false;
  #calls: Call[] = [];
  readonly #poisoned = new Set<string>();
  readonly #application: Application;
  /** Rows that were damaged, as they were. */
  readonly #damaged = new Map<number, string>();
  /** What went wrong where nobody can throw. */
  violation: Violation | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    options.database.crash = () => this.crash('at a statement');
    // Chance of its own, so that the rest of the world goes as it went without it.
    this.#application = new Application(new Chance(Math.imul(Number(options.seed), 0x9e3779b1)), () =>
      this.crash('in a transaction'),
    );
  }

  get purchases(): ReadonlySet<string> {
    return this.#application.purchases;
  }

  /** The latest instant that there has been. */
  get latest(): number {
    return Math.max(this.#latest, this.#options.scheduler.clock.now());
  }

  /** Whether a deadline passed while nobody watched; `undefined` where that cannot be told from outside. */
  passedUnwatched(dueAt: number, at: number): boolean | undefined {
    if (this.#clockSet) return undefined;
    if (dueAt < this.#began) return true;
    return dueAt >= this.#ready && at - dueAt < SLEPT ? false : undefined;
  }

  /** Whether a deadline is to fire on time. */
  isPunctual(dueAt: number): boolean {
    return !this.#clockSet && dueAt > this.#calmSince + RECOVERED;
  }

  get clockSet(): boolean {
    return this.#clockSet;
  }

  /** The first start. */
  begin(): void {
    this.#boot();
  }

  input(participantId: string): unknown {
    return this.#options.people.find((person) => person.participantId === participantId)!.input;
  }

  /** What befalls a statement of the database. */
  fate({ text, writes, ends }: { text: string; writes: boolean; ends: boolean }): Mishap | undefined {
    if (this.#calm || text.startsWith('ROLLBACK')) return undefined;
    const { chance, faults } = this.#options;
    if (chance.happens(faults.crashAtStatement) && this.#crashes < 4)
      return { kind: 'crash', when: chance.pick(['before', 'after']) };
    // A start has many statements, and would hardly ever succeed.
    if (chance.happens(this.#up ? faults.refused : faults.refused / 10))
      return {
        kind: 'refused',
        code: chance.pick(writes ? ['SQLITE_BUSY', 'SQLITE_FULL', 'SQLITE_IOERR'] : ['SQLITE_BUSY', 'SQLITE_IOERR']),
      };
    if (ends && chance.happens(faults.unknown)) {
      this.#mishap = true;
      return { kind: 'unknown', code: 'SQLITE_IOERR' };
    }
    if (chance.happens(faults.slow))
      return { kind: 'slow', ms: chance.pick([50, 3 * SECOND, 40 * SECOND, 3 * MINUTE]) };
    return undefined;
  }

  // ── the process ────────────────────────────────────────────────────────────────────────────────────────────────────

  #boot(): void {
    const { scheduler, database, chance, seed, tell } = this.#options;
    if (this.#runtime) return;
    scheduler.life++;
    const life = scheduler.life;
    this.#stopping = false;
    this.#began = scheduler.clock.now();
    this.#ready = Number.POSITIVE_INFINITY;
    this.#attempts.clear();
    if (!this.#calm && this.#version === 1 && chance.happens(0.15)) this.#version = 2;
    tell(`the process starts (life ${life}, version ${this.#version})`);
    const runtime = createRuntime({
      database: database.knex(),
      flows: this.#options.flows(this.#version),
      clock: scheduler.clock,
      seed,
      transport: { send: (message) => this.#send(message, life) },
      cacheSize: chance.pick([1, 2, 100]),
      recovery: {
        mode: chance.pick(['lazy', 'verify']),
        rate: chance.pick([1, 1_000, Number.POSITIVE_INFINITY]),
        sweepEvery: chance.pick(['10m', '1d', '1d']),
      },
    });
    runtime.on('fault', ({ during, error }) => tell(`fault: ${during}: ${(error as Error)?.message ?? error}`));
    runtime.on('quarantined', ({ address, error }) => {
      tell(`quarantined ${formatAddress(address)}: ${error.message}`);
      const goesOn = this.#calls.find(
        (call) => call.actor === address.participantId && call.life === life && !call.over,
      );
      if (goesOn) this.#broken('G7', `${goesOn.key} goes on, whose actor was put aside`);
    });
    runtime.on('turn', ({ address, version }) => {
      const known = this.ledger.actors.get(formatAddress(address))?.row.version ?? 0;
      if (known < version)
        this.#broken('G1', `the turn ${version} of ${formatAddress(address)} was told before it was committed`);
    });
    for (const { flow_type, key } of database.read<{ flow_type: string; key: string }>(
      "SELECT flow_type, idempotency_key AS key FROM outbox_messages WHERE status = 'sending' AND kind = 'message'",
    ))
      if (runtime.flows.get(flow_type)?.uncertain === 'hold') this.#toHold.add(key);
    this.#runtime = runtime;
    runtime.start().then(
      () => {
        tell('the process runs');
        this.#up = true;
        this.#ready = scheduler.clock.now();
      },
      (error) => {
        tell(`the start failed: ${error.message}`);
        this.#mishap = true;
        scheduler.bury(life);
        database.forsake();
        this.#runtime = undefined;
        scheduler.after(SECOND, 'start again', () => this.#boot(), OUTSIDE);
      },
    );
  }

  /** Kills the process, now. */
  crash(why: string): void {
    if (!this.#runtime) return;
    const { scheduler, database, chance, tell } = this.#options;
    tell(`kill -9 (${why})`);
    this.#crashes++;
    this.#mishap = true;
    scheduler.bury(scheduler.life);
    database.forsake();
    this.#runtime = undefined;
    this.#up = false;
    for (const call of this.#calls) call.over = true;
    if (!this.#calm && chance.happens(0.5)) scheduler.add('damage', () => !this.#runtime && this.#damage(), OUTSIDE);
    const down = this.#calm ? 0 : chance.pick([0, 0, 2 * SECOND, 10 * MINUTE, 2 * HOUR]);
    scheduler.after(down, 'start', () => this.#boot(), OUTSIDE);
  }

  /** Asks the process to end, and starts it again once it has. */
  stop(): void {
    const runtime = this.#runtime;
    if (!runtime || !this.#up || this.#stopping) return;
    const { scheduler, tell } = this.#options;
    const { life } = scheduler;
    tell('SIGTERM');
    this.#mishap = true;
    this.#stopping = true;
    const over = (error?: Error) => {
      if (scheduler.life !== life) return;
      tell(error ? `the stop failed: ${error.message}` : 'the process has ended');
      scheduler.bury(life);
      database.forsake();
      this.#runtime = undefined;
      this.#up = false;
      for (const call of this.#calls) call.over = true;
      scheduler.after(SECOND, 'start', () => this.#boot(), OUTSIDE);
    };
    const { database } = this.#options;
    runtime.stop().then(() => over(), over);
  }

  /** The disk, or somebody's hand, damages a row while nobody runs. */
  #damage(): void {
    const { database, chance, tell } = this.#options;
    const rows = database.read<{ id: number; state_data: string }>(
      "SELECT id, state_data FROM flow_states WHERE status = 'active'",
    );
    if (rows.length === 0) return;
    const { id, state_data } = chance.pick(rows);
    if (this.#damaged.has(id)) return;
    tell(`the row ${id} of flow_states is damaged`);
    this.#damaged.set(id, state_data);
    database.write('UPDATE flow_states SET state_data = substr(state_data, 1, 20) WHERE id = ?', [id]);
  }

  // ── people ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The application enrols somebody, and tries again until that is known to have happened. */
  spawn(person: Person): void {
    const { scheduler, tell } = this.#options;
    const { participantId } = person;
    const later = (ms: number) => {
      scheduler.clock.clearTimeout(this.#redeliveries.get(participantId));
      const again = () => !person.spawned && this.spawn(person);
      this.#redeliveries.set(participantId, scheduler.after(ms, `spawn ${participantId} again`, again, OUTSIDE));
    };
    const runtime = this.#runtime;
    if (!runtime || !this.#up) {
      later(30 * SECOND);
      return;
    }
    later(4 * MINUTE); // without an answer
    const flow = runtime.flows.get(person.flowType)!;
    tell(`spawn ${person.participantId}`);
    runtime.spawn(flow, person.participantId, { input: person.input as never, phoneNumber: person.phoneNumber }).then(
      () => {
        person.spawned = true;
        scheduler.clock.clearTimeout(this.#redeliveries.get(participantId));
        if (!this.ledger.actors.has(`${person.flowType}/${person.participantId}`))
          this.#broken('G1', `spawn of ${person.participantId} was answered before it was committed`);
      },
      (error) => {
        if (error.code === 'ACTOR_EXISTS' && this.ledger.actors.has(`${person.flowType}/${participantId}`))
          person.spawned = true;
        else later(30 * SECOND);
      },
    );
  }

  /** Somebody writes; the carrier delivers the message again until it is acknowledged. */
  write(person: Person, text: string): void {
    const id = `m${++this.#serial}`;
    this.messages.set(id, { channel: 'sms', id, from: person.phoneNumber, text });
    this.#application.begins(id);
    this.#deliver(id, person);
    const { chance, faults, scheduler } = this.#options;
    if (chance.happens(faults.duplicate))
      scheduler.after(chance.pick([0, 0, SECOND, MINUTE]), `${id} once more`, () => this.#deliver(id, person), OUTSIDE);
  }

  #deliver(id: string, person: Person): void {
    const { scheduler, tell } = this.#options;
    const later = (ms: number) => {
      scheduler.clock.clearTimeout(this.#redeliveries.get(id));
      const again = () => !this.#acknowledged.has(id) && this.#deliver(id, person);
      this.#redeliveries.set(id, scheduler.after(ms, `${id} again`, again, OUTSIDE));
    };
    const tries = (this.#tries.get(id) ?? 0) + 1;
    this.#tries.set(id, tries);
    const soon = Math.min(30 * SECOND * 2 ** tries, 5 * MINUTE);
    const runtime = this.#runtime;
    if (!runtime || !this.#up || !person.spawned) {
      later(soon);
      return;
    }
    const message = this.messages.get(id)!;
    tell(`${person.participantId} writes ${JSON.stringify(message.text)} (${id})`);
    later(4 * MINUTE); // without an answer
    const { flowType, participantId } = person;
    const received = this.purchases.has(id)
      ? this.#application.buy(runtime, id, async (trx) => ({
          ...(await trx.receiveFor(flowType, participantId, message)),
          handled: true, // it leaves a mark, whatever it means to the actor
        }))
      : runtime.receiveFor(flowType, participantId, message);
    received.then(
      ({ status }) => {
        this.#acknowledged.add(id);
        scheduler.clock.clearTimeout(this.#redeliveries.get(id));
        tell(`${id} is acknowledged: ${status}`);
        const [mark] = this.#options.database.read('SELECT id FROM inbox WHERE channel = ? AND message_id = ?', [
          'sms',
          id,
        ]);
        if (!mark) this.#broken('G5', `the message ${id} was acknowledged (${status}) before it was committed`);
      },
      (error) => {
        tell(`${id} is refused: ${error.message}`);
        later(soon);
      },
    );
  }

  /** The application sends an event, once; if the answer is lost, it does not know. */
  send(person: Person, type: string, poison = false): void {
    const runtime = this.#runtime;
    if (!runtime || !this.#up || !person.spawned) return;
    const { tell } = this.#options;
    const serial = `e${++this.#serial}`;
    const event = { type, serial, ...(poison && { poison }) };
    const address = `${person.flowType}/${person.participantId}`;
    const bought = this.#application.begins(serial);
    const events = bought && this.#application.insists() ? [event, { ...event, serial: `${serial}+` }] : [event];
    const sent: Sent[] = events.map((event) => ({ address, event, shows: events.at(-1)!.serial }));
    this.sends.push(...sent);
    /** Those that were not applied; they are not expected any more. */
    const withdraw = () => {
      const open = sent.filter((each) => this.sends.includes(each));
      for (const each of open) this.sends.splice(this.sends.indexOf(each), 1);
      return open.length > 0;
    };
    tell(
      `send ${type} (${serial}${poison ? ', poison' : ''}${bought ? `, ${events.length} in a transaction` : ''}) to ${address}`,
    );
    const answer = bought
      ? this.#application.buy(runtime, serial, async (trx) => {
          const actor = trx.actor(person.flowType, person.participantId);
          let handled = true;
          for (const each of events) handled &&= (await actor.send(each)).handled;
          return { handled };
        })
      : runtime.actor(person.flowType, person.participantId).send(event);
    answer.then(
      ({ handled }) => {
        tell(`${serial} is answered: handled ${handled}`);
        if (withdraw() && handled) this.#broken('G1', `the event ${serial} was answered before it was committed`);
      },
      (error) => {
        tell(`${serial} is refused: ${error.message}`);
        // Undone, or never begun: it must not be applied later.
        if (!UNDONE.has(error.code)) return;
        if (!withdraw() && ROLLED_BACK.has(error.code))
          this.#broken('G1', `${serial} was told to be rolled back, and is committed`);
      },
    );
  }

  /** The guards of an actor throw from now on, or are mended. */
  poison(person: Person): void {
    const { participantId } = person;
    if (this.#poisoned.delete(participantId)) return;
    this.#options.tell(`the guards of ${participantId} throw from now on`);
    this.#poisoned.add(participantId);
  }

  /** An operator mends what was put aside. */
  operate(): void {
    const runtime = this.#runtime;
    if (!runtime || !this.#up) return;
    const { database, scheduler, tell } = this.#options;
    if (database.occupied) {
      scheduler.after(10 * SECOND, 'the operator waits', () => this.operate(), OUTSIDE);
      return;
    }
    for (const { id, participant_id, flow_type, status } of database.read<any>(
      'SELECT id, participant_id, flow_type, status FROM flow_states',
    )) {
      const whole = this.#damaged.get(id);
      if (whole !== undefined && (status === 'quarantined' || this.#calm)) {
        tell(`the row ${id} is mended`);
        database.write('UPDATE flow_states SET state_data = ? WHERE id = ?', [whole, id]);
        this.#damaged.delete(id);
        // The process may have read it before, and puts the actor aside for what it read.
        if (status !== 'quarantined')
          scheduler.after(10 * SECOND, 'the operator looks again', () => this.operate(), OUTSIDE);
      }
      if (status !== 'quarantined' || this.#damaged.has(id)) continue;
      this.#poisoned.delete(participant_id);
      // What it had under way was ended when it was put aside, and is attempted anew.
      for (const { actor, key } of this.#calls) if (actor === participant_id) this.#attempts.delete(key);
      tell(`retry ${participant_id}`);
      runtime
        .actor(flow_type, participant_id)
        .retry()
        .catch((error) => tell(`the retry of ${participant_id} failed: ${error.message}`));
    }
  }

  /** Sets the wall clock. */
  setClock(by: number): void {
    this.#options.tell(`the clock is set ${by > 0 ? 'forward' : 'back'} by ${Math.abs(by)} ms`);
    this.#latest = this.latest;
    this.#clockSet = true;
    this.#options.scheduler.offset += by;
  }

  // ── what the process does to the world ─────────────────────────────────────────────────────────────────────────────

  #send(message: OutgoingMessage, life: number): Promise<void> {
    const { scheduler, database, chance, faults, tell } = this.#options;
    const { idempotencyKey: key, id, to, maybeSent, payload } = message;
    tell(
      `carrier: ${key} to ${to}, attempt ${message.attempt}${maybeSent ? ', maybe sent' : ''}: ${JSON.stringify(message.text)}`,
    );
    const [row] = database.read<{ status: string; flow_type: string | null; participant_id: string | null }>(
      'SELECT * FROM outbox_messages WHERE id = ?',
      [id],
    );
    // A transaction that is open may show rows that nobody else sees.
    const [, address, version] = /^(.*):(\d+):\d+$/.exec(key) ?? [];
    const isOpen = address && (this.ledger.actors.get(address)?.row.version ?? 0) < Number(version);
    if (!row || isOpen) this.#broken('G6', `${key} was handed over before it was committed`);
    else if (row.status !== 'sending') this.#broken('G6', `${key} was handed over with the status '${row.status}'`);
    // What others say while a transaction is open is committed after it, and may have been numbered before.
    const [whose, ids] =
      this.purchases.size === 0
        ? ['', []]
        : ['participant_id = ? AND flow_type = ? AND', [row?.participant_id, row?.flow_type]];
    const before = database.read<{ idempotency_key: string }>(
      `SELECT idempotency_key FROM outbox_messages WHERE ${whose} recipient = ? AND kind = 'message' AND id < ? AND status IN ('pending', 'sending')`,
      [...ids, to, id],
    );
    if (before.length > 0) this.#broken('G6', `${key} was handed over before ${before[0]!.idempotency_key}`);
    if (this.#toHold.has(key)) this.#broken('G6', `${key} may have been sent before, and its flow says to hold`);
    const refusal = this.#refusals.get(key);
    if (refusal?.life === life && !this.#clockSet) {
      if (refusal.final) this.#broken('G6', `${key} was tried again, which the carrier had refused for good`);
      else if (scheduler.elapsed < refusal.at + SECOND) this.#broken('G6', `${key} was tried again without a pause`);
    }
    const body = JSON.stringify(payload);
    if ((this.#bodies.get(key) ?? body) !== body) this.#broken('G6', `${key} is two messages`);
    this.#bodies.set(key, body);
    if (this.#carried.has(key) && !maybeSent) this.#broken('G6', `${key} was sent again without a mark`);
    if (
      this.#carried.has(key) &&
      row?.flow_type &&
      this.#runtime!.flows.get(row.flow_type)?.uncertain === 'hold' &&
      message.attempt === 1
    )
      this.#broken('G6', `${key} was sent again, and its flow says to hold`);
    const [out] = database.read('SELECT 1 FROM opt_outs WHERE address = ?', [to]);
    if (out && !payload['essential']) this.#broken('STOP', `${key} was sent to ${to}, who opted out`);
    const promise = (settle: (resolve: () => void, reject: (error: Error) => void) => void) =>
      new Promise<void>(settle);
    const delay = chance.pick(this.#calm ? [0, 10] : [0, 0, 10, SECOND, 20 * SECOND]);
    if (!this.#calm) {
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

  call(actor: string, key: string, signal: AbortSignal): Promise<unknown> {
    const { scheduler, chance, faults, tell } = this.#options;
    const { life } = scheduler;
    const followed = [...this.ledger.actors.values()].find(({ row }) => row.participant_id === actor);
    if (![...(followed?.reference.pendingCalls ?? []), ...(followed?.formerCalls ?? [])].includes(key))
      this.#broken('G7', `${key} of ${actor} was started, and no committed state invokes it`);
    if (this.#calls.some((call) => call.key === key && call.life === life && !call.over))
      this.#broken('G7', `${key} was started twice`);
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    const attempts = followed?.flow.invocations.get('work')?.attempts;
    if (attempts !== undefined && attempt > attempts)
      this.#broken('G7', `${key} was attempted ${attempt} times, and its flow says ${attempts}`);
    const brought = (tag: string, outcome: { value: unknown } | { error: Error }) =>
      this.outcomes.push({ key, tag, outcome, at: scheduler.elapsed, last: attempt === (attempts ?? attempt) });
    // What a former attempt brought, nobody waits for any more.
    this.outcomes.splice(0, Number.POSITIVE_INFINITY, ...this.outcomes.filter((each) => each.key !== key));
    const call: Call = { actor, key, life, over: false };
    this.#calls.push(call);
    const tag = `r${++this.#serial}`;
    tell(`${key} is called (${tag})`);
    signal.addEventListener('abort', () => {
      call.over = true;
      tell(`${key} is abandoned (${tag})`);
      const { reason: error } = signal;
      if (error instanceof InvocationTimeoutError) brought(error.message, { error });
      else this.#attempts.delete(key);
    });
    const fails = !this.#calm && chance.happens(faults.callRejects);
    const outcome = fails ? { error: new Error(tag) } : { value: { tag, text: `reply ${tag}` } };
    if (!this.#calm && chance.happens(faults.callThrows)) {
      call.over = true;
      const error = new Error(tag);
      brought(tag, { error });
      throw error;
    }
    if (!this.#calm && chance.happens(faults.callNever)) return new Promise(() => {});
    const late = !this.#calm && chance.happens(faults.callLate);
    const often = this.#calls.filter((each) => each.actor === actor).length > 15; // a machine may call in circles
    const ms = often ? HOUR : late ? chance.pick([150 * SECOND, HOUR]) : chance.pick([0, 0, 500, 10 * SECOND]);
    return new Promise((resolve, reject) => {
      scheduler.after(
        ms,
        `${key} ${fails ? 'fails' : 'is done'} (${tag})`,
        () => {
          call.over = true;
          // Of an attempt that was given up, nobody takes a result.
          if (!signal.aborted) brought(tag, outcome);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.value);
        },
        life,
      );
    });
  }

  act(actor: string, key: string): void {
    const followed = [...this.ledger.actors.values()].find(({ row }) => row.participant_id === actor);
    const name = followed && [...this.ledger.actions.keys()].findLast((each) => each.startsWith(`${actor}|${key}|`));
    if (!name) {
      this.#broken('G8', `${actor} did '${key}' before its turn was committed`);
      return;
    }
    const left = this.ledger.actions.get(name)!;
    if (left === 0) this.#broken('G8', `${actor} did '${key}' once too often`);
    this.ledger.actions.set(name, left - 1);
    if (key.startsWith('actBadly')) throw new Error('an action with a bug');
  }

  poisoned(actor: string): boolean {
    return this.#poisoned.has(actor);
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** From now on nothing goes wrong any more, and what was put aside is mended. */
  calmDown(): void {
    this.#options.tell('from now on nothing goes wrong');
    this.#calm = true;
    this.#calmSince = this.#options.scheduler.clock.now();
    this.#application.calm = true;
    this.#poisoned.clear();
    this.#boot();
  }

  /** What must hold once all is quiet. */
  close(): void {
    const { database, scheduler } = this.#options;
    const now = scheduler.clock.now();
    if (!this.#up) throw new Violation('G1', 'the process does not come up');
    for (const [id] of this.messages)
      if (!this.#acknowledged.has(id)) throw new Violation('G5', `the message ${id} is never acknowledged`);
    for (const { recipient, idempotency_key, status } of database.read<any>(
      "SELECT * FROM outbox_messages WHERE status IN ('pending', 'sending') AND created_at < ?",
      [now - 8 * MINUTE],
    ))
      throw new Violation('G6', `${idempotency_key} is never sent to ${recipient}: it is '${status}'`);
    for (const { idempotency_key, kind } of database.read<any>("SELECT * FROM outbox_messages WHERE status = 'sent'"))
      if (kind === 'message' && !this.#carried.has(idempotency_key))
        throw new Violation('G6', `${idempotency_key} counts as sent, and never was`);
    for (const { address, reference, row } of this.ledger.actors.values()) {
      if (row.status === 'quarantined') throw new Violation('G9', `${address} stays quarantined: ${row.last_error}`);
      if (row.status !== 'active') continue;
      const due = reference.deadlines[0];
      if (due && due.dueAt <= now - MINUTE)
        throw new Violation(
          'G4',
          `the deadline '${due.type}' of ${address}, ${new Date(due.dueAt).toISOString()}, never fires`,
        );
      for (const key of reference.pendingCalls)
        if (!this.#calls.some((call) => call.key === key && call.life === scheduler.life))
          throw new Violation('G7', `${key} of ${address} is not called again`);
      for (const { key, tag, at } of this.outcomes)
        if (at < scheduler.elapsed - 4 * MINUTE && reference.pendingCalls.includes(key))
          throw new Violation('G7', `what ${key} of ${address} brought (${tag}) is never applied`);
    }
    if (!this.#mishap && this.purchases.size === 0)
      for (const [action, left] of this.ledger.actions)
        if (left > 0) throw new Violation('G8', `the action ${action} never ran, and nothing was lost`);
    this.ledger.close();
  }

  #broken(guarantee: string, what: string): void {
    this.violation ??= new Violation(guarantee, what);
  }
}
