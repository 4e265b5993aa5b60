/**
 * Finds the actor that never comes to rest: one that sets itself a deadline of no delay again and again, invokes without end
 * what ends at once, or plays ping-pong with another. In production it would keep a processor busy; in a test, where time
 * stands still, it would hang.
 */
import { type Address, formatAddress, PerdureError } from '../../errors.ts';
import type { RuntimeEvents } from '../../events.ts';

/** An actor that does not come to rest at one instant. `events`: what its last turns were made from. */
export class RunawayError extends PerdureError {
  readonly code = 'RUNAWAY';
  readonly events: readonly string[];

  constructor(address: Address, turns: number, events: readonly string[]) {
    const names = events.map((event) => `'${event}'`).join(' → ');
    super(
      `${formatAddress(address)} does not come to rest: ${turns} turns at one instant, the last from ${names}. Give the flow a delay or a condition that ends it; if so many are right, raise createTestRuntime({ runawayAfter }).`,
      { address },
    );
    this.events = events;
  }
}

interface Record {
  at: number;
  /** Deadlines that fired, one after another. */
  fired: number;
  /** Turns of any kind that nobody outside asked for. */
  restless: number;
  recent: string[];
}

/** So many of the last turns are told of. */
const RECENT = 8;

export class RunawayWatch {
  readonly #limit: number;
  readonly #caught: (error: RunawayError) => void;
  readonly #records = new Map<string, Record>();
  /** How many wait for rest: then every turn is one that nobody outside asked for … */
  #resting = 0;
  /** … but for those that are being asked for. */
  #asking = 0;

  /** @param limit how many turns of one actor at one instant are too many */
  constructor(limit: number, caught: (error: RunawayError) => void) {
    this.#limit = limit;
    this.#caught = caught;
  }

  /** While `work` goes on, actors ought to come to rest. */
  async resting<T>(work: () => Promise<T>): Promise<T> {
    this.#resting++;
    try {
      return await work();
    } finally {
      this.#resting--;
    }
  }

  /** While `work` goes on, somebody outside asks for turns. */
  async asking<T>(work: () => Promise<T>): Promise<T> {
    this.#asking++;
    try {
      return await work();
    } finally {
      this.#asking--;
    }
  }

  hear({ address, event, at, lateness }: RuntimeEvents['turn']): void {
    const key = formatAddress(address);
    const known = this.#records.get(key);
    const record = known?.at === at ? known : { at, fired: 0, restless: 0, recent: [] };
    if (record !== known) this.#records.set(key, record);
    record.fired = lateness === undefined ? 0 : record.fired + 1;
    record.restless = this.#resting > 0 && this.#asking === 0 ? record.restless + 1 : 0;
    record.recent.push(event);
    if (record.recent.length > RECENT) record.recent.shift();
    const turns = Math.max(record.fired, record.restless);
    if (turns > this.#limit) this.#caught(new RunawayError(address, turns, [...new Set(record.recent)]));
  }
}
