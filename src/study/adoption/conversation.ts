/**
 * Rows of the conversation. Who spoke last decides: after the assistant, the participant's turn is awaited; after the
 * participant, or where nobody has spoken, a reply is owed. The attempt at it died with the old process: the actor stands
 * between two attempts, 5 seconds after `updated_at`, so that the next one begins when the server starts.
 */
import { conversationContext, type HistoryMessage } from '../../../machines/conversation.ts';
import { shown, Unreadable } from './columns.ts';
import type { StateData } from './data.ts';
import { instantOf, isoOf } from './instants.ts';
import type { Adopted, Legacy } from './legacy-state.ts';

const KEPT = 50;

/**
 * Where a participant of the conversation stands.
 * @param systemPrompt where the row has none of its own
 * @throws {Unreadable} it cannot be known
 */
export function adoptConversation({ person, state, data, updatedAt: at }: Legacy, systemPrompt: string): Adopted {
  if (state !== 'CONVERSATION_ACTIVE' && state !== 'COMPLETE')
    throw new Unreadable(`current_state is ${shown(state)}, which the conversation does not know`);
  const notes: string[] = [];
  const conversationHistory = historyOf(data, at, notes);
  const last = conversationHistory.at(-1);
  const { id: participantId, name, background, status } = person;
  const context = {
    ...conversationContext({ participantId, systemPrompt: data.text('systemPrompt') ?? systemPrompt }),
    name,
    participantBackground: data.text('participantBackground') ?? (background || null),
    conversationHistory,
    replyOwed: last?.role !== 'assistant',
  };
  if (status === 'withdrawn') return { value: 'WITHDRAWN', context: { ...context, replyOwed: false }, at, notes };
  if (status === 'completed' || state === 'COMPLETE') return { value: 'COMPLETE', context, at, notes };
  if (status === 'paused') return { value: { CONVERSATION_ACTIVE: 'PAUSED' }, context, at, notes };
  if (!context.replyOwed) return { value: { CONVERSATION_ACTIVE: 'AWAITING_PARTICIPANT' }, context, at, notes };
  notes.push(`${last ? 'a reply was owed' : 'nobody had spoken yet'}: the assistant writes when the server starts`);
  return { value: { CONVERSATION_ACTIVE: 'RETRYING_SOON' }, context, at, notes };
}

/** The last 50 messages. */
function historyOf(data: StateData, at: number, notes: string[]): HistoryMessage[] {
  const { messages } = data.object('conversationHistory');
  if (messages === undefined || messages === null) return [];
  if (!Array.isArray(messages)) throw new Unreadable(`conversationHistory has ${shown(messages)} as messages`);
  const said = messages.map((message) => messageOf(message, at)).filter((message) => message !== undefined);
  if (said.length < messages.length)
    notes.push('messages of other roles than user and assistant are no part of our history');
  return said.slice(-KEPT);
}

function messageOf(message: unknown, at: number): HistoryMessage | undefined {
  const { role, content, timestamp } = (message ?? {}) as Record<string, unknown>;
  if (typeof role !== 'string' || (content !== null && content !== undefined && typeof content !== 'string'))
    throw new Unreadable(`conversationHistory holds ${shown(message)}, which is no message`);
  if (role !== 'user' && role !== 'assistant') return undefined;
  if (typeof content !== 'string') throw new Unreadable(`conversationHistory holds ${shown(message)}, without content`);
  return { role, content, timestamp: isoOf(instantOf(timestamp, "a message's timestamp") ?? at) };
}
