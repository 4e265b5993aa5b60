/** What becomes of turns that threw. Each was undone: the actor is as it was before the event. */
import type { LiveActor, Stimulus, Turn } from '../actor/live-actor.ts';
import type { Clock } from '../clock.ts';
import { NotSerializableError } from '../errors.ts';
import type { EventChannel } from '../events.ts';
import type { Cell, Done, Item } from './cell.ts';
import type { Commits } from './commits.ts';
import { type Composer, eventOf, type Undone } from './composer.ts';
import type { Pauses } from './pauses.ts';
import type { Phase } from './phase.ts';
import type { Restorer } from './restorer.ts';
import type { Rewriter } from './rewriter.ts';
import type { TurnMaker } from './turn-maker.ts';

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
    if (!item.onFailure) throw error;
    await restorer.load(cell);
    if (!cell.live) return undefined;
    const { turn, commit } = maker.failure(cell, item, error);
    const result = await commits.once(commit, cell);
    if (result === 'conflict') return undefined;
    if (result === 'committed') {
      commits.carryOut(cell, commit, turn);
      events.emit('deadLetter', { address, event: event.type, error });
    }
    return { snapshot: undefined, handled: false, duplicate: result === 'duplicate', failed: error };
  }

  /** A turn threw that nobody outside can repeat; the flow's strategy decides how the actor goes on. */
  async #supervise(cell: Cell, item: Item, overdue: boolean, error: Error): Promise<void> {
    const { chance, clock, commits, composer, events, maker, pauses, phase, restorer, rewriter } = this.#options;
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
      const after = cell.failures.another(flow.supervision, clock.now(), chance());
      if (after !== undefined) {
        const event = overdue ? 'deadline' : eventOf(stimulus).type;
        events.emit('restarting', { address, event, error, after });
        await pauses.of(cell, after);
        if (!phase.running) throw error; // the next process begins where this one stood
        return;
      }
    }
    await restorer.load(cell);
    const { live } = cell;
    if (!live) return;
    const before = live.snapshot;
    const deadline = overdue || stimulus.kind === 'timer';
    const undone = deadline ? { kind: 'deadline' as const, ...live.earliest! } : undoneOf(stimulus, live);
    const { event } = undone;
    let turn: Turn | undefined;
    if (strategy === 'stop') turn = live.perform({ kind: 'stop' }, maker.ambient(address, cell.row!.version + 1));
    if (strategy === 'resume' && deadline) turn = live.dropTimer();
    if (!turn) return rewriter.quarantine(cell, cell.row!, error);
    const commit = composer.supervised(cell, turn, before, undone, error, clock.now());
    if ((await commits.once(commit, cell)) !== 'committed') return;
    commits.carryOut(cell, commit, turn);
    events.emit('deadLetter', { address, event: event.type, error });
  }
}

/** What a stimulus from within the actor brought, and for whom. */
function undoneOf(stimulus: Stimulus, live: LiveActor): Undone {
  const event = eventOf(stimulus);
  if (stimulus.kind !== 'relay') return { kind: 'event', event, target: null };
  const { sessionId } = stimulus;
  const kind = event.type.startsWith('xstate.promise.') ? 'result' : 'event';
  return { kind, event, target: sessionId === live.root.sessionId ? null : sessionId };
}
