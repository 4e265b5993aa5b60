/**
 * What must become of an actor whose code fails where nobody outside can repeat it: what its flow's supervision says. It is
 * tried again so often, with such pauses, and then put aside, ended, or goes on without the event; never for ever.
 */
import type { RuntimeEvents } from '../../src/events.ts';
import type { AnyFlow } from '../../src/flow/flow.ts';
import type { Surroundings } from './surroundings.ts';

/** So often is one and the same version of an actor tried at the most: by supervision, and by all who send it something. */
const MOST_ATTEMPTS = 60;

/** What is known of an actor that fails. */
interface Failing {
  /** When it was told to be tried again, on the wall clock. */
  restarts: number[];
  /** When its last turn failed, on the wall clock: then it is decided, however long that takes to be written. */
  failedAt?: number;
  /** Not before this much time has passed is it tried again. */
  pausesUntil: number;
  /** How often its code failed at this version. */
  version: number;
  attempts: number;
}

export class Strategies {
  readonly #world: Surroundings;
  #failing = new Map<string, Failing>();

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /** Failures are forgotten with the process. */
  begin(): void {
    this.#failing = new Map();
  }

  /** Code of the actor has failed, or its rows were refused. */
  failed(address: string): void {
    const failing = this.#of(address);
    const version = this.#world.ledger.actors.get(address)?.row.version;
    if (version === undefined) return; // the application tries to enrol it, for as long as it takes
    failing.attempts = failing.version === version ? failing.attempts + 1 : 1;
    failing.version = version;
    if (failing.attempts > MOST_ATTEMPTS)
      this.#world.broken('G9', `${address} was tried ${failing.attempts} times at version ${version}, and fails`);
  }

  /** A turn of the actor has failed. */
  turnFailed(address: string): void {
    this.#of(address).failedAt = this.#world.scheduler.clock.now();
  }

  restarting(address: string, flow: AnyFlow, { after }: RuntimeEvents['restarting']): void {
    const { scheduler, clockSet } = this.#world;
    const { strategy, maxRestarts, within, initial, max } = flow.supervision;
    const failing = this.#of(address);
    const now = scheduler.clock.now();
    const broken = (what: string) => this.#world.broken('G9', `${address} ${what}`);
    if (strategy !== 'restart') broken(`is tried again, and its flow says '${strategy}'`);
    if (!clockSet && scheduler.elapsed < failing.pausesUntil) broken('was tried again before its pause was over');
    failing.restarts = failing.restarts.filter((at) => at > now - within);
    failing.restarts.push(now);
    const count = failing.restarts.length;
    if (count > maxRestarts) broken(`is tried again for the ${count}th time, and its flow says ${maxRestarts}`);
    const longest = Math.min(initial * 2 ** (count - 1), max);
    if (after < longest / 2 - 1 || after > longest) broken(`is tried again after ${after} ms, and not ${longest}`);
    failing.pausesUntil = scheduler.elapsed + after;
  }

  /** Its code kept failing, and it is put aside. */
  gaveUp(address: string, flow: AnyFlow): void {
    const { strategy, maxRestarts, within } = flow.supervision;
    const { restarts, failedAt = this.#world.scheduler.clock.now() } = this.#of(address);
    const count = restarts.filter((at) => at > failedAt - within).length;
    if (strategy === 'restart' && count < maxRestarts)
      this.#world.broken('G9', `${address} was put aside after ${count} restarts, and its flow says ${maxRestarts}`);
    if (strategy === 'stop') this.#world.broken('G9', `${address} was put aside, and its flow says to end it`);
  }

  /** It was given another chance, and its failures are forgotten. */
  forgiven(address: string): void {
    this.#failing.delete(address);
  }

  #of(address: string): Failing {
    let failing = this.#failing.get(address);
    if (!failing) {
      failing = { restarts: [], pausesUntil: 0, version: 0, attempts: 0 };
      this.#failing.set(address, failing);
    }
    return failing;
  }
}
