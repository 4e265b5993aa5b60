import type { FastifyReply } from 'fastify';

/** A good answer. */
export const ok = (result: unknown) => ({ status: 'ok', result });

export function notFound(reply: FastifyReply, message: string): FastifyReply {
  return reply.code(404).send({ status: 'error', code: 'NOT_FOUND', message });
}
