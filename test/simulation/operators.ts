/** Operators, and what gives them work: rows that are damaged, guards that throw for a while. They mend, and retry what was put aside. */
import { OUTSIDE } from './scheduler.ts';
import type { Services } from './services.ts';
import { type Person, SECOND, type Surroundings } from './surroundings.ts';

export class Operators {
  readonly #world: Surroundings;
  readonly #services: Services;
  readonly #poisoned = new Set<string>();
  /** Rows that were damaged, as they were. */
  readonly #damaged = new Map<number, string>();

  constructor(world: Surroundings, services: Services) {
    this.#world = world;
    this.#services = services;
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
    database.write('UPDATE flow_states SET state_data = substr(state_data, 1, 20) WHERE id = ?', [id]);
  }

  /** The guards of an actor throw from now on, or are mended. */
  poison({ participantId }: Person): void {
    if (this.#poisoned.delete(participantId)) return;
    this.#world.tell(`the guards of ${participantId} throw from now on`);
    this.#poisoned.add(participantId);
  }

  poisoned(actor: string): boolean {
    return this.#poisoned.has(actor);
  }

  /** All that has bugs is mended. */
  calmDown(): void {
    this.#poisoned.clear();
  }

  /** An operator mends what was put aside. */
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
      const whole = this.#damaged.get(id);
      if (whole !== undefined && (status === 'quarantined' || calm)) {
        tell(`the row ${id} is mended`);
        database.write('UPDATE flow_states SET state_data = ? WHERE id = ?', [whole, id]);
        this.#damaged.delete(id);
        // The process may have read it before, and puts the actor aside for what it read.
        if (status !== 'quarantined')
          scheduler.after(10 * SECOND, 'the operator looks again', () => this.operate(), OUTSIDE);
      }
      if (status !== 'quarantined' || this.#damaged.has(id)) continue;
      this.#poisoned.delete(participant_id);
      this.#services.beginAnew(participant_id);
      tell(`retry ${participant_id}`);
      runtime
        .actor(flow_type, participant_id)
        .retry()
        .catch((error) => tell(`the retry of ${participant_id} failed: ${error.message}`));
    }
  }
}
