/**
 * Callbacks and observables. They are bound to the in-memory actor, and start as XState starts them. What they throw is a
 * failure of their own child, also where an async function or listener rejects later.
 */
import type { AnyActorLogic, AnyActorRef, AnyEventObject } from 'xstate';
import { catchRejection } from '../thrown.ts';
import { isEvent } from './event.ts';
import type { ProcessKind } from './logic.ts';

/** What runs for one child. */
export interface Process {
  kind: ProcessKind;
  /** Of a callback or an observable: it has failed, and its child is to hear of it. */
  readonly failed?: boolean;
  /** Ends it, once. May throw, or reject with, what its cleanup throws. */
  stop(): unknown;
  deliver?(event: AnyEventObject): void;
}

/** Tells the child of a callback that the callback failed; XState has such an event for promises and observables alone. */
export const CALLBACK_ERROR = 'perdure.callback.error';

const NEXT = 'xstate.observable.next';

/**
 * Starts a callback or an observable. Never throws.
 * @param told takes an event for the child itself
 * @param toParent takes an event for the machine that invoked it
 */
export function bind(
  ref: AnyActorRef,
  logic: AnyActorLogic,
  kind: Exclude<ProcessKind, 'promise'>,
  told: (event: AnyEventObject) => void,
  toParent: (event: AnyEventObject) => void,
): Process {
  const { id, system } = ref;
  const { input } = ref.getSnapshot() as { input?: unknown };
  const { emit } = (ref as unknown as { _actorScope: { emit: unknown } })._actorScope;
  // `config` is the function that was given to fromCallback, fromObservable or fromEventObservable.
  const create = (args?: object) =>
    (logic as unknown as { config(args: object): any }).config({ input, system, self: ref, emit, ...args });
  const listeners = new Set<(event: AnyEventObject) => unknown>();
  let cleanUp: (() => unknown) | undefined;
  let failed = false;
  let ended = false;

  const fail = (error: unknown) => {
    if (failed || ended) return;
    failed = true;
    told({ type: kind === 'callback' ? CALLBACK_ERROR : 'xstate.observable.error', data: error });
  };
  const attempt = (part: () => unknown) => {
    try {
      catchRejection(part(), fail);
    } catch (error) {
      fail(error);
    }
  };
  const sendBack = (event: unknown) => {
    if (ended) return;
    if (isEvent(event)) toParent(event);
    else
      fail(new TypeError(`The ${kind} '${id}' gave what is no event. An event is an object whose type is a string.`));
  };
  const tell = (event: AnyEventObject) => {
    if (!failed && !ended) told(event);
  };

  attempt(() => {
    if (kind === 'callback') {
      const receive = (listener: (event: AnyEventObject) => unknown) => void listeners.add(listener);
      const result = create({ sendBack, receive });
      if (typeof result === 'function') cleanUp = result;
      return result;
    }
    const next = givesEvents(logic) ? sendBack : (data: unknown) => tell({ type: NEXT, data });
    const complete = () => tell({ type: 'xstate.observable.complete' });
    const subscription = create().subscribe({ next, error: fail, complete });
    cleanUp = () => subscription.unsubscribe();
    return undefined;
  });

  return {
    kind,
    get failed() {
      return failed;
    },
    stop: () => {
      if (ended) return undefined;
      ended = true;
      listeners.clear();
      try {
        return cleanUp?.();
      } catch (error) {
        // Where a state was left, its machine hears of it, as in XState.
        const isLeft = ref.getSnapshot().status === 'stopped' && ref._parent?.getSnapshot().status === 'active';
        if (!isLeft) throw error;
        toParent({ type: `xstate.error.actor.${id}`, error, actorId: id });
        return undefined;
      }
    },
    deliver: (event) => {
      for (const listener of listeners) {
        if (failed) return;
        attempt(() => listener(event));
      }
    },
  };
}

/** Made by fromEventObservable: its values are events for the machine that invoked it. */
const givesEvents = (logic: AnyActorLogic): boolean =>
  (logic.transition({ status: 'active' } as never, { type: NEXT, data: true } as never, {} as never) as any).context !==
  true;
