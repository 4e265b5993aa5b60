/** Pauses before something is tried again. They end with the engine. */
import type { Clock } from '../clock.ts';
import type { Cell } from './cell.ts';
import type { Phase } from './phase.ts';
import { Waits } from './waits.ts';

export class Pauses {
  readonly #waits: Waits;
  readonly #phase: Phase;
  /** The actors that pause before another attempt at a turn. */
  readonly actors = new Set<Cell>();
  /** Told when an actor begins to pause. */
  began: () => void = () => {};

  constructor(clock: Clock, phase: Phase) {
    this.#waits = new Waits(clock);
    this.#phase = phase;
  }

  /** Waits so many ms, or until the engine stops. */
  async wait(ms: number): Promise<void> {
    if (this.#phase.running) await this.#waits.wait(ms);
  }

  /**
   * Lets an actor pause, so long in ms.
   * @param trouble why
   * @param endable whether a stop of the actor may end it
   */
  async of(cell: Cell, ms: number, trouble: Error, endable = false): Promise<void> {
    cell.trouble = trouble;
    for (const told of cell.onPause.splice(0)) told();
    this.actors.add(cell);
    this.began();
    if (this.#phase.running) {
      const { over, end } = this.#waits.begin(ms);
      if (endable) cell.endPause = end;
      await over;
    }
    this.actors.delete(cell);
    cell.endPause = undefined;
    cell.trouble = undefined;
  }

  endAll(): void {
    this.#waits.endAll();
  }
}
