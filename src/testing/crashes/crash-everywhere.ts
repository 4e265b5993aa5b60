/** Runs a script once without a crash, and once for each point at which a crash can fall. */
import { AssertionError } from 'node:assert';
import { PerdureError } from '../../errors.ts';
import { type AnyFlow, assertFlows } from '../../flow/flow.ts';
import type { Doom, Rehearsal } from '../kit/rehearsal.ts';
import { assertScript, type Script } from '../kit/script.ts';
import { Stage, type StageOptions } from '../kit/stage.ts';
import { DivergenceError } from './divergence.ts';
import { crashAfter, crashAt, crashPoints, noCrash, thenAroundRecovery, thenThroughRecovery } from './dooms.ts';
import { type ImpureRead, watchingReads } from './purity.ts';
import { differences, type Reference, runDoomed, runReference } from './verdict.ts';

/** What {@link crashEverywhere} is given besides the script. */
export interface CrashOptions<F extends AnyFlow = AnyFlow> extends StageOptions<F> {
  /** Custom actions that a crash may lose, by type; `'*'`: all. Default: none. */
  harmless?: readonly string[];
  /**
   * What to do where a turn reads the wall clock or `Math.random()`: a turn that is done again reads something else.
   * Default: `'fail'`.
   */
  impure?: 'fail' | 'ignore';
  /** How many runs go side by side. With `watch` it is one. Default: 4. */
  concurrency?: number;
}

/** What was tried. */
export interface CrashReport {
  /** Runs, the one without a crash included. */
  runs: number;
  /** How often the process died in them. */
  crashes: number;
  /** In one line. */
  toString(): string;
}

/**
 * Runs a script on the real runtime once without a crash, and then again and again: for every point at which the process
 * can die (before each commit, after it and before its effects, after them, when nothing is under way, in the middle of
 * recovery), once with a death there. What is seen after each step must be the same: state, context, deadlines to the
 * millisecond, messages by their keys, turns, waiting invocations, rows.
 *
 * @param script what happens to the actor after its birth
 * @throws {DivergenceError} with a readable difference, at the first thing that a crash changes; also where a turn reads the
 *   clock or chance, or the state cannot be stored
 * @throws {AssertionError} the actor is not where an `inState` step says
 * @throws {InvalidArgumentError} the script has a step that is none, resolves an invocation that does not wait, or receives a
 *   message that reaches no actor
 * @example
 * await crashEverywhere(bookingFlow, [
 *   { send: { type: 'book', nights: 2 } },
 *   { resolve: 'bookRoom', with: { room: 12 } },
 *   { advance: '15m' },
 *   { inState: 'over' },
 * ]);
 */
export async function crashEverywhere<F extends AnyFlow>(
  flow: F,
  script: Script<F>,
  options: CrashOptions<F> = {},
): Promise<CrashReport> {
  assertScript(script as Script);
  return withStages(crashEverywhere, flow, options as CrashOptions, async (stages) => {
    const reference = await referenceOf(stages[0]!, script as Script, options as CrashOptions);
    return crashThrough(stages, reference, new Set(options.harmless));
  });
}

const stageOptions = (options: StageOptions): StageOptions =>
  Object.fromEntries(
    (['input', 'participantId', 'phoneNumber', 'start', 'stubs', 'flows', 'tables', 'watch'] as const).flatMap((key) =>
      options[key] === undefined ? [] : [[key, options[key]]],
    ),
  );

/**
 * Opens as many stages as go side by side, and closes them.
 * @param asked what the test has called: errors of the flow point to the line that did, not to where they were found
 */
export async function withStages<T>(
  asked: (...args: never) => unknown,
  flow: AnyFlow,
  options: CrashOptions,
  body: (stages: Stage[]) => Promise<T>,
): Promise<T> {
  const { concurrency = 4, flows = [] } = options;
  assertFlows([flow, ...flows]);
  const setup = stageOptions(options);
  const stages: Stage[] = [];
  const line: { stack?: string } = {};
  Error.captureStackTrace(line, asked);
  try {
    const first = await Stage.open(flow, setup);
    stages.push(first);
    while (stages.length < (setup.watch ? 1 : concurrency)) stages.push(await Stage.open(flow, setup, first.tables));
    return await body(stages);
  } catch (error) {
    if (error instanceof PerdureError || error instanceof AssertionError)
      error.stack = line.stack!.replace(/^.*/, () => `${error.name}: ${error.message}`);
    throw error;
  } finally {
    await Promise.all(stages.map((stage) => stage.close()));
  }
}

/**
 * What the script does without a crash; it is run twice, with another wall clock and other chance.
 * @throws {DivergenceError} it does not do the same both times
 */
export async function referenceOf(
  stage: Stage,
  script: Script,
  { impure = 'fail' }: CrashOptions,
  each?: (run: Rehearsal) => void,
): Promise<Reference> {
  if (impure === 'ignore') {
    await runReference(stage, script, noCrash); // learns of the tables
    return runReference(stage, script, noCrash, each);
  }
  const details = { flowType: stage.flow.type, script, input: stage.setup.input, crashes: [] };
  let running: Rehearsal | undefined;
  let readIn: number | undefined;
  const { result: first, reads } = await oneAtATime(() =>
    watchingReads(
      0,
      () => runReference(stage, script, noCrash, (run) => (running = run)),
      () => {
        readIn ??= running?.step;
      },
    ),
  );
  if (reads.length > 0)
    throw new DivergenceError(impurity(stage.flow, reads), { kind: 'impure', ...details, step: readIn ?? 0 });
  const unrepeatable = (step: number, differing: object, cause?: unknown) =>
    new DivergenceError(unrepeatability(stage.flow), { kind: 'unrepeatable', ...details, step, ...differing }, cause);
  let result: Reference;
  try {
    ({ result } = await oneAtATime(() =>
      watchingReads(1, () =>
        runReference(stage, script, noCrash, (run) => {
          running = run;
          each?.(run);
        }),
      ),
    ));
  } catch (error) {
    if (error instanceof DivergenceError) throw error;
    throw unrepeatable(running?.step ?? 0, {}, error); // the first time it went through
  }
  for (const [step, { observation, answer }] of result.seen.entries()) {
    const before = first.seen[step]!;
    const differing = differences(before.observation, observation) ?? answers(before.answer, answer);
    if (differing) throw unrepeatable(step, differing);
  }
  return result;
}

const answers = (expected: unknown, actual: unknown) =>
  expected === actual ? undefined : { expected: { answer: expected }, actual: { answer: actual } };

let watched: Promise<unknown> = Promise.resolve();

/** The clock and chance are the process's own: those who watch them take turns. */
export function oneAtATime<T>(body: () => Promise<T>): Promise<T> {
  const result = watched.then(body);
  watched = result.catch(() => {});
  return result;
}

export function impurity({ type }: AnyFlow, reads: readonly ImpureRead[]): string {
  const lines = reads.map(({ what, where, instead }) => `  ${what} in ${where}: use ${instead}`);
  return `'${type}' reads in its turns what a repetition would not read again:\n${lines.join('\n')}`;
}

export const unrepeatability = ({ type }: AnyFlow) =>
  `'${type}' does something else when the same script is run again, without any crash. Something decides that is ` +
  'not in the event or the context: a variable outside of the machine, the clock, chance. Keep it in the context, or ' +
  "read `now()` and `random()` of 'perdure/machine'.";

/** Dies at every point of a reference. */
export async function crashThrough(stages: Stage[], reference: Reference, harmless: ReadonlySet<string>) {
  let [runs, crashes] = [1, 0];
  const run = async (stage: Stage, doom: Doom) => {
    const made = await runDoomed(stage, reference, doom, harmless);
    runs++;
    crashes += made.crashes;
    return made.recoveryWrites > 0;
  };
  const places = [
    ...crashPoints(reference.run.accesses).map(({ nth, when }) => async (stage: Stage) => {
      // Where recovery writes nothing, there is nothing to die around.
      if (await run(stage, crashAt(nth, when))) await run(stage, thenAroundRecovery(crashAt(nth, when)));
    }),
    ...[...reference.seen.keys()].map((step) => async (stage: Stage) => {
      // The last start comes through. It is the only one that writes something, unless others did before.
      if (await run(stage, thenThroughRecovery(crashAfter(step)))) await run(stage, crashAfter(step));
    }),
  ];
  await sideBySide(stages, places, (stage, place) => place(stage));
  const text = `${reference.script.length} steps, ${runs} runs, ${crashes} crashes: all the same.`;
  return { runs, crashes, toString: () => text };
}

/** Does all of the work, in order, each on a stage of its own; fails with the first failure in the order of the work. */
export async function sideBySide<T>(
  stages: Stage[],
  work: readonly T[],
  body: (stage: Stage, item: T) => Promise<void>,
) {
  let next = 0;
  const failures: { at: number; error: unknown }[] = [];
  const worker = async (stage: Stage) => {
    while (next < work.length && failures.length === 0) {
      const at = next++;
      try {
        await body(stage, work[at]!);
      } catch (error) {
        failures.push({ at, error });
      }
    }
  };
  await Promise.all(stages.map(worker));
  const [first] = failures.sort((a, b) => a.at - b.at);
  if (first) throw first.error;
}
