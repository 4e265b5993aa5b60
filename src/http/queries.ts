/** The query of a list, which its schema has held to be right, as the operations take it. */
import type { ListQuery, PageQuery } from './schemas.ts';

export function pageOf({ limit, after }: PageQuery): { limit: number; after: number } {
  return { limit: Number(limit ?? 100), after: Number(after ?? 0) };
}

export const filterOf = ({ flow, participant, ...page }: ListQuery) => ({
  ...pageOf(page),
  ...(flow !== undefined && { flowType: flow }),
  ...(participant !== undefined && { participantId: participant }),
});
