import { fromPromise } from 'xstate';
import { conversationMachine, type GenerateInput, type GenerateOutput } from '../../machines/conversation.ts';
import { defineFlow, type Flow } from '../flow/flow.ts';
import { participation, statusOf } from './participation.ts';

/** Composes a reply. A rejection is retried by the machine. */
export type Generate = (input: GenerateInput, signal: AbortSignal) => Promise<GenerateOutput>;

/** The conversation with an assistant, whose replies `generate` composes. */
export function createConversationFlow({ generate }: { generate: Generate }): ConversationFlow {
  return defineFlow({
    type: 'conversation',
    version: 1,
    logic: conversationMachine.provide({
      actors: { generateReply: fromPromise(({ input, signal }) => generate(input, signal)) },
    }),
    handlerType: 'conversation',
    handlerTtl: '24h',
    optOut: { withdraw: { type: 'withdraw' }, rejoin: { type: 'rejoin' } },
    note: (emitted) =>
      emitted.type === 'failure' ? `no reply after ${emitted.attempts} attempts: ${emitted.error}` : null,
    project: (turn) =>
      participation('conversation_participants', turn, (snapshot) => ({
        status: statusOf(snapshot, snapshot.hasTag('paused')),
        name: snapshot.context.name,
      })),
  });
}

/** Any conversation flow. */
export type ConversationFlow = Flow<typeof conversationMachine>;
