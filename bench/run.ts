/**
 * `npm run bench [-- --quick] [-- --json FILE]`: what Perdure does, beside what its parts can do alone, in one run.
 * Each figure is a median where it says p50; throughput is over the whole run, with all guarantees and the journal on.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { hotTurn, rawCommits, recipe } from './ceilings.ts';
import { type Measured, median } from './measure.ts';
import { coldTurns, lateness, memory, withHotActors } from './perdure.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } } });
const seconds = values.quick ? 1.5 : 6;
const rows: { what: string; perSecond?: number; p50?: number; p99?: number; note?: string }[] = [];

function report(what: string, measured: Partial<Measured>, note?: string): void {
  const row = { what, ...measured, ...(note && { note }) };
  rows.push(row);
  const cells = [
    row.perSecond === undefined ? '' : Math.round(row.perSecond).toLocaleString('en-US'),
    row.p50 === undefined ? '' : row.p50.toFixed(2),
    row.p99 === undefined ? '' : row.p99.toFixed(2),
    note ?? '',
  ];
  console.log(`| ${what} | ${cells.join(' | ')} |`);
}

console.log(`Node ${process.version}, ${cpus().length} cores, SQLite synchronous FULL; latencies in ms.\n`);
console.log('| what | per second | p50 | p99 | |\n|---|---|---|---|---|');

// A shared machine is fast one minute and slow the next. What is compared is therefore measured in turns, round by round.
const rounds = values.quick ? 1 : 5;
const slice = values.quick ? 1.2 : 2.5;
const levels = [1, 50, 200, 1000];
const xstate: Measured[] = [];
const rawAlone: Measured[] = [];
const rawGroup: Measured[] = [];
const diy: Measured[] = [];
const hot = new Map<number, Measured[]>(levels.map((level) => [level, []]));
await withHotActors(1000, async (turns) => {
  for (let round = 0; round < rounds; round++) {
    xstate.push({ perSecond: hotTurn(slice / 2), p50: 0, p99: 0 });
    rawAlone.push(await rawCommits(1, 1000, slice));
    hot.get(1)!.push(await turns(1, slice));
    rawGroup.push(await rawCommits(200, 1000, slice));
    hot.get(200)!.push(await turns(200, slice));
    diy.push(await recipe(slice, 200));
    for (const level of [50, 1000]) hot.get(level)!.push(await turns(level, slice));
  }
});
const [alone, grouped, usual] = [median(rawAlone), median(rawGroup), median(diy)];
report('ceiling: XState hot turn, in memory', { perSecond: median(xstate).perSecond });
report('ceiling: raw driver, the same rows, 1 a transaction', alone);
report('ceiling: raw driver, the same rows, 200 a transaction', { perSecond: grouped.perSecond });
report('the do-it-yourself recipe, 200 in flight', usual, 'the snapshot alone; its deadlines are lost');
for (const level of levels) {
  const measured = median(hot.get(level)!);
  const note = {
    1: `${(measured.p50 / alone.p50).toFixed(2)} × the raw driver's p50`,
    200: `${(measured.perSecond / usual.perSecond).toFixed(1)} × the recipe, ${Math.round((measured.perSecond / grouped.perSecond) * 100)} % of the raw ceiling`,
  }[level];
  report(`durable turns, ${level.toLocaleString('en-US')} in flight`, measured, note);
}

const population = values.quick ? 5_000 : 50_000;
report(
  `cold turns, ${population.toLocaleString('en-US')} actors, 1,000 in memory`,
  await coldTurns(population, 1000, 200, seconds),
);

const [deadlines, spread] = values.quick ? [2_000, 2] : [10_000, 10];
const late = await lateness(deadlines, spread);
report(
  `lateness of ${deadlines.toLocaleString('en-US')} deadlines over ${spread} s`,
  { p50: late.p50, p99: late.p99 },
  `${late.early} early`,
);

const sample = values.quick ? 3_000 : 20_000;
report('memory of an actor in memory', {}, `${Math.round(await memory(sample, sample * 2))} bytes`);
report('memory of an idle actor', {}, `${Math.round(await memory(sample, 1000))} bytes`);

if (values.json)
  writeFileSync(
    values.json,
    `${JSON.stringify({ node: process.version, at: new Date().toISOString(), rows }, null, 2)}\n`,
  );
