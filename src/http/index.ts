/**
 * The HTTP service of the two flows that Perdure brings, as a Fastify plugin or as a server of its own.
 *
 * @module perdure/http
 */
export { createHttpService, type HttpOptions, perdureHttp } from './plugin.ts';
