import { DatabaseInUseError, InvalidArgumentError } from '../../errors.ts';
import { formatReport } from '../../recovery/index.ts';
import { databaseIn } from '../database.ts';
import { runtimeOf, tellUnknown } from '../flows-module.ts';

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
export async function recover(
  module: string | undefined,
  { database, dryRun, lazy, json }: RecoverCommand,
): Promise<void> {
  await databaseIn(database);
  const runtime = await runtimeOf(database, module);
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
  const unknown = report.components.flatMap(({ flowType }) =>
    flowType === undefined || runtime.flows.has(flowType) ? [] : [flowType],
  );
  tellUnknown(unknown, module);
  process.exitCode = report.ok ? 0 : 2;
}
