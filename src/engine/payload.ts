import { parse } from '../actor/codec.ts';

/** What a row of the outbox holds as its `payload`; `undefined` where it cannot be read. */
export function payloadOf(text: string): Record<string, unknown> | undefined {
  try {
    const payload: unknown = parse(text);
    if (typeof payload === 'object' && payload !== null && !Array.isArray(payload)) {
      return payload as Record<string, unknown>;
    }
  } catch {
    // It is told of as one that cannot be read.
  }
  return undefined;
}
