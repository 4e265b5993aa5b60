/**
 * The real runtime on a simulated clock, for any test framework. See docs/testing.md.
 *
 * @module perdure/testing
 */
export { ActorView, formatSnapshot, type ViewOptions } from './actor-view.ts';
export { assertThat } from './assert-that.ts';
export { type Coverage, CoverageError, type Covered, type MinimumCoverage } from './coverage.ts';
export { type CrashOptions, type CrashReport, crashEverywhere } from './crash-everywhere.ts';
export { DivergenceError, type DivergenceKind } from './divergence.ts';
export { type ExploreOptions, type ExploreReport, explore } from './explore.ts';
export { type GoldenOptions, type GoldenResult, goldenSnapshots } from './golden.ts';
export { type ExpectedMessage, type MatcherResult, matchers, type PerdureMatchers } from './matchers.ts';
export type { Outcomes, OutcomesByName } from './outcomes.ts';
export { RunawayError } from './runaway.ts';
export type { Script, ScriptStep } from './script.ts';
export type { SentMessage } from './sent-message.ts';
export { serializer } from './serializer.ts';
export type { MakeTables } from './stage.ts';
export type { Stub, StubAnswer, StubCall, StubOptions } from './stubs.ts';
export { TestActor } from './test-actor.ts';
export {
  createTestRuntime,
  type Instant,
  type TestMessage,
  TestRuntime,
  type TestRuntimeOptions,
} from './test-runtime.ts';
export type { TestTimer, When } from './test-timer.ts';
export type { WalkOptions } from './walk.ts';
export type { Who } from './who.ts';
