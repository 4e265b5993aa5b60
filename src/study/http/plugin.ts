/** The HTTP service with the two flows that Perdure brings: their participants, the intervention, the page. */
import type { FastifyInstance } from 'fastify';
import { pageRoutes } from '../../console/console.ts';
import { serviceRoutes } from '../../http/plugin.ts';
import { createServerFor } from '../../http/server.ts';
import { interventionRoutes } from './intervention.ts';
import type { HttpOptions } from './options.ts';
import { participantRoutes } from './participants.ts';

/** The HTTP service as a Fastify plugin: `app.register(perdureHttp, { runtime, participants, prefix })`. */
export async function perdureHttp(app: FastifyInstance, options: HttpOptions): Promise<void> {
  const { runtime, participants } = options;
  await serviceRoutes(app, { ...options, ...(participants && { enrolled: () => participants.count() }) });
  if (!participants) return;
  for (const routes of [participantRoutes, interventionRoutes, pageRoutes])
    await app.register(routes, { runtime, participants });
}

/**
 * Creates a server of its own with nothing but the service; it does not listen yet. Other than the plugin, it also answers in the
 * service's form what is no HTTP, and a path that is no URL.
 * @param options.allowedHosts default: the names of the loopback and the address that a connection comes to
 * @throws {PackageMissingError} `fastify` or `ajv` is not installed
 */
export const createHttpService = (options: HttpOptions): Promise<FastifyInstance> =>
  createServerFor(perdureHttp, options);
