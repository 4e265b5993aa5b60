import type { ServiceOptions } from '../../http/options.ts';
import type { Participants } from '../participants.ts';

/** What the HTTP service works on. */
export interface HttpOptions extends ServiceOptions {
  /** Those of the two flows that Perdure brings. Default: the service has neither their endpoints nor the page. */
  participants?: Participants;
}

/** What the endpoints of the two flows work on. */
export type StudyOptions = Required<Pick<HttpOptions, 'runtime' | 'participants'>>;
