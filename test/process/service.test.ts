import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Server } from './server.ts';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;
const [ADA, BOB] = ['+15551234567', '+15551234568'] as const;
const LIMIT = 60_000;

/** Waits until it gives something; after a minute it fails, with what it last looked at. */
async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: () => string): Promise<T> {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what()}`);
    await delay(10);
  }
}

/** Any command as a child process, with a keyboard and a screen. */
class Command {
  readonly #process: ChildProcess;
  /** All that it has printed. */
  output = '';
  readonly ended: Promise<number | null>;

  constructor(...args: string[]) {
    this.#process = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, OPENAI_API_KEY: '' } });
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    this.#process.stdin!.on('error', () => {}); // it may end before all is typed
    this.ended = new Promise((resolve) => this.#process.once('close', resolve));
  }

  type(text: string): void {
    this.#process.stdin!.write(text);
  }

  /** Ctrl-D, and how it ends. */
  async leave(): Promise<number | null> {
    this.#process.stdin!.end();
    return this.ended;
  }

  /** Waits until the screen shows it, so many times. */
  shows(text: string, times = 1): Promise<true> {
    return until(
      () => (this.output.split(text).length > times ? true : undefined),
      () => `'${text}' in: ${this.output}`,
    );
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.ended;
  }
}

/** A request that the server has taken up, and whose last byte is still to come. */
async function holdRequest(server: Server, path: string, body: unknown) {
  const text = JSON.stringify(body);
  const sent = request(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), expect: '100-continue' },
  });
  const answer = new Promise<{ http: number | undefined; result: any }>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', async (response) => {
      let json = '';
      for await (const chunk of response) json += chunk;
      resolve({ http: response.statusCode, ...JSON.parse(json) });
    });
  });
  answer.catch(() => {}); // it is looked at later, or its failure is what is wanted
  sent.flushHeaders();
  await Promise.race([new Promise((resolve) => sent.once('continue', resolve)), answer]);
  sent.write(text.slice(0, -1));
  return {
    answer,
    finish: () => {
      sent.end(text.slice(-1));
      return answer;
    },
  };
}

/** Waits until the server takes no new connections. */
const closesItsDoor = ({ url }: Server) =>
  until(
    () =>
      new Promise<true | undefined>((resolve) => {
        const { hostname, port } = new URL(url);
        const socket = connect(Number(port), hostname);
        socket.once('connect', () => resolve(void socket.destroy()));
        socket.once('error', ({ code }: { code?: string }) => resolve(code === 'ECONNREFUSED' ? true : undefined));
      }),
    () => `${url} to take no new connections`,
  );

describe('the service as a process', { timeout: 3 * LIMIT }, () => {
  let folder: string;
  let database: string;
  let children: { kill(): Promise<void> }[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perdure-service-'));
    database = join(folder, 'perdure.db');
  });
  afterEach(async () => {
    await Promise.all(children.map((child) => child.kill()));
    children = [];
    rmSync(folder, { recursive: true });
  });

  const start = async (...options: string[]) => {
    const server = await Server.start(database, ...options);
    children.push(server);
    return server;
  };
  const command = (...args: string[]) => {
    const started = new Command(...args);
    children.push(started);
    return started;
  };
  const enrol = (server: Server, phone_number: string = ADA) =>
    server.call<{ id: string }>('/intervention/participants', { phone_number, name: 'Ada' });
  const message = (id: string, text: string, from: string = ADA) => ({ channel: 'sms', id, from, text });
  const say = (server: Server, id: string, text: string) =>
    server.call<{ status: string }>('/messages', message(id, text));
  const spoken = async (server: Server, id: string, direction: 'in' | 'out') =>
    (await server.call<{ direction: string; text: string }[]>(`/participants/${id}/messages`))
      .filter((each) => each.direction === direction)
      .map(({ text }) => text.split('\n')[0]);

  describe('when it is asked to end', () => {
    it.each(['SIGTERM', 'SIGINT'] as const)(
      'lets requests under way come to their end at %s, then exits with 0',
      async (signal) => {
        const server = await start();
        const { id } = await enrol(server);
        const held = await holdRequest(server, '/messages', message('m1', 'ready'));
        const enrolment = await holdRequest(server, '/conversation/participants', { phone_number: BOB });
        let code: number | null | undefined;
        const ended = server.terminate(signal).then((its) => {
          code = its;
        });
        await closesItsDoor(server);
        expect(code).toBeUndefined();
        expect(await held.finish()).toMatchObject({ http: 200, result: { status: 'applied', participantId: id } });
        expect(await enrolment.finish()).toMatchObject({ http: 201, result: { phone_number: BOB } });
        await ended;
        expect(code).toBe(0);

        const again = await start();
        expect(await say(again, 'm1', 'ready')).toMatchObject({ status: 'duplicate' });
        expect(await again.call('/conversation/participants')).toMatchObject([{ phone_number: BOB }]);
        expect(await spoken(again, id, 'in')).toEqual(['ready']);
      },
    );

    it.each([
      ['SIGTERM', 'SIGTERM'],
      ['SIGTERM', 'SIGINT'],
      ['SIGINT', 'SIGINT'],
    ] as const)('exits at once at %s and then %s, without what was still to come', async (first, second) => {
      const server = await start();
      await enrol(server);
      const held = await holdRequest(server, '/messages', message('m1', 'ready'));
      void server.terminate(first);
      await closesItsDoor(server); // it waits for the request, which never comes to its end
      expect(await server.terminate(second)).toBeGreaterThan(0);
      await expect(held.answer).rejects.toThrow();

      const again = await start(); // nobody holds the file
      expect(await say(again, 'm1', 'ready')).toMatchObject({ status: 'applied' });
    });
  });

  describe('when the file is in use', () => {
    it.each([
      ['the same name', () => database],
      ['another path', () => join(folder, 'sub', '..', 'perdure.db')],
      [
        'a link',
        () => {
          symlinkSync(database, join(folder, 'link.db'));
          return join(folder, 'link.db');
        },
      ],
    ])('refuses a second server by %s, names the first, and leaves it alone', async (_, name) => {
      mkdirSync(join(folder, 'sub'));
      const first = await start();
      const { id } = await enrol(first);
      const timers = await first.call('/timers');
      const second = command('start', '--port', '0', '--database', name());
      expect(await second.ended).toBeGreaterThan(0);
      expect(second.output).toMatch(/^perdure: The database .* is in use by the process with pid \d+\. Stop that one/);
      expect(second.output).toContain(`pid ${first.pid}.`);
      expect(second.output).not.toContain('ready at');
      expect(await first.call('/health')).toMatchObject({ status: 'running' });
      expect(await first.call(`/intervention/participants/${id}`)).toMatchObject({ actor_status: 'active' });
      expect((await first.call<{ due_at_ms: number }[]>('/timers')).map(({ due_at_ms }) => due_at_ms)).toEqual(
        timers.map(({ due_at_ms }: { due_at_ms: number }) => due_at_ms),
      );
      expect(await say(first, 'm1', 'ready')).toMatchObject({ status: 'applied' });
      expect(await first.terminate()).toBe(0);
      expect(await say(await start(), 'm1', 'ready')).toMatchObject({ status: 'duplicate' });
    });
  });

  describe('with --time-scale', () => {
    /** What the server's clock shows, and between which instants of this process's clock it was read. */
    const read = async (server: Server) => {
      const from = Date.now();
      const { now } = await server.call<{ now: string }>('/health');
      return { from, now: Date.parse(now), to: Date.now() };
    };
    type Reading = Awaited<ReturnType<typeof read>>;
    /** From one reading to the other the clock ran at this pace, all the time. Holds however slow the machine is. */
    const expectPace = (pace: number, a: Reading, b: Reading) => {
      expect(b.now - a.now).toBeGreaterThanOrEqual(pace * (b.from - a.to) - pace);
      expect(b.now - a.now).toBeLessThanOrEqual(pace * (b.to - a.from) + pace);
    };

    it.each(['stopped', 'killed'])('keeps the pace once it was %s and started without the option', async (how) => {
      const fast = await start('--time-scale', '60');
      const { id } = await enrol(fast);
      const due = async (server: Server) =>
        (await server.call<{ due_at_ms: number }[]>(`/timers?participant=${id}`)).map(({ due_at_ms }) => due_at_ms);
      const deadlines = await due(fast);
      const first = await read(fast);
      if (how === 'killed') await fast.kill();
      else expect(await fast.terminate()).toBe(0);
      const again = await start();
      const second = await read(again);
      expect(second.from).toBeGreaterThan(first.to); // so that 60 times and once can be told apart
      expectPace(60, first, second);
      expect(second.now).toBeGreaterThan(first.now);
      expect(await due(again)).toEqual(deadlines);
      await until(
        () => (Date.now() > second.to + 50 ? true : undefined),
        () => 'time to pass',
      );
      const third = await read(again);
      expectPace(60, second, third);
      expect(third.now).toBeGreaterThan(second.now);
    });

    it('goes on from where the time stands at a new pace, faster or slower', async () => {
      let last: Reading | undefined;
      for (const pace of [60, 600, 30]) {
        const server = await start('--time-scale', String(pace));
        const first = await read(server);
        if (last) expect(first.now).toBeGreaterThanOrEqual(last.now);
        await until(
          () => (Date.now() > first.to + 50 ? true : undefined),
          () => 'time to pass',
        );
        last = await read(server);
        expectPace(pace, first, last);
        await server.kill();
      }
    });
  });

  describe('chat', () => {
    const chat = (server: Server, phone: string, ...options: string[]) =>
      command('chat', phone, '--url', server.url, ...options);
    const QUESTION = 'Are you ready for a quick habit today?';
    const FEELING = 'How do you feel about this first step?';

    it('enrols a number that is not known, and prints what the participant is sent', async () => {
      const server = await start();
      const phone = chat(server, '+1 (555) 123-4567');
      await phone.shows(`You are ${ADA}`);
      await phone.shows('Ready'); // the welcome
      phone.type('Ready\n');
      await phone.shows(QUESTION);
      phone.type('   \n1\n'); // an empty line is not a message
      await phone.shows(FEELING);
      expect(await phone.leave()).toBe(0);
      const people = await server.call<{ id: string; phone_number: string }[]>('/intervention/participants');
      expect(people.map(({ phone_number }) => phone_number)).toEqual([ADA]);
      expect(phone.output).toContain(people[0]!.id);
      expect(await spoken(server, people[0]!.id, 'in')).toEqual(['Ready', '1']);
    });

    it('goes on with a number that is known, however it is written, and prints all that was sent so far, once', async () => {
      const server = await start();
      const { id } = await enrol(server);
      await say(server, 'm1', 'ready');
      const phone = chat(server, '1 555 123 4567');
      await phone.shows(`You are ${ADA} (${id})`);
      await phone.shows(QUESTION);
      phone.type('1\n');
      await phone.shows(FEELING);
      expect(await phone.leave()).toBe(0);
      for (const once of [QUESTION, FEELING]) expect(phone.output.split(once)).toHaveLength(2);
      expect(await server.call('/intervention/participants')).toHaveLength(1);
      expect(await spoken(server, id, 'in')).toEqual(['ready', '1']);
    });

    it('takes all lines of a pipe in their order, and ends with it', async () => {
      const server = await start();
      const phone = chat(server, ADA);
      phone.type('Ready\n1\n2\n');
      expect(await phone.leave()).toBe(0);
      const [{ id } = { id: '' }] = await server.call<{ id: string }[]>('/intervention/participants');
      expect(await spoken(server, id, 'in')).toEqual(['Ready', '1', '2']);
      expect(phone.output).toMatch(/quick habit today\?[\s\S]*first step\?[\s\S]*reply "Done"/);
    });

    it('prints what comes without a word typed, and whose turn it is', async () => {
      const server = await start('--time-scale', '100000'); // a day within a second
      const phone = chat(server, ADA);
      await phone.shows(QUESTION);
      await phone.shows('\n\n> ');
      expect(await phone.leave()).toBe(0);
      const [{ id } = { id: '' }] = await server.call<{ id: string }[]>('/intervention/participants');
      expect(await spoken(server, id, 'in')).toEqual([]);
    });

    it('talks with the assistant', async () => {
      const server = await start();
      const phone = chat(server, BOB, '--flow', 'conversation');
      await phone.shows('Hello! I am an offline stand-in');
      phone.type('Good morning\n');
      await phone.shows('“Good morning”');
      phone.type('Good night\n');
      await phone.shows('“Good night”');
      expect(await phone.leave()).toBe(0);
      expect(await server.call('/conversation/participants')).toMatchObject([{ phone_number: BOB }]);
      expect(await server.call('/intervention/participants')).toEqual([]);
    });

    it('says that the server is gone, where it goes in the middle of a chat', async () => {
      const server = await start();
      const phone = chat(server, ADA);
      phone.type('Ready\n');
      await phone.shows(QUESTION); // from now on it looks for new messages by itself
      await server.kill();
      expect(await phone.ended).toBeGreaterThan(0);
      expect(phone.output).toContain(`perdure: There is no server at ${server.url}`);
      expect(phone.output).not.toMatch(/\n\s+at /);
    });
  });

  describe('a bad option gets a clear message and an exit code', () => {
    it.each([
      ['a port that is no number', ['start', '--port', 'http'], /--port.*'http'.*port, 0 to 65535/],
      [
        'a port that is left empty',
        ['start', '--database', 'FOLDER/none/a.db', '--port', ''],
        /--port.*port, 0 to 65535/,
      ],
      ['a pace that is no number', ['start', '--time-scale', 'fast'], /--time-scale.*'fast'.*number above 0/],
      ['a pace below 0', ['start', '--time-scale=-1'], /--time-scale.*'-1'.*number above 0/],
      ['a wait that is no duration', ['start', '--database', 'FOLDER/a.db', '--wait', 'soon'], /soon.*(15m|10s)/],
      [
        'a log level that is none',
        ['start', '--database', 'FOLDER/a.db', '--log-level', 'loud'],
        /log.level.*loud|loud.*level/,
      ],
      [
        'an address that is not this machine',
        ['start', '--database', 'FOLDER/a.db', '--port', '0', '--host', '192.0.2.1'],
        /192\.0\.2\.1/,
      ],
      ['a file that is no database', ['start', '--port', '0', '--database', 'FOLDER/note.txt'], /not a.*database/],
      ['a folder for a file', ['start', '--port', '0', '--database', 'FOLDER'], /cannot be opened/],
      ['an option that there is not', ['start', '--fast'], /unknown option '--fast'/],
      ['a chat without a number', ['chat'], /missing required argument 'phone'/],
      [
        'a chat in a flow that there is not',
        ['chat', ADA, '--flow', 'therapy'],
        /'therapy'.*intervention or.*conversation/,
      ],
      ['a chat at an address that is none', ['chat', ADA, '--url', 'here'], /There is no server at here/],
    ])('%s', async (_, args, text) => {
      writeFileSync(join(folder, 'note.txt'), 'This is a note, and no database at all. '.repeat(100));
      const it = command(...args.map((arg) => arg.replace('FOLDER', folder)));
      expect(await it.ended).toBeGreaterThan(0);
      expect(it.output).toMatch(text);
      expect(it.output).toMatch(/^(perdure|error): /m);
      expect(it.output).not.toMatch(/\n\s+at /); // no stack for what the user can mend
      expect(it.output).not.toContain('ready at');
    });

    it('a port where another program listens', async () => {
      const server = await start();
      const { port } = new URL(server.url);
      const second = command('start', '--database', join(folder, 'other.db'), '--port', port);
      expect(await second.ended).toBeGreaterThan(0);
      expect(second.output).toMatch(new RegExp(`^perdure: Port ${port} is in use\\..*--port`));
    });

    it('a chat with a number that cannot be one enrols nobody', async () => {
      const server = await start();
      const phone = command('chat', '12345', '--url', server.url);
      expect(await phone.ended).toBeGreaterThan(0);
      expect(phone.output).toMatch(/^perdure: '12345' is not a phone number\. Write it/);
      expect(await server.call('/intervention/participants')).toEqual([]);
    });

    it('a chat with a server that is another program', async () => {
      const other = createServer((_, response) => response.writeHead(404).end('<h1>Nothing here</h1>')).listen(0);
      await new Promise((resolve) => other.once('listening', resolve));
      const phone = command('chat', ADA, '--url', `http://127.0.0.1:${(other.address() as AddressInfo).port}`);
      try {
        expect(await phone.ended).toBeGreaterThan(0);
        expect(phone.output).toMatch(/^perdure: .*http:\/\/127\.0\.0\.1:\d+/);
        expect(phone.output).not.toMatch(/\n\s+at /);
      } finally {
        other.close();
      }
    });
  });

  it('answers a path that is no URL as it answers all errors', async () => {
    const server = await start();
    const response = await fetch(`${server.url}/participants/%zz/state`);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      status: 'error',
      code: expect.any(String),
      message: expect.stringContaining('%zz'),
    });
  });
});
