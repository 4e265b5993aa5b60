/**
 * Explores a flow: makes scripts from the machine itself, and runs each with crashes. What fails is shortened.
 *
 *   model (in memory): from each configuration, every sample event, the next deadline, every outcome of what was invoked
 *     → the shortest scripts that together take every transition that was found
 *       → each on the real runtime, without a crash and with many
 *         → a failure loses every step that it does not need
 */
import type { AnyEventObject } from 'xstate';
import { InvalidArgumentError, NotSerializableError } from '../../errors.ts';
import { type AnyFlow, assertFlows, type EventOf, type SnapshotOf } from '../../flow/flow.ts';
import type { Script } from '../kit/script.ts';
import type { Stage } from '../kit/stage.ts';
import { promiseNames } from '../kit/stubs.ts';
import { Catalog } from './catalog.ts';
import { assertCoverage, type Coverage, coveredOf, formatCovered, type MinimumCoverage } from './coverage.ts';
import {
  type CrashOptions,
  crashThrough,
  impurity,
  oneAtATime,
  referenceOf,
  sideBySide,
  unrepeatability,
  withStages,
} from './crash-everywhere.ts';
import { DivergenceError, type DivergenceKind } from './divergence.ts';
import { crashAfterEveryStep, crashAroundEveryWrite, noCrash } from './dooms.ts';
import { type Edge, exploreModel, likelyToDecide, UnrepeatableStep } from './model.ts';
import { assertOutcomes, type OutcomesByName } from './outcomes.ts';
import { type ImpureRead, watchingReads } from './purity.ts';
import { runDoomed, runReference } from './verdict.ts';

/** What {@link explore} is given. */
export interface ExploreOptions<F extends AnyFlow = AnyFlow, E extends EventOf<F> = EventOf<F>>
  extends Omit<CrashOptions<F>, 'stubs'> {
  /** Sample events to try wherever they mean something, or a function of the snapshot that gives them. */
  events: readonly E[] | ((snapshot: SnapshotOf<F>) => readonly E[]);
  /** Results and failures to try for each invocation, by its name. Default: `undefined`, and an error. */
  outcomes?: OutcomesByName;
  /** The longest script. Default: 8 steps. */
  depth?: number;
  /** How many configurations are gone on from. Default: 400. */
  limit?: number;
  /** How many scripts are run. Default: 60. */
  scripts?: number;
  /**
   * How each script is checked. `everywhere`: as by `crashEverywhere`. `quick`: in two runs, one with a death after every
   * step, one with a death before and after what is written. `none`: only without a crash. Default: `'quick'`.
   */
  check?: 'everywhere' | 'quick' | 'none';
  /** What tells configurations apart. Default: the state, and of the context what guards are likely to ask: no instants, no long texts. */
  serializeState?: (snapshot: SnapshotOf<F>) => unknown;
  /** What to do where the logic throws. Default: `'fail'`. */
  throws?: 'fail' | 'allow';
  /** What must be covered at least, e.g. `{ states: 1, transitions: 0.9 }`. Default: nothing. */
  coverage?: MinimumCoverage;
}

/** What was found. */
export interface ExploreReport extends Coverage {
  /** The scripts that were run. */
  scripts: readonly Script[];
  runs: number;
  crashes: number;
  /** There was more within reach than depth, limit and scripts allowed. */
  truncated: boolean;
  toString(): string;
}

/**
 * Explores a flow, with crashes.
 * @throws {DivergenceError} a crash changes something, a turn reads the clock or chance, the state cannot be stored, or the
 *   logic throws; with the shortest script that shows it
 * @throws {CoverageError} less was covered than `coverage` asks for
 * @example
 * const report = await explore(bookingFlow, {
 *   input: { nights: 2 },
 *   events: [{ type: 'book' }, { type: 'cancel' }],
 *   outcomes: { bookRoom: { resolve: [{ room: 12 }], reject: ['full'] } },
 *   coverage: { states: 1, transitions: 1 },
 * });
 */
export async function explore<F extends AnyFlow, const E extends EventOf<F>>(
  flow: F,
  options: ExploreOptions<F, E>,
): Promise<ExploreReport> {
  const all = options as unknown as ExploreOptions;
  assertFlows([flow]);
  assertEvents(all);
  assertOutcomes('explore', flow, all.outcomes);
  return withStages(explore, flow, all, async (stages) => {
    const { edges, truncated } = await oneAtATime(() => findEdges(stages[0]!, all));
    const chosen = scriptsFor(edges, all.throws === 'allow');
    const scripts = chosen.slice(0, all.scripts ?? 60);
    const seen = new Seen(stages);
    let [runs, crashes] = [0, 0];
    await sideBySide(stages, scripts, async (stage, script) => {
      const made = await check(stage, script, all, seen);
      runs += made.runs;
      crashes += made.crashes;
    });
    const coverage = seen.coverage(flow);
    assertCoverage(flow.type, coverage, all.coverage ?? {});
    const report = { ...coverage, scripts, runs, crashes, truncated: truncated || scripts.length < chosen.length };
    return { ...report, toString: () => format(flow, report) };
  });
}

/** @throws {InvalidArgumentError} there are no sample events, or some that are none */
function assertEvents({ events }: ExploreOptions): void {
  if (typeof events === 'function') return;
  if (!Array.isArray(events) || events.some((event) => typeof event?.type !== 'string'))
    throw new InvalidArgumentError(
      "explore: events is a list of sample events, like [{ type: 'book' }], or a function.",
    );
}

/** Goes through the model. What fails there already needs no runtime to be shown. */
async function findEdges(stage: Stage, options: ExploreOptions) {
  const { setup, flow } = stage;
  const { events, outcomes = {}, depth = 8, limit = 400, serializeState = likelyToDecide } = options;
  let script: Script = [];
  const impure: { script: Script; reads: ImpureRead[] }[] = [];
  const hear = (read: ImpureRead) => impure.push({ script, reads: [read] });
  const { result } = await watchingReads(
    0,
    async () =>
      exploreModel(flow, new Catalog(flow.logic), {
        participantId: setup.participantId,
        input: setup.input,
        start: setup.start ?? Date.UTC(2026, 0, 1),
        events: events as readonly AnyEventObject[],
        outcomes,
        depth,
        limit,
        serializeState,
        twice: options.impure !== 'ignore',
        trying: (tried) => {
          script = tried;
        },
      }),
    options.impure === 'ignore' ? undefined : hear,
  );
  const fail = (kind: DivergenceKind, headline: string, by: Script, cause?: unknown) =>
    new DivergenceError(
      headline,
      { kind, flowType: flow.type, script: by, input: setup.input, step: by.length, crashes: [] },
      cause,
    );
  const [first] = impure;
  if (first) {
    const reads = impure.filter((each) => each.script === first.script).flatMap((each) => each.reads);
    throw fail('impure', impurity(flow, reads), first.script);
  }
  for (const { to } of result.edges) {
    const { error } = to;
    if (error instanceof UnrepeatableStep) throw fail('unrepeatable', unrepeatability(flow), to.script);
    if (error instanceof NotSerializableError)
      throw fail('notSerializable', `'${flow.type}' cannot be stored: ${error.message}`, to.script, error);
    if (error && options.throws !== 'allow')
      throw fail('throws', `'${flow.type}' throws: ${error.message}`, to.script, error);
  }
  return result;
}

/** The shortest scripts that together cover what is covered at all; a script that another one begins with is in that one. */
function scriptsFor(edges: readonly Edge[], throwing: boolean): Script[] {
  const shortest = new Map<string, Edge>();
  for (const edge of edges) {
    if (edge.to.error && !throwing) continue;
    for (const goal of edge.covers) {
      const known = shortest.get(goal);
      if (!known || edge.to.script.length < known.to.script.length) shortest.set(goal, edge);
    }
  }
  const byScript = new Map(edges.map((edge) => [edge.to.script, edge]));
  const done = new Set<string>();
  const scripts: Script[] = [];
  for (const [goal, { to }] of [...shortest].sort((a, b) => b[1].to.script.length - a[1].to.script.length)) {
    if (done.has(goal)) continue;
    scripts.push(to.script);
    for (let edge: Edge | undefined = byScript.get(to.script); edge; edge = edge.from && byScript.get(edge.from.script))
      for (const covered of edge.covers) done.add(covered);
  }
  return scripts;
}

async function check(stage: Stage, script: Script, options: ExploreOptions, seen: Seen) {
  const error = await attempt(stage, script, options, seen).catch((cause) => cause);
  if (!(error instanceof Error)) return error as { runs: number; crashes: number };
  if (!(error instanceof DivergenceError)) throw error;
  throw await shortest(stage, error, options);
}

/** Runs a script as the options say. */
async function attempt(stage: Stage, script: Script, options: ExploreOptions, seen?: Seen) {
  const harmless = new Set(options.harmless);
  const reference = await runReference(stage, script, noCrash, seen && ((run) => seen.watch(stage, run, script)));
  if (options.check === 'everywhere') return crashThrough([stage], reference, harmless);
  if (options.check === 'none') return { runs: 1, crashes: 0 };
  const after = await runDoomed(stage, reference, crashAfterEveryStep, harmless);
  const around = await runDoomed(stage, reference, crashAroundEveryWrite(), harmless);
  return { runs: 3, crashes: after.crashes + around.crashes };
}

/** The failure with the shortest script that shows it, and with one crash where one is enough. */
async function shortest(stage: Stage, failure: DivergenceError, options: ExploreOptions): Promise<DivergenceError> {
  const fails = async (script: Script, check = options.check): Promise<DivergenceError | undefined> => {
    const error = await attempt(stage, script, { ...options, check: check ?? 'quick' }).catch((cause) => cause);
    return error instanceof DivergenceError && error.kind === failure.kind ? error : undefined;
  };
  let error = failure;
  const cut = failure.script.slice(0, failure.step);
  if (cut.length < failure.script.length) error = (await fails(cut)) ?? error;
  for (let i = error.script.length - 1; i >= 0; i = Math.min(i, error.script.length) - 1) {
    const without = error.script.filter((_, at) => at !== i);
    error = (await fails(without)) ?? error;
  }
  const repeatable = await referenceOf(stage, error.script, options).catch((cause) => cause);
  if (repeatable instanceof DivergenceError) return repeatable;
  return (await fails(error.script, 'everywhere')) ?? error;
}

/** Gathers what the runs without a crash cover. */
class Seen {
  readonly #catalogs: ReadonlyMap<Stage, Catalog>;
  readonly #states = new Set<string>();
  readonly #transitions = new Set<string>();
  readonly #outcomes = new Set<string>();

  constructor(stages: readonly Stage[]) {
    this.#catalogs = new Map(stages.map((stage) => [stage, new Catalog(stage.flow.logic)]));
  }

  watch(stage: Stage, run: { inspect: unknown }, script: Script): void {
    const catalog = this.#catalogs.get(stage)!;
    run.inspect = (event: Parameters<Catalog['covered']>[0]) => {
      const { states, transitions } = catalog.covered(event);
      for (const state of states) this.#states.add(state);
      for (const transition of transitions) this.#transitions.add(transition);
    };
    for (const step of script) {
      if ('resolve' in step) this.#outcomes.add(`${step.resolve} resolves`);
      if ('reject' in step) this.#outcomes.add(`${step.reject} fails`);
    }
  }

  coverage({ logic }: AnyFlow): Coverage {
    const [catalog] = this.#catalogs.values();
    const outcomes = [...promiseNames(logic)].flatMap((name) => [`${name} resolves`, `${name} fails`]);
    return {
      states: coveredOf(catalog!.states, this.#states),
      transitions: coveredOf(catalog!.transitions, this.#transitions),
      outcomes: coveredOf(outcomes, this.#outcomes),
    };
  }
}

function format({ type }: AnyFlow, report: Omit<ExploreReport, 'toString'>): string {
  const { scripts, runs, crashes, truncated } = report;
  const steps = Math.max(0, ...scripts.map(({ length }) => length));
  return [
    `'${type}': ${scripts.length} scripts of up to ${steps} steps, ${runs} runs, ${crashes} crashes: all the same.`,
    ...(['states', 'transitions', 'outcomes'] as const)
      .filter((aspect) => report[aspect].covered.length + report[aspect].missed.length > 0)
      .map((aspect) => formatCovered(aspect, report[aspect])),
    ...(truncated ? ['There is more within reach than depth, limit and scripts allow.'] : []),
  ].join('\n');
}
