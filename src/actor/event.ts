import type { AnyEventObject } from 'xstate';

/** Whether a value can be sent to an actor. XState fails an actor, in the midst of a transition, that gets something else. */
export const isEvent = (value: unknown): value is AnyEventObject =>
  typeof (value as AnyEventObject | null | undefined)?.type === 'string';
