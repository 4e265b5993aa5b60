/** What a script must not do, and does: the error that the crash tests and the explorer fail with. */
import { AssertionError } from 'node:assert';
import { stripVTControlCharacters } from 'node:util';
import { PerdureError } from '../../errors.ts';
import { formatScript, type Script } from '../kit/script.ts';
import type { Aspect, Observation } from './observation.ts';

/**
 * `crash`: a crash changes what happens. `lostAction`: a custom action that ran without a crash did not run with one.
 * `impure`: a turn read the clock or chance. `unrepeatable`: two runs without a crash differ. `notSerializable`: the state
 * cannot be stored. `throws`: the logic threw.
 */
export type DivergenceKind = 'crash' | 'lostAction' | 'impure' | 'unrepeatable' | 'notSerializable' | 'throws';

export interface DivergenceDetails {
  kind: DivergenceKind;
  flowType: string;
  script: Script;
  input: unknown;
  /** The step after which it shows: 0 is the birth of the actor, 1 the first step. */
  step: number;
  /** Where the process died, in order; empty where it did not. */
  crashes: readonly string[];
  /** What happened to the actor without a crash and with it, as far as the two differ. */
  expected?: Partial<Observation> | Record<string, unknown>;
  actual?: Partial<Observation> | Record<string, unknown>;
}

/** A flow does something else after a crash, or cannot be relied on to do the same again. */
export class DivergenceError extends PerdureError {
  readonly code = 'DIVERGENCE';
  readonly kind: DivergenceKind;
  readonly flowType: string;
  /** What was run, as short as it is known. */
  readonly script: Script;
  readonly step: number;
  readonly crashes: readonly string[];
  readonly expected: unknown;
  readonly actual: unknown;

  constructor(headline: string, details: DivergenceDetails, cause?: unknown) {
    super(message(headline, details), cause === undefined ? {} : { cause });
    this.kind = details.kind;
    this.flowType = details.flowType;
    this.script = details.script;
    this.step = details.step;
    this.crashes = details.crashes;
    this.expected = details.expected;
    this.actual = details.actual;
  }
}

function message(headline: string, { script, input, step, crashes, expected, actual }: DivergenceDetails): string {
  const note = crashes.length > 0 ? `the process dies ${crashes.slice(-3).join(', then ')}` : 'here';
  const parts = [headline, formatScript(script, input, { step, note })];
  if (expected && actual) {
    const [with_, without] = crashes.length > 0 ? ['with the crash', 'without'] : ['the second time', 'the first time'];
    parts.push(`+ ${with_}   - ${without}`);
    for (const aspect of Object.keys({ ...expected, ...actual }))
      parts.push(
        `${LABELS[aspect as Aspect] ?? aspect}:\n${difference(
          (actual as Record<string, unknown>)[aspect],
          (expected as Record<string, unknown>)[aspect],
        )}`,
      );
  }
  return parts.join('\n\n');
}

const LABELS: Partial<Record<Aspect, string>> = {
  messages: 'messages and events to other actors, of this step',
  turns: 'turns of this step',
  rows: "rows of the application's tables",
  waiting: 'invocations that wait',
  world: 'the world, as watched',
};

/** The lines of a readable difference: `+` actual, `-` expected. */
function difference(actual: unknown, expected: unknown): string {
  const { message } = new AssertionError({ actual, expected, operator: 'deepStrictEqual' });
  const lines = stripVTControlCharacters(message).split('\n');
  const from = lines.findIndex((line, i) => i > 0 && line.trim() !== '' && !line.startsWith('+ actual - expected'));
  return lines
    .slice(from < 0 ? 0 : from)
    .map((line) => `  ${line}`)
    .join('\n')
    .trimEnd();
}
