/** What requests are made of, as JSON schemas. What a text means (a number, a time zone, a state) is checked where it is used. */

/** How many entries a list gives, and after which one; the same for all lists. */
export interface PageQuery {
  limit?: string;
  after?: string;
}

/** `?limit=&after=&flow=&participant=` */
export interface ListQuery extends PageQuery {
  flow?: string;
  participant?: string;
}

const string = (maxLength: number, more: object = {}) => ({
  type: 'string',
  maxLength,
  description: `a text of at most ${maxLength} characters`,
  ...more,
});

/** A text that says something. */
export const filled = (maxLength: number, more: object = {}) =>
  string(maxLength, { pattern: '\\S', description: `a text of 1 to ${maxLength} characters`, ...more });

/** Names an actor, a message, a channel: they are keys of the database. */
export const id = filled(255);
/** As long as a request may be. */
export const words = string(65_536);
/** A name, a time zone, a reason. */
export const line = string(1_000);
export const phoneNumber = string(100, {
  description: 'a phone number. Write it like +15551234567',
  errorCode: 'INVALID_PHONE_NUMBER',
});
/** A phone number, or another address of a channel. */
export const sender = filled(255);

/** The whole number that names a row, as a text in a path or a query. */
export const rowId = { type: 'string', pattern: '^[1-9]\\d{0,14}$', description: 'a whole number above 0' };

const limit = { type: 'string', pattern: '^([1-9]\\d{0,2}|1000)$', description: 'a whole number from 1 to 1000' };
export const AFTER = 'the id of the last one of the page before';
const after = {
  type: 'string',
  pattern: '^(0|[1-9]\\d{0,14})$',
  description: AFTER,
};

/** An object with these fields and no others. */
export const object = (properties: Record<string, object>, required: string[] = [], more: object = {}) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
  ...more,
});

/** One of these words. */
export const oneOf = (...words: string[]) => ({
  type: 'string',
  enum: words,
  description: `one of ${words.join(', ')}`,
});

/** A query that is not looked at. */
export const anything = {};

/** A body that may be left out. */
export const optional = (properties: Record<string, object>) => object(properties, [], { nullable: true });

/** Why something is given up, if that is told. */
export const reason = optional({ reason: line });
export type Reason = { reason?: string } | undefined | null;

/** The query of a list. */
export const listOf = (properties: Record<string, object> = {}) => object({ limit, after, ...properties });

/** What narrows the lists of operators. */
export const narrowed = { flow: id, participant: id };

/** The path of one thing that is named by its `id`. */
export const named = object({ id });
/** The path of one row. */
export const row = object({ id: rowId });
