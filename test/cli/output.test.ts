import { describe, expect, it } from 'vitest';
import { table } from '../../src/cli/output.ts';

const HEADINGS = ['ACTOR', 'ERROR'];
const ROWS = [
  ['study/ada', 'The check of the answer is broken,\n since the list is empty.'],
  ['study/bo', 'Unreadable.'],
];

describe('a table', () => {
  it('has a line a row where no terminal sets a width', () => {
    expect(table(HEADINGS, ROWS, Number.POSITIVE_INFINITY)).toBe(
      [
        'ACTOR      ERROR',
        'study/ada  The check of the answer is broken, since the list is empty.',
        'study/bo   Unreadable.',
      ].join('\n'),
    );
  });

  it('wraps the last column between words, within the terminal', () => {
    expect(table(HEADINGS, ROWS, 40)).toBe(
      [
        'ACTOR      ERROR',
        'study/ada  The check of the answer is',
        '           broken, since the list is',
        '           empty.',
        'study/bo   Unreadable.',
      ].join('\n'),
    );
  });

  it.each([36, 40, 79])('loses nothing and stays within %i characters, also where a word has more', (width) => {
    const error = `The key ${'k'.repeat(200)} is unknown to ${'https://example.org/'.repeat(9)}`;
    const lines = table(HEADINGS, [['study/ada', error]], width)
      .split('\n')
      .slice(1);
    expect(lines.filter((line) => line.length > width)).toEqual([]);
    expect(
      lines
        .map((line) => line.slice(11))
        .join('')
        .replaceAll(' ', ''),
    ).toBe(error.replaceAll(' ', ''));
  });

  it('shows each row as names and values on a terminal that is too narrow for its columns', () => {
    const headings = 'FLOW VERSION TURNS FAILED RESTARTED INVOCATIONS-FAILED QUARANTINED DEAD-LETTERS SUPERVISION';
    const rows = ['micro_health_intervention', 'conversation'].map((flow) => [flow, ...'1234567'.split(''), 'restart']);
    const printed = table(headings.split(' '), rows, 80);
    expect(printed.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(printed).toContain('FLOW                micro_health_intervention\nVERSION             1\n');
    expect(printed).toContain('SUPERVISION         restart\n\nFLOW                conversation\n');
    expect(table(headings.split(' '), rows, 132).split('\n')[0]).toMatch(/^FLOW +VERSION .*SUPERVISION$/);
  });
});
