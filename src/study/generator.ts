import { readFileSync } from 'node:fs';
import type OpenAI from 'openai';
import type { GenerateOutput } from '../../machines/conversation.ts';
import { InvalidArgumentError } from '../errors.ts';
import { assertInstalled } from '../packages.ts';
import { templated } from './chat-template.ts';
import { readCompletion, readFailure } from './completion.ts';
import type { Generate } from './conversation.ts';

/** Where replies are composed. */
export interface GeneratorOptions {
  /** Any text for an endpoint that asks for none. */
  apiKey: string;
  /** Any OpenAI-compatible endpoint. Default: OpenAI's. */
  baseURL?: string;
  /** Default: `gpt-4o-mini`. */
  model?: string;
}

/**
 * Composes replies with an OpenAI-compatible endpoint. Retries are the machine's business, not the client's. It rejects with
 * a `ReplyError`, which tells what was wrong with the answer without any text of it.
 * @throws {InvalidArgumentError} there is no key
 * @throws {PackageMissingError} `openai` is not installed
 */
export function createGenerator({ apiKey, baseURL, model = 'gpt-4o-mini' }: GeneratorOptions): Generate {
  if (typeof apiKey !== 'string' || apiKey.trim() === '')
    throw new InvalidArgumentError(
      'The generator has no apiKey. Give it the key of the endpoint; where the endpoint asks for none, any text.',
    );
  assertInstalled('A generator of replies', 'openai');
  // Loaded with the first reply: it takes a sixth of the time of a command that needs none.
  let client: Promise<OpenAI> | undefined;
  return async ({ messages }, signal): Promise<GenerateOutput> => {
    client ??= import('openai').then(
      ({ default: Client }) => new Client({ apiKey, maxRetries: 0, ...(baseURL && { baseURL }) }),
    );
    const { chat } = await client;
    const asked = chat.completions.create({ model, messages: templated(messages) }, { signal }).asResponse();
    const { status, headers, body } = await asked
      .then(async (answer) => ({ status: answer.status, headers: answer.headers, body: await answer.text() }))
      .catch((error) => {
        throw readFailure(error);
      });
    return readCompletion(body, status, headers.get('content-type'));
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
