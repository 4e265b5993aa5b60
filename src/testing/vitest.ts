/**
 * `import 'perdure/testing/vitest'`: adds the matchers and the snapshot serializer to Vitest's `expect`.
 *
 * @module perdure/testing/vitest
 */
import 'vitest'; // in the types, too: without it they would add matchers to nothing where a setup file comes first
import { expect } from 'vitest';
import { matchers, type PerdureMatchers } from './kit/matchers.ts';
import { serializer } from './kit/serializer.ts';

expect.extend(matchers);
expect.addSnapshotSerializer(serializer);

declare module 'vitest' {
  interface Assertion<T = any> extends PerdureMatchers<T> {}
}
