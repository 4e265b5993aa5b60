#!/usr/bin/env node
import { createRequire } from 'node:module';
import { Command, InvalidArgumentError as InvalidOption, Option } from 'commander';
import { type Duration, milliseconds } from '../duration.ts';
import { PerdureError } from '../errors.ts';
import { agesOf, type Retention } from '../flow/retention-periods.ts';
import { registerAdopt } from '../study/cli/adopt.ts';
import { chat } from '../study/cli/chat.ts';
import { registerBackup } from './commands/backup.ts';
import { registerDeadLetters } from './commands/dead-letters.ts';
import { registerEvolution } from './commands/evolution.ts';
import { init } from './commands/init.ts';
import { registerMachine } from './commands/machine.ts';
import { registerQuarantine } from './commands/quarantine.ts';
import { recover } from './commands/recover.ts';
import { start } from './commands/start.ts';
import { status } from './commands/status.ts';
import { registerUndelivered } from './commands/undelivered.ts';
import { country } from './country.ts';
import { DATABASE } from './database.ts';
import { takingModule } from './flows-module.ts';

const positive = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidOption('It must be a number above 0.');
  return value;
};

const port = (text: string): number => {
  const value = Number(text);
  if (!text.trim() || !Number.isInteger(value) || value < 0 || value > 65_535)
    throw new InvalidOption('It must be a port, 0 to 65535.');
  return value;
};

const duration = (text: string): Duration => {
  try {
    milliseconds(text as Duration);
  } catch {
    throw new InvalidOption("It must be a duration like '500ms', '10s' or '15m'.");
  }
  return text as Duration;
};

const retention = (text: string, former: Retention = {}): Retention => {
  const [, what = '', age = ''] = /^(\w+)=(.+)$/.exec(text) ?? [];
  const given = { ...former, [what]: age === 'Infinity' ? Number.POSITIVE_INFINITY : age };
  try {
    agesOf(given, '--retention');
  } catch (error) {
    throw new InvalidOption(`Write it like journal=365d or inbox=30d. ${(error as Error).message}`);
  }
  return given;
};

const { version } = createRequire(import.meta.url)('perdure/package.json');

const program = new Command('perdure')
  .description('Durable actors for XState: studies and services that survive any crash.')
  .version(version)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'perdure: ')) })
  .configureHelp({ styleOptionDescription: (text) => text.replace(' (default: false)', '') })
  .showHelpAfterError('Add --help to see what it takes.')
  .hook('postAction', async (_, command) => {
    if (command.name() === 'start') return;
    // What a module of the user's has opened must not keep a command that is done.
    await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
    process.exit();
  });

program
  .command('start')
  .description('start the server; it goes on where it was stopped or killed')
  .option('-d, --database <file>', 'the SQLite file', DATABASE)
  .option('-p, --port <port>', 'where to listen', port, 3000)
  .option('--host <address>', 'on which address; others than those of this machine alone need a token', '127.0.0.1')
  .addOption(
    new Option('--token <token>', 'what every request must have, as Authorization: Bearer').env('PERDURE_TOKEN'),
  )
  .option('--insecure', 'listen on any address without a token', false)
  .option(
    '--max-wait <duration>',
    'how long a message may wait for its turn; what would wait longer is refused (503)',
    duration,
    '2s',
  )
  .option('--allowed-host <name...>', 'a name under which a proxy or people reach it; may be given again')
  .option(
    '--time-scale <factor>',
    'let time run faster, for a demonstration; a restart goes on at the same pace',
    positive,
  )
  .option('--wait <duration>', 'wait for another process to let go of the file and the port, e.g. 10s', duration, '0ms')
  .option('--verify', 'restore every participant once before any traffic, and put aside those that cannot be', false)
  .addOption(
    new Option('--default-country <code>', 'for phone numbers in national form, e.g. US')
      .argParser(country)
      .env('PERDURE_DEFAULT_COUNTRY'),
  )
  .option('--system-prompt <file>', "the conversation's system prompt")
  .option(
    '--retention <what=age...>',
    'delete what is older and not needed: inbox, outbox, journal or deadLetters, e.g. journal=365d outbox=365d',
    retention,
  )
  .option('--inspect [port]', 'show live actors in Stately’s inspector, on this machine, data masked (8080)', port)
  .option('--inspect-unmasked', 'show them with participants’ data', false)
  .addOption(
    new Option('--log-level <level>', 'how much to log')
      .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info'),
  )
  .action(start);

program
  .command('init')
  .description('begin a project: one flow with its texts and its test, a service, and a page to talk with it')
  .argument('[folder]', 'an empty or new folder', '.')
  .action(init);

takingModule(
  program
    .command('recover')
    .description('look at every participant as a start would, and put aside those that cannot go on'),
)
  .option('-d, --database <file>', 'the SQLite file', DATABASE)
  .option('--dry-run', 'only look: nothing is changed, and the server may run', false)
  .option('--lazy', 'look only at what the indexes tell, as a start does', false)
  .option('--json', 'print the report as JSON', false)
  .action(recover);

program
  .command('status')
  .description('what the server does, and whether anything is wrong: exits 0 if it runs and is healthy, else 3')
  .option('-d, --database <file>', 'the SQLite file that it runs on', DATABASE)
  .option('--url <url>', 'the server, instead of a file')
  .option('--json', 'print the answer as JSON', false)
  .action(status);

program
  .command('chat')
  .description('chat as a participant, in the terminal')
  .argument('<phone>', 'the phone number, e.g. +15551234567')
  .option('--url <url>', 'where the server listens', 'http://127.0.0.1:3000')
  .option('--flow <flow>', 'where to enrol a number that is not known: intervention or conversation', 'intervention')
  .action(chat);

registerMachine(program);
registerEvolution(program);
registerAdopt(program);
registerBackup(program);
registerQuarantine(program);
registerDeadLetters(program);
registerUndelivered(program);

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof PerdureError ? `perdure: ${error.message}` : error);
  process.exit(1);
});
