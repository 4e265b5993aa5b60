export { createTestRuntime, TestRuntime, type TestRuntimeOptions } from './test-runtime.ts';
