/** `perdure check` and `perdure migrate`: what a change of flows means for those who are in them, and leading them over. */
import type { Command } from 'commander';
import { DatabaseInUseError, InvalidArgumentError } from '../../errors.ts';
import { type CheckReport, checkDatabase, checkGoldens, formatCheck, migrateDryRun } from '../../evolution/index.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import { versionsOf } from '../../flow/versions.ts';
import { createRuntime } from '../../runtime/runtime.ts';
import { DATABASE, databaseIn } from '../database.ts';
import { flowsOf, takingModule, tellUnknown } from '../flows-module.ts';

interface Options {
  database?: string;
  golden?: string;
  flow?: string;
  strict?: boolean;
  json: boolean;
}

/** Whom a migration looks at. */
const OLDER = 'participants of an older version';
/** Not everybody goes on. */
const FINDINGS = 2;

export function registerEvolution(program: Command): void {
  takingModule(
    program
      .command('check')
      .description('what becomes of everybody in a database under the present flows: exits 0 if all go on, else 2'),
  )
    .option('-d, --database <file>', `the SQLite file, whether a server runs on it or not (default: "${DATABASE}")`)
    .option('--golden <folder>', 'golden snapshots, instead of a database or besides')
    .option('--flow <type>', 'only this flow')
    .option('--strict', 'exit 2 also where a machine was changed under its version', false)
    .option('--json', 'print the report as JSON', false)
    .action(check);

  takingModule(
    program
      .command('migrate')
      .description('lead everybody of an older version to the newest, at once; it goes on where it was interrupted'),
  )
    .option('-d, --database <file>', 'the SQLite file', DATABASE)
    .option('--dry-run', 'run the migrations on copies: nothing is changed, and the server may run', false)
    .option('--flow <type>', 'only this flow')
    .option('--json', 'print the report as JSON', false)
    .action(migrate);
}

async function check(
  module: string | undefined,
  { database, golden, flow, strict = false, json }: Options,
): Promise<void> {
  const file = database !== undefined || golden === undefined ? (database ?? DATABASE) : undefined;
  if (file !== undefined) await databaseIn(file);
  const flows = await flowsOf(module);
  const reports: { of: 'golden' | 'database'; what: string; report: CheckReport }[] = [];
  if (golden !== undefined)
    reports.push({
      of: 'golden',
      what: 'golden snapshots',
      report: checkGoldens(golden, versionsOf(flows), { ...of(flow), strict }),
    });
  if (file !== undefined) {
    const report = await checkDatabase({
      database: `sqlite:${file}`,
      flows,
      strict,
      ...of(flow),
      ...progress('checked'),
    });
    reports.push({ of: 'database', what: 'participants', report });
  }
  assertKnown(flow, flows, reports);
  // A program reads one document, also where both were asked for.
  if (json && reports.length > 1) say(Object.fromEntries(reports.map((each) => [each.of, each.report])));
  for (const { what, report } of reports) {
    if (!json) say(formatCheck(report, what));
    else if (reports.length === 1) say(report);
    conclude(report, module);
  }
}

async function migrate(
  module: string | undefined,
  { database, flow, json, dryRun }: Options & { database: string; dryRun: boolean },
): Promise<void> {
  await databaseIn(database);
  const target = `sqlite:${database}`;
  const flows = await flowsOf(module);
  const options = { ...of(flow), ...progress(dryRun ? 'tried' : 'migrated') };
  if (dryRun) {
    const report = await migrateDryRun({ database: target, flows, ...options });
    assertKnown(flow, flows, [{ report }]);
    say(json ? report : `${formatCheck(report, OLDER)}\nNothing was changed.`);
    return conclude(report, module);
  }
  const runtime = createRuntime({ database: target, flows });
  await runtime.start({ quiet: true }).catch((error: unknown) => {
    if (!(error instanceof DatabaseInUseError)) throw error;
    throw new InvalidArgumentError(
      `A server runs on ${database}${error.pid === undefined ? '' : ` (pid ${error.pid})`}, which migrates everybody at their first touch. Stop it first, call runtime.migrate() in it, or look with --dry-run.`,
    );
  });
  try {
    const report = await runtime.migrate(options);
    assertKnown(flow, flows, [{ report }]);
    say(json ? report : formatCheck(report, OLDER));
    conclude(report, module);
  } finally {
    await runtime.stop();
  }
}

/** A flow that is neither given nor in what was looked at is a slip of the pen. */
function assertKnown(flow: string | undefined, flows: AnyFlow[], reports: { report: CheckReport }[]): void {
  if (flow === undefined || reports.some(({ report }) => report.flows.length > 0)) return;
  const known = [...new Set(flows.map(({ type }) => type))].join(', ');
  throw new InvalidArgumentError(`There is no flow '${flow}', and nobody is in it. The flows are ${known}.`);
}

const of = (flowType: string | undefined) => (flowType === undefined ? {} : { flowType });

/** A text for people, or an object for programs. */
function say(what: string | object): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(typeof what === 'string' ? what : JSON.stringify(what, null, 2));
}

function conclude({ ok, flows }: CheckReport, module: string | undefined): void {
  tellUnknown(
    flows.filter(({ version }) => version === null).map(({ flowType }) => flowType),
    module,
  );
  if (!ok) process.exitCode = FINDINGS;
}

/** Between two lines of progress, in ms. */
const EVERY = 1_000;

function progress(what: string) {
  let told = Date.now();
  return {
    onProgress: ({ done, total }: { done: number; total: number }) => {
      if (Date.now() - told < EVERY) return;
      told = Date.now();
      const line = `${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${what}`;
      process.stderr.write(process.stderr.isTTY ? `\r${line}\x1b[K` : `${line}\n`);
    },
  };
}
