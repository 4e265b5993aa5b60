import type {
  AnyActorLogic,
  AnyEventObject,
  AnyStateMachine,
  EmittedFrom,
  EventFromLogic,
  EventObject,
  InputFrom,
  SnapshotFrom,
  StateMachine,
} from 'xstate';
import type { ContextSchema } from '../actor/fit.ts';
import { type Attempts, attemptsOf, type InvocationPolicy } from '../actor/invocations.ts';
import type { StoredTimer } from '../actor/live-actor.ts';
import { assertDurable } from '../actor/logic.ts';
import { assertKnownXState } from '../actor/xstate.ts';
import { LAST_INSTANT } from '../clock.ts';
import { type Duration, milliseconds } from '../duration.ts';
import { type Address, InvalidArgumentError } from '../errors.ts';
import { assertKeywordRules, type KeywordRules } from './keyword-rules.ts';
import type { KeyOf, Migration, MigrationStep, Migrations } from './migrate.ts';
import { type Ages, type FlowRetention, flowAgesOf } from './retention-periods.ts';
import { type Policy, policyOf, type Supervision } from './supervision.ts';

/** A message from a person. `(channel, id)` names it for ever: a redelivery is applied once. */
export interface InboundMessage {
  /** Where it came in, e.g. `'sms'`, `'whatsapp'`, `'web'`. */
  channel: string;
  /** The channel's own id of the message. */
  id: string;
  /** Who sent it: a phone number in any usual form, or another address of the channel. */
  from: string;
  text: string;
}

/** A row to add to one of the application's own tables, or columns to set in the rows that match. */
export type FlowRecord =
  | { table: string; row: Record<string, unknown> }
  | { table: string; where: Record<string, unknown>; set: Record<string, unknown> };

/** What {@link defineFlow} is given. It infers the types after the first from what is written, and holds them to the logic. */
export interface FlowDefinition<
  TLogic extends AnyActorLogic,
  TReceived extends Receivable<TLogic> = EventFromLogic<TLogic> | null,
  TVersion extends number = number,
  TMigrations = Record<number, Migration>,
> {
  /** Names the flow for ever: `flow_states.flow_type`. */
  type: string;
  /** The version of the logic; a snapshot of another version is migrated. A whole number from 1. */
  version: TVersion;
  /** A machine, `fromTransition(...)` or `fromStore(...)`. */
  logic: TLogic;
  /** The event that an inbound message means, or null where it means nothing to the flow. Default: `{ type: 'reply', text }`. */
  receive?: (args: {
    message: InboundMessage;
    snapshot: SnapshotFrom<TLogic>;
  }) => TReceived & NoInfer<Received<TReceived, EventFromLogic<TLogic>>>;
  /**
   * From version N to N + 1: takes a persisted snapshot and returns one, or `{ snapshot, timers }` where deadlines change.
   * What it returns is looked at before it is used: see docs/evolving.md.
   */
  migrate?: TMigrations & Migrations<TMigrations, TLogic, TVersion>;
  /** What the context of an actor must be, where that is checked: after a migration, by `perdure check` and in tests. */
  context?: ContextSchema;
  /** Emitted events that are messages to send, by type. Default: `['message']`. */
  outgoing?: readonly string[];
  /** The row that an emitted event is recorded as, in the turn's own transaction. */
  record?: (emitted: EmittedFrom<TLogic>, actor: { participantId: string; at: number }) => FlowRecord | null;
  /** What the application's tables should say about the actor's state, written in the turn's own transaction. */
  project?: (turn: {
    participantId: string;
    /** `undefined` in the first turn. */
    before: SnapshotFrom<TLogic> | undefined;
    after: SnapshotFrom<TLogic>;
    at: number;
  }) => FlowRecord | null;
  /** A remark for the journal line of the turn that emitted this event. */
  note?: (emitted: EmittedFrom<TLogic>) => string | null;
  /** The events for a participant who opts out (STOP) and in again (START). */
  optOut?: { withdraw: EventFromLogic<TLogic>; rejoin: EventFromLogic<TLogic> };
  /**
   * What is different in this flow from the runtime's rules on STOP, START and HELP, for who would get the message. E.g.
   * `{ except: ['end', 'info'] }` gives two words back to the flow.
   */
  keywords?: KeywordRules;
  /** `response_handlers.handler_type`. Default: the flow's type. */
  handlerType?: string;
  /**
   * How long an address still leads to an actor that has ended; while it runs, it always does. Default: `'48h'`, so that a late
   * thank-you is no message from a stranger.
   */
  handlerTtl?: Duration;
  /** What to do with a message that may have been sent just before a crash. Default: `'resend'`. */
  uncertain?: 'resend' | 'hold';
  /**
   * What to do with a deadline that passed while nothing ran: fire it late, drop it, or move it to an instant to come
   * (ms since the epoch, or a Date). Mind that a state whose deadline is dropped may wait for nothing else. Default: `'fire'`.
   */
  overdue?: Overdue;
  /** How the promises that the logic invokes are attempted, by their name in `setup({ actors })`. Default: once. */
  invocations?: Readonly<Partial<Record<NamedActor<TLogic>['src'], InvocationPolicy>>>;
  /** What becomes of an actor whose deadline, or a result that it waits for, makes its logic throw. */
  supervision?: Supervision;
  /** How long rows of this flow's actors are kept. Default: as the runtime says. */
  retention?: FlowRetention;
}

/** See {@link FlowDefinition.overdue}. */
export type Overdue = 'fire' | 'skip' | ((timer: StoredTimer, actor: Address) => 'fire' | 'skip' | number | Date);

/** What `receive` may return: an event of the logic, the lists in it readonly or not, or null. */
type Receivable<TLogic extends AnyActorLogic> = Immutable<EventFromLogic<TLogic>> | EventFromLogic<TLogic> | null;

/** What a machine names in `setup({ actors })`, and what the machines in it name; any name where it is not known. */
export type NamedActor<TLogic> =
  TLogic extends StateMachine<any, any, any, infer TActor, any, any, any, any, any, any, any, any, any, any>
    ? TActor extends { src: infer Src; logic: infer Inner }
      ? { src: Src & string; logic: Inner } | NamedActor<Inner>
      : never
    : AnyStateMachine extends TLogic
      ? { src: string; logic: unknown }
      : never;

type Immutable<T> = unknown extends T
  ? T
  : T extends (...args: never) => unknown
    ? T
    : { readonly [K in keyof T]: Immutable<T[K]> };

/** What was returned, without properties that no event of its type has. Nothing is asked where it is any event. */
type Received<T, TEvent> = [TEvent | null] extends [T | null]
  ? unknown
  : T extends { type: infer Type }
    ? T & { [K in Exclude<keyof T, KeyOf<OfType<TEvent, Type>>>]?: never }
    : T;

type OfType<TEvent, Type> = TEvent extends { type: infer Each }
  ? Type extends Each
    ? TEvent
    : Each extends Type
      ? TEvent
      : never
  : never;

/** What a message means where the flow does not say otherwise. */
export const replyOf = ({ text }: InboundMessage) => ({ type: 'reply', text });

/** The event that a message means to an actor of the flow; null: it means nothing. */
export const eventFor = (flow: AnyFlow, message: InboundMessage, snapshot: unknown): AnyEventObject | null =>
  flow.receive ? flow.receive({ message, snapshot }) : replyOf(message);

/** A flow that is known to be durable. */
export interface Flow<TLogic extends AnyActorLogic = AnyActorLogic>
  extends Required<Pick<FlowDefinition<TLogic>, 'outgoing' | 'handlerType' | 'uncertain' | 'overdue'>>,
    Omit<
      FlowDefinition<TLogic>,
      'outgoing' | 'handlerType' | 'uncertain' | 'overdue' | 'handlerTtl' | 'invocations' | 'supervision' | 'retention'
    > {
  /** In ms, from the actor's end. */
  handlerTtl: number;
  invocations: ReadonlyMap<string, Attempts>;
  supervision: Policy;
  retention: Partial<Ages>;
}

/** Any flow, whatever its logic. */
export type AnyFlow = Flow<any>;

/** Until when an address leads to an actor that ended at `endedAt`, or else runs, in ms since the epoch. */
export const boundUntil = ({ handlerTtl }: Pick<AnyFlow, 'handlerTtl'>, endedAt = Number.POSITIVE_INFINITY): number =>
  Math.min(endedAt + handlerTtl, LAST_INSTANT);

/** The input that a flow's actors are spawned with. */
export type InputOf<F extends AnyFlow> = InputFrom<F['logic']>;
/** The events that a flow's actors take. */
export type EventOf<F extends AnyFlow> = EventFromLogic<F['logic']>;
/** The snapshots of a flow's actors. */
export type SnapshotOf<F extends AnyFlow> = SnapshotFrom<F['logic']>;
/** What a flow's actors emit. */
export type EmittedOf<F extends AnyFlow> =
  EmittedFrom<F['logic']> extends infer E ? (unknown extends E ? AnyEventObject : Extract<E, EventObject>) : never;

/**
 * Defines a flow: the logic of its actors, and how they meet the world.
 *
 * @example
 * const flow = defineFlow({ type: 'appointment', version: 1, logic: machine })
 * @throws {UnsupportedLogicError} the logic has parts that cannot be durable; the message says what to write instead
 * @throws {InvalidArgumentError} a field that cannot be used
 */
export function defineFlow<
  TLogic extends AnyActorLogic,
  const TReceived extends Receivable<TLogic>,
  const TVersion extends number,
  TMigrations extends Record<number, MigrationStep<TLogic>>,
>(definition: FlowDefinition<TLogic, TReceived, TVersion, TMigrations>): Flow<TLogic>;
export function defineFlow<TLogic extends AnyActorLogic>(definition: FlowDefinition<TLogic>): Flow<TLogic> {
  const {
    type,
    version,
    logic,
    outgoing = ['message'],
    handlerTtl = '48h',
    uncertain = 'resend',
    overdue = 'fire',
  } = definition;
  if (typeof type !== 'string' || !/^[\w.-]+$/.test(type)) {
    throw new InvalidArgumentError(
      `A flow's type is a name of letters, digits, '_', '-' and '.'; this one is ${JSON.stringify(type)}.`,
    );
  }
  if (!Number.isInteger(version) || version < 1) {
    throw new InvalidArgumentError(`The version of flow '${type}' must be a whole number from 1; it is ${version}.`);
  }
  if (overdue !== 'fire' && overdue !== 'skip' && typeof overdue !== 'function') {
    throw new InvalidArgumentError(
      `Flow '${type}': overdue is 'fire', 'skip' or a function of the deadline; it is ${JSON.stringify(overdue)}.`,
    );
  }
  for (const [from, migration] of Object.entries(definition.migrate ?? {})) {
    if (typeof migration !== 'function' || !Number.isInteger(Number(from)) || Number(from) < 1)
      throw new InvalidArgumentError(
        `Flow '${type}': migrate[${from}] must be a function, and its key the version that it leads from.`,
      );
  }
  if (definition.context !== undefined && typeof definition.context?.['~standard']?.validate !== 'function') {
    throw new InvalidArgumentError(
      `Flow '${type}': context must be a schema that follows Standard Schema, e.g. of zod.`,
    );
  }
  if (definition.keywords !== undefined) assertKeywordRules(definition.keywords, `Flow '${type}': keywords`);
  assertKnownXState();
  assertDurable(logic, type);
  return {
    ...definition,
    outgoing,
    uncertain,
    overdue,
    handlerType: definition.handlerType ?? type,
    handlerTtl: handlerTtl === Number.POSITIVE_INFINITY ? handlerTtl : milliseconds(handlerTtl),
    invocations: attemptsOf(definition.invocations, logic, type),
    supervision: policyOf(definition.supervision, type),
    retention: flowAgesOf(definition.retention, type),
  };
}

/** @throws {InvalidArgumentError} it is no list of flows; in tests, whose types nobody may have checked, it is often a machine */
export function assertFlows(flows: unknown): void {
  if (!Array.isArray(flows)) throw new InvalidArgumentError('flows is a list of what defineFlow(…) gave.');
  for (const flow of flows) {
    const { type, version, logic } = Object(flow);
    if (typeof type === 'string' && typeof version === 'number' && logic) continue;
    throw new InvalidArgumentError(
      'A flow is what defineFlow({ type, version, logic }) gives; a machine alone, or anything else, is none.',
    );
  }
}
