/** The actors in memory. Those that are idle may leave it when it is full; the one that was not used for longest goes first. */
import type { InspectionEvent } from 'xstate';
import type { Host, Stimulus } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { type Address, formatAddress, UnknownFlowError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { AnyFlow } from '../flow.ts';
import { Cell } from './cell.ts';
import type { Inspection } from './inspection.ts';
import type { Phase } from './phase.ts';

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
  push(cell: Cell, stimulus: Stimulus): void;
}

/** So many are looked at to find one that may leave memory. */
const EVICTION_EFFORT = 64;

export class Cells {
  readonly #options: CellsOptions;
  /** In order of use. */
  readonly #cells = new Map<string, Cell>();

  constructor(options: CellsOptions) {
    this.#options = options;
  }

  /**
   * The one at the address, which is used now.
   * @throws {UnknownFlowError}
   */
  of(address: Address): Cell {
    const key = formatAddress(address);
    let cell = this.#cells.get(key);
    if (cell) this.#cells.delete(key);
    else {
      cell = this.#make(address, this.flow(address));
      if (this.#options.phase.quiet) cell.processes.hold();
      this.#evict();
    }
    this.#cells.set(key, cell);
    return cell;
  }

  /** All that are in memory. */
  [Symbol.iterator](): Iterator<Cell> {
    return this.#cells.values();
  }

  /** What is in memory of the actor is not to be trusted. */
  forget(address: Address): void {
    this.#cells.get(formatAddress(address))?.forget();
  }

  /** It holds nothing. */
  delete({ key }: Cell): void {
    this.#cells.delete(key);
  }

  /** It is in memory, or on its way there. */
  holds(address: Address): boolean {
    const cell = this.#cells.get(formatAddress(address));
    return cell !== undefined && (cell.row !== undefined || cell.busy);
  }

  /** It need not stay in memory, where nothing goes on and nothing is counted. */
  release(address: Address): void {
    const cell = this.#cells.get(formatAddress(address));
    if (!cell?.idle || !cell.failures.none) return;
    this.#cells.delete(cell.key);
    cell.forget();
  }

  clear(): void {
    this.#cells.clear();
  }

  /** The one at the address, which stays in memory until it is let go. */
  pin(address: Address): Cell {
    const cell = this.of(address);
    cell.pins++;
    return cell;
  }

  unpin(cell: Cell): void {
    cell.pins--;
    if (!cell.row && cell.idle && this.#cells.get(cell.key) === cell) this.#cells.delete(cell.key);
  }

  /** Another one for the same actor, which is not found here. */
  copyOf({ address, flow }: Cell): Cell {
    return this.#make(address, flow);
  }

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
    const cell: Cell = new Cell(address, flow, {
      clock,
      chance,
      settled: (sessionId, event) => push(cell, { kind: 'relay', sessionId, event }),
      failed: (attempt) => events.emit('invocationFailed', { address, ...attempt }),
      succeeded: (attempt) => events.emit('invoked', { address, ...attempt }),
      watch: (src) => {
        const { tracing } = events;
        const origin = tracing?.origin(true);
        return tracing && ((attempt) => tracing.begin({ kind: 'invocation', address, src, attempt }, origin));
      },
    });
    return cell;
  }

  /** Makes room for one more; those that are at work stay, as if they had just been used. */
  #evict(): void {
    if (this.#cells.size < this.#options.capacity) return;
    let effort = EVICTION_EFFORT;
    for (const [key, cell] of this.#cells) {
      this.#cells.delete(key);
      if (cell.idle) {
        cell.forget();
        return;
      }
      this.#cells.set(key, cell);
      if (--effort === 0) return;
    }
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
    this.#options.push(this.#cell, stimulus);
  }

  log(...args: unknown[]): void {
    this.#options.events.emit('log', { address: this.address, args });
  }

  actionFailed(error: unknown): void {
    this.#options.events.emit('actionFailed', { address: this.address, error });
  }
}
