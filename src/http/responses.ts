/**
 * What people wrote, the last first. Two logs hold it: the journal, what actors were told, and the inbox, what was for no
 * actor. Both are read backwards and merged by their instants. An entry's `id` is how far both logs are read up to it, so that
 * the next page goes on there.
 */
import type { FastifyInstance } from 'fastify';
import { ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import * as is from './schemas.ts';

/** The ids of the last entries in the journal and in the inbox; 0: none yet. */
const PLACE = '^(\\d{1,15})-(\\d{1,15})$';

export async function responseRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  const after = { type: 'string', pattern: PLACE, description: is.AFTER };

  app.get<{ Querystring: is.PageQuery }>(
    '/responses',
    { schema: { querystring: is.listOf({ after }) } },
    async ({ query }) => {
      const limit = Number(query.limit ?? 100);
      const place = query.after?.split('-').map(Number) ?? [0, 0];
      const logs = await Promise.all([runtime.store.told(place[0]!, limit), runtime.store.untold(place[1]!, limit)]);
      const heads = [0, 0];
      const page = [];
      while (page.length < limit) {
        const [told, untold] = [logs[0]![heads[0]!], logs[1]![heads[1]!]];
        const log = told && !(untold && untold.at > told.at) ? 0 : 1;
        const next = log === 0 ? told : untold;
        if (!next) break;
        heads[log]!++;
        place[log] = next.id;
        page.push({ ...next, id: place.join('-'), at: new Date(next.at).toISOString() });
      }
      return ok(page);
    },
  );
}
