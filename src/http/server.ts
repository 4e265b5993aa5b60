/** A server of its own with nothing but the service. A client that sends or reads too slowly, or nothing at all, is let go. */
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { assertInstalled } from '../packages.ts';
import type { ServiceOptions } from './options.ts';
import { answerError } from './plugin.ts';

/** How long a client may take, in ms. */
const TIMES = {
  /** For the head of a request. */
  headersTimeout: 15_000,
  /** For all of a request. */
  requestTimeout: 30_000,
  /** For a sign of life while a request is answered. */
  connectionTimeout: 120_000,
  /** Until the next request; longer than the minute for which load balancers keep a connection. */
  keepAliveTimeout: 65_000,
  /** How often that is looked at. */
  connectionsCheckingInterval: 1_000,
};

/**
 * Creates a server for a plugin; it does not listen yet. Other than the plugin, it also answers in the service's form what is no HTTP,
 * and a path that is no URL.
 * @throws {PackageMissingError} `fastify` or `ajv` is not installed
 */
export async function createServerFor<O extends ServiceOptions>(
  plugin: FastifyPluginAsync<O>,
  options: O,
): Promise<FastifyInstance> {
  const { headersTimeout, connectionsCheckingInterval, ...times } = TIMES;
  assertInstalled('The HTTP service', 'fastify', 'ajv');
  const { default: createServer } = await import('fastify');
  const app = createServer({
    ...times,
    http: { headersTimeout, connectionsCheckingInterval },
    routerOptions: { maxParamLength: 600 },
    return503OnClosing: false, // the service says so itself, in its own form
    frameworkErrors: (error, request, reply) => answerError(options, error, request, reply),
    clientErrorHandler: answerNoHttp,
  });
  await app.register(plugin as FastifyPluginAsync<ServiceOptions>, { allowedHosts: [], ...options });
  return app;
}

const NO_HTTP: Record<string, [status: string, code: string, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    'REQUEST_TIMEOUT',
    'The request took too long to arrive. Nothing of it was applied.',
  ],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'HEADERS_TOO_LARGE', 'The headers are too large.'],
};

function answerNoHttp(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, code, message] = NO_HTTP[error.code ?? ''] ?? [
    '400 Bad Request',
    'INVALID_HTTP',
    'This is no HTTP request.',
  ];
  const body = JSON.stringify({ status: 'error', code, message });
  if (socket.writable && socket.bytesWritten === 0)
    socket.write(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  socket.destroySoon();
}
