/** An empty project into which the packed tarball is installed, as a user would have it. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

export interface Ran {
  code: number;
  output: string;
}

export class Project {
  readonly folder: string;

  constructor(folder = mkdtempSync(join(tmpdir(), 'perdure-project-'))) {
    this.folder = folder;
  }

  /** The packed tarball of the repository as it was built last; its path. */
  static async pack(into: string): Promise<string> {
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', into], { cwd: REPOSITORY });
    return join(into, readdirSync(into).find((name) => name.endsWith('.tgz'))!);
  }

  write(name: string, content: string | object): void {
    writeFileSync(join(this.folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  /**
   * `npm install`, from npm's cache where that has it. Install scripts do not run: sqlite3, which would compile itself for
   * minutes where it finds no prebuilt binary, gets the binary that this repository runs on.
   */
  async install(...packages: string[]): Promise<void> {
    const quietly = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error'];
    const { code, output } = await this.run('npm', ['install', ...quietly, ...packages]);
    if (code !== 0) throw new Error(`npm install failed: ${output}`);
    const build = join('node_modules', 'sqlite3', 'build');
    if (!existsSync(join(this.folder, build)))
      cpSync(join(REPOSITORY, build), join(this.folder, build), { recursive: true });
  }

  /** What npm says of packages that ask for another Node than this one. */
  async refusedEngines(): Promise<string[]> {
    const { output } = await this.run('npm', ['install', '--dry-run', '--prefer-offline', '--ignore-scripts']);
    return output.split('\n').filter((line) => line.includes('EBADENGINE'));
  }

  /** Runs a program in the project, to its end. */
  async run(program: string, args: string[], env: Record<string, string> = {}): Promise<Ran> {
    try {
      const { stdout, stderr } = await run(program, args, { cwd: this.folder, env: { ...process.env, ...env } });
      return { code: 0, output: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, output: `${stdout}${stderr}` };
    }
  }

  node(...args: string[]): Promise<Ran> {
    return this.run(process.execPath, args);
  }

  /** The repository's own TypeScript, on the project. */
  tsc(...args: string[]): Promise<Ran> {
    return this.node(join(REPOSITORY, 'node_modules/typescript/bin/tsc'), ...args);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
