/** What requests ask for, checked. */
import { InvalidArgumentError } from '../errors.ts';

/** `?limit=&after=&flow=&participant=` */
export interface ListQuery {
  limit?: string;
  after?: string;
  flow?: string;
  participant?: string;
}

export function filterOf({ limit, after, flow, participant }: ListQuery) {
  return {
    ...(limit !== undefined && { limit: numberOf('limit', limit) }),
    ...(after !== undefined && { after: numberOf('after', after) }),
    ...(flow !== undefined && { flowType: textOf('flow', flow) }),
    ...(participant !== undefined && { participantId: textOf('participant', participant) }),
  };
}

/** @throws {InvalidArgumentError} a text that is no whole number */
export function numberOf(what: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError(`${what} is a whole number; '${text}' is none.`);
  return value;
}

/** @throws {InvalidArgumentError} a parameter that was given several times */
function textOf(what: string, value: unknown): string {
  if (typeof value !== 'string') throw new InvalidArgumentError(`${what} may be given once.`);
  return value;
}

/** The `reason` in a body, if there is one. */
export function reasonOf(body: unknown): string | undefined {
  const reason = body === undefined || body === null ? undefined : object(body)['reason'];
  if (reason !== undefined && typeof reason !== 'string') throw new InvalidArgumentError('The reason must be a text.');
  return reason;
}

/** The body as an object. */
export function object(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new InvalidArgumentError('The body must be a JSON object.');
}

/** @throws {InvalidArgumentError} the field is missing, or no text */
export function text(body: Record<string, unknown>, field: string): string {
  const value = body[field];
  if (typeof value !== 'string') throw new InvalidArgumentError(`${field} is missing, or is no text.`);
  return value;
}

/** @throws {InvalidArgumentError} the field is there, and is no text */
export const optionalText = (body: Record<string, unknown>, field: string): string | undefined =>
  body[field] === undefined ? undefined : text(body, field);
