/** What commands print for people. */

/** The last column of a table gets at least so many characters. */
const ROOM = 24;

/**
 * A table with a heading. Nothing is cut off: the last column is wrapped within the terminal, and where there is no room for
 * that, each row is shown as names and values.
 * @param width of the terminal, in characters; a file or a pipe takes lines of any length
 */
export function table(
  headings: string[],
  rows: string[][],
  width = process.stdout.columns ?? Number.POSITIVE_INFINITY,
): string {
  const lines = [headings, ...rows.map((row) => row.map(oneLine))];
  const widths = headings.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const indent = widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
  if (indent + Math.min(widths.at(-1) ?? 0, ROOM) > width)
    return rows.map((row) => facts(headings.map((heading, i) => [heading, row[i]]))).join('\n\n');
  return lines
    .map((line) => {
      const before = line.slice(0, -1).map((cell, i) => `${cell.padEnd(widths[i] ?? 0)}  `);
      return before.join('') + wrapped(line.at(-1) ?? '', width - indent).join(`\n${' '.repeat(indent)}`);
    })
    .join('\n');
}

/** Names and what they are, one below the other; what has several lines is indented. */
export function facts(all: [name: string, value: unknown][]): string {
  const shown = all.filter(([, value]) => value !== undefined && value !== null);
  const width = Math.max(...shown.map(([name]) => name.length)) + 2;
  return shown
    .map(([name, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
      return `${name.padEnd(width)}${text.replaceAll('\n', `\n${' '.repeat(width)}`)}`;
    })
    .join('\n');
}

const oneLine = (text: string) => text.replaceAll(/\s*\n\s*/g, ' ');

/** Splits a text between its words into lines; a word that is longer than a line is split as well. */
const wrapped = (text: string, width: number): string[] =>
  text.length <= width ? [text] : (text.match(new RegExp(`\\S.{0,${width - 1}}(?=\\s|$)|\\S{1,${width}}`, 'g')) ?? []);
