/** A flow of a shape of its own, with what the crash tests and the explorer need to know about it. */
import type { AnyFlow } from '../../../src/index.ts';
import type { CrashOptions, ExploreOptions, Script } from '../../../src/testing/index.ts';

export interface Subject {
  flow: AnyFlow;
  /** A life of the actor, from beginning to end. */
  script: Script;
  options: CrashOptions;
  explore: ExploreOptions;
  /** Where the script ends. */
  ends: string;
}

/** Checks a subject against its flow's own types. */
export const subject = <F extends AnyFlow>(of: {
  flow: F;
  script: Script<F>;
  options?: CrashOptions<F>;
  explore: Omit<ExploreOptions<F>, 'input'>;
  ends: string;
}): Subject => ({ ...of, options: of.options ?? {}, explore: { ...of.options, ...of.explore } }) as unknown as Subject;
