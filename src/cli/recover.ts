import { existsSync } from 'node:fs';
import { DatabaseInUseError, InvalidArgumentError } from '../errors.ts';
import { formatReport } from '../recovery/index.ts';
import { createService } from './service.ts';

export interface RecoverCommand {
  database: string;
  dryRun: boolean;
  lazy: boolean;
  json: boolean;
}

/** So many findings of each component are printed. */
const MOST = 50;

/**
 * `perdure recover`: what recovery finds, without starting the server. Exits with 0 where everybody was recovered, 2 where
 * somebody was not.
 */
export async function recover({ database, dryRun, lazy, json }: RecoverCommand): Promise<void> {
  if (!existsSync(database))
    throw new InvalidArgumentError(`There is no database ${database}. Say where it is with --database.`);
  const { runtime } = createService({ database });
  if (!json && process.stderr.isTTY) {
    runtime.on('recovering', ({ component, done, total }) =>
      process.stderr.write(
        `\r${component}: ${done.toLocaleString('en')} of ${total?.toLocaleString('en') ?? '?'}\x1b[K`,
      ),
    );
    runtime.on('recovered', () => process.stderr.write('\r\x1b[K'));
  }
  const report = await runtime.recover({ dryRun, mode: lazy ? 'lazy' : 'verify' }).catch((error: unknown) => {
    if (!(error instanceof DatabaseInUseError)) throw error;
    throw new InvalidArgumentError(
      `A server runs on ${database}${error.pid === undefined ? '' : ` (pid ${error.pid})`}. Look with --dry-run, which changes nothing; or stop it first.`,
    );
  });
  console.log(json ? JSON.stringify(report, null, 2) : formatReport(report, MOST));
  process.exitCode = report.ok ? 0 : 2;
}
