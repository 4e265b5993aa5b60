/** A program that somebody talks with at a terminal. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

export class Terminal {
  /** All that it has said. */
  output = '';
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown[]>;

  constructor(folder: string, ...args: string[]) {
    const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env;
    this.#process = spawn(process.execPath, args, { cwd: folder, env });
    this.#closed = once(this.#process, 'close');
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream.on('data', (chunk) => (this.output += chunk));
  }

  /** Waits until it has said so; the first group of the pattern. */
  async says(pattern: RegExp): Promise<string | undefined> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found) return found[1];
      const [over] = await Promise.race([
        once(this.#process.stdout, 'data').then(() => [false]),
        this.#closed.then(() => [true]),
      ]);
      if (over && !pattern.test(this.output)) throw new Error(`It ended and never said ${pattern}: ${this.output}`);
    }
  }

  types(text: string): void {
    this.#process.stdin.write(text);
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#closed;
  }

  /** Has no more to tell it; its exit code. */
  async leaves(): Promise<unknown> {
    this.#process.stdin.end();
    return (await this.#closed)[0];
  }
}
