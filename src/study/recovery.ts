/**
 * The recovery of the two flows. The application registers them with the runtime's manager, like any component of its own:
 *
 *   runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery())
 */

import type { ConversationContext } from '../../machines/conversation.ts';
import type { InterventionContext } from '../../machines/micro-health-intervention.ts';
import { asText } from '../actor/codec.ts';
import { LRUCache } from '../cache.ts';
import { nextLocalTime } from '../machine/index.ts';
import { FlowRecovery } from '../recovery/index.ts';
import type { ConversationFlow } from './conversation.ts';
import { microHealthInterventionFlow } from './micro-health-intervention.ts';

/** What a field of a context must be for its machine to go on. */
type Fields<C> = { [K in keyof C]?: 'string' | 'number' | 'boolean' | 'array' };

/** Recovers the micro health intervention, and finds contexts with which it could not go on. */
export class MicroHealthInterventionRecovery extends FlowRecovery {
  constructor() {
    super(microHealthInterventionFlow, {
      name: 'MicroHealthInterventionRecovery',
      participants: 'intervention_participants',
      check: ({ context }: { context: InterventionContext }) =>
        mistaken<InterventionContext>(context, {
          participantId: 'string',
          timezone: 'string',
          dailyPromptTime: 'string',
          weeklyReset: 'number',
          enrolledAt: 'number',
          timesCompletedToday: 'number',
          timesCompletedThisWeek: 'number',
          weekEndsAt: 'number',
          paused: 'boolean',
        }) ?? withoutTime(context),
    });
  }
}

/** Recovers the conversation, and finds contexts with which it could not go on. */
export class ConversationFlowRecovery extends FlowRecovery {
  constructor(flow: ConversationFlow) {
    super(flow, {
      name: 'ConversationFlowRecovery',
      participants: 'conversation_participants',
      check: ({ context }: { context: ConversationContext }) =>
        mistaken<ConversationContext>(context, {
          participantId: 'string',
          systemPrompt: 'string',
          conversationHistory: 'array',
          pendingMessages: 'array',
          replyOwed: 'boolean',
          failedAttempts: 'number',
        }),
    });
  }
}

function mistaken<C extends object>(context: C, fields: Fields<C>): string | undefined {
  for (const [field, type] of Object.entries(fields)) {
    const value = context[field as keyof C];
    const actual = Array.isArray(value) ? 'array' : typeof value;
    if (actual === type) continue;
    return `Its context has ${value === undefined ? 'no value' : asText(value)} as ${field}, and no ${type}.`;
  }
  return undefined;
}

/** Times that there are: a study has few, and to look costs as much as to restore the actor. */
const times = new LRUCache<string, true>({ max: 10_000 });

function withoutTime({ timezone, dailyPromptTime }: InterventionContext): string | undefined {
  const key = `${timezone} ${dailyPromptTime}`;
  if (times.has(key)) return undefined;
  try {
    nextLocalTime({ after: 0, time: dailyPromptTime, timeZone: timezone });
    times.set(key, true);
    return undefined;
  } catch (error) {
    return `Its context has no time for the daily prompt: ${(error as Error).message}`;
  }
}
