/**
 * Results of promises whose actor was put aside before they could be applied. They are kept in the actor's row, beside its
 * last good state, so that a retry applies them and asks nobody again; the next turn that commits writes the state without
 * them.
 */
import type { AnyEventObject } from 'xstate';
import { keepableEvent, parse, stringify } from '../actor/codec.ts';
import type { Change } from '../store/rows.ts';
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

/** Writes results into an actor's row, those that can be stored. */
export function keepResults(rowId: number, results: readonly Result[]): Change[] {
  const texts = results.flatMap((result) => {
    try {
      return [stringify(result, 'result')];
    } catch {
      return []; // a result that cannot be stored: its promise is asked again
    }
  });
  return texts.length === 0 ? [] : [{ kind: 'keepResults', id: rowId, results: `[${texts.join(',')}]` }];
}

/** The results that a row keeps. @param stateData which can be read */
export const keptResults = (stateData: string): Result[] =>
  ((JSON.parse(stateData) as { results?: unknown[] }).results ?? []).map(
    (each) => parse(JSON.stringify(each)) as Result,
  );
