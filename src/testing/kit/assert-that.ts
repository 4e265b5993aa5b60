/** The matchers as plain assertions, for `node:test` and whatever else has no `expect`. */
import { AssertionError } from 'node:assert';
import { type MatcherResult, matchers, type PerdureMatchers } from './matchers.ts';

/**
 * Asserts something of an actor of a test runtime (await it), or of a snapshot.
 * @throws {AssertionError} it is not so; the message tells what there is instead
 * @example
 * await assertThat(actor).toBeInState('asking');
 * await assertThat(actor).not.toHaveSent(/sorry/);
 */
export function assertThat<T>(received: T): PerdureMatchers<T> & { not: PerdureMatchers<T> } {
  return { ...assertions(received, false), not: assertions(received, true) };
}

function assertions<T>(received: T, negated: boolean): PerdureMatchers<T> {
  const bound = Object.entries(matchers).map(([name, matcher]) => {
    const assertion = (...expected: unknown[]) => {
      const judge = ({ pass, message }: MatcherResult) => {
        if (pass === negated) throw new AssertionError({ message: message(), stackStartFn: assertion });
      };
      const answer = matcher(received, ...expected);
      return answer instanceof Promise ? answer.then(judge) : judge(answer);
    };
    return [name, assertion];
  });
  return Object.fromEntries(bound);
}
