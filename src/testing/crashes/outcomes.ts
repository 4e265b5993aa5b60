/** What invoked promises may come to, where a test tries all ways through a flow. */
import { inspect } from 'node:util';
import { InvalidArgumentError } from '../../errors.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import { promiseNames } from '../kit/stubs.ts';

/** Of one invocation: the results to try, and the failures (errors, or messages of them). */
export interface Outcomes {
  /** Default: `undefined`, once. */
  resolve?: readonly unknown[];
  /** Default: one error. An empty list: it never fails. */
  reject?: readonly unknown[];
}

/** Those of all invocations, by the name of what is invoked. What has no entry gives `undefined`, and an error. */
export type OutcomesByName = Readonly<Record<string, Outcomes>>;

/** An outcome to try. */
export type Outcome = ({ output: unknown } | { error: unknown }) & {
  /** It was said so by the test, and is not a default. */
  given: boolean;
};

/**
 * Checks outcomes that a test gives.
 * @param caller the function of the testing kit that they were given to
 * @throws {InvalidArgumentError} they are of another form, or of what is not invoked
 */
export function assertOutcomes(caller: string, flow: AnyFlow, outcomes: OutcomesByName = {}): void {
  const names = promiseNames(flow.logic);
  for (const [name, given] of Object.entries(Object(outcomes))) {
    if (!names.has(name)) {
      throw new InvalidArgumentError(
        `${caller}: there are outcomes for '${name}', which '${flow.type}' does not invoke. It invokes: ${[...names].join(', ') || 'nothing'}.`,
      );
    }
    const lists = Object.entries(Object(given));
    const isSound =
      typeof given === 'object' &&
      !Array.isArray(given) &&
      lists.every(([key, list]) => (key === 'resolve' || key === 'reject') && Array.isArray(list));
    if (isSound) continue;
    throw new InvalidArgumentError(
      `${caller}: the outcomes of '${name}' are ${inspect(given, { breakLength: Number.POSITIVE_INFINITY })}. ` +
        `Write the results and the failures to try as lists: { ${name}: { resolve: [{ room: 12 }], reject: ['full'] } }.`,
    );
  }
}

/** The outcomes of one invocation, results before failures. */
export function outcomesOf(outcomes: OutcomesByName, name: string): Outcome[] {
  const { resolve, reject } = outcomes[name] ?? {};
  return [
    ...(resolve ?? [undefined]).map((output) => ({ output, given: resolve !== undefined })),
    ...(reject ?? [`${name} failed`]).map((error) => ({ error, given: reject !== undefined })),
  ];
}
