import type { FastifyInstance } from 'fastify';
import type { ParticipantTable } from '../flows/participants.ts';
import { notFound, ok } from './answers.ts';
import type { StudyOptions } from './plugin.ts';
import { object } from './queries.ts';

/** Enrol, list, read, change and delete the participants of both flows. */
export async function participantRoutes(app: FastifyInstance, { runtime, participants }: StudyOptions): Promise<void> {
  const flows: [path: string, table: ParticipantTable, flowType: string, enrol: (body: never) => Promise<unknown>][] = [
    [
      '/intervention/participants',
      'intervention_participants',
      'micro_health_intervention',
      (body) => participants.enrolInIntervention(body),
    ],
    [
      '/conversation/participants',
      'conversation_participants',
      'conversation',
      (body) => participants.enrolInConversation(body),
    ],
  ];
  for (const [path, table, flowType, enrol] of flows) {
    app.post(path, async (request, reply) => reply.code(201).send(ok(await enrol(object(request.body) as never))));
    app.get(path, async () => ok(await participants.list(table)));
    app.get<{ Params: { id: string } }>(`${path}/:id`, async ({ params: { id } }, reply) => {
      const participant = await participants.get(table, id);
      if (!participant) return notFound(reply, `There is no participant ${id}.`);
      const { state, status, lastError } = await runtime.actor(flowType, id).describe();
      return ok({ ...participant, state, actor_status: status, last_error: lastError });
    });
    app.put<{ Params: { id: string } }>(`${path}/:id`, async ({ params: { id }, body }, reply) => {
      const participant = await participants.update(table, id, object(body));
      return participant ? ok(participant) : notFound(reply, `There is no participant ${id}.`);
    });
    app.delete<{ Params: { id: string } }>(`${path}/:id`, async ({ params: { id } }, reply) => {
      if (!(await participants.remove(table, id))) return notFound(reply, `There is no participant ${id}.`);
      return ok({ id, status: 'deleted' });
    });
  }
}
