/** Operators, and what gives them work: rows that are damaged, guards that throw for a while. They mend, and retry what was put aside. */
import type { Address } from '../../src/errors.ts';
import type { Runtime } from '../../src/index.ts';
import { isGeneral } from '../../src/store/store.ts';
import type { Chance } from './chance.ts';
import type { Leftovers } from './leftovers.ts';
import { GENERATED } from './machines.ts';
import type { Flaw } from './outside.ts';
import type { Questions } from './questions.ts';
import { OUTSIDE } from './scheduler.ts';
import type { Services } from './services.ts';
import { type Person, SECOND, type Surroundings } from './surroundings.ts';

export class Operators {
  readonly #world: Surroundings;
  readonly #services: Services;
  readonly #questions: Questions;
  readonly #leftovers: Leftovers;
  readonly #chance: Chance;
  /** Actors that were put aside and are to be given up. */
  readonly discarding = new Set<string>();
  /** The process that is discarding an actor, until it answers. */
  readonly #discarded = new Map<string, Runtime>();
  /** The process that retries a participant's actor, until it answers. */
  readonly #retried = new Map<string, Runtime>();
  /** Poison harms nobody any more. */
  withoutPoison = false;
  /** What is wrong with the code of actors, or with their tables. */
  readonly #flaws = new Map<string, Flaw>();
  /** Rows that were damaged, as they were. */
  readonly #damaged = new Map<number, string>();
  readonly #everDamaged = new Set<number>();

  /** @param chance of its own, so that the rest of the world goes as it went without it */
  constructor(world: Surroundings, services: Services, questions: Questions, leftovers: Leftovers, chance: Chance) {
    this.#world = world;
    this.#services = services;
    this.#questions = questions;
    this.#leftovers = leftovers;
    this.#chance = chance;
  }

  /** The disk, or somebody's hand, damages a row while nobody runs. */
  damage(): void {
    const { process, database, chance, tell } = this.#world;
    if (process) return;
    const rows = database.read<{ id: number; state_data: string }>(
      "SELECT id, state_data FROM flow_states WHERE status = 'active'",
    );
    if (rows.length === 0) return;
    const { id, state_data } = chance.pick(rows);
    if (this.#damaged.has(id)) return;
    tell(`the row ${id} of flow_states is damaged`);
    this.#damaged.set(id, state_data);
    this.#everDamaged.add(id);
    database.write('UPDATE flow_states SET state_data = substr(state_data, 1, 20) WHERE id = ?', [id]);
  }

  /** The actor's row cannot be read, or could not be a while ago. */
  wasDamaged({ flowType, participantId }: Address): boolean {
    const [row] = this.#world.database.read<{ id: number }>(
      'SELECT id FROM flow_states WHERE flow_type = ? AND participant_id = ?',
      [flowType, participantId],
    );
    return row !== undefined && this.#everDamaged.has(row.id);
  }

  /** An actor may be ended without a turn: its row could not be read. */
  get mayEndAsItWas(): boolean {
    return this.#everDamaged.size > 0;
  }

  /** A part of the actor's flow fails from now on, or is mended. */
  flaw({ participantId }: Person, flaw: Flaw): void {
    if (this.#flaws.delete(participantId)) return;
    this.#world.tell(`the flow of ${participantId} has a bug from now on: ${flaw}`);
    this.#flaws.set(participantId, flaw);
  }

  /** A part of the flow of the actor whose deadline is the next one fails from now on. */
  flawNext(flaw: Flaw): void {
    const { database, people } = this.#world;
    const [next] = database.read<{ participant_id: string }>(
      `SELECT participant_id FROM flow_states WHERE flow_type = ? AND status = 'active' AND next_due_at IS NOT NULL
      ORDER BY next_due_at LIMIT 1`,
      [GENERATED],
    );
    const person = people.find(({ participantId }) => participantId === next?.participant_id);
    if (person && !this.#flaws.has(person.participantId)) this.flaw(person, flaw);
  }

  /** The retry of a participant's actor has begun, and is not answered: the actor may be put aside still in memory. */
  isRetried(participantId: string): boolean {
    const { process } = this.#world;
    return process !== undefined && this.#retried.get(participantId) === process;
  }

  fails(actor: string, part: Flaw): boolean {
    return this.#flaws.get(actor) === part;
  }

  /** Whose flow is to blame for a statement with these parameters. */
  culprit(parameters: readonly unknown[]): string | undefined {
    return [...this.#flaws.keys()].find((actor) => parameters.includes(actor));
  }

  /** Whether a statement writes into a table that is missing. */
  lacksTable(text: string, parameters: readonly unknown[]): boolean {
    if (this.#flaws.size === 0 || !/entries|standings/.test(text)) return false;
    const actor = this.culprit(parameters);
    return actor !== undefined && this.fails(actor, 'table');
  }

  /** All that has bugs is mended. */
  calmDown(): void {
    this.#flaws.clear();
    this.withoutPoison = true;
  }

  /** An operator mends what was put aside, or gives it up. */
  operate(): void {
    const { runtime, database, scheduler, calm, tell } = this.#world;
    if (!runtime) return;
    if (database.occupied) {
      scheduler.after(10 * SECOND, 'the operator waits', () => this.operate(), OUTSIDE);
      return;
    }
    for (const { id, participant_id, flow_type, status } of database.read<any>(
      'SELECT id, participant_id, flow_type, status FROM flow_states',
    )) {
      const isGivenUp = status === 'quarantined' && this.#chance.happens(0.3);
      if (isGivenUp) this.#discard(runtime, flow_type, participant_id);
      if (isGivenUp && !calm) continue;
      const whole = this.#damaged.get(id);
      // A discard that is under way may have read it as it is, and ends it so.
      const isDiscarded = this.#discarded.get(`${flow_type}/${participant_id}`) === runtime;
      const isMended = status === 'quarantined' ? !isDiscarded : calm;
      const looksAgain = () => scheduler.after(10 * SECOND, 'the operator looks again', () => this.operate(), OUTSIDE);
      if (whole !== undefined && isDiscarded) looksAgain();
      if (whole !== undefined && isMended) {
        tell(`the row ${id} is mended`);
        database.write('UPDATE flow_states SET state_data = ? WHERE id = ?', [whole, id]);
        this.#damaged.delete(id);
        // The process may have read it before, and puts the actor aside for what it read.
        if (status !== 'quarantined') looksAgain();
      }
      if (status !== 'quarantined' || this.#damaged.has(id)) continue;
      this.#flaws.delete(participant_id);
      this.#services.beginAnew(participant_id);
      tell(`retry ${participant_id}`);
      this.#retried.set(participant_id, runtime);
      runtime
        .actor(flow_type, participant_id)
        .retry()
        .catch((error) => tell(`the retry of ${participant_id} failed: ${error.message}`))
        .finally(() => this.#retried.delete(participant_id));
    }
    this.withoutPoison ||= this.#chance.happens(0.3);
    this.#leftovers.seeTo();
  }

  /** Ends who was put aside; that fails only where the database does. */
  #discard(runtime: Runtime, flowType: string, participantId: string): void {
    const { ledger } = this.#world;
    const address = `${flowType}/${participantId}`;
    const followed = ledger.actors.get(address);
    const version = followed?.row.version;
    const text = `the discard of ${address}`;
    this.discarding.add(address);
    this.#discarded.set(address, runtime);
    const isThere = () => ledger.actors.get(address) === followed;
    this.#questions.ask(
      text,
      () => runtime.quarantine.discard({ flowType, participantId }, 'hopeless'),
      () => {
        this.#discarded.delete(address);
        if (isThere() && followed?.row.status !== 'stopped')
          this.#world.broken('G9', `${address} was told to be discarded, and is '${followed?.row.status}'`);
        return undefined;
      },
      (error) => {
        this.#discarded.delete(address);
        const isAside = isThere() && followed?.row.status === 'quarantined' && followed.row.version === version;
        if (isAside && !isGeneral(error) && error.code !== 'NOT_RUNNING')
          this.#world.broken('G9', `${text} is refused: ${error.message}`);
      },
    );
  }
}
