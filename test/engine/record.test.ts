/** What a flow may write into tables of the application. */
import { describe, expect, it } from 'vitest';
import { assertRecord } from '../../src/engine/record.ts';

const ada = { flowType: 'diary', participantId: 'ada' };
const tried = (record: object) => () => assertRecord(record as never, ada);
const refused = (message: string) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', address: ada, message: expect.stringContaining(message) });

describe('a record', () => {
  it('may hold all that a column can, plain objects and SQL of Knex', () => {
    const row = { n: 1, text: 'x', none: null, left: undefined, yes: true, at: new Date(0), bytes: Buffer.of(1) };
    expect(tried({ table: 'diary', row: { ...row, json: { a: [1] }, bare: Object.create(null) } })).not.toThrow();
    expect(
      tried({
        table: 'diary',
        row: {
          raw: new (class Raw {
            toSQL() {}
          })(),
        },
      }),
    ).not.toThrow();
    expect(tried({ table: 'diary', where: { id: 1 }, set: { n: undefined } })).not.toThrow();
  });

  it.each([
    ['a BigInt', 1n],
    ['a symbol', Symbol('x')],
    ['half of a surrogate pair', 'cut \ud83d'],
    ['a list', [1]],
    ['a Date that is none', new Date(Number.NaN)],
    ['an instance of Map', new Map()],
  ])('may not hold %s, in any of its parts', (what, value) => {
    for (const part of [
      { row: { n: value } },
      { where: { n: value }, set: { m: 1 } },
      { where: { m: 1 }, set: { n: value } },
    ])
      expect(tried({ table: 'diary', ...part })).toThrow(refused(`in 'diary' has ${what} in 'n'`));
  });

  it('needs a condition for all that it names, which undefined would lift', () => {
    expect(tried({ table: 'diary', where: { id: undefined }, set: { n: 1 } })).toThrow(refused("undefined in 'id'"));
  });

  it('needs a table and columns', () => {
    expect(tried({ row: { n: 1 } })).toThrow(refused('names no table'));
    expect(tried({ table: '', row: { n: 1 } })).toThrow(refused('names no table'));
    for (const part of [{}, { row: null }, { row: 'x' }, { where: { id: 1 } }, { set: { n: 1 } }])
      expect(tried({ table: 'diary', ...part })).toThrow(refused('no columns'));
  });
});
