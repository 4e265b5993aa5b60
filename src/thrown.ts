import { inspect } from 'node:util';

/** What was thrown, as an error: anything can be. */
export const errorOf = (thrown: unknown): Error =>
  typeof (thrown as Error | undefined | null)?.message === 'string'
    ? (thrown as Error)
    : new Error(typeof thrown === 'string' ? thrown : inspect(thrown), { cause: thrown });

/** What a function of somebody else has returned: one that is async may reject, which nobody else would catch, and Node would end for it. */
export function catchRejection(result: unknown, failed: (error: unknown) => void): void {
  if (result instanceof Promise) result.catch(failed);
}

/** Calls what belongs to somebody else: what it throws, or rejects with, is told of, and harms nobody. */
export function harmless(call: () => unknown, failed: (error: unknown) => void): void {
  try {
    catchRejection(call(), failed);
  } catch (error) {
    failed(error);
  }
}
