/**
 * Prompts as the chat templates of models want them: one system message at the beginning, then the user and the assistant
 * in turn, the user first and last. Endpoints that enforce it refuse anything else, and to the others it is the same.
 */
import type { PromptMessage } from '../../machines/conversation.ts';
import { cues } from '../../machines/texts/conversation.ts';

/** @param messages the system's messages, and then the conversation, oldest first */
export function templated(messages: readonly PromptMessage[]): PromptMessage[] {
  const spoken = messages.filter(({ content }) => content.trim() !== '');
  const system = spoken.filter(({ role }) => role === 'system');
  const turns = merged(spoken.filter(({ role }) => role !== 'system'));
  if (turns.length === 0) turns.push({ role: 'user', content: cues.opening });
  if (turns[0]?.role === 'assistant') turns.unshift({ role: 'user', content: cues.earlier });
  if (turns.at(-1)?.role === 'assistant') turns.push({ role: 'user', content: cues.goOn });
  return [...merged(system), ...turns];
}

/** Messages of one role that follow each other become one. */
function merged(messages: readonly PromptMessage[]): PromptMessage[] {
  const result: PromptMessage[] = [];
  for (const { role, content } of messages) {
    const last = result.at(-1);
    if (last?.role === role) last.content += `\n\n${content}`;
    else result.push({ role, content });
  }
  return result;
}
