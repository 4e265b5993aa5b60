import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { InterventionState } from '../../machines/micro-health-intervention.ts';
import { describeState } from '../actor/state.ts';
import { InvalidArgumentError } from '../errors.ts';
import { microHealthInterventionFlow as flow } from '../flows/micro-health-intervention.ts';
import type { Participant } from '../flows/participants.ts';
import { interventionStats } from '../flows/stats.ts';
import { pageOf } from '../operations/page.ts';
import { notFound, ok } from './answers.ts';
import type { StudyOptions } from './plugin.ts';
import { filterOf, type ListQuery, object, optionalText, text } from './queries.ts';

/** So many participants at a time get their summary. */
const ABREAST = 50;

/** What an operator does to a participant of the intervention, each a turn of the actor; and how the study goes. */
export async function interventionRoutes(app: FastifyInstance, { runtime, participants }: StudyOptions): Promise<void> {
  type Named = { Params: { id: string } };
  const one = '/intervention/participants/:id';
  const find = (id: string) => participants.get('intervention_participants', id);
  const stands = (participant: Participant, snapshot: { status: string; value?: unknown }, handled: boolean) =>
    ok({ participant: participant.id, handled, state: describeState(snapshot) });

  app.post<Named>(`${one}/responses`, async ({ params: { id }, body }, reply) => {
    const participant = await find(id);
    if (!participant) return notFound(reply, `There is no participant ${id}.`);
    const given = object(body);
    const {
      address: _,
      snapshot,
      ...receipt
    } = await runtime.receiveFor(flow, id, {
      channel: 'operator',
      id: optionalText(given, 'id') ?? randomUUID(),
      from: phoneOf(participant),
      text: text(given, 'text'),
    });
    return ok({ participant: id, ...receipt, ...(snapshot && { state: describeState(snapshot) }) });
  });

  app.post<Named>(`${one}/advance`, async ({ params: { id }, body }, reply) => {
    const participant = await find(id);
    if (!participant) return notFound(reply, `There is no participant ${id}.`);
    const given = object(body);
    const to = text(given, 'to_state') as InterventionState;
    const reason = optionalText(given, 'reason');
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
  });

  app.post<Named>(`${one}/reset`, async ({ params: { id } }, reply) => {
    const participant = await find(id);
    if (!participant) return notFound(reply, `There is no participant ${id}.`);
    const snapshot = await runtime.actor(flow, id).send({ type: 'reset' });
    assertHandled(snapshot.handled, participant, 'start over');
    return stands(participant, snapshot, snapshot.handled);
  });

  app.get<Named & { Querystring: ListQuery }>(`${one}/history`, async ({ params: { id }, query }, reply) => {
    if (!(await find(id))) return notFound(reply, `There is no participant ${id}.`);
    const { limit, after } = pageOf(filterOf(query));
    const { state, status } = await runtime.actor(flow, id).describe();
    const responses = await runtime
      .knex('intervention_responses')
      .where({ participant_id: id })
      .where('id', '>', after)
      .orderBy('id')
      .limit(limit);
    return ok({ participant: id, state, status, responses });
  });

  app.post('/intervention/weekly-summary', async ({ body }, reply) => {
    const id = body === undefined || body === null ? undefined : optionalText(object(body), 'participant_id');
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
  });

  app.get('/intervention/stats', async () => ok(await interventionStats(runtime.knex)));
}

/** Where an operator may move a participant. */
const STATES: readonly string[] = [...Object.keys(flow.logic.states.PARTICIPATING!.states.day!.states), 'COMPLETE'];

/** Where a number was enrolled anew, the former participant keeps it with the own id behind it. */
const phoneOf = ({ phone_number }: Participant) => phone_number.split(' ')[0]!;

function assertHandled(handled: boolean, { id, status }: Participant, what: string): void {
  if (handled) return;
  throw new InvalidArgumentError(
    `${id} is ${status} and cannot ${what}. ${status === 'withdrawn' ? 'Make the participant active first.' : 'Enrol the number anew.'}`,
  );
}
