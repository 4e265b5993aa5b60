/**
 * Results of promises whose actor was put aside before they could be applied. They are kept in the actor's row, beside its
 * last good state, so that a retry applies them and asks nobody again; the next turn that commits writes the state without
 * them.
 */
import type { Knex } from 'knex';
import type { AnyEventObject } from 'xstate';
import { keepableEvent, parse, stringify } from '../actor/codec.ts';
import type { Commit } from '../store/rows.ts';
import type { Item } from './cell.ts';

/** A result, and the session id of the child whose promise it is of. */
export interface Result {
  sessionId: string;
  event: AnyEventObject;
}

/** The results that wait in a mailbox. */
export const resultsIn = (queue: readonly Item[]): Result[] =>
  queue.flatMap(({ stimulus }) =>
    stimulus.kind === 'relay' && stimulus.event.type.startsWith('xstate.promise.')
      ? [{ sessionId: stimulus.sessionId, event: keepableEvent(stimulus.event) }]
      : [],
  );

/** Writes results into an actor's row; `undefined`: there are none that can be stored. */
export function keepResults(rowId: number, results: readonly Result[]): Commit['also'] {
  const texts = results.flatMap((result) => {
    try {
      return [stringify(result, 'result')];
    } catch {
      return []; // a result that cannot be stored: its promise is asked again
    }
  });
  if (texts.length === 0) return undefined;
  return async (run, knex: Knex) => {
    const state_data = knex.raw(`json_set(state_data, '$.results', json(?))`, [`[${texts.join(',')}]`]);
    await run(knex('flow_states').where({ id: rowId }).update({ state_data }) as never);
  };
}

/** The results that a row keeps. @param stateData which can be read */
export const keptResults = (stateData: string): Result[] =>
  ((JSON.parse(stateData) as { results?: unknown[] }).results ?? []).map(
    (each) => parse(JSON.stringify(each)) as Result,
  );
