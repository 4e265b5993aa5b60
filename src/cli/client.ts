import { InvalidArgumentError } from '../errors.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** {@link send}: a body makes it a POST. */
export const call = (url: string, path: string, body?: unknown): Promise<any> =>
  send(url, body === undefined ? 'GET' : 'POST', path, body);

/**
 * Asks a server of Perdure, with the token in PERDURE_TOKEN, if there is one; resolves to the answer's result.
 * @throws {InvalidArgumentError} there is no server, it is another program, or it refused; the message says so
 */
export async function send(url: string, method: Method, path: string, body?: unknown): Promise<any> {
  if (!/^https?:\/\/./.test(url))
    throw new InvalidArgumentError(
      `There is no server at ${url}, which is no address. Write it like http://127.0.0.1:3000.`,
    );
  const token = process.env['PERDURE_TOKEN'];
  let response: Response;
  try {
    response = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new InvalidArgumentError(
      `There is no server at ${url}. Start one with 'perdure start', or say where it is with --url.`,
      { cause },
    );
  }
  return resultOf(await response.text(), url);
}

/** The server has a token, and PERDURE_TOKEN is not it. */
export class TokenWanted extends InvalidArgumentError {}

/** The result in an answer's text. */
export function resultOf(text: string, url: string): any {
  let answer: { status?: string; code?: string; result?: unknown; message?: string } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (answer?.status === 'ok') return answer.result;
  if (answer?.code === 'UNAUTHORIZED')
    throw new TokenWanted(`The server at ${url} wants its token: set PERDURE_TOKEN.`);
  throw new InvalidArgumentError(
    answer?.status === 'error' && answer.message
      ? answer.message
      : `What listens at ${url} is another program. Say where Perdure's server is with --url.`,
  );
}
