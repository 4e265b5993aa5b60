import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Duration } from '../duration.ts';
import { InvalidArgumentError } from '../errors.ts';
import { createHttpService } from '../http/index.ts';
import { createService } from './service.ts';

export interface StartOptions {
  database: string;
  port: number;
  host: string;
  timeScale?: number;
  wait: Duration;
  systemPrompt?: string;
  logLevel: string;
}

/** `perdure start`: recovers, then listens; SIGTERM and SIGINT drain and exit 0, a second one exits at once. */
export async function start(options: StartOptions): Promise<void> {
  const logger = process.stdout.isTTY
    ? pino({ level: options.logLevel }, pretty({ ignore: 'pid,hostname' }))
    : pino({ level: options.logLevel });
  const service = createService({ ...options, logger });
  const { runtime } = service;
  await runtime.start();

  const app = await createHttpService(service);
  try {
    await app.listen({ port: options.port, host: options.host });
  } catch (error) {
    await runtime.stop();
    throw listenError(error as Error, options);
  }
  const url = urlOf(options.host, (app.server.address() as AddressInfo).port);
  await runtime.announce(url);

  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    logger.info(`${signal}: finishing what is under way; once more to exit at once`);
    // A connection that a client keeps alive is closed once it waits for nothing any more.
    const sweep = setInterval(() => app.server.closeIdleConnections(), 100);
    await app.close();
    clearInterval(sweep);
    await runtime.stop();
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  console.log(`Perdure is ready at ${url}`);
}

function listenError(error: Error & { code?: string }, { host, port }: StartOptions): Error {
  const advice: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use. Stop the program that listens there, or choose another one with --port.`,
    EACCES: `Port ${port} may not be used by this user. Choose one above 1023 with --port.`,
    EADDRNOTAVAIL: `${host} is not an address of this machine. Choose another one with --host.`,
    ENOTFOUND: `There is no host '${host}'. Choose another one with --host.`,
  };
  const message = advice[error.code ?? ''];
  return message ? new InvalidArgumentError(message, { cause: error }) : error;
}

/** Where this machine finds the server. */
function urlOf(host: string, port: number): string {
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${near.includes(':') ? `[${near}]` : near}:${port}`;
}
