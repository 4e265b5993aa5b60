/** The chance of a turn: the same when the turn is done again. */
import { describe, expect, it } from 'vitest';
import { chanceOf } from '../../src/engine/chance.ts';

const ada = { flowType: 'counter', participantId: 'ada' };
const bob = { flowType: 'counter', participantId: 'bob' };
const draw = (...asked: Parameters<typeof chanceOf>) => Array.from({ length: 100 }, chanceOf(...asked));

describe('the chance of a turn', () => {
  it('draws the same numbers when the turn is done again, for ever', () => {
    expect(draw('seed', ada, 7)).toEqual(draw('seed', ada, 7));
    // Of a database that has them: other numbers would make another turn of what is done again.
    expect(draw('seed', ada, 7).slice(0, 2)).toMatchInlineSnapshot(`
      [
        0.22920810457967633,
        0.32881987798742784,
      ]
    `);
  });

  it('draws others for another turn, actor or seed, and another each time', () => {
    const all = [draw('seed', ada, 7), draw('seed', ada, 8), draw('seed', bob, 7), draw('other', ada, 7)].flat();
    expect(new Set(all).size).toBe(400);
  });

  it('draws from 0 up to, but not, 1, spread over all of it', () => {
    const drawn = draw('seed', ada, 7);
    for (const number of drawn) expect(number).toSatisfy((n: number) => n >= 0 && n < 1);
    expect(new Set(drawn.map((number) => Math.floor(number * 4)))).toEqual(new Set([0, 1, 2, 3]));
  });
});
