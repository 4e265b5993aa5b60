/** What machines say to people and to each other, as payloads for `emit(...)`: stored with the turn, sent after its commit. */
import type { AnyEventObject } from 'xstate';

/** One answer of a multiple-choice message. */
export interface Option {
  /** What the answer is recorded as; also what may be typed, e.g. `'1'`. */
  id: string;
  label: string;
}

/** A message to the actor's participant. */
export interface Message {
  type: 'message';
  text: string;
  /** For transports that have native polls; the text lists them as well. */
  options?: Option[];
}

/** A durable event for another participant's actor. */
export interface ActorMessage<TEvent extends AnyEventObject = AnyEventObject> {
  type: 'perdure.send';
  to: { flowType: string; participantId: string };
  event: TEvent;
}

/**
 * A message to the actor's participant.
 *
 * @param options makes it a multiple-choice message: they are listed under the text, each after its id
 * @example
 * emit(message('Ready?', [{ id: '1', label: 'Yes' }, { id: '2', label: 'Not yet' }]))
 */
export function message(text: string, options?: readonly Option[]): Message {
  if (!options || options.length === 0) return { type: 'message', text };
  return {
    type: 'message',
    text: [text, ...options.map(({ id, label }) => `${id}. ${label}`)].join('\n'),
    // Only what a transport needs: the options of a flow's catalogue also carry synonyms.
    options: options.map(({ id, label }) => ({ id, label })),
  };
}

/**
 * A durable event for another participant's actor, applied once, after this turn has committed.
 * @example
 * emit(sendToActor({ flowType: 'conversation', participantId: 'p_1' }, { type: 'pause' }))
 */
export function sendToActor<TEvent extends AnyEventObject>(
  to: ActorMessage['to'],
  event: TEvent,
): ActorMessage<TEvent> {
  return { type: 'perdure.send', to: { flowType: to.flowType, participantId: to.participantId }, event };
}
