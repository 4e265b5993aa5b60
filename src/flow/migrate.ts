/**
 * How a flow leads its actors from one version to the next, and how far the types hold it: each step returns a snapshot, and
 * the step to the flow's own version one with a context of its machine. Of the contexts in between nothing is known here,
 * since their machines are gone.
 */
import type { AnyActorLogic, SnapshotFrom } from 'xstate';
import type { MigratingTimer } from '../actor/migrating-timers.ts';

/** Leads one actor from a version to the next. It must be pure: it may be done again. */
export type Migration = (persisted: any, actor: MigratingActor) => any;

/** What a migration is told of the actor besides its snapshot. */
export interface MigratingActor {
  participantId: string;
  /** Its pending deadlines. Return them, changed, where states or delays have other names or are new. */
  timers: MigratingTimer[];
  /** The present instant, in ms since the epoch. */
  at: number;
  /** When it made its last turn, in ms since the epoch. */
  updatedAt: number;
}

/** What XState keeps of an actor. A migration that knows the context of the version before may say so: `PersistedSnapshot<ContextV1>`. */
export interface PersistedSnapshot<TContext = FormerContext> {
  status: 'active' | 'done' | 'error' | 'stopped';
  context: TContext;
  /** The state, of a machine. */
  value?: any;
  children?: any;
  historyValue?: any;
  output?: any;
  error?: any;
}

declare const former: unique symbol;

/**
 * A context of a version of which nothing is said. A new context that spreads it has what it had: the types then ask for no
 * more fields, and check those that are given.
 */
export declare class FormerContext {
  [field: string]: any;
  /** Not there. It is spread with the rest, by which the types know. */
  readonly [former]?: never;
  /** As every object's, but narrower, and not spread: else TypeScript took each context for one of these, and lost its fields. */
  isPrototypeOf(object: object): true;
}

/** A step as it is written where nothing is said of the old context; or any other function, see {@link Migrations}. */
export type MigrationStep<TLogic extends AnyActorLogic> =
  | ((
      persisted: PersistedSnapshot<ContextOf<TLogic> extends object ? FormerContext : any>,
      actor: MigratingActor,
    ) => Migrated<ContextOf<TLogic> | Anything>)
  | CallableFunction;

/** The steps, each held to return a snapshot, and the one that leads to the flow's version to return one of its machine. */
export type Migrations<TSteps, TLogic extends AnyActorLogic, TVersion extends number> = {
  [N in keyof TSteps]: N extends number | `${number}`
    ? TSteps[N] extends (...args: infer TArguments) => infer TResult
      ? (
          ...args: TArguments
        ) => N extends Before<TVersion> | `${Before<TVersion>}`
          ? Fitting<TResult, ContextOf<TLogic>>
          : Migrated<unknown>
      : unknown
    : never;
};

type Migrated<TContext> =
  | PersistedSnapshot<TContext>
  | { snapshot: PersistedSnapshot<TContext>; timers?: readonly MigratingTimer[] };

type ContextOf<TLogic extends AnyActorLogic> = SnapshotFrom<TLogic> extends { context: infer C } ? C : any;

/** Any context; TypeScript widens no literal that it expects here. */
type Anything = { [field: string]: Literal } | Other;
type Literal = '' | 0 | 0n | true | false | { [field: string]: Literal } | Other;
// biome-ignore lint/complexity/noBannedTypes: `unknown` would swallow the literals beside it
type Other = {} | null | undefined;

type Fitting<TResult, C> =
  IsAny<TResult> extends true
    ? unknown
    : TResult extends { snapshot: { context: infer Given } }
      ? { snapshot: PersistedSnapshot<Context<Given, C>>; timers?: readonly MigratingTimer[] }
      : TResult extends { context: infer Given }
        ? PersistedSnapshot<Context<Given, C>>
        : Migrated<C>;

/** What a context that was given must be, to be one that the machine has. */
type Context<Given, C> =
  IsAny<Given> extends true
    ? any
    : Given extends FormerContext
      ? Given
      : typeof former extends keyof Given
        ? { [K in keyof Given]: K extends typeof former ? unknown : string extends K ? any : Field<C, K, Given[K]> }
        : C;

/** A field of any of the contexts; one that none of them has may be set to undefined. */
type Field<C, K, Given> =
  K extends KeyOf<C> ? (C extends unknown ? (K extends keyof C ? C[K] : never) : never) : Given & undefined;
/** The names of the properties that any of a union has. */
export type KeyOf<T> = T extends unknown ? keyof T : never;
type IsAny<T> = 0 extends 1 & T ? true : false;

/** N - 1, of numbers that are known and have three digits at most. */
type Before<N extends number> = number extends N
  ? never
  : `${N}` extends `${infer _A}${infer _B}${infer _C}${infer _D}${string}`
    ? never
    : Count<N> extends [unknown, ...infer Rest]
      ? Rest['length']
      : never;
type Count<N extends number, T extends unknown[] = []> = T['length'] extends N ? T : Count<N, [...T, unknown]>;
