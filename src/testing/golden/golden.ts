import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fingerprintOf, shapeOf } from '../../actor/shape.ts';
import { GoldenSnapshotError, InvalidArgumentError } from '../../errors.ts';
import {
  fileOf,
  folderOf,
  type Golden,
  goldensOf,
  loadGoldenShapes,
  rowOf,
  sealed,
  shapeFileOf,
  verdictOf,
  versionsIn,
} from '../../evolution/index.ts';
import type { AnyFlow } from '../../flow/flow.ts';
import { type FlowVersions, versionsOf } from '../../flow/versions.ts';
import { assertOutcomes } from '../crashes/outcomes.ts';
import { nameOfStep, restingStates, type Stop, stepsFrom, take, type WalkOptions, walk } from '../crashes/walk.ts';

/** Where golden snapshots are, and how to walk through the flow. */
export interface GoldenOptions extends WalkOptions {
  /** Where the files are. Default: `__golden__` beside the file that calls. */
  folder?: string | URL;
  /** States, as dotted paths, that cannot be reached by the walk and have no file. */
  unreached?: readonly string[];
  /**
   * Writes the files of the present version anew; those of older versions are never touched. Default: whether the
   * environment says `PERDURE_UPDATE_GOLDEN=1`.
   */
  update?: boolean;
}

/** What was written, and what was proved. */
export interface GoldenResult {
  folder: string;
  /** Files that were written now, relative to the folder. */
  written: string[];
  /** How many files, of all versions, were proved. */
  proved: number;
}

/**
 * Keeps one stored actor for each state of a flow in files beside the test, and proves that each of them, of every version
 * that there ever was, goes on under the present flow: restored, migrated, or on an old version that stays registered,
 * with its deadlines and its invocations, and one step further. Files that are missing are written; where the environment
 * says `CI`, that is an error. Commit the files.
 *
 * @param flow the present version; with old versions that stay registered, a list
 * @throws {GoldenSnapshotError} somebody would not go on, a file is missing or was changed by hand, or a state was not reached
 * @example
 * it('goes on with everybody', () => goldenSnapshots(flow, { events: [{ type: 'reply', text: 'yes' }] }))
 */
export function goldenSnapshots(
  flow: AnyFlow | readonly AnyFlow[],
  options: GoldenOptions = {},
): Promise<GoldenResult> {
  const beside = options.folder ?? join(dirname(callerOf(goldenSnapshots)), '__golden__');
  return run([flow].flat() as AnyFlow[], beside instanceof URL ? fileURLToPath(beside) : beside, options);
}

async function run(flows: AnyFlow[], folder: string, options: GoldenOptions): Promise<GoldenResult> {
  const byType = versionsOf(flows);
  const [versions] = byType.values();
  if (byType.size !== 1 || !versions)
    throw new InvalidArgumentError(
      'goldenSnapshots takes one flow, or the versions of one. Call it once for each flow.',
    );
  const { type } = versions.newest;
  assertOutcomes('goldenSnapshots', versions.newest, options.outcomes);
  const anew = options.update ?? process.env['PERDURE_UPDATE_GOLDEN'] === '1';
  const renewed = anew ? complete(folder, versions.newest, options, anew) : undefined;
  loadGoldenShapes(folder, type, versions);
  prove(folder, versions, options);
  const written = renewed ?? complete(folder, versions.newest, options);
  loadGoldenShapes(folder, type, versions);
  return { folder, written, proved: prove(folder, versions, options) };
}

/** Every file goes on. */
function prove(folder: string, versions: FlowVersions, options: GoldenOptions): number {
  const { type } = versions.newest;
  const lines: string[] = [];
  let proved = 0;
  for (const version of versionsIn(folder, type)) {
    for (const { file, golden } of goldensOf(folder, type, version)) {
      const reasons = faultsOf(golden, file, versions, options);
      proved++;
      if (reasons.length > 0)
        lines.push(`  '${golden.state}' of version ${version}: ${reasons.join('; ')}\n    ${file}`);
    }
  }
  if (lines.length === 0) return proved;
  throw new GoldenSnapshotError(
    `Who is in these states of flow '${type}' would not go on as stored:\n${lines.join('\n')}\n` +
      'Raise the version and declare migrate for them, or keep the old version registered (docs/evolving.md). ' +
      'Where nobody is there yet, write the files of this version anew with PERDURE_UPDATE_GOLDEN=1.',
  );
}

function faultsOf(golden: Golden, file: string, versions: FlowVersions, options: GoldenOptions): string[] {
  const at = Date.parse(golden.at);
  const { misfits, live, to } = verdictOf(versions, rowOf(golden, file), at);
  if (misfits.length > 0) return misfits.map(({ reason }) => reason);
  const flow = versions.all.find((each) => each.version === to)!;
  const stop: Stop = { text: live!.encode(), at };
  return stepsFrom(flow, stop, options).flatMap((step) => {
    const wrong = take(flow, stop, step, (next) => void next.encode());
    return wrong && step.given ? [`'${nameOfStep(step)}' makes it throw: ${wrong.message}`] : [];
  });
}

/** Every state of the present version has its file: what is missing is written, or else all of them `anew`. */
function complete(folder: string, flow: AnyFlow, options: GoldenOptions, anew = false): string[] {
  const { type, version, logic } = flow;
  const parent = folderOf(folder, type, version);
  const states = restingStates(logic).filter((state) => !options.unreached?.includes(state));
  const missing = states.filter((state) => anew || !existsSync(fileOf(folder, type, version, state)));
  if (missing.length === 0) return [];
  const named = missing.map((state) => `'${state}'`).join(', ');
  if (process.env['CI'] && process.env['CI'] !== 'false') {
    throw new GoldenSnapshotError(
      anew
        ? `The golden snapshots of flow '${type}', version ${version}, are to be written anew, and under CI none are written. Do it on your machine, and commit them.`
        : `There is no golden snapshot of ${named} of flow '${type}', version ${version}, in ${parent}. Run the test on your machine, which writes the missing files, and commit them.`,
    );
  }
  const { found, thrown } = walk(flow, new Set(missing), options);
  const unreached = missing.filter((state) => !found.has(state));
  if (thrown.size > 0 || unreached.length > 0) throw lost(flow, unreached, thrown);
  const shape = shapeOf(logic);
  const common = { flow: type, version, fingerprint: fingerprintOf(shape) };
  // Only now: a walk that fails leaves the files as they were.
  if (anew) rmSync(parent, { recursive: true, force: true });
  mkdirSync(parent, { recursive: true });
  const machine = shapeFileOf(folder, type, version);
  if (!existsSync(machine)) writeFileSync(machine, sealed({ ...common, shape }));
  for (const [state, { text, at }] of found) {
    const golden = { ...common, state, at: new Date(at).toISOString(), stored: JSON.parse(text) };
    writeFileSync(fileOf(folder, type, version, state), sealed(golden));
  }
  return missing.map((state) => relative(folder, fileOf(folder, type, version, state)));
}

function lost({ type }: AnyFlow, unreached: string[], thrown: Map<string, Error>): GoldenSnapshotError {
  const lines = [...thrown].map(([step, { message }]) => `  ${step} made it throw: ${message}`);
  if (unreached.length > 0)
    lines.push(
      `  ${unreached.map((state) => `'${state}'`).join(', ')} ${unreached.length === 1 ? 'was' : 'were'} not reached`,
    );
  return new GoldenSnapshotError(
    `The walk through flow '${type}' did not come to its end, and nothing was written:\n${lines.join('\n')}\n` +
      'Give it what leads there: input, events (with what the guards ask for) and outcomes of invocations. ' +
      'A state that nothing leads to belongs into unreached.',
  );
}

/** The file that called. */
function callerOf(callee: (...args: never[]) => unknown): string {
  const { prepareStackTrace } = Error;
  const here = { stack: undefined as unknown };
  try {
    Error.prepareStackTrace = (_, sites) => sites.map((site) => site.getFileName());
    Error.captureStackTrace(here, callee);
    const [file] = here.stack as (string | undefined)[];
    if (!file) throw new InvalidArgumentError('The file that calls goldenSnapshots is not known. Give it a folder.');
    return file.startsWith('file:') ? fileURLToPath(file) : file;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
}
