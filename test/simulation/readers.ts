/**
 * Those who only look, at any time: what they are told must be a committed state, not older than what was known to be
 * committed when they asked; and who is there is found.
 */
import type { Runtime } from '../../src/index.ts';
import type { ActorRow, JournalRow } from '../../src/store/rows.ts';
import type { Chance } from './chance.ts';
import { canonical } from './comparison.ts';
import type { Followed } from './ledger.ts';
import { GENERATED } from './machines.ts';
import type { Questions } from './questions.ts';
import type { Person, Surroundings } from './surroundings.ts';

/** What an actor was after a turn, as readers see it. */
export interface Stand {
  version: number;
  /** Its state and context. */
  snapshot: string;
  timers: string;
  state: string;
  status: string;
}

const WAYS = ['getSnapshot', 'getSnapshot', 'describe', 'timers', 'waitFor', 'stranger'] as const;

export class Readers {
  readonly #world: Surroundings;
  readonly #chance: Chance;
  readonly #questions: Questions;
  /** The last version of each actor that the process has told of, or has found at its start. */
  #told = new Map<string, number>();

  /** @param chance of its own, so that the rest of the world goes as it went without it */
  constructor(world: Surroundings, questions: Questions, chance: Chance) {
    this.#world = world;
    this.#questions = questions;
    this.#chance = chance;
  }

  /** A process begins, and can read what there is. */
  begin(): void {
    this.#told = new Map([...this.#world.ledger.actors].map(([address, { row }]) => [address, row.version]));
  }

  /** The process has told that this version is committed. */
  told(address: string, version: number): void {
    if (version > (this.#told.get(address) ?? 0)) this.#told.set(address, version);
  }

  /** The actor is no more. */
  forget(address: string): void {
    this.#told.delete(address);
  }

  /** Somebody looks at an actor, in one of the ways that there are. */
  look(person: Person): void {
    const { runtime, ledger } = this.#world;
    if (!runtime || !person.spawned) return;
    const address = `${GENERATED}/${person.participantId}`;
    const followed = ledger.actors.get(address);
    if (!followed) return;
    const way = this.#chance.pick(WAYS);
    const text = `${way} of ${address}`;
    this.#questions.ask(
      text,
      () => this.#ask(way, runtime, person, followed),
      (answer) => answer,
      ({ code }) => {
        const isThere = ledger.actors.get(address) === followed && !person.removing;
        if (isThere && ['ACTOR_NOT_FOUND', 'ACTOR_EXISTS', 'ACTOR_QUARANTINED'].includes(code ?? ''))
          this.#world.broken('G1', `${text} is answered '${code}', and it is there`);
      },
    );
  }

  async #ask(way: (typeof WAYS)[number], runtime: Runtime, person: Person, followed: Followed): Promise<string> {
    const { address, stands } = followed;
    const { ledger } = this.#world;
    const least = this.#told.get(address) ?? 0;
    const since = () => stands.filter(({ version }) => version >= least);
    const check = (answer: string, known: (stand: Stand) => string) => {
      if (
        !person.removing &&
        ledger.actors.get(address) === followed &&
        !since().some((stand) => known(stand) === answer)
      )
        this.#world.broken(
          'G1',
          `${way} of ${address} is answered what was not committed since version ${least}: ${answer}`,
        );
      return answer;
    };
    const actor = runtime.actor(GENERATED, person.participantId);
    switch (way) {
      case 'getSnapshot':
        return check(shown(await actor.getSnapshot()), ({ snapshot }) => snapshot);
      case 'timers': {
        const timers = await actor.timers();
        return check(
          shownTimers(timers.map(({ event, dueAt }) => ({ type: event.type, dueAt }))),
          (stand) => stand.timers,
        );
      }
      case 'describe': {
        const { version, state, status } = await actor.describe();
        return check(`${version} ${state} ${status}`, (stand) => `${stand.version} ${stand.state} ${stand.status}`);
      }
      case 'waitFor': {
        const { count } = followed.reference.snapshot.context;
        const waited = actor.waitFor(({ context }) => context.count > count, { timeout: '3m' });
        return await waited.then(
          (snapshot) => check(shown(snapshot), (stand) => stand.snapshot),
          (error) => error.code,
        );
      }
      case 'stranger': {
        // Whoever is not there takes nobody's place in memory.
        const error = await runtime
          .actor(GENERATED, `stranger_${this.#chance.below(3)}`)
          .getSnapshot()
          .catch((error) => error);
        if (!('code' in error)) this.#world.broken('G1', 'there is a stranger');
        return error.code;
      }
    }
  }
}

/** What readers see of an actor after a turn. @param row as it is after the last turn of its transaction */
export function standOf({ reference }: Followed, { version, to_state: state }: JournalRow, row: ActorRow): Stand {
  const status = version === row.version ? row.status : 'active';
  const timers = shownTimers(status === 'active' ? reference.deadlines : []);
  return { version, snapshot: shown(reference.snapshot), timers, state, status };
}

/** Without what a migration adds, which readers may see before it is written. */
function shown({ value, context: { generation, ...context } }: any): string {
  return canonical({ value, context });
}

const shownTimers = (timers: { type: string; dueAt: number }[]) =>
  JSON.stringify(timers.map(({ type, dueAt }) => [type, dueAt]));
