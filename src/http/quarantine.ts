import type { FastifyInstance } from 'fastify';
import type { Address } from '../errors.ts';
import type { QuarantinedActor } from '../operations/quarantine.ts';
import { ok } from './answers.ts';
import type { ServiceOptions } from './options.ts';
import { filterOf } from './queries.ts';
import * as is from './schemas.ts';

/** Actors that were put aside. */
export async function quarantineRoutes(app: FastifyInstance, { runtime }: ServiceOptions): Promise<void> {
  type Named = { Params: { flow: string; participant: string } };
  const one = '/quarantine/:flow/:participant';
  const params = is.object({ flow: is.id, participant: is.id });
  const addressOf = ({ params: { flow, participant } }: { params: Named['Params'] }): Address => ({
    flowType: flow,
    participantId: participant,
  });

  app.get<{ Querystring: is.ListQuery }>(
    '/quarantine',
    { schema: { querystring: is.listOf(is.narrowed) } },
    async ({ query }) => ok((await runtime.quarantine.list(filterOf(query))).map(described)),
  );

  app.get<Named>(one, { schema: { params } }, async (request) => {
    const { value, context, timers, stateData, ...actor } = await runtime.quarantine.get(addressOf(request));
    return ok({ ...described(actor), value, context, timers, state_data: stateData });
  });

  app.post<Named>(`${one}/retry`, { schema: { params } }, async (request) => {
    const address = addressOf(request);
    await runtime.quarantine.retry(address);
    return ok({ participant: address.participantId, flow: address.flowType, status: 'retried' });
  });

  app.post<Named & { Body: is.Reason }>(`${one}/discard`, { schema: { params, body: is.reason } }, async (request) => {
    const address = addressOf(request);
    await runtime.quarantine.discard(address, request.body?.reason);
    return ok({ participant: address.participantId, flow: address.flowType, status: 'discarded' });
  });
}

const described = ({ id, address, state, error, since, version, flowVersion }: QuarantinedActor) => ({
  id,
  participant: address.participantId,
  flow: address.flowType,
  state,
  error,
  since: Number.isNaN(since) ? null : new Date(since).toISOString(),
  version,
  flow_version: flowVersion,
});
