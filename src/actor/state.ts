/**
 * The state as people and SQL read it: dotted paths of the active leaves, joined by commas where states are parallel,
 * e.g. `day.COMMITMENT_PROMPT,week.counting`. Logic without states gives its status.
 */
export function describeState(snapshot: { value?: unknown; status: string }): string {
  return snapshot.value === undefined ? snapshot.status : leaves(snapshot.value, '').join(',');
}

function leaves(value: unknown, prefix: string): string[] {
  if (typeof value === 'string') return [prefix + value];
  const entries = Object.entries(value as object);
  if (entries.length === 0) return [prefix.slice(0, -1)];
  return entries.flatMap(([key, inner]) =>
    // A region without states of its own has the value {}.
    typeof inner === 'object' && Object.keys(inner).length === 0 ? [prefix + key] : leaves(inner, `${prefix}${key}.`),
  );
}
