/** A service as a child process of its own, which says where it listens: `ready at URL`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export class Program {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  private constructor(url: string, process: ChildProcess, exit: Promise<unknown[]>) {
    this.url = url;
    this.#process = process;
    this.#exit = exit;
  }

  static start(folder: string, args: string[], env: Record<string, string>): Promise<Program> {
    const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, PORT: '0', ...env } });
    const exit = once(child, 'exit');
    let output = '';
    return new Promise((resolve, reject) => {
      const hear = (chunk: Buffer) => {
        output += chunk;
        const url = /ready at (\S+)/.exec(output)?.[1];
        if (url) resolve(new Program(url, child, exit));
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('exit', (code) => reject(new Error(`It ended with ${code}: ${output}`)));
    });
  }

  /** GET, or POST where there is a body; the answer's JSON. */
  async ask<T = any>(path: string, body?: object): Promise<T> {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return (await (await fetch(this.url + path, body && post)).json()) as T;
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exit;
  }

  /** Asks it to end; its exit code. */
  async terminate(): Promise<unknown> {
    this.#process.kill('SIGTERM');
    return (await this.#exit)[0];
  }
}
