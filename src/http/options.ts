import type { Duration } from '../duration.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { AccessOptions } from './access.ts';

/** Options of the service without the study. */
export interface ServiceOptions extends AccessOptions {
  runtime: Runtime;
  /**
   * How long a message or an enrolment may wait until it is at work, where more comes than can be done; what would wait longer is
   * refused at once with 503 and `retry-after`. Default: `'2s'`.
   */
  maxWait?: Duration;
  /** Counts of those who are enrolled, by flow, for `/stats`. @internal */
  enrolled?: () => Promise<Record<string, number>>;
}
