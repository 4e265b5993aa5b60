/** An OpenAI-compatible endpoint on this machine, which answers what a test tells it to. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** JSON, or a text as it is. */
  body: unknown;
}

/** An answer with this content. */
export const saying = (content: unknown, choice: object = {}): Answer => ({
  body: { choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', ...choice }] },
});

/** @param answer gives the answer to the latest of the requests */
export async function endpoint(answer: (asked: any[]) => Answer) {
  const asked: any[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { url, headers } = request;
    asked.push({ url, key: headers.authorization, ...JSON.parse(Buffer.concat(chunks).toString()) });
    const { status = 200, headers: more = {}, body } = answer(asked);
    response
      .writeHead(status, { 'content-type': 'application/json', ...more })
      .end(typeof body === 'string' ? body : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    asked,
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
