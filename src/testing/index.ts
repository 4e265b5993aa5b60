export { type GoldenOptions, type GoldenResult, goldenSnapshots } from './golden.ts';
export { createTestRuntime, TestRuntime, type TestRuntimeOptions } from './test-runtime.ts';
export type { InvocationOutcome, WalkOptions } from './walk.ts';
