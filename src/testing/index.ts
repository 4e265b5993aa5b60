export type { Stub, StubAnswer, StubCall, StubOptions } from './stubs.ts';
export { createTestRuntime, TestRuntime, type TestRuntimeOptions } from './test-runtime.ts';
