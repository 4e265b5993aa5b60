/**
 * The HTTP service as a Fastify plugin. Every answer is `{ status: 'ok', result }` or `{ status: 'error', code, message }`;
 * a write is answered only after its turn has committed.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { milliseconds } from '../duration.ts';
import { PerdureError, StoreError } from '../errors.ts';
import { isGeneral } from '../store/store.ts';
import { guard, HEADERS } from './access.ts';
import { Admission, admit } from './admission.ts';
import { notFound, RETRY_AFTER } from './answers.ts';
import { deadLetterRoutes } from './dead-letters.ts';
import { messageRoutes } from './messages.ts';
import { operationRoutes } from './operations.ts';
import type { ServiceOptions } from './options.ts';
import { quarantineRoutes } from './quarantine.ts';
import { responseRoutes } from './responses.ts';
import { timerRoutes } from './timers.ts';
import { trafficRoutes } from './traffic.ts';
import { undeliveredRoutes } from './undelivered.ts';
import { validate } from './validation.ts';

/** HTTP statuses of errors by their code; anything else is 500. */
const STATUSES: Record<string, number> = {
  INVALID_ARGUMENT: 400,
  INVALID_MESSAGE: 400,
  INVALID_PHONE_NUMBER: 400,
  NOT_SERIALIZABLE: 400,
  UNKNOWN_FLOW: 404,
  ACTOR_NOT_FOUND: 404,
  DEAD_LETTER_NOT_FOUND: 404,
  UNDELIVERED_NOT_FOUND: 404,
  ACTOR_EXISTS: 409,
  PHONE_NUMBER_TAKEN: 409,
  ACTOR_QUARANTINED: 409,
  SNAPSHOT_INCOMPATIBLE: 409,
  SNAPSHOT_NEWER: 503,
  TURN_FAILED: 422,
  NOT_RUNNING: 503,
  STORE_ERROR: 503,
  TIMEOUT: 503,
};

/** What the database refuses for its own sake would be refused again: only a database that fails as a whole is worth a retry. */
const statusOf = (error: PerdureError): number =>
  error instanceof StoreError && !isGeneral(error) ? 422 : (STATUSES[error.code] ?? 500);

/** Fastify's own errors, in words that help. */
const WORDS: Record<string, [code: string, message: string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [
    'BODY_TOO_LARGE',
    'The body is larger than 64 KB. Send less; nothing of it was applied.',
  ],
  FST_ERR_CTP_INVALID_JSON_BODY: ['INVALID_JSON', 'The body is not JSON. Nothing of it was applied.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['INVALID_JSON', 'The body is empty. Send JSON.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['INVALID_MEDIA_TYPE', 'Send the body as application/json.'],
};

/** Registers the endpoints of a runtime, and how all requests are guarded, validated and answered. */
export async function serviceRoutes(app: FastifyInstance, options: ServiceOptions): Promise<void> {
  app.addHook('onRoute', (route) => {
    route.bodyLimit ??= 64 * 1024;
  });
  app.removeContentTypeParser('text/plain'); // a page of another origin may send it unasked
  guard(app, options);
  refuseOnceClosing(app);
  const maxWait = milliseconds(options.maxWait ?? '2s');
  admit(app, new Admission(maxWait), (reply) =>
    reply
      .code(503)
      .header('retry-after', Math.max(1, Math.ceil(maxWait / 1_000)))
      .send({
        status: 'error',
        code: 'OVERLOADED',
        message: 'The server has more to do than it can. Nothing of this request was applied: send it again.',
      }),
  );
  await validate(app);
  app.setErrorHandler<Error>((error, request, reply) => answerError(options, error, request, reply));
  app.setNotFoundHandler((request, reply) => notFound(reply, `There is nothing at ${request.method} ${request.url}.`));
  const { runtime, enrolled } = options; // a prefix counts once
  for (const routes of [
    messageRoutes,
    trafficRoutes,
    responseRoutes,
    operationRoutes,
    timerRoutes,
    quarantineRoutes,
    deadLetterRoutes,
    undeliveredRoutes,
  ])
    await app.register(routes, { runtime, ...(enrolled && { enrolled }) });
}

/** A client that keeps its connection is told that this server ends. */
function refuseOnceClosing(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onRequest', async (_, reply) => {
    if (closing)
      return reply.code(503).headers({ connection: 'close', 'retry-after': RETRY_AFTER }).send({
        status: 'error',
        code: 'NOT_RUNNING',
        message: 'The server is stopping. Nothing of this request was applied.',
      });
  });
}

/** @internal */
export function answerError(
  { runtime }: ServiceOptions,
  error: Error & { code?: string; statusCode?: number },
  request: FastifyRequest<any, any, any, any, any, any, any>,
  reply: FastifyReply<any, any, any, any, any, any, any>,
): FastifyReply {
  if (error.code === 'FST_ERR_BAD_URL')
    return reply
      .code(400)
      .headers(HEADERS) // no hook has run
      .send({ status: 'error', code: 'INVALID_URL', message: `The path is no URL: ${error.message}.` });
  if (error.name === 'KnexTimeoutError') {
    // All connections of a pool are taken: the database has too much to do, and the request asked for nothing wrong.
    const message = 'The database has more to do than it can. Nothing of this request was applied: send it again.';
    return reply.code(503).header('retry-after', RETRY_AFTER).send({ status: 'error', code: 'STORE_ERROR', message });
  }
  const known = error instanceof PerdureError;
  const status = known ? statusOf(error) : (error.statusCode ?? 500);
  const [code, message] =
    WORDS[error.code ?? ''] ??
    (known || status < 500
      ? [error.code ?? 'INTERNAL', error.message]
      : ['INTERNAL', 'The server failed at this. Its log says why.']);
  // That it is starting or stopping is no fault, and everybody who asks is told.
  if (status >= 500 && code !== 'NOT_RUNNING')
    runtime.events.emit('fault', { during: `${request.method} ${request.routeOptions.url ?? 'a request'}`, error });
  if (status === 503) reply.header('retry-after', RETRY_AFTER);
  return reply.code(status).send({ status: 'error', code, message });
}
