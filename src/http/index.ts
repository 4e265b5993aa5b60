/**
 * The HTTP service of the two flows that Perdure brings, as a Fastify plugin or as a server of its own, and what it is made of:
 * see docs/embedding.md.
 *
 * @module perdure/http
 */
export { type ConversationFlow, createConversationFlow, type Generate } from '../flows/conversation.ts';
export { createGenerator, type GeneratorOptions, loadSystemPrompt, offlineResponder } from '../flows/generator.ts';
export { microHealthInterventionFlow } from '../flows/micro-health-intervention.ts';
export {
  type ConversationEnrolment,
  type InterventionEnrolment,
  type Participant,
  type ParticipantChange,
  Participants,
  type ParticipantsOptions,
} from '../flows/participants.ts';
export { ConversationFlowRecovery, MicroHealthInterventionRecovery } from '../flows/recovery.ts';
export type { AccessOptions } from './access.ts';
export { type HttpOptions, perdureHttp } from './plugin.ts';
export { createHttpService } from './server.ts';
