/** Scripts: what happens to an actor, as data, so that they can be run again, printed and shortened. */
import { inspect } from 'node:util';
import type { PromiseActorLogic, StateValue } from 'xstate';
import { type Duration, milliseconds } from '../../duration.ts';
import { InvalidArgumentError } from '../../errors.ts';
import type { AnyFlow, EventOf, NamedActor } from '../../flow/flow.ts';

/** One thing that happens. What follows from it has happened before the next one. */
export type ScriptStep<F extends AnyFlow = AnyFlow> =
  /** An event is sent to the actor. */
  | { send: EventOf<F> }
  /** Events are sent to it in one transaction of the application, as by `runtime.transaction`. */
  | { transaction: readonly EventOf<F>[] }
  /** A message comes from the participant's phone. */
  | { receive: string }
  /** Time goes by, from deadline to deadline. */
  | { advance: Duration }
  /** Time goes by until an instant: a Date, ISO 8601, or ms since the epoch. */
  | { advanceTo: Date | string | number }
  /** The invocation of that name that has waited for longest gives this result, or fails, with an error or a message of one. */
  | Answer<NamedActor<F['logic']>>
  /** Nothing happens: the actor has to be in this state by now, written as for `toBeInState`. */
  | { inState: string | StateValue };

/** An answer to a promise that the machine, or one that it invokes, names in `setup({ actors })`. */
type Answer<TActor> = TActor extends { src: infer Name; logic: infer Logic }
  ? string extends Name
    ? { resolve: string; with?: unknown } | { reject: string; with?: unknown }
    : Logic extends PromiseActorLogic<infer TOutput, any, any>
      ? { resolve: Name; with?: TOutput } | { reject: Name; with?: unknown }
      : never
  : never;

/** Steps, one after the other. */
export type Script<F extends AnyFlow = AnyFlow> = readonly ScriptStep<F>[];

const KINDS = ['send', 'transaction', 'receive', 'advance', 'advanceTo', 'resolve', 'reject', 'inState'] as const;

/** @throws {InvalidArgumentError} naming the first step that is none */
export function assertScript(script: Script): void {
  if (!Array.isArray(script))
    throw new InvalidArgumentError(
      "A script is an array of steps, like [{ send: { type: 'book' } }, { advance: '15m' }].",
    );
  for (const [i, step] of script.entries()) {
    const kinds = KINDS.filter((kind) => kind in (step ?? {}));
    if (kinds.length !== 1) {
      throw new InvalidArgumentError(
        `Step ${i + 1} of the script, ${formatStep(step)}, is none. A step has one of these: ${KINDS.join(', ')}.`,
      );
    }
    if ('transaction' in step && !Array.isArray(step.transaction))
      throw new InvalidArgumentError(`Step ${i + 1} of the script, ${formatStep(step)}, has no array of events.`);
    for (const event of 'send' in step ? [step.send] : 'transaction' in step ? step.transaction : []) {
      if (typeof (event as { type?: unknown })?.type !== 'string')
        throw new InvalidArgumentError(`Step ${i + 1} of the script sends ${formatStep(event)}, which has no type.`);
    }
    if ('advance' in step) milliseconds(step.advance);
    if ('advanceTo' in step) instantOf(step.advanceTo);
  }
}

export function instantOf(at: Date | string | number): number {
  const instant = typeof at === 'string' ? Date.parse(at) : Number(at);
  if (Number.isNaN(instant))
    throw new InvalidArgumentError(`${String(at)} is no instant. Write it like '2026-01-02T10:00Z'.`);
  return instant;
}

const UNITS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 } as const;

/** A length of time as it is best read. */
export function durationOf(ms: number): Duration {
  for (const [unit, length] of Object.entries(UNITS))
    if (ms > 0 && ms % length === 0) return `${ms / length}${unit as keyof typeof UNITS}`;
  return ms;
}

/** The error that a `reject` step fails with. */
export const failureOf = (step: { reject: string; with?: unknown }): unknown =>
  typeof step.with === 'string' || step.with === undefined
    ? new Error(step.with ?? `${step.reject} failed`)
    : step.with;

/** A step as one line. */
export const formatStep = (step: unknown): string =>
  inspect(step, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true });

/** A script as numbered lines, with a mark at one of them. */
export function formatScript(script: Script, input: unknown, mark?: { step: number; note: string }): string {
  const begin = input === undefined ? 'it is spawned' : `it is spawned with ${formatStep(input)}`;
  const lines = [begin, ...script.map(formatStep)].map((text, i) => {
    const number = String(i).padStart(3);
    return mark && i === mark.step ? `→${number}  ${text}\n        ${mark.note}` : ` ${number}  ${text}`;
  });
  return lines.join('\n');
}
