/** A project of a user's: a folder of its own in which the package is installed as it would be from the registry. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Ran {
  code: number | null;
  /** What it printed, without colours. */
  output: string;
}

export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'perdure-'));

  /** @param files their texts, by their paths in the project */
  constructor(files: Record<string, string>) {
    const modules = join(this.folder, 'node_modules');
    const perdure = join(modules, 'perdure');
    mkdirSync(perdure, { recursive: true });
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    for (const part of ['package.json', 'dist']) cpSync(join(ROOT, part), join(perdure, part), { recursive: true });
    for (const [path, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files }))
      this.write(path, text);
  }

  write(path: string, text: string): void {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Runs a script of an installed package, e.g. `vitest/vitest.mjs`, or one of the project. */
  run(script: string, args: string[] = [], nodeOptions: string[] = []): Promise<Ran> {
    const file = script.startsWith('.') || script === '' ? script : join(this.folder, 'node_modules', script);
    const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env;
    const child = spawn(process.execPath, [...nodeOptions, ...(file ? [file] : []), ...args], {
      cwd: this.folder,
      env: { ...env, NO_COLOR: '1', FORCE_COLOR: '0', CI: '' },
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, output }));
    });
  }

  /** Takes packages away, as if they had never been installed. */
  uninstall(...names: string[]): void {
    for (const name of names) rmSync(join(this.folder, 'node_modules', name));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
