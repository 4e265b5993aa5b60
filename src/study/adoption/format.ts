import type { AdoptedRow, AdoptedTable, AdoptionReport } from './report.ts';

/** So many kinds of notes are written out; all are with their rows. */
const MOST_NOTES = 20;

/** The report as text, for people: a summary, and every row that was not adopted. */
export function formatAdoption(report: AdoptionReport): string {
  const { file, status, tables, states, exceptions, notes, deadlines, staleTimers, handlers, optOuts } = report;
  if (status === 'already') return `${file} is Perdure's already. There is nothing to do.`;
  const lines = [opening(report), '', ...columns(tables.map(tableLine))];
  if (states.length > 0) lines.push('', 'Legacy states, and ours', ...columns(states.map(stateLine)));
  const figures: [n: number, what: string][] = [
    [deadlines.overdue, 'deadlines that have passed: each fires once, when the server starts'],
    [deadlines.toCome, `deadlines to come, the first at ${deadlines.next}`],
    [staleTimers, 'ids of timers that died with the old process, left behind'],
    [handlers, 'phone numbers bound to their participants'],
    [optOuts, 'phone numbers that opted out, and are not written to'],
  ];
  const some = figures.filter(([n]) => n > 0).map(([n, what]) => [count(n), what]);
  if (some.length > 0) lines.push('', 'How it goes on', ...columns(some));
  if (notes.length > 0) {
    const most = [...notes].sort((a, b) => b.rows - a.rows).slice(0, MOST_NOTES);
    const shown = most.map(({ note, rows }) => [count(rows), `× ${note}`]);
    lines.push('', 'Worth to know', ...columns(shown));
    if (notes.length > MOST_NOTES) lines.push(`  … and ${count(notes.length - MOST_NOTES)} more; --json has them all`);
  }
  if (exceptions.length > 0) {
    lines.push('', `Not adopted: ${count(exceptions.length)}`);
    lines.push(...exceptions.flatMap(exceptionLines));
  }
  lines.push('', closing(report));
  return lines.join('\n');
}

function opening({ file, into, backup, dryRun, durationMs }: AdoptionReport): string {
  const took = `in ${(durationMs / 1_000).toFixed(durationMs < 10_000 ? 1 : 0)} s`;
  if (dryRun && into !== undefined) return `Dry run: nothing was changed. ${file} would be adopted into ${into}.`;
  if (dryRun) return `Dry run: nothing was changed. ${file} would be adopted in place, the original kept as ${backup}.`;
  if (into !== undefined) return `${file} was adopted into ${into} ${took}. It was only read, and is as it was.`;
  return `${file} was adopted ${took}. The original is kept as ${backup}.`;
}

function tableLine({ table, rows, fate, adopted, quarantined, kept, keptAs }: AdoptedTable): string[] {
  const some = (n: number, what: string) => (n > 0 ? [`${count(n)} ${what}`] : []);
  const what = {
    adopted: [
      `${count(adopted)} adopted`,
      ...some(quarantined, 'quarantined'),
      ...some(kept, 'kept as they were'),
      `the original in ${keptAs}`,
    ].join(', '),
    stays: 'stays as it is',
    kept: `kept as ${keptAs}; nothing of it is used`,
    untouched: 'untouched',
  }[fate];
  return [table, `${count(rows)} ${rows === 1 ? 'row' : 'rows'}`, what];
}

const stateLine = ({ flowType, from, to, rows }: AdoptionReport['states'][number]) => [
  count(rows),
  `${flowType}/${from}`,
  `→ ${dayOf(to)}`,
];

function exceptionLines({ table, row, flowType, participantId, from, outcome, reason }: AdoptedRow): string[] {
  const who = participantId === undefined ? '' : ` ${flowType === undefined ? '' : `${flowType}/`}${participantId}`;
  const where = from === undefined ? '' : `, in ${from}`;
  return [`  ${outcome}${who} (${table}, row ${row}${where})`, `    ${reason}`];
}

function closing({ file, into, dryRun, exceptions, ok }: AdoptionReport): string {
  const database = into ?? file;
  const aside = exceptions.some(({ outcome }) => outcome === 'quarantined');
  if (dryRun) {
    const adopt = `perdure adopt ${file}${into === undefined ? '' : ` --into ${into}`}`;
    return ok ? `All rows can be adopted: ${adopt}` : `Mend these rows, or adopt the others without them: ${adopt}`;
  }
  return [
    `Start it with: perdure start --database ${database}`,
    ...(aside ? [`Look at those put aside with: perdure quarantine list --database ${database}`] : []),
  ].join('\n');
}

/** Rows of texts, one below the other. */
function columns(rows: string[][]): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]!.length))) ?? [];
  return rows.map(
    (row) => `  ${row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell)).join('  ')}`,
  );
}

/** `PARTICIPATING.week.COUNTING,PARTICIPATING.day.FEELING_PROMPT` → `FEELING_PROMPT` */
const dayOf = (state: string) => /\bday\.([^,]+)/.exec(state)?.[1] ?? state;

const count = (n: number) => n.toLocaleString('en');
