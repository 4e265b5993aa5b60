/** Whether a value holds at least what is expected of it, and where not. */
import { inspect, isDeepStrictEqual } from 'node:util';

/** What Vitest's and Jest's `expect.any(…)`, `expect.stringContaining(…)` and so on are. */
interface Asymmetric {
  asymmetricMatch(value: unknown): boolean;
  toAsymmetricMatcher?(): string;
}

/**
 * Where `actual` is not as `expected`; nothing where it is. Objects may hold more than is expected; all else must be equal.
 * @returns one line for each difference, with its path
 */
export function differences(expected: unknown, actual: unknown, path = ''): string[] {
  const at = (line: string) => [`${path || 'it'} ${line}`];
  if (isAsymmetric(expected)) {
    return expected.asymmetricMatch(actual) ? [] : at(`does not match ${show(expected)}; it is ${show(actual)}`);
  }
  if (isPlain(expected) && typeof actual === 'object' && actual !== null) {
    return Object.entries(expected).flatMap(([key, value]) =>
      differences(value, (actual as Record<string, unknown>)[key], path ? `${path}.${key}` : key),
    );
  }
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    return expected.flatMap((value, i) => differences(value, actual[i], `${path}[${i}]`));
  }
  return isDeepStrictEqual(expected, actual) ? [] : at(`is ${show(actual)}, not ${show(expected)}`);
}

/** A value in one line, for messages. */
export const show = (value: unknown) =>
  inspect(named(value), { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, sorted: true });

/** With `Any<Number>` in the place of what would be an object of the framework's. */
function named(value: unknown): unknown {
  if (isAsymmetric(value)) return { [inspect.custom]: () => value.toAsymmetricMatcher?.() ?? String(value) };
  if (Array.isArray(value)) return value.map(named);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, named(part)]));
}

const isAsymmetric = (value: unknown): value is Asymmetric =>
  typeof (value as Asymmetric | null | undefined)?.asymmetricMatch === 'function';

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
