/**
 * What becomes of a turn that threw and that nobody outside can repeat: a deadline, the result of an invocation. The turn
 * was undone, so the actor is as it was; the flow's strategy decides how it goes on. Restart intensity is that of Erlang's
 * supervisors: more than so many failures within so long, and trying again is no help.
 */
import { type Backoff, type BackoffOptions, backoff, backoffOf, type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError } from '../errors.ts';

/** What becomes of an actor whose deadline, or a result that it waits for, makes its logic throw. */
export interface Supervision {
  /**
   * `restart`: try again from the last committed snapshot, after a backoff; once that has failed too often, quarantine.
   * `resume`: drop the deadline and keep the state; a result that threw goes to `onError` instead. `stop`: end the actor.
   * `escalate`: quarantine at once, and say so in the event `quarantined`. Default: `restart`.
   */
  strategy?: 'restart' | 'resume' | 'stop' | 'escalate';
  /** Default: 3 … */
  maxRestarts?: number;
  /** … within `'1m'`. */
  within?: Duration;
  /** The waits between; each is between half of what is said and all of it. Default: from `'1s'` to `'1m'`. */
  backoff?: BackoffOptions;
}

/** A supervision with all defaults filled in; in ms. */
export interface Policy extends Backoff {
  strategy: 'restart' | 'resume' | 'stop' | 'escalate';
  maxRestarts: number;
  within: number;
}

const STRATEGIES = ['restart', 'resume', 'stop', 'escalate'];

/** @throws {InvalidArgumentError} a field that cannot be used */
export function policyOf(supervision: Supervision = {}, flowType: string): Policy {
  const { strategy = 'restart', maxRestarts = 3, within = '1m' } = supervision;
  if (!STRATEGIES.includes(strategy)) {
    throw new InvalidArgumentError(
      `Flow '${flowType}': the supervision strategy '${strategy}' is not known. It is one of ${STRATEGIES.join(', ')}.`,
    );
  }
  if (!Number.isInteger(maxRestarts) || maxRestarts < 0) {
    throw new InvalidArgumentError(
      `Flow '${flowType}': maxRestarts must be a whole number from 0; it is ${maxRestarts}.`,
    );
  }
  // Failures that are forgotten at once would never be too many.
  const window = milliseconds(within);
  if (window === 0) throw new InvalidArgumentError(`Flow '${flowType}': within must be longer than 0.`);
  return {
    strategy,
    maxRestarts,
    within: window,
    ...backoffOf(supervision.backoff),
  };
}

/** The recent failures of one actor. They are forgotten with the process, which is a restart of its own. */
export class Failures {
  #times: number[] = [];

  /**
   * Counts a failure after which the actor is tried again.
   * @param chance in [0, 1), for the jitter
   * @returns how long to wait before trying again, in ms; `undefined` when it has failed too often
   */
  another(policy: Policy, now: number, chance: number): number | undefined {
    this.#times = this.#times.filter((time) => time > now - policy.within);
    // One that gives the actor up does not count: where that cannot be written, it is decided anew.
    if (this.#times.length >= policy.maxRestarts) return undefined;
    this.#times.push(now);
    return backoff(policy, this.#times.length, chance);
  }

  /** It never failed, or that is forgiven. */
  get none(): boolean {
    return this.#times.length === 0;
  }

  forget(): void {
    this.#times = [];
  }
}
