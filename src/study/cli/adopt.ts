import type { Command } from 'commander';
import { country } from '../../cli/country.ts';
import type { CountryCode } from '../../messaging/phone-numbers.ts';
import { type AdoptedRow, adopt, formatAdoption } from '../adoption/index.ts';
import { loadSystemPrompt } from '../generator.ts';

interface AdoptCommand {
  into?: string;
  dryRun: boolean;
  defaultCountry?: CountryCode;
  systemPrompt?: string;
  json: boolean;
}

/** Some rows were not adopted; the others were. */
const NOT_ALL = 2;

/** `perdure adopt FILE`: takes over a database of PromptPipe. Exits with 0 where every row was adopted, 2 where some were not. */
export function registerAdopt(program: Command): void {
  program
    .command('adopt')
    .description('take over a database of PromptPipe: exits 0 if every row was adopted, 2 if some were put aside')
    .argument('<file>', "PromptPipe's SQLite file; PromptPipe must not run")
    .option('--into <file>', 'write a new file, and only read the old one (default: in place, with a backup beside it)')
    .option('--dry-run', 'only tell what would become of every row', false)
    .option('--default-country <code>', 'for phone numbers in national form, e.g. US', country)
    .option('--system-prompt <file>', 'for conversations that have no system prompt of their own')
    .option('--json', 'print the report as JSON, with every row', false)
    .action(run);
}

async function run(file: string, { into, dryRun, defaultCountry, systemPrompt, json }: AdoptCommand): Promise<void> {
  const prompt = systemPrompt === undefined ? undefined : loadSystemPrompt(systemPrompt);
  let rows = 0;
  const onRow = (row: AdoptedRow) => {
    if (json) process.stdout.write(`${rows === 0 ? '{"rows":[' : ','}\n${JSON.stringify(row)}`);
    rows++;
    if (rows % 1_000 === 0 && !json && process.stderr.isTTY)
      process.stderr.write(`\r${rows.toLocaleString('en')} rows\x1b[K`);
  };
  const report = await adopt({
    file,
    dryRun,
    onRow,
    ...(into !== undefined && { into }),
    ...(defaultCountry !== undefined && { defaultCountry }),
    ...(prompt !== undefined && { systemPrompt: prompt }),
  });
  if (!json && process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  if (json) console.log(`${rows === 0 ? '{"rows":[' : '\n'}],${JSON.stringify(report, null, 2).slice(1)}`);
  else console.log(formatAdoption(report));
  if (!report.ok) process.exitCode = NOT_ALL;
}
