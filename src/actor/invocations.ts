/**
 * How an invoked promise is attempted: how often, after which waits, for how long each time. The attempts are counted in
 * the process that makes them; after a restart, an invocation whose result had not been committed begins anew.
 */
import type { AnyActorLogic } from 'xstate';
import { type Clock, wakeAt } from '../clock.ts';
import { type Backoff, type BackoffOptions, backoff, backoffOf, type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError, InvocationTimeoutError, NonRetryableError } from '../errors.ts';
import type { Watched } from '../events.ts';
import { invocationNames } from './logic.ts';

/** What to do where an invoked promise rejects, or takes too long. */
export interface InvocationPolicy {
  /** How often it is attempted at most, the first time included. Only the last failure reaches `onError`. Default: 1. */
  attempts?: number;
  /** The wait before the next attempt: doubled every time, with jitter. Default: from `'1s'` to `'1m'`. */
  backoff?: BackoffOptions;
  /**
   * How long one attempt may take. Then its `signal` is aborted, what it still brings is ignored, and it has failed with
   * an {@link InvocationTimeoutError}. Default: for ever.
   */
  timeout?: Duration;
  /** Whether another attempt may help. Default: always. A {@link NonRetryableError} is never tried again. */
  retryable?: (error: unknown) => boolean;
}

/** A policy with all defaults filled in; in ms. */
export interface Attempts extends Backoff {
  attempts: number;
  timeout: number | undefined;
  retryable: (error: unknown) => boolean;
}

/** What an invocation is attempted with. */
export interface AttemptHost {
  clock: Clock;
  /** In [0, 1), for the jitter. */
  chance(): number;
  /** An attempt failed. `after`: ms until the next one; `undefined`: there is none. `ms`: how long it took. */
  failed(attempt: { attempt: number; attempts: number; error: unknown; after: number | undefined; ms: number }): void;
  succeeded(attempt: { attempt: number; ms: number }): void;
  /** An attempt begins, if somebody traces. */
  watch: ((attempt: number) => Watched) | undefined;
}

/**
 * The policies of a flow, by the name of the invoked logic.
 * @throws {InvalidArgumentError} a field that cannot be used, or a name that the logic does not invoke
 */
export function attemptsOf(
  policies: Readonly<Partial<Record<string, InvocationPolicy>>> = {},
  logic: AnyActorLogic,
  flowType: string,
): ReadonlyMap<string, Attempts> {
  const known = invocationNames(logic);
  const filled = new Map<string, Attempts>();
  for (const [src, policy = {}] of Object.entries(policies)) {
    const where = `Flow '${flowType}', invocations.${src}`;
    if (!known.has(src)) {
      const names = [...known].map((name) => `'${name}'`).join(', ');
      throw new InvalidArgumentError(
        `${where}: the logic names no such actor. ${names ? `It names ${names}.` : 'Name it in setup({ actors: { … } }).'}`,
      );
    }
    const { attempts = 1, timeout, retryable = () => true } = policy;
    if (!Number.isInteger(attempts) || attempts < 1) {
      throw new InvalidArgumentError(`${where}.attempts must be a whole number from 1; it is ${attempts}.`);
    }
    if (typeof retryable !== 'function') {
      throw new InvalidArgumentError(`${where}.retryable must be a function of the error; it is ${typeof retryable}.`);
    }
    filled.set(src, {
      attempts,
      retryable,
      timeout: timeout === undefined ? undefined : milliseconds(timeout),
      ...backoffOf(policy.backoff),
    });
  }
  return filled;
}

const ONCE: Attempts = { attempts: 1, timeout: undefined, retryable: () => true, ...backoffOf() };

/**
 * Attempts `call` until it resolves, or until its policy gives up, and then tells the outcome, once.
 * @param name for the message of a time-out: the actor and the invocation
 * @returns ends it: its signal is aborted, and no outcome is told any more
 */
export function invoke(
  call: (signal: AbortSignal) => unknown,
  name: string,
  policy: Attempts = ONCE,
  { clock, chance, failed, succeeded, watch }: AttemptHost,
  { resolve, reject }: { resolve: (result: unknown) => void; reject: (error: unknown) => void },
): () => void {
  const { attempts, timeout } = policy;
  let controller: AbortController;
  let stopWaiting = () => {};
  let watched: Watched | undefined;
  const within = (part: () => void) => (watched ? watched.run(part) : part());
  let ended = false;

  const again = (attempt: number) => {
    controller = new AbortController();
    const { signal } = controller;
    watched = watch?.(attempt);
    const began = performance.now();
    const elapsed = () => performance.now() - began;
    let settled = false;
    const settle = (then: () => void) => {
      if (settled || ended) return;
      settled = true;
      stopWaiting();
      within(then);
      watched = undefined;
    };
    const fail = (error: unknown) =>
      settle(() => {
        const retry = attempt < attempts && mayHelp(policy, error);
        const after = retry ? backoff(policy, attempt, chance()) : undefined;
        failed({ attempt, attempts, error, after, ms: elapsed() });
        watched?.end(error);
        if (after === undefined) end(() => reject(error));
        else stopWaiting = wakeAt(clock, clock.now() + after, () => again(attempt + 1));
      });
    if (timeout !== undefined) {
      stopWaiting = wakeAt(clock, clock.now() + timeout, () => {
        const error = new InvocationTimeoutError(
          `${name} took longer than ${timeout} ms (attempt ${attempt} of ${attempts}).`,
        );
        fail(error);
        controller.abort(error);
      });
    }
    // One that throws at once is a rejection, as in XState.
    within(() => {
      new Promise((resolved) => resolved(call(signal))).then(
        (result) =>
          settle(() => {
            succeeded({ attempt, ms: elapsed() });
            watched?.end();
            end(() => resolve(result));
          }),
        fail,
      );
    });
  };
  const end = (tell: () => void) => {
    ended = true;
    tell();
  };
  again(1);
  return () => {
    if (ended) return;
    ended = true;
    stopWaiting();
    watched?.end();
    controller.abort();
  };
}

function mayHelp({ retryable }: Attempts, error: unknown): boolean {
  if (error instanceof NonRetryableError) return false;
  try {
    return retryable(error);
  } catch {
    return false; // it is a question about an error: what it throws must not hide that one
  }
}
