/** What inspectors see of participants' data: its shape, and marks by which it can be compared. */
import { describe, expect, it } from 'vitest';
import { Mask, plain } from '../../src/inspection/mask.ts';

const ada = { flowType: 'diary', participantId: 'ada' };
const bob = { flowType: 'diary', participantId: 'bob' };
const mask = new Mask('a secret');
const MARK = /^masked-[0-9a-f]{8}$/;

describe('the mask', () => {
  it('keeps the shape, and no leaf of it', () => {
    const shown: any = mask.value(
      { mood: 'I feel low', days: [1, 2], none: null, at: new Date(0), deep: { n: 7 } },
      ada,
    );
    expect(Object.keys(shown)).toEqual(['mood', 'days', 'none', 'at', 'deep']);
    expect(shown).toMatchObject({ none: null, days: [expect.stringMatching(MARK), expect.stringMatching(MARK)] });
    expect(shown.deep.n).toMatch(MARK);
    expect(JSON.stringify(shown)).not.toMatch(/low|1970/);
  });

  it('marks the same value alike, so that it is seen to change and to come back', () => {
    expect(mask.value('low', ada)).toBe(mask.value('low', ada));
    expect(mask.value('low', ada)).not.toBe(mask.value('high', ada));
    expect(mask.value('1', ada)).not.toBe(mask.value(1, ada));
  });

  it('does not mark equal values of different participants, or under another key, alike', () => {
    expect(mask.value('low', ada)).not.toBe(mask.value('low', bob));
    expect(mask.value('low', ada)).not.toBe(new Mask('another').value('low', ada));
    expect(mask.person('ada')).not.toBe(new Mask('another').person('ada'));
  });

  it('gives truth values no mark, which could be told from it', () => {
    expect(mask.value([true, false], ada)).toEqual(['masked', 'masked']);
  });

  it("shows the participant's id by the same mark wherever it stands", () => {
    expect(mask.value({ to: 'ada' }, ada)).toEqual({ to: mask.person('ada') });
  });

  it.each(['NEXT', 'xstate.done.actor.ask', 'x:0.(machine).ask'])('keeps the name %s', (name) => {
    expect(mask.name(name, ada)).toBe(name);
  });

  it.each(['+15551234567', 'p_0123abcd', 'a remark of a person', 'for-ada'])(
    'masks the name %s, also as a key',
    (name) => {
      expect(mask.name(name, ada)).toMatch(MARK);
      expect(Object.keys(mask.value({ [name]: 1 }, ada) as object)).toEqual([mask.name(name, ada)]);
    },
  );
});

describe('a value as plain JSON', () => {
  it('says what JSON has no words for, and ends where the value goes round', () => {
    const round: any = { set: new Set([1]), map: new Map([['a', 2n]]), nan: Number.NaN, error: new TypeError('no') };
    round.self = round;
    expect(plain(round)).toEqual({
      set: [1],
      map: [['a', '2']],
      nan: 'NaN',
      error: { name: 'TypeError', message: 'no' },
      self: 'circular',
    });
    const twice = { n: 1 };
    expect(plain([twice, twice])).toEqual([{ n: 1 }, { n: 1 }]);
  });
});
