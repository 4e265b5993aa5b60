/**
 * What becomes of turns that threw, or whose rows the database refused for their own sake. Each was undone: the actor is as it
 * was before the event.
 */
import type { LiveActor, Stimulus, Turn } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { NotSerializableError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import { isGeneral } from '../store/store.ts';
import { errorOf } from '../thrown.ts';
import type { Commits } from './after-commit.ts';
import type { Cell, Done, Item } from './cell.ts';
import { type Composer, eventOf, type Undone } from './composer.ts';
import type { Pauses } from './pauses.ts';
import type { Phase } from './phase.ts';
import type { Restorer } from './restore.ts';
import { resultsIn } from './results.ts';
import type { Rewriter } from './rewrite.ts';
import { isDue, type TurnMaker } from './turn-maker.ts';

export interface FailedTurnsOptions {
  clock: Clock;
  events: EventChannel;
  phase: Phase;
  pauses: Pauses;
  chance: () => number;
  composer: Composer;
  maker: TurnMaker;
  commits: Commits;
  rewriter: Rewriter;
  restorer: Restorer;
}

export class FailedTurns {
  readonly #options: FailedTurnsOptions;

  constructor(options: FailedTurnsOptions) {
    this.#options = options;
  }

  /**
   * What becomes of the event depends on who could repeat it.
   * @param overdue it was the turn of a deadline ahead of the item
   * @returns what became of the item; `undefined`: it is to be tried again, as it may have been changed
   * @throws `error`, for who waits for the item
   */
  async settle(cell: Cell, item: Item, overdue: boolean, error: Error): Promise<Done | undefined> {
    const { commits, events, maker, restorer } = this.#options;
    const { address } = cell;
    const { stimulus } = item;
    const event = eventOf(stimulus);
    const told = { address, event: event.type, error };
    events.tracing?.turn(told, item.origin);
    events.emit('turnFailed', told);
    if (overdue || stimulus.kind === 'timer' || stimulus.kind === 'relay' || stimulus.kind === 'emit') {
      await this.#supervise(cell, item, overdue, error);
      return undefined;
    }
    if (stimulus.kind === 'stop' && !item.unrecorded) {
      item.unrecorded = error;
      return undefined;
    }
    if (!item.onFailure) throw error;
    await restorer.load(cell);
    if (!cell.live || item.answered) return undefined;
    item.committing = true;
    const { turn, commit } = maker.failure(cell, item, error);
    const result = await commits.once(commit, cell);
    if (result === 'conflict') return undefined;
    if (result === 'committed') {
      commits.carryOut(cell, commit, turn);
      events.emit('deadLetter', { address, event: event.type, error });
    }
    // Where it had been applied before, that counts, and not that it would throw now.
    const duplicate = result === 'duplicate';
    return { snapshot: undefined, handled: false, duplicate, ...(!duplicate && { failed: error }) };
  }

  /** A turn threw that nobody outside can repeat; the flow's strategy decides how the actor goes on. */
  async #supervise(cell: Cell, item: Item, overdue: boolean, error: Error): Promise<void> {
    const { chance, clock, events, pauses, phase, rewriter } = this.#options;
    const { address, flow } = cell;
    const { stimulus } = item;
    const { strategy } = flow.supervision;
    const result = !overdue && stimulus.kind === 'relay' && stimulus.event.type === 'xstate.promise.resolve';
    // A result that cannot be stored is a failure of the invocation, whatever the strategy.
    if (result && (strategy === 'resume' || error instanceof NotSerializableError)) {
      item.stimulus = { ...stimulus, event: { type: 'xstate.promise.reject', data: error } };
      return;
    }
    if (strategy === 'restart') {
      if (isEnding(cell)) return;
      const after = cell.failures.another(flow.supervision, clock.now(), chance());
      if (after !== undefined) {
        const event = overdue ? 'deadline' : eventOf(stimulus).type;
        events.emit('restarting', { address, event, error, after });
        await pauses.of(cell, after, error, true);
        if (!phase.running) throw error; // the next process begins where this one stood
        return;
      }
    }
    const isGivenUp = await this.#giveUp(cell, stimulus, overdue, error);
    if (!isGivenUp && cell.row?.status === 'active')
      await rewriter.quarantine(cell, cell.row, error, resultsIn(cell.queue));
  }

  /**
   * Lets the actor go on without the event, or ends it, as the strategy says; the event is kept as a dead letter. Where
   * `project` or `record` throw at the end as well, or their rows are refused, the actor ends without them.
   * @returns false where the strategy says neither, or not even that can be committed
   */
  async #giveUp(cell: Cell, stimulus: Stimulus, overdue: boolean, error: Error): Promise<boolean> {
    const { clock, commits, composer, events, restorer } = this.#options;
    const { address } = cell;
    const isDeadline = overdue || stimulus.kind === 'timer';
    let unrecorded: Error | undefined;
    for (;;) {
      if (!cell.live) await restorer.load(cell);
      const { live, row } = cell;
      // It was changed meanwhile: it is read again.
      if (!live || row?.status !== 'active' || (isDeadline && !isDue(cell, clock.now()))) return true;
      try {
        const before = live.snapshot;
        const undone = isDeadline ? { kind: 'deadline' as const, ...live.earliest! } : undoneOf(stimulus, live);
        const turn = this.#turnOf(cell, live, undone);
        if (!turn) return false;
        const commit = composer.supervised(cell, turn, before, undone, error, clock.now(), unrecorded);
        if ((await commits.once(commit, cell)) !== 'committed') return true;
        commits.carryOut(cell, commit, turn);
        events.emit('deadLetter', { address, event: undone.event.type, error });
        return true;
      } catch (cause) {
        cell.forget();
        if (isGeneral(cause)) throw cause;
        if (!unrecorded) {
          unrecorded = errorOf(cause);
          continue;
        }
        await restorer.load(cell);
        return false;
      }
    }
  }

  /** The turn with which the strategy lets the actor go on, or end. */
  #turnOf({ address, flow, row }: Cell, live: LiveActor, { kind }: Undone): Turn | undefined {
    const { strategy } = flow.supervision;
    if (strategy === 'stop')
      return live.perform({ kind: 'stop' }, this.#options.maker.ambient(address, row!.version + 1));
    return strategy === 'resume' && kind === 'deadline' ? live.dropTimer() : undefined;
  }
}

/**
 * Whether somebody wants to end the actor, whose deadline or result has just failed: then that goes first, and waits neither
 * for another attempt nor for the deadline.
 */
export function isEnding({ queue }: Cell): boolean {
  const at = queue.findIndex(({ stimulus }) => stimulus.kind === 'stop');
  if (at < 0) return false;
  const [stop] = queue.splice(at, 1);
  stop!.awaits = 0;
  queue.unshift(stop!);
  return true;
}

/** What a stimulus from within the actor brought, and for whom. */
function undoneOf(stimulus: Stimulus, live: LiveActor): Undone {
  const event = eventOf(stimulus);
  if (stimulus.kind !== 'relay') return { kind: 'event', event, target: null };
  const { sessionId } = stimulus;
  const kind = event.type.startsWith('xstate.promise.') ? 'result' : 'event';
  return { kind, event, target: sessionId === live.root.sessionId ? null : sessionId };
}
