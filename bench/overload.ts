/**
 * `npm run bench:overload [-- --connections N] [-- --seconds S] [-- --patient]`: more messages than a server can apply. So many
 * connections each post one message after the other to `perdure start` on a file; what those wait that are accepted, how many are
 * told 503, what an operator waits who asks for /health meanwhile, and the server's memory. A client that is told 503 tries again
 * at once, or, where they are `--patient`, after `retry-after`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '20' },
    participants: { type: 'string', default: '500' },
    patient: { type: 'boolean', default: false },
  },
});
const connections = Number(values.connections);
const participants = Number(values.participants);
const phone = (i: number) => `+1555${String(1_000_000 + (i % participants))}`;

const folder = mkdtempSync(join(tmpdir(), 'perdure-overload-'));
const server = spawn(
  process.execPath,
  ['dist/src/cli/perdure.js', 'start', '--port', '0', '--database', join(folder, 'perdure.db'), '--log-level', 'error'],
  { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, OPENAI_API_KEY: '' } },
);
const port = await new Promise<number>((resolve) => {
  server.stdout.on('data', (text) => {
    for (const [err] of String(text).matchAll(/"message":"[^"]*"/g)) console.log(err);
    const found = /ready at \S+:(\d+)/.exec(String(text))?.[1];
    if (found) resolve(Number(found));
  });
});

interface Answer {
  status: number;
  retryAfter: number;
}

/** One connection, on which requests follow each other. Parses no more of HTTP than is needed. */
class Client {
  readonly #socket = connect(port, '127.0.0.1').setNoDelay(true);
  #answer: ((answer: Answer) => void) | undefined;
  #text = '';

  constructor() {
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#hear(text));
    this.#socket.on('error', () => this.#end());
    this.#socket.on('close', () => this.#end());
  }

  post(path: string, body: object): Promise<Answer> {
    const text = JSON.stringify(body);
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    );
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #hear(text: string): void {
    this.#text += text;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1] ?? 0);
    if (this.#text.length < head + 4 + length) return;
    const status = Number(this.#text.slice(9, 12));
    const retryAfter = Number(/retry-after: (\d+)/i.exec(this.#text)?.[1] ?? 0);
    this.#text = '';
    this.#answer?.({ status, retryAfter });
  }

  #end(): void {
    this.#answer?.({ status: 0, retryAfter: 0 });
  }
}

const percentile = (numbers: number[], share: number) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))] ?? 0;
const rss = () =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) / 1024);

const enrolling = new Client();
for (let i = 0; i < participants; i++) await enrolling.post('/conversation/participants', { phone_number: phone(i) });
enrolling.close();

const counts = new Map<number, number>();
const accepted: number[] = [];
const refused: number[] = [];
const health: number[] = [];
const memory = { before: rss(), most: 0 };
const end = Date.now() + Number(values.seconds) * 1_000;

const clients = Array.from({ length: connections }, () => new Client());
const posting = clients.map(async (client, i) => {
  for (let n = 0; Date.now() < end; n++) {
    const from = performance.now();
    const { status, retryAfter } = await client.post('/messages', {
      channel: 'bench',
      id: `${i}-${n}`,
      from: phone(i),
      text: 'Hello',
    });
    counts.set(status, (counts.get(status) ?? 0) + 1);
    if (status === 0) return;
    (status === 200 ? accepted : refused).push(performance.now() - from);
    if (values.patient && status === 503) await delay(retryAfter * 1_000);
  }
});
const agent = new Agent({ keepAlive: true });
const asking = (async () => {
  while (Date.now() < end) {
    const from = performance.now();
    await new Promise<void>((resolve) =>
      request({ host: '127.0.0.1', port, path: '/health', agent }, (answer) => {
        answer.resume().on('end', resolve);
      })
        .on('error', () => resolve())
        .end(),
    );
    health.push(performance.now() - from);
    memory.most = Math.max(memory.most, rss());
    await delay(200);
  }
})();
await Promise.race([Promise.all([...posting, asking]), delay(Number(values.seconds) * 1_000 + 60_000)]);

const line = (name: string, times: number[]) =>
  `${name.padEnd(22)} ${String(times.length).padStart(8)}   p50 ${percentile(times, 0.5).toFixed(0)} ms, p99 ${percentile(times, 0.99).toFixed(0)} ms, most ${percentile(times, 1).toFixed(0)} ms`;
console.log(
  `Node ${process.version}, ${connections} connections, ${values.seconds} s${values.patient ? ', patient' : ''}`,
);
console.log(line('accepted', accepted));
console.log(line('refused', refused));
console.log(line('/health', health));
console.log('answers', Object.fromEntries(counts));
console.log(`memory of the server: ${memory.before} MB before, ${memory.most} MB at most`);

for (const client of clients) client.close();
agent.destroy();
server.kill('SIGTERM');
await new Promise((resolve) => server.once('exit', resolve));
rmSync(folder, { recursive: true });
process.exit(0);
