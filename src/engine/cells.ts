/**
 * The actors in memory, a cell each; of one actor there is one cell, or none.
 *
 *     hold ──> held ──the last hold is let go, and no process runs──> idle ──there are too many──> gone
 *               ^                                                      │
 *               └───────────────────────────hold───────────────────────┘
 *
 * - held: somebody has it in hand (its mailbox while that is worked off, a reader, an operator, a transaction), or a process of
 *   its runs, whose result comes back to it. It stays, however many there are.
 * - idle: nobody has it in hand, and its row is known. The one that was not used for longest goes first.
 * - gone: a cell of which nothing is known (of an actor that does not exist, or that was changed elsewhere) is not kept.
 *
 * A cell is used between `hold` and `release`, and by nobody else: whoever awaits something in between finds it in its place
 * afterwards. What comes later, such as a result, names the actor and not the cell.
 */
import type { InspectionEvent } from 'xstate';
import type { Host, Stimulus } from '../actor/live-actor.ts';
import type { ProcessHost } from '../actor/processes.ts';
import { LRUCache, upTo } from '../cache.ts';
import type { Clock } from '../clock.ts';
import { type Address, formatAddress, UnknownFlowError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow/flow.ts';
import type { Failures } from '../flow/supervision.ts';
import type { Inspection } from '../inspection/inspection.ts';
import { Cell } from './cell.ts';
import type { Phase } from './phase.ts';

/** So many actors that failed are remembered at most. */
const MOST_FAILING = 100_000;

export interface CellsOptions {
  flows: ReadonlyMap<string, AnyFlow>;
  clock: Clock;
  phase: Phase;
  events: EventChannel;
  inspection: Inspection;
  inspect: ((event: InspectionEvent) => void) | undefined;
  /** For what needs no replay, such as jitter. */
  chance: () => number;
  /** How many stay in memory while idle. */
  capacity: number;
  /** Takes what comes from within an actor, for which nobody waits. */
  push(address: Address, stimulus: Stimulus): void;
}

export class Cells {
  readonly #options: CellsOptions;
  readonly #held = new Map<string, Cell>();
  readonly #idle: LRUCache<string, Cell>;
  /** Of actors that failed lately: they count on, also where their cell has left memory in between. */
  readonly #failures = new Map<string, Failures>();

  constructor(options: CellsOptions) {
    this.#options = options;
    this.#idle = new LRUCache(upTo(options.capacity));
  }

  /**
   * The one at the address, which is in the caller's hand until it is released.
   * @throws {UnknownFlowError}
   */
  hold(address: Address): Cell {
    const key = formatAddress(address);
    let cell = this.#held.get(key);
    if (!cell) {
      cell = this.#idle.get(key);
      if (cell) this.#idle.delete(key);
      else {
        cell = this.#make(address, this.flow(address));
        if (this.#options.phase.quiet) cell.processes.hold();
      }
      this.#held.set(key, cell);
    }
    cell.holds++;
    return cell;
  }

  /** Holds one that is held already once more. */
  keep(cell: Cell): void {
    cell.holds++;
  }

  /** Lets go of one that was held. */
  release(cell: Cell): void {
    cell.holds--;
    this.#settle(cell);
  }

  /**
   * Runs `body` with the one at the address in hand.
   * @throws {UnknownFlowError}
   */
  async using<T>(address: Address, body: (cell: Cell) => T | Promise<T>): Promise<T> {
    const cell = this.hold(address);
    try {
      return await body(cell);
    } finally {
      this.release(cell);
    }
  }

  /** How many are in memory. */
  get size(): number {
    return this.#held.size + this.#idle.size;
  }

  /** All that are in memory. */
  *[Symbol.iterator](): Iterator<Cell> {
    yield* this.#held.values();
    for (const cell of this.#idle.rvalues()) if (cell) yield cell;
  }

  /** What is in memory of the actor is not to be trusted. */
  forget(address: Address): void {
    const key = formatAddress(address);
    this.#idle.delete(key);
    const cell = this.#held.get(key);
    if (!cell) return;
    cell.forget();
    this.#settle(cell);
  }

  /** What is in memory of any actor is not to be trusted. */
  forgetAll(): void {
    this.#idle.clear();
    for (const cell of [...this.#held.values()]) {
      cell.forget();
      this.#settle(cell);
    }
  }

  /** It is in memory, or on its way there. */
  includes(address: Address): boolean {
    const key = formatAddress(address);
    return this.#held.has(key) || this.#idle.has(key);
  }

  /** It need not stay in memory, where nothing goes on. */
  drop(address: Address): void {
    this.#idle.delete(formatAddress(address));
  }

  clear(): void {
    this.#held.clear();
    this.#idle.clear();
    this.#failures.clear();
  }

  /** Puts one where it belongs, after a hold or a process has ended. */
  #settle(cell: Cell): void {
    if (cell.holds > 0 || cell.processes.size > 0) return;
    this.#held.delete(cell.key);
    this.#count(cell);
    if (cell.row) this.#idle.set(cell.key, cell);
  }

  /** Remembers the failures of its actor; of too many actors that fail, those that failed first begin anew. */
  #count({ key, failures }: Cell): void {
    if (failures.none) {
      if (this.#failures.size > 0) this.#failures.delete(key);
      return;
    }
    this.#failures.set(key, failures);
    if (this.#failures.size <= MOST_FAILING) return;
    const [first] = this.#failures.keys();
    this.#failures.delete(first!);
  }

  /**
   * Another one for the same actor, which is not found here.
   * @throws {UnknownFlowError}
   */
  copy(address: Address): Cell {
    return this.#make(address, this.flow(address));
  }

  /** There is such a flow. */
  has({ flowType }: Address): boolean {
    return this.#options.flows.has(flowType);
  }

  /** @throws {UnknownFlowError} */
  flow(address: Address): AnyFlow {
    const flow = this.#options.flows.get(address.flowType);
    if (flow) return flow;
    throw new UnknownFlowError(`There is no flow '${address.flowType}'. Give it to createRuntime({ flows }).`, {
      address,
    });
  }

  /** Where the live actor of a cell turns to. */
  host(cell: Cell): Host {
    return new CellHost(cell, this.#options);
  }

  #make(address: Address, flow: AnyFlow): Cell {
    const { clock, chance, events, push } = this.#options;
    const processHost: Omit<ProcessHost, 'name' | 'policies'> = {
      clock,
      chance,
      settled: (sessionId, event) => push(address, { kind: 'relay', sessionId, event }),
      emitted: (event, key) => push(address, { kind: 'emit', event, ...(key !== undefined && { key }) }),
      cleanupFailed: (error) => events.emit('actionFailed', { address, error }),
      failed: (attempt) => events.emit('invocationFailed', { address, ...attempt }),
      succeeded: (attempt) => events.emit('invoked', { address, ...attempt }),
      watch: (src) => {
        const { tracing } = events;
        const origin = tracing?.origin(true);
        return tracing && ((attempt) => tracing.begin({ kind: 'invocation', address, src, attempt }, origin));
      },
    };
    return new Cell(address, flow, processHost, this.#failures.get(formatAddress(address)));
  }
}

/** A class, since one is made for each actor that is restored. */
class CellHost implements Host {
  readonly #cell: Cell;
  readonly #options: CellsOptions;

  constructor(cell: Cell, options: CellsOptions) {
    this.#cell = cell;
    this.#options = options;
  }

  get address() {
    return this.#cell.address;
  }

  get watched() {
    return !this.#options.inspection.idle;
  }

  get inspect() {
    return this.#options.inspect;
  }

  get processes() {
    return this.#cell.processes;
  }

  post(stimulus: Stimulus): void {
    this.#options.push(this.address, stimulus);
  }

  log(...args: unknown[]): void {
    this.#options.events.emit('log', { address: this.address, args });
  }

  actionFailed(error: unknown): void {
    this.#options.events.emit('actionFailed', { address: this.address, error });
  }
}
