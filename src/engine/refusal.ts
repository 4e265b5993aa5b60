/** Of an actor that does not exist, is put aside, or throws: it will not take the event in a minute either. */
export const takesNoEvents = (error: unknown): boolean =>
  ['ACTOR_NOT_FOUND', 'UNKNOWN_FLOW', 'ACTOR_QUARANTINED', 'SNAPSHOT_INCOMPATIBLE', 'TURN_FAILED'].includes(
    (error as { code?: string } | null | undefined)?.code ?? '',
  );
