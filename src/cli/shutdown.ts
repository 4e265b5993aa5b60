/**
 * The end of the server's process. A signal lets what is under way come to its end, and then the process exits with 0, within
 * a bounded time, whatever a client or a transport does: what is committed goes on at the next start, and nothing else was
 * acknowledged. A second signal exits at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

/** How long requests under way have to be answered, and how long all of it may take, in ms. */
const GRACE = 5_000;
const LIMIT = 10_000;

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * From now on a signal ends the process: first `app` takes no more requests, then `release` lets go of the rest.
 * @returns aborted once a signal has come
 */
export function endOnSignal(app: FastifyInstance, release: () => Promise<unknown>, logger: Logger): AbortSignal {
  const ending = new AbortController();
  const end = async (signal: string) => {
    if (ending.signal.aborted) process.exit(1);
    ending.abort();
    logger.info(`${signal}: finishing what is under way; once more to exit at once`);
    setTimeout(() => {
      logger.warn(`What was under way has not ended within ${LIMIT / 1_000} s. It goes on at the next start.`);
      process.exit(0);
    }, LIMIT);
    try {
      await close(app);
      await release();
    } catch (error) {
      logger.error({ err: error }, 'fault while stopping');
    }
    process.exit(0);
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return ending.signal;
}

/** Closes the server: requests under way are answered, as long as their clients let them; then every connection is ended. */
async function close(app: FastifyInstance): Promise<void> {
  const closed = app.close();
  // A connection that a client keeps alive is closed once it waits for nothing any more.
  const sweep = setInterval(() => app.server.closeIdleConnections(), 100);
  await Promise.race([closed, delay(GRACE)]);
  clearInterval(sweep);
  app.server.closeAllConnections();
  await closed;
}
