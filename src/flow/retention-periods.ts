/** How long rows are kept that nothing needs any more. What they are, and how they are deleted: operations/retention.ts. */
import { type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError } from '../errors.ts';

/** For how long the rows of a flow are kept; Infinity: for ever. */
export interface FlowRetention {
  /** Messages that were sent or cancelled, and events to other actors that arrived. Default: messages Infinity, events `'90d'`. */
  outbox?: Duration;
  /** Lines of `flow_journal`, and with them what `runtime.journal` and `runtime.messages` tell. Default: Infinity. */
  journal?: Duration;
  /** Dead letters since they were retried or discarded; open ones stay. Default: `'90d'`. */
  deadLetters?: Duration;
}

/** For how long rows are kept; a flow may say otherwise of its own. */
export interface Retention extends FlowRetention {
  /** Marks of inbound messages, by which redeliveries are recognised. Default: `inboxRetention`, or `'90d'`. */
  inbox?: Duration;
}

/** What is deleted by age. */
export type Kind = 'inbox' | 'messages' | 'events' | 'journal' | 'deadLetters';

/** In ms. */
export type Ages = Readonly<Record<Kind, number>>;

const MONTHS = 90 * 86_400_000;
const DEFAULTS: Ages = {
  inbox: MONTHS,
  messages: Number.POSITIVE_INFINITY,
  events: MONTHS,
  journal: Number.POSITIVE_INFINITY,
  deadLetters: MONTHS,
};

/**
 * How long each kind is kept.
 * @param what whose option it is, for the error
 * @throws {InvalidArgumentError} a field that is not known, or is no duration
 */
export function agesOf(retention: Retention = {}, what: string, inboxRetention?: Duration): Ages {
  const unknown = Object.keys(retention).filter((field) => !FIELDS.includes(field));
  if (unknown.length > 0)
    throw new InvalidArgumentError(`${what} has no ${unknown.join(', ')}. Its fields are ${FIELDS.join(', ')}.`);
  return agesIn({ ...(inboxRetention !== undefined && { inbox: inboxRetention }), ...retention }, DEFAULTS);
}

/**
 * What a flow says of its own.
 * @throws {InvalidArgumentError} a field that is not known, or is no duration
 */
export function flowAgesOf(retention: FlowRetention | undefined, flowType: string): Partial<Ages> {
  const { inbox, ...given } = (retention ?? {}) as Retention;
  if (inbox !== undefined)
    throw new InvalidArgumentError(
      `Flow '${flowType}': marks of inbound messages belong to no flow. Say retention.inbox in createRuntime.`,
    );
  agesOf(given, `Flow '${flowType}': retention`);
  return agesIn(given, {});
}

const FIELDS = ['inbox', 'outbox', 'journal', 'deadLetters'];

/** The ages that are said, and those of `otherwise`. */
function agesIn<T extends Partial<Ages>>({ inbox, outbox, journal, deadLetters }: Retention, otherwise: T): T {
  const said = { inbox, messages: outbox, events: outbox, journal, deadLetters };
  const ages = Object.entries(said).flatMap(([kind, age]) => (age === undefined ? [] : [[kind, ageOf(age)] as const]));
  return { ...otherwise, ...Object.fromEntries(ages) };
}

const ageOf = (age: Duration) => (age === Number.POSITIVE_INFINITY ? age : milliseconds(age));
