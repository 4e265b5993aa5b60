export { type Coverage, CoverageError, type Covered, type MinimumCoverage } from './coverage.ts';
export { type CrashOptions, type CrashReport, crashEverywhere } from './crash-everywhere.ts';
export { DivergenceError, type DivergenceKind } from './divergence.ts';
export { type ExploreOptions, type ExploreReport, explore } from './explore.ts';
export type { Outcomes } from './model.ts';
export type { Script, ScriptStep } from './script.ts';
export type { Stub, StubAnswer, StubCall, StubOptions } from './stubs.ts';
export { createTestRuntime, TestRuntime, type TestRuntimeOptions } from './test-runtime.ts';
