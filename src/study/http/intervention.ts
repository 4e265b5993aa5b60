import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { InterventionState } from '../../../machines/micro-health-intervention.ts';
import { describeState } from '../../actor/state.ts';
import { InvalidArgumentError } from '../../errors.ts';
import { notFound, ok } from '../../http/answers.ts';
import { pageOf } from '../../http/queries.ts';
import * as is from '../../http/schemas.ts';
import { microHealthInterventionFlow as flow } from '../micro-health-intervention.ts';
import { type Participant, plainNumber } from '../participants.ts';
import { interventionStats } from '../stats.ts';
import type { StudyOptions } from './options.ts';

/** So many participants at a time get their summary. */
const ABREAST = 50;

/** What an operator does to a participant of the intervention, each a turn of the actor; and how the study goes. */
export async function interventionRoutes(app: FastifyInstance, { runtime, participants }: StudyOptions): Promise<void> {
  type Named = { Params: { id: string } };
  const one = '/intervention/participants/:id';
  const find = (id: string) => participants.get('intervention_participants', id);
  const stands = (participant: Participant, snapshot: { status: string; value?: unknown }, handled: boolean) =>
    ok({ participant: participant.id, handled, state: describeState(snapshot) });

  const response = { params: is.named, body: is.object({ text: is.words, id: is.id }, ['text']) };
  app.post<Named & { Body: { text: string; id?: string } }>(
    `${one}/responses`,
    { schema: response, config: { perdure: 'traffic' } },
    async (request, reply) => {
      const {
        params: { id },
        body,
      } = request;
      const participant = await find(id);
      if (!participant) return notFound(reply, `There is no participant ${id}.`);
      const {
        address: _,
        snapshot,
        ...receipt
      } = await runtime.receiveFor(flow, id, {
        channel: 'operator',
        id: body.id ?? randomUUID(),
        from: plainNumber(participant.phone_number),
        text: body.text,
      });
      return ok({ participant: id, ...receipt, ...(snapshot && { state: describeState(snapshot) }) });
    },
  );

  const advance = { params: is.named, body: is.object({ to_state: is.line, reason: is.line }, ['to_state']) };
  app.post<Named & { Body: { to_state: InterventionState; reason?: string } }>(
    `${one}/advance`,
    { schema: advance },
    async (request, reply) => {
      const {
        params: { id },
        body: { to_state: to, reason },
      } = request;
      const participant = await find(id);
      if (!participant) return notFound(reply, `There is no participant ${id}.`);
      if (!STATES.includes(to))
        throw new InvalidArgumentError(`There is no state '${to}'. The states are ${STATES.join(', ')}.`);
      const snapshot = await runtime
        .actor(flow, id)
        .send(
          { type: 'advance', to, ...(reason !== undefined && { reason }) },
          { note: `moved by an operator${reason ? `: ${reason}` : ''}` },
        );
      assertHandled(snapshot.handled, participant, 'be moved');
      return stands(participant, snapshot, snapshot.handled);
    },
  );

  app.post<Named>(`${one}/reset`, { schema: { params: is.named } }, async ({ params: { id } }, reply) => {
    const participant = await find(id);
    if (!participant) return notFound(reply, `There is no participant ${id}.`);
    const snapshot = await runtime.actor(flow, id).send({ type: 'reset' });
    assertHandled(snapshot.handled, participant, 'start over');
    return stands(participant, snapshot, snapshot.handled);
  });

  app.get<Named & { Querystring: is.PageQuery }>(
    `${one}/history`,
    { schema: { params: is.named, querystring: is.listOf() } },
    async ({ params: { id }, query }, reply) => {
      if (!(await find(id))) return notFound(reply, `There is no participant ${id}.`);
      const { limit, after } = pageOf(query);
      const { state, status } = await runtime.actor(flow, id).describe();
      const responses = await runtime
        .knex('intervention_responses')
        .where({ participant_id: id })
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit);
      return ok({ participant: id, state, status, responses });
    },
  );

  const summary = { body: is.optional({ participant_id: is.id }) };
  app.post<{ Body: { participant_id?: string } | undefined }>(
    '/intervention/weekly-summary',
    { schema: summary },
    async ({ body }, reply) => {
      const id = body?.participant_id;
      if (id !== undefined && !(await find(id))) return notFound(reply, `There is no participant ${id}.`);
      const ids: string[] =
        id === undefined
          ? await runtime.knex('intervention_participants').whereIn('status', ['active', 'paused']).pluck('id')
          : [id];
      const result = { summarised: 0, skipped: 0, failed: [] as { participant: string; error: string }[] };
      const summarise = async (participant: string) => {
        try {
          const { handled } = await runtime.actor(flow, participant).send({ type: 'weeklySummary' });
          result[handled ? 'summarised' : 'skipped']++;
        } catch (error) {
          // One that fails keeps nobody else from theirs.
          result.failed.push({ participant, error: (error as Error).message });
        }
      };
      for (let at = 0; at < ids.length; at += ABREAST) await Promise.all(ids.slice(at, at + ABREAST).map(summarise));
      return ok(result);
    },
  );

  app.get('/intervention/stats', async () => ok(await interventionStats(runtime.knex)));
}

/** Where an operator may move a participant. */
const STATES: readonly string[] = [...Object.keys(flow.logic.states.PARTICIPATING!.states.day!.states), 'COMPLETE'];

function assertHandled(handled: boolean, { id, status }: Participant, what: string): void {
  if (handled) return;
  throw new InvalidArgumentError(
    `${id} is ${status} and cannot ${what}. ${status === 'withdrawn' ? 'Make the participant active first.' : 'Enrol the number anew.'}`,
  );
}
