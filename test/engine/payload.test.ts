/** A row of the outbox is read as what was put there, or told to be damaged; it never throws. */
import { expect, it } from 'vitest';
import { stringify } from '../../src/actor/codec.ts';
import { payloadOf } from '../../src/engine/payload.ts';

it('gives what was written, with what JSON has not', () => {
  const payload = { type: 'message', text: 'Hello', at: new Date(0), options: new Map([['a', 1n]]) };
  expect(payloadOf(stringify(payload, 'message'))).toEqual(payload);
});

it.each(['', '{', 'null', '[{"type":"message"}]', '"Hello"', '42'])('gives nothing for %s', (text) => {
  expect(payloadOf(text)).toBeUndefined();
});
