/** Replies by an OpenAI-compatible endpoint: a real server, here. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PromptMessage } from '../../machines/conversation.ts';
import { cues } from '../../machines/texts/conversation.ts';
import { createGenerator } from '../../src/study/generator.ts';
import { type Answer, endpoint, saying } from './endpoint.ts';

let answer: Answer;
let server: Awaited<ReturnType<typeof endpoint>>;
beforeEach(async () => {
  server = await endpoint(() => answer);
});
afterEach(() => server.close());

const messages: PromptMessage[] = [{ role: 'user', content: 'Hello?' }];
const { signal } = new AbortController();
const generate = (asked = messages) =>
  createGenerator({ apiKey: 'secret', baseURL: server.baseURL })({ messages: asked }, signal);
const failure = () =>
  generate().then(
    (output) => Promise.reject(new Error(`It gave ${JSON.stringify(output)}.`)),
    (error) => error,
  );

it('asks for a completion, with the key and the model', async () => {
  answer = saying('Hello!');
  const ask = createGenerator({ apiKey: 'secret', baseURL: server.baseURL, model: 'small' });
  expect(await ask({ messages }, signal)).toEqual({ text: 'Hello!' });
  expect(server.asked).toEqual([{ url: '/v1/chat/completions', key: 'Bearer secret', model: 'small', messages }]);
});

it('asks once, and says why there was no answer, without its words', async () => {
  answer = { status: 429, body: { error: { message: 'Too many requests of Ada.', code: 'rate_limit_exceeded' } } };
  expect((await failure()).message).toBe('The endpoint answered 429 (rate_limit_exceeded).');
  expect(server.asked).toHaveLength(1);
  const ask = createGenerator({ apiKey: 'secret', baseURL: server.baseURL });
  await expect(ask({ messages }, AbortSignal.abort())).rejects.toThrow('aborted');
  expect(server.asked).toHaveLength(1);
  const nowhere = createGenerator({ apiKey: 'secret', baseURL: 'http://127.0.0.1:1/v1' });
  await expect(nowhere({ messages }, signal)).rejects.toThrow('The endpoint was not reached');
});

it('wants a key', () => {
  expect(() => createGenerator({ apiKey: ' ' })).toThrow('has no apiKey');
});

describe('prompts follow the chat templates of models', () => {
  const system = (content: string): PromptMessage => ({ role: 'system', content });
  const user = (content: string): PromptMessage => ({ role: 'user', content });
  const assistant = (content: string): PromptMessage => ({ role: 'assistant', content });
  it.each<[string, PromptMessage[], PromptMessage[]]>([
    ['the assistant speaks first', [system('Be kind.')], [system('Be kind.'), user(cues.opening)]],
    [
      'one system message, at the beginning',
      [system('Be kind.'), system('It is Ada.'), user('Hi')],
      [system('Be kind.\n\nIt is Ada.'), user('Hi')],
    ],
    [
      'the user first',
      [system('Be kind.'), assistant('Hello!'), user('Hi')],
      [system('Be kind.'), user(cues.earlier), assistant('Hello!'), user('Hi')],
    ],
    [
      'roles in turn',
      [user('Hi'), user('How are you?'), assistant('Fine.'), assistant('And you?'), user('Me, too.')],
      [user('Hi\n\nHow are you?'), assistant('Fine.\n\nAnd you?'), user('Me, too.')],
    ],
    ['the user last', [user('Hi'), assistant('Hello!')], [user('Hi'), assistant('Hello!'), user(cues.goOn)]],
    ['nothing that is empty', [system(''), user(' '), user('Hi')], [user('Hi')]],
  ])('%s', async (_, given, sent) => {
    answer = saying('Yes.');
    await generate(given);
    expect(server.asked[0].messages).toEqual(sent);
  });
});

describe('a reply is heard', () => {
  it.each<[string, unknown, string]>([
    ['in parts', [{ type: 'text', text: 'Hello ' }, { type: 'output_text', text: 'Ada' }, '!'], 'Hello Ada!'],
    ['in parts with a value', [{ type: 'text', text: { value: 'Hello!', annotations: [] } }], 'Hello!'],
    [
      'beside parts of thoughts',
      [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text: 'Hello!' },
      ],
      'Hello!',
    ],
    ['without thoughts', '<think>\nShe seems sad.\n</think>\n\nHello!', 'Hello!'],
    ['without several thoughts', '<think>a</think>Hello <thinking type="x">b</thinking>Ada!', 'Hello Ada!'],
    ['without thoughts in thoughts', '<think>a<think>b</think>c</think>Hello!', 'Hello!'],
    ['without thoughts that the template opened', 'She seems sad.\n</think>\nHello!', 'Hello!'],
    ['without thoughts that do not end', 'Hello!\n<THINK>She seems', 'Hello!'],
    ['without thoughts in brackets', '[THINK]She seems sad.[/THINK]Hello!', 'Hello!'],
    [
      'without other channels',
      '<|channel|>analysis<|message|>She seems sad.<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>',
      'Hello!',
    ],
    ['as it is', 'I think <3 > 2, and a [THINKER] thinks.', 'I think <3 > 2, and a [THINKER] thinks.'],
  ])('%s', async (_, content, text) => {
    answer = saying(content);
    expect(await generate()).toEqual({ text });
  });

  it('and the thoughts beside it are not', async () => {
    answer = saying('Hello!', {
      message: { content: 'Hello!', reasoning_content: 'She seems sad.', reasoning: 'Sad.' },
    });
    expect(await generate()).toEqual({ text: 'Hello!' });
  });
});

it.each<[string, Answer]>([
  ['in a field of its own', saying(null, { message: { content: null, refusal: 'I cannot help with that.' } })],
  ['in a part', saying([{ type: 'refusal', refusal: 'I cannot help with that.' }])],
  ['by a filter', saying('Half a rep', { finish_reason: 'content_filter' })],
])('a refusal is told apart: %s', async (_, given) => {
  answer = given;
  expect(await generate()).toEqual({ text: '', refused: true });
});

it.each<[string, Answer, string]>([
  ['cut off', saying('Half a rep', { finish_reason: 'length' }), 'The reply was cut off'],
  ['empty', saying(' \n'), 'The reply was empty'],
  ['none', saying(null), 'The reply was empty'],
  ['only thoughts', saying('<think>She seems sad.'), 'nothing but thoughts'],
  ['a tool call', saying(null, { message: { content: null, tool_calls: [{ id: 'c1' }] } }), 'called a tool'],
  [
    'a page',
    { body: '<html>Sign in, Ada</html>', headers: { 'content-type': 'text/html' } },
    'no JSON object (200, text/html)',
  ],
  ['a text', { body: 'Ada, hello' }, 'no JSON object (200, application/json)'],
  ['a list', { body: [] }, 'no JSON object'],
  ['without choices', { body: { choices: [] } }, 'has no message'],
  ['something else', { body: { message: 'Welcome, Ada' } }, 'has no message'],
  [
    'an error with a good status',
    { body: { error: { message: 'Ada!', code: 'overloaded' } } },
    '200 with an error (overloaded)',
  ],
  ['a page with a bad status', { status: 502, body: '<html>Ada</html>' }, 'The endpoint answered 502.'],
])('an answer without a reply is told apart: %s', async (_, given, message) => {
  answer = given;
  const error = await failure();
  expect(error.message).toContain(message);
  expect(`${error.message} ${error.stack}`).not.toMatch(/Ada|sad|rep\b/);
});

it.each<[string, Record<string, string>, number]>([
  ['seconds', { 'retry-after': '40' }, 40_000],
  ['parts of a second', { 'retry-after': '1.5' }, 1_500],
  ['a date', { 'retry-after': 'Fri, 02 Jan 2026 08:01:00 GMT', date: 'Fri, 02 Jan 2026 08:00:20 GMT' }, 40_000],
  [
    'a date that has passed',
    { 'retry-after': 'Fri, 02 Jan 2026 08:00:00 GMT', date: 'Fri, 02 Jan 2026 08:00:20 GMT' },
    0,
  ],
  ['milliseconds', { 'retry-after-ms': '1200' }, 1_200],
  ['nonsense', { 'retry-after': 'soon' }, 0],
  ['nothing', {}, 0],
])('it tells how long the endpoint asked to wait: %s', async (_, headers, ms) => {
  for (const status of [429, 503]) {
    answer = { status, headers, body: {} };
    expect(await failure()).toMatchObject({ retryAfter: ms });
  }
});
