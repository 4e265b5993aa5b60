import type { Logger } from 'pino';
import type { Duration } from '../duration.ts';
import type { Retention } from '../flow/retention-periods.ts';
import type { CountryCode } from '../messaging/phone-numbers.ts';
import { simulator } from '../messaging/transports/simulator.ts';
import type { RecoveryMode } from '../recovery/index.ts';
import { createRuntime } from '../runtime/runtime.ts';
import { createConversationFlow } from '../study/conversation.ts';
import { createGenerator, loadSystemPrompt, offlineResponder } from '../study/generator.ts';
import type { StudyOptions } from '../study/http/options.ts';
import { microHealthInterventionFlow } from '../study/micro-health-intervention.ts';
import { Participants } from '../study/participants.ts';
import { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../study/recovery.ts';

export interface ServiceOptions {
  database: string;
  /** For numbers in national form. Without it, each needs its country. */
  defaultCountry?: CountryCode;
  systemPrompt?: string;
  logger?: Logger;
  wait?: Duration;
  timeScale?: number;
  /** How it recovers at its start. */
  mode?: RecoveryMode;
  /** How long rows are kept that nothing needs any more. */
  retention?: Retention;
}

/** The runtime with both flows, not started yet. */
export function createService({
  database,
  defaultCountry,
  systemPrompt,
  logger,
  wait,
  timeScale,
  mode,
  retention,
}: ServiceOptions): StudyOptions {
  const prompt = loadSystemPrompt(systemPrompt);
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL, OPENAI_MODEL: model } = process.env;
  const generate = apiKey?.trim()
    ? createGenerator({ apiKey, ...(baseURL && { baseURL }), ...(model && { model }) })
    : offlineResponder;
  if (generate === offlineResponder && (baseURL || model)) {
    logger?.warn(
      'OPENAI_BASE_URL or OPENAI_MODEL is set, and OPENAI_API_KEY is not: no model is asked, the offline responder answers. ' +
        'Set a key; where the endpoint asks for none, any text.',
    );
  }
  const conversation = createConversationFlow({ generate });
  const runtime = createRuntime({
    database: `sqlite:${database}`,
    flows: [microHealthInterventionFlow, conversation],
    transport: simulator,
    ...(defaultCountry && { defaultCountry }),
    ...(logger && { logger }),
    ...(wait !== undefined && { lock: { wait } }),
    ...(timeScale !== undefined && { timeScale }),
    ...(mode !== undefined && { recovery: { mode } }),
    ...(retention !== undefined && { retention }),
  });
  runtime.recovery.registerRecoverable(new MicroHealthInterventionRecovery());
  runtime.recovery.registerRecoverable(new ConversationFlowRecovery(conversation));
  const participants = new Participants({
    runtime,
    conversation,
    systemPrompt: prompt,
    ...(defaultCountry && { defaultCountry }),
  });
  return { runtime, participants };
}
