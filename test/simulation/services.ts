/** What machines ask of the world outside: promises, which fail in every way, and custom actions. It checks when and how often (G7, G8). */
import { InvocationTimeoutError } from '../../src/errors.ts';
import type { Result } from './causes.ts';
import type { Followed } from './ledger.ts';
import { HOUR, MINUTE, SECOND, type Surroundings } from './surroundings.ts';
import { Violation } from './violation.ts';

interface Call {
  actor: string;
  key: string;
  life: number;
  over: boolean;
}

export class Services {
  readonly #world: Surroundings;
  /** How promises ended, by their key; each may be applied once. */
  readonly outcomes: Result[] = [];
  #calls: Call[] = [];
  /** How often a promise was attempted in this life, by its key. */
  readonly #attempts = new Map<string, number>();

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /** A process begins: what the one before attempted does not count any more. */
  begin(): void {
    this.#attempts.clear();
  }

  /** The process has ended, and what it asked for with it. */
  hangUp(): void {
    for (const call of this.#calls) call.over = true;
  }

  /** What the actor had under way was ended when it was put aside, and is attempted anew. */
  beginAnew(actor: string): void {
    for (const call of this.#calls) if (call.actor === actor) this.#attempts.delete(call.key);
  }

  /** The actor was put aside. */
  putAside(actor: string): void {
    const { life } = this.#world.scheduler;
    const goesOn = this.#calls.find((call) => call.actor === actor && call.life === life && !call.over);
    if (goesOn) this.#world.broken('G7', `${goesOn.key} goes on, whose actor was put aside`);
  }

  call(actor: string, key: string, signal: AbortSignal): Promise<unknown> {
    const { scheduler, chance, faults, calm, tell } = this.#world;
    const { life } = scheduler;
    const broken = (what: string) => this.#world.broken('G7', what);
    const followed = this.#followed(actor);
    const calls = [...(followed?.reference.pendingCalls ?? []), ...(followed?.formerCalls ?? [])];
    if (!calls.includes(key) && !this.#world.ledger.mayStillCall(actor, key))
      broken(`${key} of ${actor} was started, and no committed state invokes it`);
    if (this.#calls.some((call) => call.key === key && call.life === life && !call.over))
      broken(`${key} was started twice`);
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    const attempts = followed?.flow.invocations.get('work')?.attempts;
    if (attempts !== undefined && attempt > attempts)
      broken(`${key} was attempted ${attempt} times, and its flow says ${attempts}`);
    const brought = (tag: string, outcome: Result['outcome']) =>
      this.outcomes.push({ key, tag, outcome, at: scheduler.elapsed, last: attempt === (attempts ?? attempt) });
    // What a former attempt brought, nobody waits for any more.
    this.outcomes.splice(0, Number.POSITIVE_INFINITY, ...this.outcomes.filter((each) => each.key !== key));
    const call: Call = { actor, key, life, over: false };
    this.#calls.push(call);
    const tag = `r${this.#world.number()}`;
    tell(`${key} is called (${tag})`);
    signal.addEventListener('abort', () => {
      call.over = true;
      tell(`${key} is abandoned (${tag})`);
      const { reason: error } = signal;
      if (error instanceof InvocationTimeoutError) brought(error.message, { error });
      else this.#attempts.delete(key);
    });
    const fails = !calm && chance.happens(faults.callRejects);
    const outcome = fails ? { error: new Error(tag) } : { value: { tag, text: `reply ${tag}` } };
    if (!calm && chance.happens(faults.callThrows)) {
      call.over = true;
      const error = new Error(tag);
      brought(tag, { error });
      throw error;
    }
    if (!calm && chance.happens(faults.callNever)) return new Promise(() => {});
    const late = !calm && chance.happens(faults.callLate);
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
    const { ledger } = this.#world;
    const name =
      this.#followed(actor) && [...ledger.actions.keys()].findLast((each) => each.startsWith(`${actor}|${key}|`));
    if (!name) {
      this.#world.broken('G8', `${actor} did '${key}' before its turn was committed`);
      return;
    }
    const left = ledger.actions.get(name)!;
    if (left === 0) this.#world.broken('G8', `${actor} did '${key}' once too often`);
    ledger.actions.set(name, left - 1);
    if (key.startsWith('actBadly')) throw new Error('an action with a bug');
  }

  /** In the end, what the actor waits for was asked, and what that brought was applied. @throws {Violation} */
  close({ address, reference }: Followed): void {
    const { scheduler } = this.#world;
    for (const key of reference.pendingCalls)
      if (!this.#calls.some((call) => call.key === key && call.life === scheduler.life))
        throw new Violation('G7', `${key} of ${address} is not called again`);
    for (const { key, tag, at } of this.outcomes)
      if (at < scheduler.elapsed - 4 * MINUTE && reference.pendingCalls.includes(key))
        throw new Violation('G7', `what ${key} of ${address} brought (${tag}) is never applied`);
  }

  #followed(actor: string): Followed | undefined {
    return [...this.#world.ledger.actors.values()].find(({ row }) => row.participant_id === actor);
  }
}
