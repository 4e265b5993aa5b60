/**
 * Answers those who would wait too long: while the database takes no writes, or their actor pauses before another attempt at a
 * turn that failed.
 *
 * Nothing is timed while all goes well. From a failure on, the mailboxes are looked at twice in each `limit`: an item that was
 * there at the look before is taken out, and who waits for it is told why. Only an item whose own turn is not being committed
 * is taken out, so that nothing of it is applied later; what is being committed has a limit of its own (committer.ts). What
 * nobody outside would bring again, a deadline or a result, stays and is tried on.
 */
import { type Clock, wakeAt } from '../clock.ts';
import { formatDuration } from '../duration.ts';
import { formatAddress, type PerdureError, StoreError, TimeoutError } from '../errors.ts';
import { isGeneral } from '../store/store.ts';
import type { Cell } from './cell.ts';
import type { Pauses } from './pauses.ts';
import type { Phase } from './phase.ts';

export interface PatienceOptions {
  clock: Clock;
  phase: Phase;
  pauses: Pauses;
  cells: Iterable<Cell>;
  /** How long anybody waits at the most, in ms. */
  limit: number;
}

export class Patience {
  readonly #options: PatienceOptions;
  /** Why the database takes no writes; `undefined`: it does, as far as is known. */
  #outage: Error | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
    options.pauses.began = () => this.#begin();
  }

  /** The database as a whole refused a write, or does not answer. Who waits now has done so for a while. */
  failing(error: Error): void {
    const isNew = this.#outage === undefined;
    this.#outage = error;
    if (isNew) for (const { queue } of this.#options.cells) for (const item of queue) item.waited = true;
    this.#begin();
  }

  /** The database took a write. */
  working(): void {
    this.#outage = undefined;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #begin(): void {
    const { clock, limit, phase } = this.#options;
    if (!phase.running) return;
    this.#cancel ??= wakeAt(clock, clock.now() + limit / 2, () => this.#look());
  }

  #look(): void {
    const { cells, limit, pauses } = this.#options;
    this.#cancel = undefined;
    for (const cell of cells) {
      const trouble = cell.trouble ?? this.#outage;
      if (!trouble) continue;
      for (const item of [...cell.queue]) {
        if (item.insistent || item.committing) continue;
        if (!item.waited) item.waited = true;
        else {
          item.answered = true;
          cell.queue.splice(cell.queue.indexOf(item), 1);
          item.reject(unanswered(cell, trouble, limit));
        }
      }
    }
    if (this.#outage || pauses.actors.size > 0) this.#begin();
  }
}

function unanswered({ address }: Cell, trouble: Error, limit: number): PerdureError {
  const who = formatAddress(address);
  const within = formatDuration(limit);
  const why = isGeneral(trouble) && trouble.reason === 'timeout' ? 'The database does not answer.' : trouble.message;
  const advice = 'Nothing of it was applied, and nothing will be: send it again later.';
  return isGeneral(trouble)
    ? new StoreError(trouble.reason, `${who} could not take it within ${within}. ${why} ${advice}`, {
        address,
      })
    : new TimeoutError(
        `${who} could not take it within ${within}: the actor waits for another attempt at a turn that failed. ${advice}`,
        { address, cause: trouble },
      );
}
