import type { FastifyReply } from 'fastify';

/** In how many seconds it is worth another try, where the server cannot answer now. */
export const RETRY_AFTER = 5;

/** A good answer. */
export const ok = (result: unknown) => ({ status: 'ok', result });

export function notFound(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(404).send({ status: 'error', code: 'NOT_FOUND', message });
}
