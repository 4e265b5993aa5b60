import { InvalidArgumentError } from '../errors.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** {@link send}: a body makes it a POST. */
export const call = (url: string, path: string, body?: unknown): Promise<any> =>
  send(url, body === undefined ? 'GET' : 'POST', path, body);

/**
 * Asks a server of Perdure; resolves to the answer's result.
 * @throws {InvalidArgumentError} there is no server, it is another program, or it refused; the message says so
 */
export async function send(url: string, method: Method, path: string, body?: unknown): Promise<any> {
  if (!/^https?:\/\/./.test(url))
    throw new InvalidArgumentError(
      `There is no server at ${url}, which is no address. Write it like http://127.0.0.1:3000.`,
    );
  let response: Response;
  try {
    response = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new InvalidArgumentError(
      `There is no server at ${url}. Start one with 'perdure start', or say where it is with --url.`,
      { cause },
    );
  }
  return resultOf(await response.text(), url);
}

/** The result in an answer's text. */
export function resultOf(text: string, url: string): any {
  let answer: { status?: string; result?: unknown; message?: string } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (answer?.status === 'ok') return answer.result;
  throw new InvalidArgumentError(
    answer?.status === 'error' && answer.message
      ? answer.message
      : `What listens at ${url} is another program. Say where Perdure's server is with --url.`,
  );
}
