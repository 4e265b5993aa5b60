/**
 * The HTTP service of the two flows that Perdure brings, as a Fastify plugin or as a server of its own, and what it is made of:
 * see docs/embedding.md.
 *
 * @module perdure/http
 */

export { type ConversationFlow, createConversationFlow, type Generate } from '../study/conversation.ts';
export { createGenerator, type GeneratorOptions, loadSystemPrompt, offlineResponder } from '../study/generator.ts';
export type { HttpOptions } from '../study/http/options.ts';
export { createHttpService, perdureHttp } from '../study/http/plugin.ts';
export { microHealthInterventionFlow } from '../study/micro-health-intervention.ts';
export {
  type ConversationEnrolment,
  type InterventionEnrolment,
  type Participant,
  type ParticipantChange,
  Participants,
  type ParticipantsOptions,
} from '../study/participants.ts';
export { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../study/recovery.ts';
export type { AccessOptions } from './access.ts';
