/** What the commands of operators have in common: where the study is, how long a list may be, JSON for programs. */
import type { Command } from 'commander';
import { withService } from './connect.ts';
import { DATABASE } from './database.ts';

export interface Options {
  database: string;
  url?: string;
  json?: boolean;
}

export interface ListOptions extends Options {
  limit: string;
  after?: string;
  participant?: string;
  status?: string;
}

/** Adds the options that say where the study is. */
export const target = (command: Command): Command =>
  command
    .option('-d, --database <file>', 'the SQLite file, whether a server runs on it or not', DATABASE)
    .option('--url <url>', 'the server, instead of a file')
    .option('--json', 'print the answer as JSON');

/** Adds the options of a list. */
export const listing = (command: Command): Command =>
  target(command)
    .option('--limit <number>', 'how many at most, 1 to 1000', '100')
    .option('--after <id>', 'those after this one, as the page before says');

/** Asks the service for something and prints the answer. */
export async function look(
  options: Options | ListOptions,
  path: string,
  print: (result: any) => string,
): Promise<void> {
  const { json } = options;
  const list = 'limit' in options ? options : undefined;
  const result = await withService(options, (ask) => ask('GET', list ? `${path}?${queryOf(list)}` : path));
  console.log(json ? JSON.stringify(result, null, 2) : print(result));
  if (!json && list && result.length === Number(list.limit))
    console.log(`\nThere may be more: add --after ${result.at(-1).id}.`);
}

/** Lets the service change something and prints the answer; `module` has the flows, where no server runs. */
export async function change(
  { module, ...options }: Options & { module?: string | undefined },
  path: string,
  body: object,
  print: (result: any) => string,
): Promise<void> {
  const result = await withService({ ...options, changes: { module } }, (ask) => ask('POST', path, body));
  console.log(options.json ? JSON.stringify(result, null, 2) : print(result));
}

function queryOf({ limit, after, participant, status }: ListOptions): URLSearchParams {
  const all = { limit, after, participant, status };
  return new URLSearchParams(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
