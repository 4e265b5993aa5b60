import type { Command } from 'commander';
import { backup } from '../../store/sqlite/backup.ts';
import { DATABASE, databaseIn } from '../database.ts';

/** `perdure backup TO`: copies the database, also while a server runs on it. Exits with 0 once the copy was checked and is on the disk. */
export function registerBackup(program: Command): void {
  program
    .command('backup')
    .description('copy the database, also while the server runs, and check the copy')
    .argument('<to>', 'the file to write; it must not be there')
    .option('-d, --database <file>', 'the SQLite file', DATABASE)
    .option('--json', 'print what was copied as JSON', false)
    .action(run);
}

async function run(to: string, { database, json }: { database: string; json: boolean }): Promise<void> {
  await databaseIn(database);
  const isShown = !json && process.stderr.isTTY;
  const report = await backup(database, to, {
    onProgress: ({ step, done, total }) => {
      const part = step === 'copying' && total > 0 ? ` ${Math.floor((done / total) * 100)} %` : '';
      if (isShown) process.stderr.write(`\r${step}${part}\x1b[K`);
    },
  });
  if (isShown) process.stderr.write('\r\x1b[K');
  const { file, bytes, rows, tables } = report;
  const megabytes = (bytes / 1e6).toLocaleString('en', { maximumFractionDigits: 1 });
  console.log(
    json
      ? JSON.stringify(report, null, 2)
      : `${file}: ${megabytes} MB, ${rows.toLocaleString('en')} rows in ${tables} tables, checked.`,
  );
}
