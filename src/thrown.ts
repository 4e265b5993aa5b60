import { inspect } from 'node:util';

/** What was thrown, as an error: anything can be. */
export const errorOf = (thrown: unknown): Error =>
  typeof (thrown as Error | undefined | null)?.message === 'string'
    ? (thrown as Error)
    : new Error(typeof thrown === 'string' ? thrown : inspect(thrown), { cause: thrown });
