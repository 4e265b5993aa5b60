/** The server ends when it is asked to, whatever its clients do. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Server } from './server.ts';

const POST = 'POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const GET = 'GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n';

let folder: string;
let server: Server | undefined;
let sockets: Socket[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perdure-ending-'));
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await server?.kill();
  rmSync(folder, { recursive: true });
});

const start = async (...options: string[]) => {
  server = await Server.start(join(folder, 'perdure.db'), ...options);
  return server;
};

/** Connects, sends that and no more, and reads nothing from then on. */
const sends = async (text: string, { answered = false } = {}) => {
  const { hostname, port } = new URL(server!.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(text);
  if (answered) await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
};

const rude: [what: string, behave: () => Promise<void>][] = [
  ['connects and says nothing', () => sends('')],
  ['sends a part of the headers', () => sends('POST /messages HTTP/1.1\r\nHost: loc')],
  ['sends a part of the body', () => sends(`${POST}Content-Length: 500\r\n\r\n{`)],
  ['sends a part of a chunk', () => sends(`${POST}Transfer-Encoding: chunked\r\n\r\nff\r\n{`)],
  [
    'asks whether it may go on, and does not',
    () => sends(`${POST}Content-Length: 500\r\nExpect: 100-continue\r\n\r\n`),
  ],
  ['keeps its connection', () => sends(GET, { answered: true })],
  ['reads none of many answers', () => sends(GET.repeat(3_000))],
  ['reads an answer and sends a part of the next request', () => sends(`${GET}GET /sta`, { answered: true })],
];

it.each([
  ...(['SIGTERM', 'SIGHUP'] as const).map(
    (signal) =>
      [signal, 'all of it at once', async () => void (await Promise.all(rude.map(([, behave]) => behave())))] as const,
  ),
  ...rude.map(([what, behave]) => ['SIGINT', what, behave] as const),
])('exits with 0 at %s where a client does this: %s', { timeout: 60_000 }, async (signal, _, behave) => {
  await start();
  await behave();
  expect(await server!.call('/status')).toMatchObject({ status: 'running' }); // by now it has heard of the others
  expect(await server!.terminate(signal)).toBe(0);
});

it('exits with 0 while somebody looks on in the inspector', { timeout: 60_000 }, async () => {
  const free = 20_000 + (process.pid % 20_000);
  await start('--inspect', String(free));
  const looking = new WebSocket(`ws://127.0.0.1:${free}/`);
  looking.on('error', () => {});
  await new Promise((resolve) => looking.once('open', resolve));
  const refused = connect(free, '127.0.0.1'); // a stranger's page, which does not hang up
  sockets.push(refused);
  refused.write(
    'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  expect(String(await new Promise((resolve) => refused.once('data', resolve)))).toMatch(/^HTTP\/1.1 403/);
  expect(await server!.terminate('SIGTERM')).toBe(0);
});

it('exits with 1 at a second signal, at once, whatever a client does', { timeout: 60_000 }, async () => {
  await start();
  await sends(`${POST}Content-Length: 500\r\n\r\n{`);
  expect(await server!.call('/status')).toMatchObject({ status: 'running' });
  const ended = server!.terminate('SIGHUP');
  await new Promise((resolve) => setTimeout(resolve, 100));
  await server!.terminate('SIGTERM');
  expect(await ended).toBe(1);
});
