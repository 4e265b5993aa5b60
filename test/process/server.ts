/** The real server as a child process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const BIN = new URL('../../dist/src/cli/perdure.js', import.meta.url).pathname;

export class Server {
  readonly url: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.pid = process.pid!;
    this.#process = process;
    this.#exit = once(process, 'exit');
  }

  /** Starts it on any free port; resolves once it says that it is ready. */
  static start(database: string, ...options: string[]): Promise<Server> {
    const child = spawn(
      process.execPath,
      [BIN, 'start', '--port', '0', '--database', database, '--log-level', 'error', ...options],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, OPENAI_API_KEY: '' },
      },
    );
    let output = '';
    return new Promise((resolve, reject) => {
      const hear = (chunk: Buffer) => {
        output += chunk;
        const url = /ready at (\S+)/.exec(output)?.[1];
        if (url) resolve(new Server(url, child));
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${output}`)));
    });
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exit;
  }

  /** Asks it to end; its exit code. */
  async terminate(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' = 'SIGTERM'): Promise<number | null> {
    this.#process.kill(signal);
    const [code] = await this.#exit;
    return code as number | null;
  }

  async call<T = any>(path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      ...(body !== undefined && {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    });
    const answer = (await response.json()) as { status: string; result: T; message: string };
    if (answer.status !== 'ok') throw new Refused(response.status, answer.message);
    return answer.result;
  }
}

/** The server answered, and said no. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(`${status}: ${message}`);
    this.status = status;
  }
}
