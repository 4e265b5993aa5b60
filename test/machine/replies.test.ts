import { describe, expect, it } from 'vitest';
import { canonical, choose } from '../../src/machine/index.ts';

describe('canonical', () => {
  it.each([
    [' Done!. ', 'done'],
    ['DONE', 'done'],
    ['✅ Done 🎉🎉', 'done'],
    ['👍🏽 done 👨‍👩‍👧', 'done'],
    ['"done"', 'done'],
    ['…done…', 'done'],
    ['\u00a0done\u200b\n', 'done'],
    ['Let’s   do\tit!', "let's do it"],
    ['1️⃣', '1'],
    ['(1)', '1'],
    ['１', '1'],
    ['Ärger', 'ärger'],
    ['A\u0308rger', 'ärger'],
    ['हाँ!', 'हाँ'],
    ['не сейчас.', 'не сейчас'],
    ['not-yet', 'not-yet'],
    ['👍', ''],
    [' ?! ', ''],
    ['', ''],
  ])('%j is %j', (text, expected) => {
    expect(canonical(text)).toBe(expected);
  });
});

describe('choose', () => {
  const options = [
    { id: '1', label: "🚀 Let's do it!", synonyms: ['Yes!', 'ok'] },
    { id: '2', label: '⏳ Not yet', synonyms: ['no'] },
    { id: '3', label: '👍' },
  ];

  it.each([
    ...[
      '1',
      ' 1 ',
      '1.',
      '1)',
      '(1)',
      '#1',
      '1️⃣',
      '１',
      'option 1',
      'Option 1.',
      'option: 1',
      'answer 1',
      'number 1',
      'option1',
    ],
    ...["🚀 Let's do it!", "let's do it", 'LET’S DO IT', "1. Let's do it!", "1) 🚀 let's do it", '1 - Let’s do it'],
    ...['yes', 'Yes!!', 'OK 👌'],
  ])('%j is option 1', (text) => {
    expect(choose(text, options)).toBe('1');
  });

  it.each(['2', 'Not yet.', '⏳ Not yet', 'NO', 'option 2', '2. not yet'])('%j is option 2', (text) => {
    expect(choose(text, options)).toBe('2');
  });

  it.each(['👍', '👍\uFE0F', '3'])('%j is option 3', (text) => {
    expect(choose(text, options)).toBe('3');
  });

  it.each([
    ...[
      '',
      '   ',
      '?',
      '👎',
      '0',
      '4',
      '11',
      '12',
      '1.5',
      '1 2',
      '1 or 2',
      '21',
      '01',
      'one',
      'not',
      'maybe yes',
      '1. Not yet',
    ],
    ...['option', 'option 4', 'yes no', "let's"],
  ])('%j is none', (text) => {
    expect(choose(text, options)).toBeUndefined();
  });
});
