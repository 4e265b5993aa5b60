/**
 * The HTTP service of the two flows that Perdure brings, as a Fastify plugin or as a server of its own, and what it is made of:
 * see docs/embedding.md.
 *
 * @module perdure/http
 */

export type { AccessOptions } from '../http/access.ts';
export { type HttpOptions, perdureHttp } from '../http/plugin.ts';
export { createHttpService } from '../http/server.ts';
export { type ConversationFlow, createConversationFlow, type Generate } from './conversation.ts';
export { createGenerator, type GeneratorOptions, loadSystemPrompt, offlineResponder } from './generator.ts';
export { microHealthInterventionFlow } from './micro-health-intervention.ts';
export {
  type ConversationEnrolment,
  type InterventionEnrolment,
  type Participant,
  type ParticipantChange,
  Participants,
  type ParticipantsOptions,
} from './participants.ts';
export { ConversationFlowRecovery, MicroHealthInterventionRecovery } from './recovery.ts';
