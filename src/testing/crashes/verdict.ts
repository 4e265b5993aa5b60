/** Compares a run in which the process died with one in which it did not. */
import { isDeepStrictEqual } from 'node:util';
import { type Doom, Rehearsal, type Seen } from '../kit/rehearsal.ts';
import type { Script } from '../kit/script.ts';
import type { Stage } from '../kit/stage.ts';
import { DivergenceError, type DivergenceKind } from './divergence.ts';
import type { Observation } from './observation.ts';

/** What a run without a crash did. */
export interface Reference {
  script: Script;
  /** After the birth, and after each step. */
  seen: readonly Seen[];
  /** How often each custom action had run after each step. */
  actions: readonly ReadonlyMap<string, number>[];
  run: Rehearsal;
  orders: readonly SeenOrder[];
  sent: readonly object[];
}

interface SeenOrder {
  name: string;
  idempotencyKey: string;
  outcomes: number;
  dropped: boolean;
}

/** Runs a script without a crash. @param each told of the run before it begins */
export async function runReference(stage: Stage, script: Script, doom: Doom, each?: (run: Rehearsal) => void) {
  const seen: Seen[] = [];
  const actions: Map<string, number>[] = [];
  const run = new Rehearsal(stage, script, doom);
  each?.(run);
  let refused: unknown;
  try {
    await run.run((what) => {
      seen.push(what);
      actions.push(new Map(run.actions));
    });
  } catch (error) {
    refused = error;
  }
  if (run.notSerializable) {
    const { step, error } = run.notSerializable;
    throw new DivergenceError(
      `'${stage.flow.type}' cannot be stored: ${error.message}`,
      { kind: 'notSerializable', ...of(stage, script), step, crashes: [] },
      error,
    );
  }
  if (refused) throw refused;
  return { script, seen, actions, run, orders: ordersOf(stage), sent: sentBy(run) } satisfies Reference;
}

const of = (stage: Stage, script: Script) => ({ flowType: stage.flow.type, script, input: stage.setup.input });

const ordersOf = ({ stubs }: Stage): SeenOrder[] =>
  stubs.orders.map(({ name, idempotencyKey, outcomes, dropped }) => ({
    name,
    idempotencyKey,
    outcomes: outcomes.length,
    dropped,
  }));

/** What reached people; a message that came again is dropped by its key. */
function sentBy({ delivered }: Rehearsal): { to: string; text: string; key: string }[] {
  const keys = new Set<string>();
  return delivered
    .filter(({ idempotencyKey: key }) => keys.size < keys.add(key).size)
    .map(({ to, text, idempotencyKey: key }) => ({ to, text, key }));
}

/**
 * Runs a script as a doom says, and compares what is seen with the reference.
 * @throws {DivergenceError} at the first difference
 * @returns how often the process died, and how much recovery had to write
 */
export async function runDoomed(stage: Stage, reference: Reference, doom: Doom, harmless: ReadonlySet<string>) {
  const { script } = reference;
  const run = new Rehearsal(stage, script, doom);
  const fail = (
    kind: DivergenceKind,
    headline: string,
    step: number,
    differing?: { expected: object; actual: object },
  ) =>
    new DivergenceError(headline, {
      kind,
      ...of(stage, script),
      step,
      crashes: run.crashes,
      ...(differing as object),
    });
  const flow = `'${stage.flow.type}'`;
  let last = 0;
  try {
    await run.run((seen) => {
      last = seen.step;
      const lost = lostAction(reference, run, seen.step, harmless);
      if (lost) throw fail('lostAction', lost, seen.step);
      const expected = reference.seen[seen.step]!;
      const differing = differences(seen.again ? later(expected.observation) : expected.observation, seen.observation);
      if (differing) throw fail('crash', `A crash changes what ${flow} does.`, seen.step, differing);
      if (seen.answer !== undefined && seen.answer !== expected.answer)
        throw fail('crash', `A crash changes what ${flow} answers.`, seen.step, {
          expected: { answer: expected.answer },
          actual: { answer: seen.answer },
        });
    });
  } catch (error) {
    if (error instanceof DivergenceError) throw error;
    throw new DivergenceError(
      `After a crash, ${flow} cannot go on: ${(error as Error).message}`,
      { kind: 'crash', ...of(stage, script), step: last, crashes: run.crashes },
      error,
    );
  }
  for (const { idempotencyKey, maybeSent, text } of repeated(run)) {
    if (!maybeSent)
      throw fail('crash', `'${text}' (${idempotencyKey}) was sent again without a mark that it may be there.`, last);
  }
  const sent = sentBy(run);
  if (!isDeepStrictEqual(sent, reference.sent))
    throw fail('crash', `A crash changes what ${flow} sends.`, last, {
      expected: { sent: reference.sent },
      actual: { sent },
    });
  const [asked, before] = [ordersOf(stage), reference.orders].map((orders) =>
    orders.filter(
      ({ idempotencyKey: key }) => !reference.orders.find((order) => order.idempotencyKey === key)?.dropped,
    ),
  );
  if (!isDeepStrictEqual(asked, before))
    throw fail('crash', `A crash changes what ${flow} invokes.`, last, {
      expected: { invocations: before },
      actual: { invocations: asked },
    });
  return { crashes: run.crashes.length, recoveryWrites: run.recoveryWrites };
}

/** After a restart in between, what came in the step has come before. */
const later = (observation: Observation): Observation => ({ ...observation, messages: [], turns: [] });

function repeated({ delivered }: Rehearsal) {
  const keys = new Set<string>();
  return delivered.filter(({ idempotencyKey: key }) => keys.size === keys.add(key).size);
}

/** The parts of two observations that are not the same. */
export function differences(expected: Observation, actual: Observation) {
  const [left, right]: Record<string, unknown>[] = [{}, {}];
  for (const aspect of Object.keys({ ...expected, ...actual }) as (keyof Observation)[]) {
    const [a, b] = [expected[aspect], aspect === 'rows' ? known(expected, actual) : actual[aspect]];
    if (!isDeepStrictEqual(a, b)) Object.assign(left!, { [aspect]: a }) && Object.assign(right!, { [aspect]: b });
  }
  return Object.keys(left!).length > 0 ? { expected: left!, actual: right! } : undefined;
}

/** Only of the tables that were known at the time. */
function known({ rows: before }: Observation, { rows: after }: Observation) {
  if (!before) return undefined;
  return Object.fromEntries(Object.keys(before).map((table) => [table, (after as Record<string, unknown>)?.[table]]));
}

function lostAction({ actions }: Reference, run: Rehearsal, step: number, harmless: ReadonlySet<string>) {
  for (const type of new Set([...actions[step]!.keys(), ...run.actions.keys()])) {
    const [before, after] = [actions[step]!.get(type) ?? 0, run.actions.get(type) ?? 0];
    if (after > before)
      return `The custom action '${type}' ran ${times(after)} with a crash, and ${times(before)} without. That is an error of the runtime; please report it.`;
    if (after === before || harmless.has(type) || harmless.has('*')) continue;
    return (
      `The custom action '${type}' ran ${times(before)} without a crash, and ${times(after)} with one. ` +
      'A custom action runs after the commit, at most once, so that a crash in between loses it. What must not be lost is ' +
      'emitted, e.g. emit(message(…)), which is stored with the turn, or invoked, which is done again. ' +
      `If this one may be lost, say so: { harmless: ['${type}'] }.`
    );
  }
  return undefined;
}

const times = (n: number) => (n === 0 ? 'not at all' : n === 1 ? 'once' : `${n} times`);
