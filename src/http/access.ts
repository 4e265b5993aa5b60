/**
 * Lets in who may ask, before anything of a request is read: see origin.ts for requests that a stranger's page makes. Where
 * there is a token, a request needs it, except for the page's own files, which hold no data, and for `/health`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { isForeignHost, isForeignOrigin } from '../origin.ts';

/** Who may ask. */
export interface AccessOptions {
  /**
   * The names under which people and proxies reach the service, like `'study.example.org'` or `'study.example.org:8443'`; `'*'`:
   * any. A request for another host is refused, as are those of pages from elsewhere. The names of the loopback and the address that
   * a connection came to are always among them. Default of the plugin: requests for any host are taken, since the application
   * knows under which it is reached, but none from pages of another origin. Default of {@link createHttpService}: none but those.
   */
  allowedHosts?: readonly string[];
  /** What a request must have as `Authorization: Bearer …`. Default: the application sees to it. */
  token?: string;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `open`: it is answered without a token. `traffic`: it waits its turn, and is refused where there is too much. */
    perdure?: 'open' | 'traffic';
  }
}

/** Guards the routes of `app`. */
export function guard(app: FastifyInstance, { allowedHosts, token }: AccessOptions): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS);
    if (allowedHosts && isForeignHost(request.raw, allowedHosts))
      return refuse(
        reply,
        403,
        'FOREIGN_HOST',
        'This server does not go by the name that the request asks for. Allow it with --allowed-host, or the option allowedHosts.',
      );
    if (isForeignOrigin(request.raw, allowedHosts))
      return refuse(
        reply,
        403,
        'FOREIGN_ORIGIN',
        'A page of another origin made this request. Allow its host with --allowed-host, or the option allowedHosts.',
      );
    if (
      token === undefined ||
      request.routeOptions.config?.perdure === 'open' ||
      isToken(request.headers.authorization, token)
    )
      return;
    reply.header('www-authenticate', 'Bearer');
    return refuse(
      reply,
      401,
      'UNAUTHORIZED',
      'This server wants its token, as Authorization: Bearer. The commands of perdure take it from PERDURE_TOKEN.',
    );
  });
}

/** Of every answer: no page may frame it, no cache keep it, no browser guess what it is. */
export const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Compares in a time that tells nothing about the token, nor about its length. */
function isToken(authorization: string | undefined, token: string): boolean {
  const [, given] = /^Bearer (.+)$/i.exec(authorization ?? '') ?? [];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

const digest = (text: string) => createHash('sha256').update(text).digest();

const refuse = (reply: FastifyReply, status: number, code: string, message: string) =>
  reply.code(status).send({ status: 'error', code, message });
