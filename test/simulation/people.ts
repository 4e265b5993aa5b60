/**
 * Those who use the runtime: people, who write again until they are answered, and the application, which enrols them and
 * sends events. They check what they are answered (G1, G5).
 */
import type { InboundMessage } from '../../src/index.ts';
import { Application } from './application.ts';
import type { Sent } from './causes.ts';
import { Chance } from './chance.ts';
import type { Cycles } from './cycles.ts';
import type { Followed } from './ledger.ts';
import type { Questions } from './questions.ts';
import { OUTSIDE } from './scheduler.ts';
import { MINUTE, type Person, SECOND, type Surroundings } from './surroundings.ts';
import { Violation } from './violation.ts';

/** Codes of errors that say that a transaction was rolled back. */
const ROLLED_BACK = new Set<unknown>(['TIMEOUT', 'TRANSACTION', 'UNDONE']);
/** Of all that leave nothing behind. */
const UNDONE = new Set([...ROLLED_BACK, 'TURN_FAILED', 'NOT_RUNNING', 'ACTOR_QUARANTINED', 'ACTOR_NOT_FOUND']);

export class People {
  readonly #world: Surroundings;
  readonly #questions: Questions;
  readonly #cycles: Cycles;
  readonly messages = new Map<string, InboundMessage>();
  /** Events that the application sent, for which it is not known that they were applied. */
  readonly sends: Sent[] = [];
  readonly application: Application;
  /** Told of an actor that is gone. */
  removed: (address: string) => void = () => {};
  readonly #acknowledged = new Set<string>();
  readonly #tries = new Map<string, number>();
  /** Actors that somebody was told to have made. */
  readonly #made = new WeakSet<Followed>();
  /** When somebody tries again who has no answer, by what it is about. */
  readonly #redeliveries = new Map<string, unknown>();
  /** Which process is deleting somebody. */
  readonly #removing = new Map<string, unknown>();

  /** @param crash kills the process, now */
  constructor(world: Surroundings, questions: Questions, cycles: Cycles, seed: string, crash: () => void) {
    this.#world = world;
    this.#questions = questions;
    this.#cycles = cycles;
    // Chance of its own, so that the rest of the world goes as it went without it.
    this.application = new Application(new Chance(Math.imul(Number(seed), 0x9e3779b1)), crash);
  }

  /** The application enrols somebody, and tries again until that is known to have happened. */
  spawn(person: Person): void {
    const { scheduler, runtime, ledger, tell } = this.#world;
    const { participantId, flowType, input, phoneNumber } = person;
    const later = (ms: number) => {
      scheduler.clock.clearTimeout(this.#redeliveries.get(participantId));
      const again = () => !person.spawned && this.spawn(person);
      this.#redeliveries.set(participantId, scheduler.after(ms, `spawn ${participantId} again`, again, OUTSIDE));
    };
    if (!runtime) {
      later(30 * SECOND);
      return;
    }
    later(4 * MINUTE); // without an answer
    // Answered late, it may still come to be after a later life was enrolled and deleted.
    const { name } = input as { name?: string };
    person.names ??= new Set();
    if (name !== undefined) person.names.add(name);
    tell(`spawn ${participantId}`);
    runtime.spawn(runtime.flows.get(flowType)!, participantId, { input: input as never, phoneNumber }).then(
      () => {
        person.spawned = true;
        scheduler.clock.clearTimeout(this.#redeliveries.get(participantId));
        const made = ledger.actors.get(`${flowType}/${participantId}`);
        if (made) this.#makes(made);
        else this.#world.broken('G1', `spawn of ${participantId} was answered before it was committed`);
      },
      (error) => {
        if (error.code === 'ACTOR_EXISTS' && ledger.actors.has(`${flowType}/${participantId}`)) person.spawned = true;
        else {
          // Ever later: a table of the application may be missing for hours.
          const tries = (this.#tries.get(participantId) ?? 0) + 1;
          this.#tries.set(participantId, tries);
          later(Math.min(30 * SECOND * tries, 4 * MINUTE));
        }
      },
    );
  }

  /** The application asks for somebody's actor, whether it is there or not: it is given, or made, by one of those who ask. */
  ensure(person: Person): void {
    const { runtime, ledger } = this.#world;
    if (!runtime) return;
    const { flowType, participantId, phoneNumber, removals, removing } = person;
    const address = `${flowType}/${participantId}`;
    const before = ledger.actors.get(address);
    const name = `${participantId}.${++person.lives}`;
    person.names ??= new Set();
    person.names.add(name);
    // Those with a number come one after another.
    const options = {
      input: { ...(person.input as object), name } as never,
      ...(person.lives % 2 === 0 && { phoneNumber }),
    };
    const broken = (what: string) => this.#world.broken('G1', `${address} was ensured, and ${what}`);
    this.#questions.ask(
      `ensure ${address} as ${name}`,
      () => runtime.ensure(runtime.flows.get(flowType)!, participantId, options),
      ({ created, tookNumberFrom }) => {
        const actor = ledger.actors.get(address);
        if (tookNumberFrom) broken(`took the number from ${tookNumberFrom.participantId}`);
        if (!removing && person.removals === removals) {
          if (!actor) broken('is not there');
          if (before && created) broken('was there, and is told to be new');
        }
        if (created && actor) this.#makes(actor);
        if (!person.removing) person.spawned = true;
        return created ? 'created' : 'found';
      },
      ({ code = '' }) => {
        if (['ACTOR_EXISTS', 'ACTOR_NOT_FOUND', 'ACTOR_QUARANTINED'].includes(code)) broken(`is refused with ${code}`);
      },
    );
  }

  /** Somebody was told to have made this actor: nobody else was. */
  #makes(actor: Followed): void {
    if (this.#made.has(actor)) this.#world.broken('G1', `two were told to have made ${actor.address}`);
    this.#made.add(actor);
  }

  /** The application deletes somebody, tries again until that is known to have happened, and enrols them anew. */
  remove(person: Person): void {
    const { scheduler, runtime, ledger, tell } = this.#world;
    const { flowType, participantId } = person;
    const address = `${flowType}/${participantId}`;
    if (!person.spawned) return;
    const later = (ms: number) => {
      scheduler.clock.clearTimeout(this.#redeliveries.get(`remove ${participantId}`));
      const again = scheduler.after(ms, `remove ${participantId} again`, () => this.remove(person), OUTSIDE);
      this.#redeliveries.set(`remove ${participantId}`, again);
    };
    // One after the other: a second one that is still under way would delete who is enrolled after the first.
    if (!runtime || this.#removing.get(participantId) === runtime) {
      later(30 * SECOND);
      return;
    }
    this.#removing.set(participantId, runtime);
    tell(`remove ${participantId}`);
    person.removing = true;
    person.removals = (person.removals ?? 0) + 1;
    later(4 * MINUTE); // without an answer
    const followed = ledger.actors.get(address);
    const answered = () => {
      if (this.#removing.get(participantId) === runtime) this.#removing.delete(participantId);
      scheduler.clock.clearTimeout(this.#redeliveries.get(`remove ${participantId}`));
    };
    const gone = () => {
      answered();
      if (!person.removing) return;
      if (followed && ledger.actors.get(address) === followed)
        this.#world.broken('G9', `${address} was told to be removed, and is there`);
      tell(`${participantId} is removed`);
      this.removed(address);
      person.spawned = false;
      person.removing = false;
      person.lives++;
      person.input = { ...(person.input as object), name: `${participantId}.${person.lives}` };
      this.spawn(person);
    };
    runtime.remove(flowType, participantId).then(gone, (error) => {
      tell(`${participantId} is not removed: ${error.message}`);
      answered();
      if (error.code === 'ACTOR_NOT_FOUND' && !ledger.actors.has(address)) gone();
      else later(30 * SECOND);
    });
  }

  /** Somebody writes; the carrier delivers the message again until it is acknowledged. */
  write(person: Person, text: string): void {
    const { chance, faults, scheduler } = this.#world;
    const id = `m${this.#world.number()}`;
    this.messages.set(id, { channel: 'sms', id, from: person.phoneNumber, text });
    this.application.begins(id);
    this.#deliver(id, person);
    if (chance.happens(faults.duplicate))
      scheduler.after(chance.pick([0, 0, SECOND, MINUTE]), `${id} once more`, () => this.#deliver(id, person), OUTSIDE);
  }

  #deliver(id: string, person: Person): void {
    const { scheduler, database, runtime, tell } = this.#world;
    const later = (ms: number) => {
      scheduler.clock.clearTimeout(this.#redeliveries.get(id));
      const again = () => !this.#acknowledged.has(id) && this.#deliver(id, person);
      this.#redeliveries.set(id, scheduler.after(ms, `${id} again`, again, OUTSIDE));
    };
    const tries = (this.#tries.get(id) ?? 0) + 1;
    this.#tries.set(id, tries);
    const soon = Math.min(30 * SECOND * 2 ** tries, 5 * MINUTE);
    if (!runtime || !person.spawned) {
      later(soon);
      return;
    }
    const message = this.messages.get(id)!;
    tell(`${person.participantId} writes ${JSON.stringify(message.text)} (${id})`);
    later(4 * MINUTE); // without an answer
    const { flowType, participantId } = person;
    const received = this.application.purchases.has(id)
      ? this.application.buy(runtime, id, async (trx) => ({
          ...(await trx.receiveFor(flowType, participantId, message)),
          handled: true, // it leaves a mark, whatever it means to the actor
        }))
      : runtime.receiveFor(flowType, participantId, message);
    received.then(
      ({ status }) => {
        this.#acknowledged.add(id);
        scheduler.clock.clearTimeout(this.#redeliveries.get(id));
        tell(`${id} is acknowledged: ${status}`);
        const [mark] = database.read("SELECT id FROM inbox WHERE channel = 'sms' AND message_id = ?", [id]);
        if (!mark) this.#world.broken('G5', `the message ${id} was acknowledged (${status}) before it was committed`);
      },
      (error) => {
        tell(`${id} is refused: ${error.message}`);
        later(soon);
      },
    );
  }

  /** The application sends an event, once; if the answer is lost, it does not know. */
  send(person: Person, type: string, poison = false): void {
    const { runtime, tell } = this.#world;
    if (!runtime || !person.spawned) return;
    const { flowType, participantId } = person;
    const serial = `e${this.#world.number()}`;
    const event = { type, serial, ...(poison && { poison }) };
    const address = `${flowType}/${participantId}`;
    const bought = this.application.begins(serial);
    const events = bought && this.application.insists() ? [event, { ...event, serial: `${serial}+` }] : [event];
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
    const { scheduler, ledger } = this.#world;
    // What is sent in a transaction waits for that to begin.
    const answered = bought ? () => {} : this.#cycles.await(serial, address);
    const { life } = scheduler;
    const actor = ledger.actors.get(address);
    const version = actor?.row.version;
    const wasAside = actor?.row.status === 'quarantined' || this.#world.isRetried(participantId);
    const answer = bought
      ? this.application.buy(runtime, serial, async (trx) => {
          const actor = trx.actor(flowType, participantId);
          let handled = true;
          for (const each of events) handled &&= (await actor.send(each)).handled;
          return { handled };
        })
      : runtime.actor(flowType, participantId).send(event);
    answer.then(
      ({ handled }) => {
        answered();
        tell(`${serial} is answered: handled ${handled}`);
        if (withdraw() && handled) this.#world.broken('G1', `the event ${serial} was answered before it was committed`);
      },
      (error) => {
        answered();
        tell(`${serial} is refused: ${error.message}`);
        const isSame =
          ledger.actors.get(address) === actor && actor?.row.version === version && scheduler.life === life;
        if (error.code === 'ACTOR_QUARANTINED' && actor && isSame && !wasAside)
          this.#world.broken('G9', `${serial} is refused, as if ${address} were put aside`);
        // Undone, or never begun: it must not be applied later.
        if (!UNDONE.has(error.code)) return;
        if (!withdraw() && ROLLED_BACK.has(error.code))
          this.#world.broken('G1', `${serial} was told to be rolled back, and is committed`);
      },
    );
  }

  /** In the end each message was acknowledged. @throws {Violation} */
  close(): void {
    for (const [id] of this.messages)
      if (!this.#acknowledged.has(id)) throw new Violation('G5', `the message ${id} is never acknowledged`);
  }
}
