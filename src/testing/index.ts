/**
 * The real runtime on a simulated clock, for any test framework. See docs/testing.md.
 *
 * @module perdure/testing
 */

export { type Coverage, CoverageError, type Covered, type MinimumCoverage } from './crashes/coverage.ts';
export { type CrashOptions, type CrashReport, crashEverywhere } from './crashes/crash-everywhere.ts';
export { DivergenceError, type DivergenceKind } from './crashes/divergence.ts';
export { type ExploreOptions, type ExploreReport, explore } from './crashes/explore.ts';
export type { Outcomes, OutcomesByName } from './crashes/outcomes.ts';
export { RunawayError } from './crashes/runaway.ts';
export type { WalkOptions } from './crashes/walk.ts';
export { type GoldenOptions, type GoldenResult, goldenSnapshots } from './golden/golden.ts';
export { ActorView, formatSnapshot, type ViewOptions } from './kit/actor-view.ts';
export { assertThat } from './kit/assert-that.ts';
export { type ExpectedMessage, type MatcherResult, matchers, type PerdureMatchers } from './kit/matchers.ts';
export type { Script, ScriptStep } from './kit/script.ts';
export type { SentMessage } from './kit/sent-message.ts';
export { serializer } from './kit/serializer.ts';
export type { MakeTables } from './kit/stage.ts';
export type { Stub, StubAnswer, StubCall, StubOptions } from './kit/stubs.ts';
export { TestActor } from './kit/test-actor.ts';
export {
  createTestRuntime,
  type Instant,
  type TestMessage,
  TestRuntime,
  type TestRuntimeOptions,
} from './kit/test-runtime.ts';
export type { TestTimer, When } from './kit/test-timer.ts';
export type { Who } from './kit/who.ts';
