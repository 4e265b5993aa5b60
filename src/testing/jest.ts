/**
 * `import 'perdure/testing/jest'`: adds the matchers and the snapshot serializer to Jest's `expect`.
 *
 * @module perdure/testing/jest
 */
import { expect } from '@jest/globals';
import { matchers, type PerdureMatchers } from './kit/matchers.ts';
import { serializer } from './kit/serializer.ts';

expect.extend(matchers);
expect.addSnapshotSerializer(serializer);

declare module 'expect' {
  interface Matchers<R extends void | Promise<void>, T = unknown> extends PerdureMatchers<T> {}
}

declare global {
  // For those who use the globals with @types/jest.
  namespace jest {
    // biome-ignore lint/complexity/noBannedTypes: declared so there
    interface Matchers<R, T = {}> extends PerdureMatchers<T> {}
  }
}
