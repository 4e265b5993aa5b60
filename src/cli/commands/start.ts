import type { Logger } from 'pino';
import type { Duration } from '../../duration.ts';
import { InvalidArgumentError } from '../../errors.ts';
import { type InspectorServer, serveInspector } from '../../exports/index.ts';
import type { Retention } from '../../flow/retention-periods.ts';
import { createHttpService } from '../../http/index.ts';
import type { CountryCode } from '../../messaging/phone-numbers.ts';
import { assertInstalled } from '../../packages.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { presenceIn } from '../../store/sqlite/server-address.ts';
import { isThere } from '../database.ts';
import { createService } from '../service.ts';
import { endOnSignal } from '../shutdown.ts';
import { listen, type Place, placeOf } from './listen.ts';

export interface StartOptions {
  database: string;
  port: number;
  host: string;
  token?: string;
  insecure: boolean;
  allowedHost?: string[];
  maxWait: Duration;
  timeScale?: number;
  wait: Duration;
  verify: boolean;
  retention?: Retention;
  defaultCountry?: CountryCode;
  systemPrompt?: string;
  logLevel: string;
  /** A port; true: the usual one. */
  inspect?: number | true;
  inspectUnmasked: boolean;
}

/** `perdure start`: listens, recovers, and takes traffic, until a signal ends it: see shutdown.ts. */
export async function start(options: StartOptions): Promise<void> {
  const { host, token, maxWait, allowedHost = [] } = options;
  const place = await placeOf(options);
  assertGuarded(place, options);
  assertInstalled('perdure start', ...packagesOf(options));
  if (isThere(options.database)) await presenceIn(options.database); // another program's file is not even locked
  const logger = await loggerOf(options);
  const service = createService({ ...options, logger, mode: options.verify ? 'verify' : 'lazy' });
  const { runtime } = service;
  const app = await createHttpService({
    ...service,
    maxWait,
    allowedHosts: [host, ...allowedHost],
    ...(token !== undefined && { token }),
  });

  let inspector: InspectorServer | undefined;
  const release = async () => {
    await inspector?.close();
    await runtime.stop();
  };
  const ending = endOnSignal(app, release, logger);
  try {
    // A port that is taken shows before anything is recovered; while recovery lasts, /health tells of it.
    const url = await listen(app, place, options, ending);
    if (!place.isLoopback && token === undefined)
      logger.warn(
        `Everybody who reaches ${url} can read and change everything (--insecure). Set a token in PERDURE_TOKEN.`,
      );
    runtime.on('status', ({ status }) => {
      // From here on the commands find it, though it may recover for a while.
      if (status === 'recovering') void runtime.announce(url).catch((error) => logger.error({ err: error }, 'fault'));
    });
    inspector = await inspectorOf(runtime, options);
    await runtime.start();
    if (inspector) {
      const data = options.inspectUnmasked ? 'with participants’ data' : 'with participants’ data masked';
      console.log(`Live actors are shown at ${inspector.url}, ${data}`);
    }
    console.log(`Perdure is ready at ${url}`);
  } catch (error) {
    if (ending.aborted) return; // the signal's handler ends the process
    await inspector?.close();
    await app.close();
    throw error;
  }
}

/** @throws {InvalidArgumentError} others could reach the server, and nothing keeps them from reading and writing */
function assertGuarded({ isLoopback }: Place, { host, token, insecure }: StartOptions): void {
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new InvalidArgumentError(
      'The token is empty, or has characters that no HTTP header takes. Use letters and digits.',
    );
  if (isLoopback || token !== undefined || insecure) return;
  throw new InvalidArgumentError(
    `On ${host}, others can reach the server, and could read and change everything. Set a token in PERDURE_TOKEN, or with --token; ` +
      'or listen on 127.0.0.1, behind a proxy that asks for a password. Where nobody else can reach it all the same, say --insecure.',
  );
}

/** Packages for what this start asks for. */
const packagesOf = (options: StartOptions): string[] => [
  'fastify',
  'ajv',
  'pino',
  ...(process.stdout.isTTY ? ['pino-pretty'] : []),
  ...(process.env['OPENAI_API_KEY']?.trim() ? ['openai'] : []),
  ...(asksForInspector(options) ? ['ws', '@statelyai/inspect'] : []),
];

/** Lines for people in a terminal, JSON elsewhere. */
async function loggerOf({ logLevel: level }: StartOptions): Promise<Logger> {
  const { pino } = await import('pino');
  if (!process.stdout.isTTY) return pino({ level });
  const { default: pretty } = await import('pino-pretty');
  return pino({ level }, pretty({ ignore: 'pid,hostname' }));
}

const asksForInspector = ({ inspect, inspectUnmasked }: StartOptions) => inspect !== undefined || inspectUnmasked;

async function inspectorOf(runtime: Runtime, options: StartOptions): Promise<InspectorServer | undefined> {
  if (!asksForInspector(options)) return undefined;
  const { inspect, inspectUnmasked: unmasked } = options;
  return serveInspector(runtime, { unmasked, ...(typeof inspect === 'number' && { port: inspect }) });
}
