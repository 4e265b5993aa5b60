/** A token bucket: no machine, but a transition function that reckons with instants. */
import { fromTransition } from 'xstate';
import { defineFlow } from '../../../src/index.ts';
import { message, now } from '../../../src/machine/index.ts';
import { subject } from './subject.ts';

interface Bucket {
  tokens: number;
  at: number;
  refused: number;
}
type Events = { type: 'take'; n: number } | { type: 'reset' };

const [SIZE, PER_SECOND] = [5, 1];

const logic = fromTransition<Bucket, Events, any, undefined, any>(
  (bucket, event, { emit }) => {
    const tokens = Math.min(SIZE, bucket.tokens + ((now() - bucket.at) / 1_000) * PER_SECOND);
    if (event.type === 'reset') return { tokens: SIZE, at: now(), refused: 0 };
    if (tokens >= event.n) return { ...bucket, tokens: tokens - event.n, at: now() };
    emit(message('Too fast.'));
    return { tokens, at: now(), refused: bucket.refused + 1 };
  },
  () => ({ tokens: SIZE, at: now(), refused: 0 }),
);

export const rateLimiter = subject({
  flow: defineFlow({ type: 'rate_limiter', version: 1, logic }),
  script: [
    { send: { type: 'take', n: 4 } },
    { send: { type: 'take', n: 2 } },
    { advance: '1500ms' },
    { send: { type: 'take', n: 2 } },
    { advance: '1h' },
    { send: { type: 'take', n: 5 } },
    { send: { type: 'reset' } },
  ],
  ends: 'active',
  explore: {
    events: [{ type: 'take', n: 3 }, { type: 'reset' }],
    depth: 4,
  },
});
