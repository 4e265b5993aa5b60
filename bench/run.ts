/**
 * `npm run bench [-- --quick] [-- --json FILE]`: what Perdure does, beside what its parts can do alone, in one run.
 * Each figure is a median where it says p50; throughput is over the whole run, with all guarantees and the journal on.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { hotTurn, rawCommits, recipe } from './ceilings.ts';
import type { Measured } from './measure.ts';
import { coldTurns, hotTurns, lateness, memory } from './perdure.ts';

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

report('ceiling: XState hot turn, in memory', { perSecond: hotTurn(Math.min(seconds, 2)) });
const rawAlone = await rawCommits(1, 1000, seconds);
report('ceiling: raw driver, the same rows, 1 a transaction', rawAlone);
const rawGroup = await rawCommits(200, 1000, seconds);
report('ceiling: raw driver, the same rows, 200 a transaction', { perSecond: rawGroup.perSecond });
const diy = await recipe(seconds, 200);
report('the do-it-yourself recipe, 200 in flight', diy, 'the snapshot alone; deadlines are lost');

const levels = [1, 50, 200, 1000];
const hot = await hotTurns(levels, 1000, seconds);
for (const [i, measured] of hot.entries()) {
  const note = {
    1: `${(measured.p50 / rawAlone.p50).toFixed(2)} × the raw driver's p50`,
    200: `${(measured.perSecond / diy.perSecond).toFixed(1)} × the recipe, ${Math.round((measured.perSecond / rawGroup.perSecond) * 100)} % of the raw ceiling`,
  }[levels[i]!];
  report(`durable turns, ${levels[i]} in flight`, measured, note);
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
