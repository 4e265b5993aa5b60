/**
 * Deadlines that are always due. An event waits for those that were due when it came, and for no others; an actor that runs
 * away in a cycle of them is told of, and goes on slowly (G4).
 */
import type { Followed } from './ledger.ts';
import { SECOND, type Surroundings } from './surroundings.ts';

/** So many rounds follow at once before an actor is slowed down: less than in earnest, for lives are short; see bundle.ts. */
export const FREE_ROUNDS = 8;
/** By then an actor that runs away was told of: other deadlines than those of its cycle may be pending. */
const TOLD_BY = 2 * FREE_ROUNDS + 4;
/** An event has so many deadlines of its actor before it, at the most: those of who came earlier among them. */
const MOST_BEFORE = 10;
/** Who is slowed down fires so many deadlines in a second, at the most: several may be due at once, and events do not wait. */
const MOST_A_SECOND = 16;

/** An event that was sent and has no answer. */
interface Waiting {
  text: string;
  address: string;
  /** How many deadlines of its actor have fired meanwhile. */
  behind: number;
}

/** What an actor has fired in this life of the process. */
interface Rounds {
  /** How many followed each other at once. */
  atOnce: number;
  /** The instant of the last one, by the wall clock. */
  at: number;
  /** It was told to be slowed down. */
  isSlow: boolean;
  /** When the last ones fired, since it was slowed down, in ms of the time that has passed. */
  last: number[];
}

export class Cycles {
  readonly #world: Surroundings;
  readonly #waiting = new Set<Waiting>();
  readonly #rounds = new Map<string, Rounds>();

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /** A process begins, and nobody waits for the one before. */
  begin(): void {
    this.#waiting.clear();
    this.#rounds.clear();
  }

  /** The actor is no more. */
  forget(address: string): void {
    this.#rounds.delete(address);
  }

  /** An event was sent; call the result when it is answered. */
  await(text: string, address: string): () => void {
    const waiting = { text, address, behind: 0 };
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  }

  /** A deadline of the actor, due at an instant, has fired at another one. */
  fired({ address }: Followed, dueAt: number, at: number): void {
    const { scheduler, clockSet, broken } = this.#heard;
    for (const waiting of this.#waiting)
      if (waiting.address === address && ++waiting.behind > MOST_BEFORE)
        broken(`${waiting.text} waits for ${waiting.behind} deadlines of ${address}`);
    const rounds = this.#of(address);
    const { elapsed } = scheduler;
    rounds.atOnce = dueAt - rounds.at < 10 ? rounds.atOnce + 1 : 1;
    rounds.at = at;
    rounds.last = [...rounds.last.filter((at) => at > elapsed - SECOND), elapsed];
    if (clockSet) return;
    if (!rounds.isSlow) {
      if (rounds.atOnce > TOLD_BY) broken(`${address} runs away, and nobody is told`);
    } else if (rounds.last.length > MOST_A_SECOND) broken(`${address} runs away, and is not slowed down`);
  }

  /** An actor was told to be slowed down. */
  runaway(address: string): void {
    const rounds = this.#of(address);
    if (rounds.atOnce < FREE_ROUNDS) this.#heard.broken(`${address} is slowed down after ${rounds.atOnce} deadlines`);
    rounds.isSlow = true;
    rounds.last = [];
  }

  /** It came to rest. */
  calmed(address: string): void {
    this.#rounds.delete(address);
  }

  get #heard() {
    const { scheduler, clockSet } = this.#world;
    return { scheduler, clockSet, broken: (what: string) => this.#world.broken('G4', what) };
  }

  #of(address: string): Rounds {
    let rounds = this.#rounds.get(address);
    if (!rounds) {
      rounds = { atOnce: 0, at: Number.NEGATIVE_INFINITY, isSlow: false, last: [] };
      this.#rounds.set(address, rounds);
    }
    return rounds;
  }
}
