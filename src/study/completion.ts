/**
 * What an OpenAI-compatible endpoint answered: a reply, a refusal, or a failure that is told without any text of it.
 *
 *   content, whole or in parts               the reply, without the model's thoughts
 *   a refusal, or a filter that stepped in   refused: nothing is tried again
 *   cut off, empty, a tool call, no JSON,    a ReplyError: another attempt may help
 *   an error's status
 */
import type { GenerateOutput } from '../../machines/conversation.ts';
import { withoutThoughts } from './thoughts.ts';

/** There is no reply; the message says why, for operators, and holds nothing that anybody has written. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
  /** How long the endpoint asked to wait before another attempt, in ms; 0: nothing was asked. */
  readonly retryAfter: number;

  constructor(message: string, { retryAfter = 0, cause }: { retryAfter?: number; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.retryAfter = retryAfter;
  }
}

type Json = Record<string, unknown>;
const object = (value: unknown): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;

/**
 * The reply in the body of an answer whose status is good.
 * @throws {ReplyError} there is none
 */
export function readCompletion(body: string, status: number, contentType: string | null): GenerateOutput {
  const answer = object(parsed(body));
  if (!answer) {
    const type = contentType?.split(';')[0]?.trim() || 'no content type';
    throw new ReplyError(`The endpoint's answer is no JSON object (${status}, ${type}). Check its base URL.`);
  }
  if (answer['error']) throw new ReplyError(`The endpoint answered ${status} with an error${codeOf(answer['error'])}.`);
  const [choice] = Array.isArray(answer['choices']) ? answer['choices'].map(object) : [];
  const message = object(choice?.['message']);
  if (!choice || !message) throw new ReplyError("The endpoint's answer has no message. Check its base URL and model.");
  const finish = choice['finish_reason'];
  const { text, refused } = contentOf(message['content']);
  if (finish === 'content_filter' || refused || isText(message['refusal'])) return { text: '', refused: true };
  // What was cut off may end in the middle of a word, or of a thought.
  if (finish === 'length') throw new ReplyError('The reply was cut off: it reached the limit of tokens.');
  const reply = withoutThoughts(text);
  if (reply !== '') return { text: reply };
  if (message['tool_calls'] || message['function_call'])
    throw new ReplyError('The model called a tool, and there is none.');
  throw new ReplyError(text.trim() === '' ? 'The reply was empty.' : 'The reply was nothing but thoughts.');
}

/** The text of a content: a text, or a list of parts, of which some are thoughts. */
function contentOf(content: unknown): { text: string; refused: boolean } {
  if (typeof content === 'string') return { text: content, refused: false };
  const parts = (Array.isArray(content) ? content : [content]).map((part) =>
    typeof part === 'string' ? { type: 'text', text: part } : object(part),
  );
  const text = parts.map((part) => {
    const { type = 'text', text: said } = part ?? {};
    if (type !== 'text' && type !== 'output_text') return '';
    const value = object(said)?.['value'];
    return isText(said) ? said : isText(value) ? value : '';
  });
  return { text: text.join(''), refused: parts.some((part) => part?.['type'] === 'refusal') };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** The failure in what the client has thrown: an error's status, a connection that broke, an attempt that was abandoned. */
export function readFailure(error: unknown): Error {
  const { status, headers, code, type, name, message } = Object(error);
  if (typeof status !== 'number') {
    // Their messages are the client's own; the endpoint has said nothing.
    return new ReplyError(`The endpoint was not reached: ${name}: ${message}`, { cause: error });
  }
  const retryAfter = headers instanceof Headers ? retryAfterOf(headers) : 0;
  return new ReplyError(`The endpoint answered ${status}${codeOf({ code, type })}.`, { retryAfter });
}

/** The error's code, in brackets, if it is one and no text. */
function codeOf(error: unknown): string {
  const { code, type } = object(error) ?? {};
  const known = [code, type].find((each) => typeof each === 'string' && /^[\w.-]{1,64}$/.test(each));
  return known === undefined ? '' : ` (${known})`;
}

/** `retry-after` in ms: seconds, or a date, which counts from the endpoint's own clock (RFC 9110, 10.2.3). */
function retryAfterOf(headers: Headers): number {
  const ms = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (ms > 0) return ms;
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/.test(value)) return Number(value) * 1_000;
  const [until, now] = [Date.parse(value), Date.parse(headers.get('date') ?? '')];
  return Number.isNaN(until) ? 0 : Math.max(0, until - (Number.isNaN(now) ? Date.now() : now));
}
