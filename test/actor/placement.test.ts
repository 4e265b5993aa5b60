import { describe, expect, it } from 'vitest';
import { createMachine } from 'xstate';
import {
  type InterventionState,
  microHealthInterventionMachine as machine,
} from '../../machines/micro-health-intervention.ts';
import { LiveActor } from '../../src/actor/live-actor.ts';
import { placeActor } from '../../src/actor/placement.ts';
import { Processes } from '../../src/actor/processes.ts';

const address = { flowType: 'micro_health_intervention', participantId: 'p_1' };
const AT = Date.UTC(2026, 6, 15, 12, 30, 0, 123);

/** The actor that came to a state by itself. */
function arrived(to: InterventionState): LiveActor {
  const host = { address, processes: Processes.held(), post: () => {}, log: () => {}, actionFailed: () => {} };
  const ambient = { now: () => AT, random: () => 0 };
  const { actor } = LiveActor.spawn(machine, { participantId: 'p_1', timezone: 'Europe/Berlin' }, host, ambient);
  actor.perform({ kind: 'event', event: { type: 'advance', to } }, ambient);
  return actor;
}

describe('an actor that is placed in a state', () => {
  it.each([
    'ORIENTATION',
    'COMMITMENT_PROMPT',
    'FEELING_PROMPT',
    'SEND_INTERVENTION_REFLECTIVE',
    'DID_YOU_GET_A_CHANCE',
    'BARRIER_REASON_NO_CHANCE',
    'END_OF_DAY',
    'COMPLETE',
  ] as const)('is the one that came to %s by itself, to the byte', (state) => {
    const actor = arrived(state);
    const { value, context, status } = actor.snapshot;
    const placed = placeActor(machine, { value, context, at: AT }, address);
    expect(placed.stateData).toBe(actor.encode());
    expect(placed).toMatchObject({ status, timers: status === 'done' ? [] : actor.timers });
  });

  it('has its deadlines where they were, also those that passed long ago', () => {
    const { value, context } = arrived('MOOD_QUESTION').snapshot;
    const long = AT - 90 * 86_400_000;
    const [first] = placeActor(
      machine,
      { value, context: { ...context, weekEndsAt: long - 1 }, at: long },
      address,
    ).timers;
    expect(first).toMatchObject({ dueAt: long - 1, id: expect.stringContaining('weekEnd') });
  });

  it('cannot stand where nobody can', () => {
    const { context } = arrived('MOOD_QUESTION').snapshot;
    const place = (value: any) => () => placeActor(machine, { value, context, at: AT }, address);
    expect(place('NOWHERE')).toThrow(/'NOWHERE' does not exist/);
    expect(place({ PARTICIPATING: { week: 'COUNTING', day: 'RANDOM_ASSIGNMENT' } })).toThrow(/left at once/);
    const invoking = createMachine({ initial: 'busy', states: { busy: { invoke: { id: 'work', src: 'work' } } } });
    expect(() => placeActor(invoking, { value: 'busy', context: {}, at: AT }, address)).toThrow(/begins 'work'/);
  });
});
