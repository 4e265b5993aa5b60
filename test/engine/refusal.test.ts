/** Which failures say that an actor will not take the event in a minute either. */
import { describe, expect, it } from 'vitest';
import { takesNoEvents } from '../../src/engine/refusal.ts';
import {
  ActorNotFoundError,
  ActorQuarantinedError,
  NotRunningError,
  SnapshotIncompatibleError,
  TurnFailedError,
  UnknownFlowError,
} from '../../src/errors.ts';

describe('an event that an actor did not take', () => {
  it.each([ActorNotFoundError, ActorQuarantinedError, SnapshotIncompatibleError, TurnFailedError, UnknownFlowError])(
    'is refused for good by %o',
    (Refusal: any) => {
      expect(takesNoEvents(new Refusal('no', { address: { flowType: 'diary', participantId: 'ada' } }))).toBe(true);
    },
  );

  it('is to be tried again after anything else', () => {
    for (const error of [new NotRunningError('no'), new Error('no'), 'no', { code: 'STORE_ERROR' }, undefined, null])
      expect(takesNoEvents(error)).toBe(false);
  });
});
