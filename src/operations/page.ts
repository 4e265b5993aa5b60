import { InvalidArgumentError } from '../errors.ts';

/** A part of a list that may be long. */
export interface Page {
  /** How many at most, 1 to 1000. Default: 100. */
  limit?: number;
  /** Those after the one with this `id`, the last of the page before. */
  after?: number;
}

/** @throws {InvalidArgumentError} numbers that cannot be used */
export function pageOf({ limit = 100, after = 0 }: Page): Required<Page> {
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new InvalidArgumentError(`limit must be a whole number from 1 to 1000; it is ${limit}.`);
  if (!Number.isInteger(after) || after < 0)
    throw new InvalidArgumentError(`after must be the id of the last one of the page before; it is ${after}.`);
  return { limit, after };
}

/** @throws {InvalidArgumentError} a reason that is no text */
export function checkReason(reason: unknown): void {
  if (reason !== undefined && typeof reason !== 'string') throw new InvalidArgumentError('The reason must be a text.');
}
