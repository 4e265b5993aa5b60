import { microHealthInterventionMachine } from '../../machines/micro-health-intervention.ts';
import { defineFlow, type Flow } from '../flow/flow.ts';
import { participation, statusOf } from './participation.ts';

/** The micro health intervention: a one-minute habit a day, and what became of it. */
export const microHealthInterventionFlow: Flow<typeof microHealthInterventionMachine> = defineFlow({
  type: 'micro_health_intervention',
  version: 1,
  logic: microHealthInterventionMachine,
  handlerType: 'intervention',
  handlerTtl: '48h',
  optOut: { withdraw: { type: 'withdraw' }, rejoin: { type: 'rejoin' } },
  record: (emitted, { participantId, at }) =>
    emitted.type === 'response'
      ? {
          table: 'intervention_responses',
          row: {
            participant_id: participantId,
            state: emitted.state,
            response_text: emitted.text,
            response_type: emitted.responseType,
            timestamp: new Date(at).toISOString(),
          },
        }
      : null,
  project: (turn) =>
    participation('intervention_participants', turn, (snapshot) => {
      const { paused, name, timezone, dailyPromptTime } = snapshot.context;
      return { status: statusOf(snapshot, paused), name, timezone, daily_prompt_time: dailyPromptTime };
    }),
});
