/**
 * Commands on a study are requests to the HTTP service, so that there is one way to do each thing: to the server that
 * `--url` names; else to the one that runs on the database file; and where none runs, to the same service inside of the
 * command's own process, on a runtime that takes commands and does nothing of itself. What only looks needs neither the
 * server nor the flows: it reads the file, whatever runs on it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseInUseError, InvalidArgumentError } from '../errors.ts';
import { createHttpService } from '../http/index.ts';
import { assertInstalled } from '../packages.ts';
import { createRuntime, type Runtime } from '../runtime/runtime.ts';
import { type Method, resultOf, send } from './client.ts';
import { databaseIn, OR_URL } from './database.ts';
import { adviceOf, runtimeOf } from './flows-module.ts';

export interface Target {
  database: string;
  url?: string;
  /** It changes something: `module` has the flows, where no server does it with its own. Default: it only looks. */
  changes?: { module?: string | undefined };
}

/** Asks the service; resolves to the answer's result. A POST has a body, if an empty one. */
export type Ask = (method: Method, path: string, body?: unknown) => Promise<any>;

/** How long another command, or a server that is about to listen, is waited for, and how often it is looked at, in ms. */
const PATIENCE = 5_000;
const POLL = 200;

/**
 * Connects to the service, and lets go of it once `body` has ended.
 * @throws {InvalidArgumentError} there is no such server or file
 * @throws {PackageMissingError} the service is to run in this process, and what it is made of is not installed
 */
export async function withService<T>({ database, url, changes }: Target, body: (ask: Ask) => Promise<T>): Promise<T> {
  if (url !== undefined) return body(overHttp(url));
  await databaseIn(database, OR_URL);
  if (!changes) {
    const runtime = createRuntime({ database: `sqlite:${database}`, flows: [] });
    await runtime.start({ quiet: 'looking' });
    return inProcess(runtime, { database }, body);
  }
  const { module } = changes;
  const runtime = await runtimeOf(database, module);
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      await runtime.start({ quiet: true });
    } catch (error) {
      if (!(error instanceof DatabaseInUseError)) throw error;
      const { server } = await databaseIn(database, OR_URL);
      if (server && server.pid === error.pid) return body(overHttp(server.url));
      if (Date.now() > until) throw withoutServer(error, database);
      await delay(POLL);
      continue;
    }
    return inProcess(runtime, { database, module }, body);
  }
}

const overHttp =
  (url: string): Ask =>
  (method, path, body) =>
    send(url, method, path, body);

async function inProcess<T>(
  runtime: Runtime,
  { database, module }: { database: string; module?: string | undefined },
  body: (ask: Ask) => Promise<T>,
): Promise<T> {
  try {
    assertInstalled('This command, where no server answers it,', 'fastify', 'ajv');
    const app = await createHttpService({ runtime });
    try {
      return await body(async (method, path, payload) => {
        const response = await app.inject({
          method,
          url: path,
          ...(payload !== undefined && { payload: payload as object }),
        });
        const answer = response.json();
        if (answer.code === 'UNKNOWN_FLOW') {
          const [what] = /^There is no flow '.*?'/.exec(answer.message) ?? [answer.message];
          throw new InvalidArgumentError(`${what}. ${adviceOf(module)}`);
        }
        return resultOf(response.body, database);
      });
    } finally {
      await app.close();
    }
  } finally {
    await runtime.stop();
  }
}

const withoutServer = ({ pid }: DatabaseInUseError, database: string) =>
  new InvalidArgumentError(
    `The database ${database} is in use by ${pid === undefined ? 'another process' : `the process with pid ${pid}`}, ` +
      'which tells nobody where it serves HTTP. Name its server with --url, do this in its own code ' +
      '(runtime.quarantine, runtime.deadLetters, runtime.undelivered), or stop it first.',
  );
