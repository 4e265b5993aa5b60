/** A database file with people in it, and a module that exports flows, for the command line to be run on. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex, { type Knex } from 'knex';
import { createTestRuntime } from '../../src/testing/index.ts';
import { bookingV1 } from './booking.ts';

const here = (path: string) => new URL(path, import.meta.url).pathname;
export const BIN = here('../../dist/src/cli/perdure.js');
export const START = Date.UTC(2026, 0, 1);

export class Study {
  readonly folder = mkdtempSync(join(tmpdir(), 'perdure-'));
  readonly file = join(this.folder, 'study.db');
  readonly database = `sqlite:${this.file}` as const;

  /** Three people: one is asked, one was reminded, one is booked. */
  async fill(): Promise<void> {
    const test = await createTestRuntime({ flows: [bookingV1], database: this.database, start: START });
    await test.spawn(bookingV1, 'p_reminded');
    await test.advance('1h');
    await test.spawn(bookingV1, 'p_asked');
    const booked = await test.spawn(bookingV1, 'p_booked');
    await booked.send({ type: 'reply', text: 'monday' });
    await test.settle();
    await test.stop();
  }

  async read<T>(body: (knex: Knex) => Promise<T>): Promise<T> {
    const knex = createKnex({ client: 'sqlite3', connection: { filename: this.file }, useNullAsDefault: true });
    try {
      return await body(knex);
    } finally {
      await knex.destroy();
    }
  }

  /** Lets there be so many more who are like the one who was asked. */
  async multiply(count: number): Promise<void> {
    await this.read((knex) =>
      knex.raw(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
         INSERT INTO flow_states (id, participant_id, flow_type, current_state, state_data, created_at, updated_at,
           version, flow_version, status, next_due_at, lease_until, last_error, address, journal_id)
         SELECT 1000 + i, 'p_' || i, flow_type, current_state, state_data, created_at, updated_at,
           version, flow_version, status, next_due_at, lease_until, last_error, NULL, NULL
         FROM n, flow_states WHERE participant_id = 'p_asked'`,
      ),
    );
  }

  /** A TypeScript module of a project that has tsx. */
  module(text: string): string {
    const file = join(this.folder, 'flows.ts');
    symlinkSync(here('../../node_modules'), join(this.folder, 'node_modules'));
    writeFileSync(
      file,
      `import { bookingV1, bookingV2, machineV1, toV2 } from ${JSON.stringify(here('./booking.ts'))};\n${text}\n`,
    );
    return file;
  }

  /** Runs a command of perdure's to its end. */
  run(...args: string[]): Promise<{ code: number; output: string; errors: string }> {
    return new Promise((resolve) =>
      execFile(process.execPath, [BIN, ...args], (error, output, errors) =>
        resolve({ code: Number((error as { code?: number } | null)?.code ?? 0), output, errors }),
      ),
    );
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
