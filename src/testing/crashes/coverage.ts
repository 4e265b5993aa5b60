/** How much of a flow's machines was seen at work. */
import { PerdureError } from '../../errors.ts';

/** What was covered of one kind, and what was not. */
export interface Covered {
  covered: string[];
  missed: string[];
}

/** How much of a flow's machines was gone through. */
export interface Coverage {
  /** States that were entered, of all machines of the flow. */
  states: Covered;
  /** Transitions that were taken: `state: event [guard] → target`. */
  transitions: Covered;
  /** Results and failures of invocations. */
  outcomes: Covered;
}

/** Parts from 0 to 1 that must be covered at least. */
export type MinimumCoverage = Partial<Record<keyof Coverage, number>>;

/** The explorer did not get to see as much as it was asked to. */
export class CoverageError extends PerdureError {
  readonly code = 'COVERAGE';
  readonly coverage: Coverage;

  constructor(flowType: string, coverage: Coverage, short: readonly string[]) {
    super(
      `Too little of '${flowType}' was explored.\n\n${short.join('\n\n')}\n\n` +
        'Give more sample events or outcomes, a greater depth or limit, or ask for less.',
    );
    this.coverage = coverage;
  }
}

/** @throws {CoverageError} */
export function assertCoverage(flowType: string, coverage: Coverage, minimum: MinimumCoverage): void {
  const short = (Object.entries(minimum) as [keyof Coverage, number][])
    .filter(([aspect, least]) => partOf(coverage[aspect]) < least)
    .map(([aspect, least]) => formatCovered(aspect, coverage[aspect], `, at least ${percent(least)} are asked for`));
  if (short.length > 0) throw new CoverageError(flowType, coverage, short);
}

const partOf = ({ covered, missed }: Covered) =>
  covered.length + missed.length === 0 ? 1 : covered.length / (covered.length + missed.length);

const percent = (part: number) => `${Math.floor(part * 100)} %`;

export function formatCovered(aspect: string, of: Covered, remark = ''): string {
  const { covered, missed } = of;
  const head = `${aspect}: ${covered.length} of ${covered.length + missed.length} (${percent(partOf(of))})${remark}`;
  return missed.length === 0 ? head : `${head}, not\n${missed.map((name) => `  - ${name}`).join('\n')}`;
}

/** What is covered of what there is. */
export const coveredOf = (all: Iterable<string>, seen: ReadonlySet<string>): Covered => {
  const names = [...all];
  return { covered: names.filter((name) => seen.has(name)), missed: names.filter((name) => !seen.has(name)) };
};
