/** What commands print for people. */

/** A table with a heading; the last column takes what room there is, and is cut off there. */
export function table(headings: string[], rows: string[][]): string {
  const lines = [headings, ...rows.map((row) => row.map(oneLine))];
  const widths = headings.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const width = process.stdout.columns ?? Number.POSITIVE_INFINITY;
  return lines
    .map((line) => line.map((cell, i) => (i === line.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '))
    .map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line))
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
