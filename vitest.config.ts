import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    // Two workers at most: the process and browser tests start programs of their own.
    maxWorkers: 2,
  },
});
