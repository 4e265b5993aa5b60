/** Replies by an OpenAI-compatible endpoint: a real server, here. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createGenerator } from '../../src/flows/generator.ts';

const asked: object[] = [];
let answer: [status: number, body: object];
let server: Server;
let baseURL: string;
beforeEach(async () => {
  asked.length = 0;
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    asked.push({ url: request.url, key: request.headers.authorization, ...body });
    response.writeHead(answer[0], { 'content-type': 'application/json' }).end(JSON.stringify(answer[1]));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterEach(() => void server.close());

const messages = [{ role: 'user' as const, content: 'Hello?' }];
const { signal } = new AbortController();

it('asks for a completion, with the key and the model', async () => {
  answer = [200, { choices: [{ message: { content: 'Hello!' } }] }];
  const generate = createGenerator({ apiKey: 'secret', baseURL, model: 'small' });
  expect(await generate({ messages }, signal)).toEqual({ text: 'Hello!' });
  expect(asked).toEqual([{ url: '/v1/chat/completions', key: 'Bearer secret', model: 'small', messages }]);
});

it('asks once, and says why there was no answer', async () => {
  answer = [429, { error: { message: 'Too many requests.' } }];
  const generate = createGenerator({ apiKey: 'secret', baseURL });
  await expect(generate({ messages }, signal)).rejects.toThrow('429 Too many requests.');
  expect(asked).toHaveLength(1);
  await expect(generate({ messages }, AbortSignal.abort())).rejects.toThrow('aborted');
  expect(asked).toHaveLength(1);
});
