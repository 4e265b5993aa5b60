import type { FastifyInstance } from 'fastify';
import { notFound, ok } from '../../http/answers.ts';
import * as is from '../../http/schemas.ts';
import type { ParticipantChange, ParticipantTable } from '../participants.ts';
import type { StudyOptions } from './options.ts';

interface StudyFlow {
  path: string;
  table: ParticipantTable;
  flowType: string;
  enrol: (body: never) => Promise<unknown>;
  /** What is told at the enrolment besides the phone number; `status` besides it can be changed. */
  fields: Record<string, object>;
  /** What is told at the enrolment and not changed later. */
  once: Record<string, object>;
}

/** Enrol, list, read, change and delete the participants of both flows. */
export async function participantRoutes(app: FastifyInstance, { runtime, participants }: StudyOptions): Promise<void> {
  const flows: StudyFlow[] = [
    {
      path: '/intervention/participants',
      table: 'intervention_participants',
      flowType: 'micro_health_intervention',
      enrol: (body) => participants.enrolInIntervention(body),
      fields: { name: is.line, timezone: is.line, daily_prompt_time: is.line },
      once: {
        weekly_reset: is.line,
        study_days: { type: 'integer', minimum: 1, description: 'a whole number above 0' },
      },
    },
    {
      path: '/conversation/participants',
      table: 'conversation_participants',
      flowType: 'conversation',
      enrol: (body) => participants.enrolInConversation(body),
      fields: { name: is.line, gender: is.line, ethnicity: is.line, background: is.words, timezone: is.line },
      once: {},
    },
  ];
  type Named = { Params: { id: string } };
  type List = { Querystring: { limit?: string; after?: string; phone_number?: string } };
  const list = { querystring: is.listOf({ after: is.id, phone_number: is.phoneNumber }) };

  for (const { path, table, flowType, enrol, fields, once } of flows) {
    const enrolment = { body: is.object({ phone_number: is.phoneNumber, ...fields, ...once }, ['phone_number']) };
    const change = {
      params: is.named,
      body: is.object({ ...fields, status: is.line }, [], {
        unknown: `cannot be changed. What can be changed is ${[...Object.keys(fields), 'status'].join(', ')}`,
      }),
    };

    app.post(path, { schema: enrolment, config: { perdure: 'traffic' } }, async ({ body }, reply) =>
      reply.code(201).send(ok(await enrol(body as never))),
    );
    app.get<List>(path, { schema: list }, async ({ query: { limit, after, phone_number: phoneNumber } }) =>
      ok(
        await participants.list(table, {
          ...(limit !== undefined && { limit: Number(limit) }),
          ...(after !== undefined && { after }),
          ...(phoneNumber !== undefined && { phoneNumber }),
        }),
      ),
    );
    app.get<Named>(`${path}/:id`, { schema: { params: is.named } }, async ({ params: { id } }, reply) => {
      const participant = await participants.get(table, id);
      if (!participant) return notFound(reply, `There is no participant ${id}.`);
      const { state, status, lastError } = await runtime.actor(flowType, id).describe();
      return ok({ ...participant, state, actor_status: status, last_error: lastError });
    });
    app.put<Named & { Body: ParticipantChange }>(`${path}/:id`, { schema: change }, async ({ params, body }, reply) => {
      const participant = await participants.update(table, params.id, body);
      return participant ? ok(participant) : notFound(reply, `There is no participant ${params.id}.`);
    });
    app.delete<Named>(`${path}/:id`, { schema: { params: is.named } }, async ({ params: { id } }, reply) => {
      if (!(await participants.remove(table, id))) return notFound(reply, `There is no participant ${id}.`);
      return ok({ id, status: 'deleted' });
    });
  }
}
