/**
 * Taking over a database of PromptPipe, in code. See docs/promptpipe.md.
 *
 * @module perdure/adoption
 */
export { type AdoptOptions, adopt } from './adopt.ts';
export { formatAdoption } from './format.ts';
export type { AdoptedRow, AdoptedTable, AdoptionOutcome, AdoptionReport } from './report.ts';
