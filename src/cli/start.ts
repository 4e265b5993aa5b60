import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { type Duration, milliseconds } from '../duration.ts';
import { InvalidArgumentError } from '../errors.ts';
import { createHttpService } from '../http/index.ts';
import type { Runtime } from '../runtime.ts';
import { type InspectorServer, serveInspector } from '../stately/index.ts';
import { presenceIn } from '../store/presence.ts';
import { isThere } from './database.ts';
import { createService } from './service.ts';

export interface StartOptions {
  database: string;
  port: number;
  host: string;
  timeScale?: number;
  wait: Duration;
  verify: boolean;
  systemPrompt?: string;
  logLevel: string;
  /** A port; true: the usual one. */
  inspect?: number | true;
  inspectUnmasked: boolean;
}

/** `perdure start`: listens, recovers, and takes traffic; SIGTERM and SIGINT drain and exit 0, a second one exits at once. */
export async function start(options: StartOptions): Promise<void> {
  if (isThere(options.database)) await presenceIn(options.database); // another program's file is not even locked
  const logger = process.stdout.isTTY
    ? pino({ level: options.logLevel }, pretty({ ignore: 'pid,hostname' }))
    : pino({ level: options.logLevel });
  const service = createService({ ...options, logger, mode: options.verify ? 'verify' : 'lazy' });
  const { runtime } = service;
  const app = await createHttpService(service);

  let inspector: InspectorServer | undefined;
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    logger.info(`${signal}: finishing what is under way; once more to exit at once`);
    // A connection that a client keeps alive is closed once it waits for nothing any more.
    const sweep = setInterval(() => app.server.closeIdleConnections(), 100);
    await app.close();
    clearInterval(sweep);
    await inspector?.close();
    await runtime.stop();
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  // A port that is taken shows before anything is recovered; while recovery lasts, /health tells of it.
  await listen(app, options);
  const url = urlOf(options.host, (app.server.address() as AddressInfo).port);
  runtime.on('status', ({ status }) => {
    // From here on the commands find it, though it may recover for a while.
    if (status === 'recovering') void runtime.announce(url).catch((error) => logger.error({ err: error }, 'fault'));
  });
  try {
    inspector = await inspectorOf(runtime, options);
    await runtime.start();
  } catch (error) {
    if (stopping) return; // the signal's handler ends the process
    await inspector?.close();
    await app.close();
    throw error;
  }
  if (inspector) {
    const data = options.inspectUnmasked ? 'with participants’ data' : 'with participants’ data masked';
    console.log(`Live actors are shown at ${inspector.url}, ${data}`);
  }
  console.log(`Perdure is ready at ${url}`);
}

async function inspectorOf(
  runtime: Runtime,
  { inspect, inspectUnmasked: unmasked }: StartOptions,
): Promise<InspectorServer | undefined> {
  if (inspect === undefined && !unmasked) return undefined;
  return serveInspector(runtime, { unmasked, ...(typeof inspect === 'number' && { port: inspect }) });
}

/** A former process that is about to end holds the port as it holds the file: `--wait` is for both. */
async function listen(app: FastifyInstance, options: StartOptions): Promise<void> {
  const until = Date.now() + milliseconds(options.wait);
  for (;;) {
    const error = await app.listen({ port: options.port, host: options.host }).then(
      () => undefined,
      (error: Error & { code?: string }) => error,
    );
    if (!error) return;
    if (error.code !== 'EADDRINUSE' || Date.now() >= until) throw listenError(error, options);
    await setTimeout(100);
  }
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
