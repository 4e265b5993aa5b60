import { createActor, fromTransition } from 'xstate';
import { UnsupportedLogicError } from '../errors.ts';

/** What {@link LiveActor} takes hold of: an actor's own, and its system's. */
const HELD = [
  '_actorScope.actionExecutor',
  '_actorScope.emit',
  '_actorScope.sessionId',
  'logic',
  'options',
  '_stop',
].concat(['_relay', '_bookId', '_sendInspectionEvent', 'scheduler'].map((name) => `system.${name}`));

/**
 * That XState is one that can be taken hold of, looked at in an actor of it. Under another one deadlines and events would be
 * lost silently.
 * @throws {UnsupportedLogicError} it is not
 */
export function assertKnownXState(): void {
  let born: object | undefined;
  const inspect = (event: { type: string; actorRef: object }) => {
    if (event.type === '@xstate.actor') born = event.actorRef;
  };
  createActor(
    fromTransition((state) => state, 0),
    { inspect },
  );
  const missing = HELD.find((path) => path.split('.').reduce((part: any, name) => part?.[name], born) === undefined);
  if (missing)
    throw new UnsupportedLogicError(
      `The version of XState that is installed has no '${missing}', which Perdure takes hold of. Install another version of XState, or a newer Perdure; see docs/embedding.md.`,
    );
}
