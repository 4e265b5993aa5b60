/**
 * Taking over a database of PromptPipe, the system before: its rows become snapshots of our machines, its stale timer ids
 * exact deadlines, its participants and their numbers ours. Nothing is dropped: what cannot be read is put aside with its
 * reason, and all legacy tables are kept, under another name, as they were.
 */
import { existsSync } from 'node:fs';
import { type Clock, systemClock } from '../../clock.ts';
import { InvalidArgumentError, NotAdoptableError } from '../../errors.ts';
import type { CountryCode } from '../../messaging/phone-numbers.ts';
import { loadSystemPrompt } from '../generator.ts';
import { type Contents, contentsOf, freeName, inPlace, intoNewFile, reading, undoHalf } from './files.ts';
import { isoOf } from './instants.ts';
import { type AdoptedRow, type AdoptionReport, Tally } from './report.ts';
import { takeOver } from './takeover.ts';

/** What {@link adopt} is given. */
export interface AdoptOptions {
  /** PromptPipe's SQLite file. */
  file: string;
  /** A new file, which must not exist yet. Default: in place, with the original kept as `FILE.promptpipe`. */
  into?: string;
  /** Changes nothing, and reports what would become of everything. Default: false. */
  dryRun?: boolean;
  /** For phone numbers in national form. Default: none, numbers need their country code. */
  defaultCountry?: CountryCode;
  /** Of conversations that have none of their own. Default: the built-in one. */
  systemPrompt?: string;
  /** Tells what has passed already. Default: the wall clock. */
  clock?: Pick<Clock, 'now'>;
  /** Told what becomes of each row, as it is known: the report itself lists only those that were not adopted. */
  onRow?: (row: AdoptedRow) => void;
}

/**
 * Takes over a PromptPipe database. Resolves once the adopted file is on the disk; killed before, the file is what it was.
 * Doing it again changes nothing more.
 *
 * @example
 * const report = await adopt({ file: 'promptpipe.db', into: 'study.db' })
 * @throws {NotAdoptableError} there is no such file, it is none of PromptPipe's, or a program has it open
 * @throws {InvalidArgumentError} the new file is there already
 * @throws {DatabaseInUseError} a Perdure runs on it
 * @throws {StoreError} it cannot be read or written
 */
export async function adopt(options: AdoptOptions): Promise<AdoptionReport> {
  const { file, into, dryRun = false, clock = systemClock, systemPrompt = loadSystemPrompt(undefined) } = options;
  const began = performance.now();
  const now = clock.now();
  const about = { file, ...(into !== undefined && { into }), dryRun, at: isoOf(now) };
  const report = (found: Omit<AdoptionReport, keyof typeof about | 'durationMs'>): AdoptionReport => ({
    ...about,
    ...found,
    durationMs: Math.round(performance.now() - began),
  });
  const tally = new Tally(now, options.onRow);
  if (into !== undefined && existsSync(into))
    throw new InvalidArgumentError(`${into} is there already, and is not written over. Name a file that is not.`);
  if (into === undefined && !dryRun) await undoHalf(file);
  const contents = await contentsOf(file);
  if (contents.ours) return report({ ...tally.result, status: 'already' });
  assertPromptPipe(file, contents);

  const backup = into === undefined ? freeName(`${file}.promptpipe`) : undefined;
  const mark = { at: about.at, file, ...(backup !== undefined && { backup }) };
  const { defaultCountry } = options;
  const work = { now, defaultCountry, systemPrompt, dryRun, tally, mark };
  if (dryRun) await reading(file, (transaction) => takeOver(transaction, work));
  else if (into !== undefined) await intoNewFile(file, into, (transaction) => takeOver(transaction, work));
  else await inPlace(file, backup!, (transaction) => takeOver(transaction, work));
  return report({ ...tally.result, status: 'adopted', ...(backup !== undefined && { backup }) });
}

const STATE_COLUMNS = ['participant_id', 'flow_type', 'current_state', 'state_data'];

function assertPromptPipe(file: string, { tables }: Contents): void {
  const states = tables.get('flow_states')?.columns;
  const people = tables.get('intervention_participants') ?? tables.get('conversation_participants');
  if (states ? STATE_COLUMNS.every((column) => states.has(column)) : people?.columns.has('phone_number')) return;
  throw new NotAdoptableError(
    file,
    `is no database of PromptPipe: it has no table flow_states with ${STATE_COLUMNS.join(', ')}.`,
  );
}
