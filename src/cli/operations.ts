/** What the commands of operators have in common: where the study is, how long a list may be, JSON for programs. */
import type { Command } from 'commander';
import { withService } from './connect.ts';

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
    .option('-d, --database <file>', 'the SQLite file, whether a server runs on it or not', 'perdure.db')
    .option('--url <url>', 'the server, instead of a file')
    .option('--json', 'print the answer as JSON');

/** Adds the options of a list. */
export const listing = (command: Command): Command =>
  target(command)
    .option('--limit <number>', 'how many at most, 1 to 1000', '100')
    .option('--after <id>', 'those after this one, as the page before says');

/** Asks the service and prints the answer; with a body it is a POST. */
export async function run(
  options: Options | ListOptions,
  path: string,
  print: (result: any) => string,
  body?: object,
): Promise<void> {
  const { json, database, url } = options;
  const list = 'limit' in options ? options : undefined;
  const result = await withService({ database, ...(url !== undefined && { url }) }, (ask) =>
    ask(body === undefined ? 'GET' : 'POST', list ? `${path}?${queryOf(list)}` : path, body),
  );
  console.log(json ? JSON.stringify(result, null, 2) : print(result));
  if (!json && list && result.length === Number(list.limit))
    console.log(`\nThere may be more: add --after ${result.at(-1).id}.`);
}

function queryOf({ limit, after, participant, status }: ListOptions): URLSearchParams {
  const all = { limit, after, participant, status };
  return new URLSearchParams(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
