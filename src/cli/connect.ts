/**
 * Commands on a study are requests to the HTTP service, so that there is one way to do each thing: to the server that
 * `--url` names; else to the one that runs on the database file; and where none runs, to the same service inside of the
 * command's own process, on a runtime that takes commands and does nothing of itself.
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseInUseError, InvalidArgumentError } from '../errors.ts';
import { createHttpService, type HttpOptions } from '../http/index.ts';
import { presenceIn } from '../store/presence.ts';
import { type Method, resultOf, send } from './client.ts';
import { createService } from './service.ts';

export interface Target {
  database: string;
  url?: string;
}

/** Asks the service; resolves to the answer's result. A POST has a body, if an empty one. */
export type Ask = (method: Method, path: string, body?: unknown) => Promise<any>;

/** How long another command, or a server that is about to listen, is waited for, and how often it is looked at, in ms. */
const PATIENCE = 5_000;
const POLL = 200;

/**
 * Connects to the service, and lets go of it once `body` has ended.
 * @throws {InvalidArgumentError} there is no such server or file
 */
export async function withService<T>({ database, url }: Target, body: (ask: Ask) => Promise<T>): Promise<T> {
  if (url !== undefined) return body(overHttp(url));
  if (!existsSync(database)) {
    throw new InvalidArgumentError(
      `There is no database ${database}. Say where it is with --database, or name a server with --url.`,
    );
  }
  if (!(await presenceIn(database))) {
    throw new InvalidArgumentError(
      `${database} is no database of Perdure's. Say where that is with --database, or name a server with --url.`,
    );
  }
  const until = Date.now() + PATIENCE;
  for (;;) {
    const service = createService({ database });
    try {
      await service.runtime.start({ quiet: true });
    } catch (error) {
      if (!(error instanceof DatabaseInUseError)) throw error;
      const server = (await presenceIn(database))?.server;
      if (server && server.pid === error.pid) return body(overHttp(server.url));
      if (Date.now() > until) throw withoutServer(error, database);
      await delay(POLL);
      continue;
    }
    return inProcess(service, database, body);
  }
}

const overHttp =
  (url: string): Ask =>
  (method, path, body) =>
    send(url, method, path, body);

async function inProcess<T>(service: HttpOptions, database: string, body: (ask: Ask) => Promise<T>): Promise<T> {
  const app = await createHttpService(service);
  try {
    return await body(async (method, path, payload) => {
      const response = await app.inject({
        method,
        url: path,
        ...(payload !== undefined && { payload: payload as object }),
      });
      return resultOf(response.body, database);
    });
  } finally {
    await app.close();
    await service.runtime.stop();
  }
}

const withoutServer = ({ pid }: DatabaseInUseError, database: string) =>
  new InvalidArgumentError(
    `The database ${database} is in use by ${pid === undefined ? 'another process' : `the process with pid ${pid}`}, ` +
      'which does not serve it over HTTP. Stop that one first, or name its server with --url.',
  );
