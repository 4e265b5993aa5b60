import { readFileSync } from 'node:fs';
import type OpenAI from 'openai';
import { InvalidArgumentError } from '../errors.ts';
import type { Generate } from './conversation.ts';

/** Where replies are composed. */
export interface GeneratorOptions {
  apiKey: string;
  /** Any OpenAI-compatible endpoint. Default: OpenAI's. */
  baseURL?: string;
  /** Default: `gpt-4o-mini`. */
  model?: string;
}

/** Composes replies with an OpenAI-compatible endpoint. Retries are the machine's business, not the client's. */
export function createGenerator({ apiKey, baseURL, model = 'gpt-4o-mini' }: GeneratorOptions): Generate {
  // Loaded with the first reply: it takes a sixth of the time of a command that needs none.
  let client: Promise<OpenAI> | undefined;
  return async ({ messages }, signal) => {
    client ??= import('openai').then(
      ({ default: Client }) => new Client({ apiKey, maxRetries: 0, ...(baseURL && { baseURL }) }),
    );
    const completion = await (await client).chat.completions.create({ model, messages }, { signal });
    return { text: completion.choices[0]?.message.content ?? '' };
  };
}

/** Answers without any service, and says so. */
export const offlineResponder: Generate = async ({ messages }) => {
  const said = messages.findLast(({ role }) => role === 'user');
  return {
    text: said
      ? `I am an offline stand-in for the assistant, so I can only repeat what I heard: “${said.content}”.`
      : 'Hello! I am an offline stand-in for the assistant. Write to me, and I will answer as well as I can.',
  };
};

const DEFAULT_PROMPT = 'You are a warm and patient health assistant. Keep each message short, plain and kind.';

/**
 * The system prompt of the conversation.
 * @param path a text file; without one, the built-in prompt
 * @throws {InvalidArgumentError} the file cannot be read
 */
export function loadSystemPrompt(path: string | undefined): string {
  if (path === undefined) return DEFAULT_PROMPT;
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new InvalidArgumentError(
      `The system prompt ${path} cannot be read: ${(cause as Error).message}. Check --system-prompt, or leave it out for the built-in one.`,
      { cause },
    );
  }
}
