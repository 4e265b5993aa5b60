/**
 * `npm run simulate -- --seeds 2000`: lives through so many schedules, each from its own seed, on all cores.
 * `npm run simulate -- --seed 1234`: lives through one, and tells what happened, step by step.
 * `npm run simulate -- --planted`: plants known bugs, one by one, and tells which schedule finds each.
 *
 * These bundle it first: in one module it runs a tenth faster than through tsx. Paths are relative to a folder two below the root.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareDatabases } from './database.ts';
import { findPlanted } from './planted.ts';
import { type Schedule, simulate } from './simulation.ts';

/** What became of some seeds. */
interface Tally {
  schedules: number;
  steps: number;
  turns: number;
  failed: { seed: number; message: string }[];
}

interface Share {
  /** The first seed, and how many. */
  seed: number;
  seeds: number;
  /** Every so manyth seed is this worker's. */
  of: number;
  untilFound: boolean;
}

/** In a message between workers, so many seeds are told at once. */
const BATCH = 50;
/** So many lines of a trace are shown before a violation. */
const TAIL = 60;

/** What a worker is told in its environment. */
const SHARE = 'PERDURE_SIMULATION_SHARE';

const share = process.env[SHARE];
if (share === undefined) await main();
else await work(JSON.parse(share));

async function work({ seed, seeds, of, untilFound }: Share): Promise<void> {
  await prepareDatabases();
  let tally: Tally = { schedules: 0, steps: 0, turns: 0, failed: [] };
  const tell = () => {
    process.send!(tally);
    tally = { schedules: 0, steps: 0, turns: 0, failed: [] };
  };
  for (let next = seed; next < seed + seeds; next += of) {
    const { violation, steps, turns } = await simulate(next);
    tally.schedules++;
    tally.steps += steps;
    tally.turns += turns;
    if (violation) tally.failed.push({ seed: next, message: violation.message });
    if (tally.schedules === BATCH || violation) tell();
    if (violation && untilFound) break;
  }
  tell();
  process.disconnect();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      planted: { type: 'boolean', default: false },
      'until-found': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const seed = whole('seed', values.seed) ?? 1;
  const seeds = whole('seeds', values.seeds);
  if (values.planted) process.exitCode = (await findPlanted(seeds ?? 5_000, console.log)) ? 0 : 1;
  else if (values.seed !== undefined && seeds === undefined) await replay(seed, Number.POSITIVE_INFINITY);
  else await campaign(seed, seeds ?? 1_000, values['until-found'], values.json);
}

async function campaign(seed: number, seeds: number, untilFound: boolean, json: boolean): Promise<void> {
  const began = performance.now();
  const total: Tally = { schedules: 0, steps: 0, turns: 0, failed: [] };
  const rate = () => Math.round(total.schedules / ((performance.now() - began) / 1_000));
  const workers = Math.min(availableParallelism(), seeds);
  const running: ChildProcess[] = [];
  let told = began;
  await Promise.all(
    Array.from({ length: workers }, (_, i) => {
      const share: Share = { seed: seed + i, seeds: seeds - i, of: workers, untilFound };
      const worker = fork(fileURLToPath(import.meta.url), {
        env: { ...process.env, [SHARE]: JSON.stringify(share) },
        // A world lives for milliseconds: its garbage is best collected at once, by who made it: the other cores are busy.
        execArgv: [...process.execArgv, '--max-semi-space-size=64', '--single-threaded-gc'],
      });
      worker.on('message', (message) => {
        const tally = message as Tally;
        total.schedules += tally.schedules;
        total.steps += tally.steps;
        total.turns += tally.turns;
        total.failed.push(...tally.failed);
        // At once: a long campaign goes on, and one can look into it meanwhile.
        if (!json) for (const each of tally.failed) console.error(`seed ${each.seed}: ${each.message}`);
        if (untilFound && total.failed.length > 0) for (const each of running) each.kill();
        if (json || performance.now() - told < 5_000) return;
        told = performance.now();
        console.error(`${total.schedules} of ${seeds} schedules, ${rate()} a second, ${total.failed.length} failed`);
      });
      running.push(worker);
      return new Promise<void>((resolve, reject) =>
        worker.on('error', reject).on('exit', (code, signal) => {
          if (code === 0 || signal) resolve();
          else reject(new Error('A worker ended with an error; it is told above.'));
        }),
      );
    }),
  );
  total.failed.sort((a, b) => a.seed - b.seed);
  if (json) console.log(JSON.stringify({ ...total, perSecond: rate() }));
  else {
    const { schedules, steps, turns, failed } = total;
    for (const { seed: each, message } of failed.slice(0, 20)) console.log(`seed ${each}: ${message}`);
    if (failed.length > 0) {
      console.log();
      await replay(failed[0]!.seed, TAIL);
    }
    console.log(`${schedules} schedules, ${rate()} a second: ${steps} steps, ${turns} turns; ${failed.length} failed`);
  }
  if (total.failed.length > 0) process.exitCode = 1;
}

/** Lives through a seed once more, and tells what happened. */
async function replay(seed: number, most: number): Promise<void> {
  await prepareDatabases();
  const { trace, violation, steps, turns }: Schedule = await simulate(seed, { traced: true });
  if (trace.length > most)
    console.log(`… ${trace.length - most} lines before; all: npm run simulate -- --seed ${seed}`);
  for (const line of trace.slice(-most)) console.log(line);
  console.log(
    violation ? `seed ${seed}: ${violation.message}` : `seed ${seed}: ${steps} steps, ${turns} turns, nothing wrong`,
  );
  if (violation) process.exitCode = 1;
}

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`--${name} is a whole number; '${text}' is none.`);
  return Number(text);
}
